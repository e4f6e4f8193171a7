/** Conditions through the whole broker, in the spelling of each binding. */
import type { Notification } from '../../src/client/index.js';
import { readSample, frequencyOf } from '../../src/client/reading.js';
import {
  ask,
  clientOf,
  closeStage,
  container,
  http,
  measurements,
  nodeAt,
  startBroker,
  stream,
  until,
} from './stage.js';

afterEach(closeStage);

const CONTENT = 'contentInstances/latest/content';
const BINDINGS = ['http', 'coap', 'ws'] as const;

/** What an observation has brought so far; stands when this returns. */
async function observed(running: Awaited<ReturnType<typeof startBroker>>, notifications: AsyncIterable<Notification>) {
  const got: Notification[] = [];
  const before = running.broker.subscriptions.population.size;
  void (async () => {
    for await (const each of notifications) got.push(each);
  })().catch(() => undefined);
  await until('it is subscribed', () => running.broker.subscriptions.population.size > before);
  return got;
}

const frequencies = (got: readonly Notification[]): (number | undefined)[] =>
  got.map(({ mediaType, body }) => {
    const reading = readSample(mediaType, body);
    return reading && frequencyOf(reading);
  });

describe.each(BINDINGS)('over %s', (binding) => {
  test.each([
    ['as terms', '', { conditions: 'c.gt=50.1&field=frequency' }],
    ['as a query', '?c.gt=50.1', {}],
  ])('a subscriber who asks for crossings, %s, is told of them alone', async (_spelt, query, terms) => {
    const running = await startBroker();
    const pmus = stream(running, [1], 50);
    pmus.frame({ frequencyHz: 50 });
    const client = await clientOf(running, binding);
    const got = await observed(running, client.observe(`${measurements(1)}/${CONTENT}${query}`, terms));
    for (const [index, frequencyHz] of [50.2, 50, 50.3].entries()) {
      for (let n = 0; n < 3; n++) pmus.frame({ frequencyHz });
      await until('it is told', () => got.length > index);
    }
    expect(frequencies(got)).toEqual([50.2, 50, 50.3]);
    const [subscription] = [...nodeAt(running, `${measurements(1)}/contentInstances/subscriptions`)!.children];
    const shown = await http(running, 'GET', subscription!.reference);
    expect(shown.json).toMatchObject({ subscription: { conditions: expect.stringContaining('c.gt=50.1') as string } });
  });

  test('a field that the PMU has not is refused, and the sentence names those it has', async () => {
    const running = await startBroker();
    stream(running, [1], 50).frame();
    const client = await clientOf(running, binding);
    const notifications = client.observe(`${measurements(1)}/${CONTENT}`, { conditions: 'c.st=1&field=voltage' });
    await expect(notifications.next()).rejects.toMatchObject({
      kind: 'refused',
      message: expect.stringContaining('VA/magnitude') as string,
    });
  });
});

test('a pack of a publisher is judged by its record', async () => {
  const running = await startBroker();
  const path = await container(running);
  const client = await clientOf(running, 'ws');
  const got = await observed(running, client.observe(`${path}/${CONTENT}`, { conditions: 'c.st=10&field=power' }));
  for (const power of [5, 7, 14.9, 15, 24]) {
    const bytes = Buffer.from(
      JSON.stringify([
        { n: 'voltage', v: 230 },
        { n: 'power', v: power },
      ]),
    );
    await client.request({
      op: 'create',
      to: `${path}/contentInstances`,
      body: { mediaType: 'application/senml+json', bytes },
    });
  }
  await until('both are told', () => got.length >= 2);
  expect(got.map(({ body }) => (JSON.parse(Buffer.from(body).toString()) as { v: number }[])[1]?.v)).toEqual([5, 15]);
});

test.each([
  ['/m2m/containers', 'contentInstances'],
  [`${measurements(1)}/contentInstances/latest`, 'c.epmax'],
])('what cannot be judged is refused: %s', async (to, sentence) => {
  const running = await startBroker();
  stream(running, [1], 50);
  const client = await clientOf(running, 'ws');
  const refusal = await client
    .observe(to, { conditions: 'c.st=1&c.epmax=0.001' })
    .next()
    .catch((error: unknown) => error);
  expect(refusal).toMatchObject({ kind: 'refused', message: expect.stringContaining(sentence) as string });
});

test('conditions that are none are refused when the subscription is created', async () => {
  const running = await startBroker();
  const path = await container(running);
  const client = await clientOf(running, 'http');
  const subscription = { contact: 'http://127.0.0.1:9/', conditions: 'c.gt=much' };
  const said = await ask(client, 'create', `${path}/contentInstances/subscriptions`, { subscription });
  expect(said).toMatchObject({ status: 'STATUS_BAD_REQUEST', sentence: expect.stringContaining('"much"') as string });
});

describe.each(BINDINGS)('over %s', (binding) => {
  test.each([
    ['mean', 50.2],
    ['first', 50],
    ['max', 50.4],
  ])('of an interval one can have the %s', async (method, expected) => {
    const running = await startBroker();
    const pmus = stream(running, [1], 50);
    const client = await clientOf(running, binding);
    const content = `${measurements(1)}/${CONTENT}`;
    const got = await observed(running, client.observe(`${content}?method=${method}`, { rate: 10 }));
    // Slot 0 ends an interval of its own.
    for (const frequencyHz of [49, 50, 50.1, 50.2, 50.3, 50.4]) pmus.frame({ frequencyHz });
    await until('both have come', () => got.length >= 2);
    expect(frequencies(got)[1]).toBeCloseTo(expected, 9);
  });
});

test('method=fir is for PMUs alone', async () => {
  const running = await startBroker();
  const path = await container(running);
  const client = await clientOf(running, 'ws');
  await expect(client.observe(`${path}/${CONTENT}`, { method: 'fir' }).next()).rejects.toMatchObject({
    kind: 'refused',
    message: expect.stringContaining('PMU') as string,
  });
  const pmus = stream(running, [1], 50);
  const got = await observed(running, client.observe(`${measurements(1)}/${CONTENT}`, { method: 'fir', rate: 10 }));
  for (let second = 0; second < 3; second++) pmus.run(1);
  await until('some have come', () => got.length >= 10);
  for (const hz of frequencies(got)) expect(hz).toBeCloseTo(50.01, 6);
});
