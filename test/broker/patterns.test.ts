/** One subscription to many resources: a path with `*`, whose routes follow the tree. */
import { open, type Notification, type ObserveTerms, type RouteChange } from '../../src/client/index.js';
import {
  clientOf,
  closeStage,
  http,
  measurements,
  nodeAt,
  startBroker,
  stream,
  until,
  whenStageCloses,
} from './stage.js';
import type { RunningBroker } from './stage.js';

afterEach(closeStage);

const ALL = '/m2m/applications/*/containers/measurements/contentInstances/latest/content';
const METERS = '/m2m/containers/*/contentInstances/latest/content';

async function observe(
  running: RunningBroker,
  to: string,
  terms: ObserveTerms = {},
  subprotocol = 'gridcast.v1+json' as const,
) {
  const client = await open(running.ws, { subprotocol });
  whenStageCloses(() => client.close());
  const got: Notification[] = [];
  const changes: RouteChange[] = [];
  const iteration = client.observe(to, { ...terms, routed: (change) => changes.push(change) });
  let error: unknown;
  const over = (async () => {
    for await (const one of iteration) got.push(one);
  })().catch((thrown: unknown) => (error = thrown));
  return {
    client,
    got,
    changes,
    over,
    leave: () => iteration.return?.(),
    error: () => error,
    isOpen: (path: string): boolean => changes.findLast((change) => change.path === path)?.isOpen ?? false,
  };
}

const createMeter = async (running: RunningBroker, id: string, attributes = {}): Promise<string> =>
  (await http(running, 'POST', '/m2m/containers', { container: { id, ...attributes } })).location;
const post = (running: RunningBroker, meter: string, text: string) =>
  http(running, 'POST', `${meter}/contentInstances`, {
    contentInstance: { content: { contentType: 'application/json', textContent: JSON.stringify(text) } },
  });
const texts = (got: readonly Notification[]) =>
  got.map(({ from, body }) => `${from} ${String(JSON.parse(Buffer.from(body).toString()))}`);

test.each(['gridcast.v1', 'gridcast.v1+json'] as const)(
  'brings the samples of all PMUs, over %s',
  async (subprotocol) => {
    const running = await startBroker();
    const pmus = stream(running, [1, 2, 3], 50);
    const { got, isOpen } = await observe(running, ALL, { rate: 10 }, subprotocol as 'gridcast.v1+json');
    await until('all are routed', () => [1, 2, 3].every((idCode) => isOpen(measurements(idCode))));
    pmus.run(1);
    await until('all have come', () => got.length >= 30);
    for (const idCode of [1, 2, 3]) {
      const own = got.filter(({ from }) => from === measurements(idCode));
      expect(own).toHaveLength(10);
      expect(own.map(({ timeUs = 0 }) => timeUs % 100_000)).toEqual(Array.from({ length: 10 }, () => 0));
    }
  },
);

test('follows the tree: what comes is routed, told its newest first; what goes is said', async () => {
  const running = await startBroker();
  const first = await createMeter(running, 'a');
  await post(running, first, 'old');
  const { got, changes, isOpen } = await observe(running, METERS);
  await until('what there was is told', () => got.length === 1);
  const second = await createMeter(running, 'b');
  await until('it is routed', () => isOpen(second));
  await post(running, second, 'new');
  await until('it is told', () => got.length === 2);
  await http(running, 'DELETE', first);
  await until('it has ended', () => !isOpen(first));
  expect(texts(got)).toEqual([`${first} old`, `${second} new`]);
  expect(changes.at(-1)).toMatchObject({ path: first, isOpen: false, reason: 'The resource was deleted.' });
  await createMeter(running, 'a');
  await until('it is routed again', () => isOpen(first));
});

