/** What the SDK promises alike over all bindings, against a whole broker. */
import {
  attachDevice,
  command,
  GridcastError,
  HttpClient,
  open,
  type Client,
  type CommandNews,
  type Device,
  type Verdict,
} from '../../src/client/index.js';
import { parseTarget } from '../../src/client/target.js';
import { startDaemon, type RunningDaemon } from '../support/daemon.js';

let daemon: RunningDaemon;
let admin: HttpClient;
beforeAll(async () => {
  daemon = await startDaemon();
  admin = new HttpClient(parseTarget(daemon.roots.http));
});
afterAll(async () => {
  await admin.close();
  await daemon.stop();
});

let containers = 0;
/** A container of its own for each test; its contentInstances. */
async function container(): Promise<string> {
  const { location } = await admin.request({
    op: 'create',
    to: '/m2m/containers',
    body: { container: { id: `load-${++containers}` } },
  });
  return `${location}/contentInstances`;
}
const SECOND = Date.UTC(2026, 10, 24) * 1000;
/** One meter reading, `n` seconds into the day. */
const reading = (n: number) => ({
  mediaType: 'application/senml+json',
  bytes: Buffer.from(JSON.stringify([{ bn: 'meter-1/', bt: SECOND / 1e6 + n, n: 'power', u: 'W', v: n }])),
});
const store = (contentInstances: string, n: number) =>
  admin.request({ op: 'create', to: contentInstances, body: reading(n) });
/** Waits until so many subscriptions stand at the broker. */
async function standing(wanted: number): Promise<void> {
  for (let asked = 0; asked < 1000; asked++) {
    const { bytes } = await admin.request({ op: 'retrieve', to: '/metrics' });
    if (textOf(bytes).includes(`gridcast_subscriptions ${wanted}\n`)) return;
  }
  throw new Error(`there are never ${wanted} subscriptions`);
}
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

