/** A query on contentInstances through a whole broker, over every binding: pages, cursors, what is refused. */
import { open, GridcastError, type Client } from '../../src/client/index.js';
import type { JsonObject } from '../../src/json.js';
import { closeStage, container, http, startBroker, stream, START_US, type RunningBroker } from './stage.js';
import { formatTime } from '../../src/clock.js';

let running: RunningBroker;
beforeEach(async () => void (running = await startBroker()));
afterEach(closeStage);

interface Listed {
  readonly id: string;
  readonly contentSize: number;
  readonly content?: { readonly contentType: string; readonly textContent: string };
}
interface Pages {
  readonly instances: Listed[];
  readonly pages: number;
  readonly longest: number;
}

/** All pages of a query. */
async function read(client: Client, to: string): Promise<Pages> {
  const instances: Listed[] = [];
  let [pages, longest] = [0, 0];
  for (let next: string | undefined = to; next !== undefined; pages++) {
    const { bytes } = await client.request({ op: 'retrieve', to: next, accept: 'application/json' });
    longest = Math.max(longest, bytes.length);
    const { contentInstances } = JSON.parse(Buffer.from(bytes).toString()) as {
      contentInstances: { next?: string; contentInstanceCollection: { contentInstance: Listed[] } };
    };
    instances.push(...contentInstances.contentInstanceCollection.contentInstance);
    next = contentInstances.next;
  }
  return { instances, pages, longest };
}

async function filled(count: number, bytes: number): Promise<string> {
  const path = `${await container(running, { maxNrOfInstances: 200, maxByteSize: 1_024_000 })}/contentInstances`;
  for (let n = 0; n < count; n++) {
    const textContent = `${n} `.padEnd(bytes, '.');
    const document: JsonObject = {
      contentInstance: { id: `i${n}`, content: { contentType: 'text/plain', textContent } },
    };
    expect((await http(running, 'POST', path, document)).status).toBe(201);
  }
  return path;
}

describe.each([
  ['http', () => running.http],
  ['coap', () => running.coap],
  ['ws', () => running.ws],
] as const)('over %s', (binding, root) => {
  test('a query comes page by page until there is no next', async () => {
    const path = await filled(25, 10);
    const client = await open(root());
    try {
      const { instances, pages } = await read(client, `${path}?sizeFrom=1&limit=10`);
      expect(instances.map(({ id }) => id)).toEqual(Array.from({ length: 25 }, (_, n) => `i${n}`));
      expect(pages).toBe(3);
      const last = await read(client, `${path}?limit=1000&metaDataOnly=true`);
      expect(last).toMatchObject({ pages: 1, instances: { length: 25 } });
      expect(last.instances[7]).toEqual(expect.not.objectContaining({ content: expect.anything() as unknown }));
      expect(last.instances[7]?.contentSize).toBe(10);
    } finally {
      await client.close();
    }
  });

  test('a mistake is told with the parameter’s name', async () => {
    const path = await filled(1, 1);
    const client = await open(root());
    try {
      const failure = await client
        .request({ op: 'retrieve', to: `${path}?limit=many` })
        .catch((error: unknown) => error);
      if (!(failure instanceof GridcastError)) throw new Error('not refused');
      expect(failure.status).toBe('STATUS_BAD_REQUEST');
      expect(failure.message).toContain('limit is "many"; it must be a whole number from 1 to 1000');
    } finally {
      await client.close();
    }
  });

  test('an answer stays within what the binding carries', async () => {
    const path = await filled(60, 4_000);
    const client = await open(root());
    try {
      const { instances, pages, longest } = await read(client, `${path}?limit=1000`);
      expect(instances.map(({ id }) => id)).toEqual(Array.from({ length: 60 }, (_, n) => `i${n}`));
      expect(pages).toBe(binding === 'coap' ? 4 : 1);
      expect(longest).toBeLessThan(binding === 'coap' ? 67_000 : 300_000);
    } finally {
      await client.close();
    }
  });
});

test('without a query the newest instances are shown, and no next', async () => {
  const path = await filled(3, 1);
  const { json } = await http(running, 'GET', path);
  expect(json.contentInstances).not.toHaveProperty('next');
  expect(json).toMatchObject({
    contentInstances: { currentNrOfInstances: 3, contentInstanceCollection: { contentInstance: { length: 3 } } },
  });
});

test('a PMU’s measurements are found by their time tags, and by any type that they are to be had as', async () => {
  const source = stream(running, [61], 10);
  source.run(3);
  const path = '/m2m/applications/pmu-61/containers/measurements/contentInstances';
  const [since, until] = [formatTime(START_US + 1_000_000), formatTime(START_US + 1_500_000)];
  const client = await open(running.http);
  try {
    const { instances } = await read(client, `${path}?measuredSince=${since}&measuredUntil=${until}&limit=2`);
    expect(instances.map(({ id }) => id)).toEqual([0, 1, 2, 3, 4].map((n) => formatTime(START_US + 1e6 + n * 1e5)));
    expect(instances[0]?.content?.contentType).toBe('application/senml+json');
    const raw = await read(client, `${path}?contentType=application/vnd.gridcast.c37118&limit=1000`);
    expect(raw.instances).toHaveLength(30);
    expect((await read(client, `${path}?contentType=text/plain`)).instances).toEqual([]);
    // Who created it: the broker itself did.
    expect((await read(client, `${path}?creator=anonymous`)).instances).toEqual([]);
  } finally {
    await client.close();
  }
});