test('is one subscription in the tree, and ends with it', async () => {
  const running = await startBroker();
  stream(running, [1, 2], 50);
  const { changes, over, error } = await observe(running, `${ALL}?c.gt=50.1`, { class: 'control' });
  await until('both are routed', () => changes.length === 2);
  const [subscription, ...more] = [...nodeAt(running, '/m2m/applications/subscriptions')!.children];
  expect(more).toEqual([]);
  expect((await http(running, 'GET', subscription!.reference)).json).toMatchObject({
    subscription: {
      pattern: '*/containers/measurements/contentInstances/latest/content',
      conditions: 'c.gt=50.1',
      latencyClass: 'control',
    },
  });
  await http(running, 'DELETE', subscription!.reference);
  await over;
  expect(error()).toMatchObject({ kind: 'refused' });
  expect(running.broker.subscriptions.population.size).toBe(0);
});

test('leaves nothing behind when its subscriber leaves', async () => {
  const running = await startBroker();
  await createMeter(running, 'a');
  const { changes, leave } = await observe(running, METERS);
  await until('it is routed', () => changes.length === 1);
  const left = leave();
  await post(running, '/m2m/containers/a', 'wakes the iteration up');
  await left;
  await until('nothing is subscribed', () => running.broker.subscriptions.population.size === 0);
  expect([...nodeAt(running, '/m2m/containers/subscriptions')!.children]).toEqual([]);
  await createMeter(running, 'b');
  expect(running.broker.subscriptions.population.size).toBe(0);
});

test('tells why a resource is not to be had in its terms, and takes it when it is', async () => {
  const running = await startBroker();
  const pmus = stream(running, [1], 50);
  const { changes, isOpen } = await observe(running, ALL, { rate: 30 });
  await until('it is told', () => changes.length === 1);
  expect(changes[0]).toMatchObject({
    path: measurements(1),
    isOpen: false,
    reason: expect.stringContaining('does not divide'),
  });
  pmus.reports(60);
  await until('it is routed', () => isOpen(measurements(1)));
});

test('survives its connection', async () => {
  const running = await startBroker();
  const meter = await createMeter(running, 'a');
  const client = await open(running.ws, { reconnect: true });
  whenStageCloses(() => client.close());
  const got: Notification[] = [];
  void (async () => {
    for await (const one of client.observe(METERS)) got.push(one);
  })().catch(() => undefined);
  await until('it is routed', () => running.broker.subscriptions.population.size === 1);
  await post(running, meter, 'before');
  await until('it has come', () => got.length === 1);
  (client as unknown as { link: { socket: { terminate(): void } } }).link.socket.terminate();
  await until('it is away', () => running.broker.sessions.detached.size === 1);
  await createMeter(running, 'b');
  await post(running, '/m2m/containers/b', 'meanwhile');
  await until('it is back', () => running.broker.sessions.resumed === 1);
  await post(running, meter, 'after');
  await until('all have come', () => got.length === 3);
  expect(texts(got).sort()).toEqual([`${meter} after`, `${meter} before`, '/m2m/containers/b meanwhile']);
});

test.each([
  ['/m2m/containers/*', 'ends in'],
  ['/m2m/containers/*/contentInstances', 'ends in'],
  ['/m2m/containers/*/contentInstances/latest/content/more', 'ends in'],
])('%s is refused with a sentence', async (to, sentence) => {
  const running = await startBroker();
  const client = await clientOf(running, 'ws');
  await expect(client.observe(to).next()).rejects.toMatchObject({
    kind: 'refused',
    message: expect.stringContaining(sentence) as string,
  });
});

test('ten thousand resources come to one subscriber', async () => {
  const running = await startBroker();
  const { resources } = running.broker;
  const containers = resources.tree.root.child('containers')!;
  const creator = { kind: 'originator', id: 'meters' } as const;
  for (let n = 0; n < 10_000; n++) resources.create(containers, { container: { id: `meter-${n}` } }, creator);
  const { changes, got, client } = await observe(running, METERS, { batchMs: 20 });
  await until('all are routed', () => changes.length === 10_000);
  for (let n = 0; n < 100; n++) await post(running, `/m2m/containers/meter-${n * 97}`, String(n));
  await until('all have come', () => got.length === 100);
  expect(texts(got).sort()).toEqual(
    Array.from({ length: 100 }, (_, n) => `/m2m/containers/meter-${n * 97} ${n}`).sort(),
  );
  await client.close();
  await until('nothing is left', () => running.broker.subscriptions.population.size === 0);
});