describe.each<[string, Client['binding'], object]>([
  ['http', 'http', {}],
  ['coap', 'coap', {}],
  ['ws as JSON', 'ws', { subprotocol: 'gridcast.v1+json' }],
  ['ws as protobuf', 'ws', { subprotocol: 'gridcast.v1' }],
])('a client over %s', (_name, binding, options) => {
  let client: Client;
  beforeEach(async () => {
    client = await open(daemon.roots[binding], options);
  });
  afterEach(async () => {
    await client.close();
    await standing(0);
  });

  test('creates, reads, changes and deletes', async () => {
    const id = `made-${++containers}`;
    const created = await client.request({ op: 'create', to: '/m2m/containers', body: { container: { id } } });
    expect(created).toMatchObject({ status: 'STATUS_CREATED', location: `/m2m/containers/${id}` });
    await client.request({ op: 'update', to: `/m2m/containers/${id}`, body: { container: { maxNrOfInstances: 3 } } });
    const read = await client.request({ op: 'retrieve', to: `/m2m/containers/${id}`, accept: 'application/json' });
    expect(JSON.parse(textOf(read.bytes))).toMatchObject({ container: { id, maxNrOfInstances: 3 } });
    expect(read.mediaType).toBe('application/json');
    await client.request({ op: 'delete', to: `/m2m/containers/${id}` });
    await expect(client.request({ op: 'retrieve', to: `/m2m/containers/${id}` })).rejects.toMatchObject({ code: 404 });
  });

  test('throws a refusal with status and sentence', async () => {
    const failed = client.request({
      op: 'create',
      to: '/m2m/containers',
      body: { container: { id: 'x', maxNrOfInstances: 'many' } },
    });
    await expect(failed).rejects.toBeInstanceOf(GridcastError);
    await expect(failed).rejects.toMatchObject({
      kind: 'refused',
      status: 'STATUS_BAD_REQUEST',
      code: 400,
      message: expect.stringContaining('maxNrOfInstances') as string,
    });
  });

  test('stores and reads bytes of any kind as they are, larger than a datagram too', async () => {
    const contentInstances = await container();
    const bytes = Buffer.from(Array.from({ length: 5000 }, (_, n) => n % 251));
    await client.request({
      op: 'create',
      to: contentInstances,
      body: { mediaType: 'application/octet-stream', bytes },
    });
    const read = await client.request({ op: 'retrieve', to: `${contentInstances}/latest/content` });
    expect(read.mediaType).toBe('application/octet-stream');
    expect(Buffer.compare(read.bytes, bytes)).toBe(0);
  });

  test('observes what is stored from now on, with its time and format', async () => {
    const contentInstances = await container();
    await store(contentInstances, 1);
    const samples = client.observe(`${contentInstances}/latest/content`);
    const first = samples.next();
    await standing(1);
    await store(contentInstances, 2);
    const { value } = await first;
    expect(value).toMatchObject({ timeUs: SECOND + 2e6, mediaType: 'application/senml+json', missed: 0 });
    expect(JSON.parse(textOf((value as { body: Uint8Array }).body))).toMatchObject([{ v: 2 }]);
    await store(contentInstances, 3);
    expect((await samples.next()).value).toMatchObject({ timeUs: SECOND + 3e6 });
    await samples.return?.();
  });

  test('two observations on one client each get their own', async () => {
    const [one, other] = [await container(), await container()];
    await Promise.all([store(one, 1), store(other, 1)]);
    const [ofOne, ofOther] = [client.observe(`${one}/latest/content`), client.observe(`${other}/latest/content`)];
    const pending = [ofOne.next(), ofOther.next()] as const;
    await standing(2);
    await store(other, 22);
    await store(one, 11);
    expect((await pending[0]).value).toMatchObject({ timeUs: SECOND + 11e6 });
    expect((await pending[1]).value).toMatchObject({ timeUs: SECOND + 22e6 });
    await ofOne.return?.();
    await ofOther.return?.();
  });

  test('an observation ends with the reason of its signal, and at the broker too', async () => {
    const contentInstances = await container();
    await store(contentInstances, 1);
    const controller = new AbortController();
    const next = client.observe(`${contentInstances}/latest/content`, { signal: controller.signal }).next();
    await standing(1);
    controller.abort(new Error('enough'));
    await expect(next).rejects.toThrow('enough');
    await standing(0);
  });

  test('an observation is refused for what is not there, with the sentence', async () => {
    const next = client.observe('/m2m/containers/nothing/contentInstances/latest/content').next();
    await expect(next).rejects.toMatchObject({ kind: 'refused', code: 404 });
  });

  test('an observation ends when its resource is deleted', async () => {
    const contentInstances = await container();
    await store(contentInstances, 1);
    const next = client.observe(`${contentInstances}/latest/content`).next();
    await standing(1);
    const ended = expect(next).rejects.toMatchObject({ kind: 'refused' });
    await admin.request({ op: 'delete', to: contentInstances.replace(/\/contentInstances$/, '') });
    await ended;
  });

  test('a closed client ends what is open, and takes no more', async () => {
    const contentInstances = await container();
    await store(contentInstances, 1);
    const next = client.observe(`${contentInstances}/latest/content`).next();
    await standing(1);
    const ended = expect(next).rejects.toMatchObject({ kind: 'closed' });
    await client.close();
    await ended;
    await expect(client.request({ op: 'retrieve', to: '/m2m' })).rejects.toMatchObject({ kind: 'closed' });
  });

  describe('that commands', () => {
    let device: Device;
    let application: string;
    let verdict: () => Verdict | Promise<Verdict>;
    beforeEach(async () => {
      const { location } = await admin.request({
        op: 'create',
        to: '/m2m/applications',
        body: { application: { appId: `feeder-${++containers}` } },
      });
      application = location ?? '';
      await admin.request({ op: 'create', to: `${application}/containers`, body: { container: { id: 'commands' } } });
      device = await attachDevice(`${daemon.roots.ws}${application}`, () => verdict());
    });
    afterEach(() => device.close());

    /** Unique for its issuer, who is anonymous over all bindings. */
    const newId = (): string => `c-${++containers}`;
    const statesOf = async (commandId: string): Promise<readonly CommandNews[]> => {
      const news: CommandNews[] = [];
      for await (const each of command(client, application, {
        point: 'breaker-1',
        value: 'open',
        deadlineMs: 2000,
        commandId,
      }))
        news.push(each);
      return news;
    };

    test('hears that it was executed; the same again is not executed again', async () => {
      let executions = 0;
      verdict = () => {
        executions++;
        return { state: 'executed' };
      };
      const commandId = newId();
      const news = await statesOf(commandId);
      expect(news[0]).toEqual({ commandId, state: 'accepted' });
      expect(news.at(-1)).toEqual({ commandId, state: 'executed' });
      expect((await statesOf(commandId)).at(-1)).toEqual({ commandId, state: 'executed' });
      expect(executions).toBe(1);
    });

    test('hears that it was rejected, and why', async () => {
      verdict = () => ({ state: 'rejected', reason: 'interlocked' });
      expect((await statesOf(newId())).at(-1)).toMatchObject({ state: 'rejected', reason: 'interlocked' });
    });

    test('is refused a command without a point', async () => {
      await expect(command(client, application, { point: '' }).next()).rejects.toMatchObject({
        kind: 'refused',
        code: 400,
      });
    });
  });
});
