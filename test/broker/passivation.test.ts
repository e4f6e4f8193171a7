/** A large collection's idle resources are rows: nobody who asks can tell, and what is held open stays. */
import { formatTime } from '../../src/clock.js';
import { ManualClock } from '../support/manual-clock.js';
import { EAGER_ROWS } from '../support/broker.js';
import { RememberingStore } from '../support/remembering-store.js';
import { clientOf, closeStage, http, startBroker, subscribe, until, type RunningBroker } from './stage.js';

afterEach(closeStage);

const GATEWAY = '/m2m/applications/gateway-1';
const LOAD = `${GATEWAY}/containers/load`;
const INSTANCES = `${LOAD}/contentInstances`;

const passive = ({ broker }: RunningBroker): number => broker.resources.tree.passive.count;
const resting = (running: RunningBroker, count = 1) => until('it is idle', () => passive(running) === count);

async function gateway(running: RunningBroker, application = {}): Promise<void> {
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'gateway-1', ...application } });
  await http(running, 'POST', `${GATEWAY}/containers`, { container: { id: 'load', durability: 'grouped' } });
  await http(running, 'POST', INSTANCES, {
    contentInstance: { id: 'r-1', content: { contentType: 'text/plain', textContent: '7' } },
  });
}

const PATHS = [
  GATEWAY,
  `${GATEWAY}/containers`,
  LOAD,
  INSTANCES,
  `${INSTANCES}/latest`,
  `${INSTANCES}/r-1/content`,
  '/m2m/applications',
];

const readAll = async (running: RunningBroker) =>
  Promise.all(
    PATHS.map(async (path) => {
      const { status, headers, bytes } = await http(running, 'GET', path);
      return { path, status, etag: headers.get('etag'), text: bytes.toString() };
    }),
  );

test('what is read of it is the same, tags included, and it takes readings as before', async () => {
  const running = await startBroker({}, { passivation: EAGER_ROWS });
  await gateway(running);
  const before = await readAll(running);
  await resting(running);
  expect(await readAll(running)).toEqual(before);
  expect(before.map(({ status }) => status)).toEqual(PATHS.map(() => 200));
  await resting(running);
  expect((await http(running, 'POST', INSTANCES, 'eight', { 'content-type': 'text/plain' })).status).toBe(201);
  await resting(running);
  expect((await http(running, 'GET', `${INSTANCES}/latest/content`)).bytes.toString()).toBe('eight');
  expect((await http(running, 'GET', `${INSTANCES}/r-1/content`)).bytes.toString()).toBe('7');
});

test('a reading after a time without any leaves a row behind, and one that follows it at once does not', async () => {
  const clock = new ManualClock();
  const running = await startBroker({}, { clock, passivation: { largeCollection: 1, periodMs: 500 } });
  const post = async (reading: string) =>
    (await http(running, 'POST', INSTANCES, reading, { 'content-type': 'text/plain' })).status;
  await gateway(running);
  clock.advance(2_000);
  await until('it is idle', () => passive(running) === 1);
  expect(await post('eight')).toBe(201);
  clock.advance(0);
  expect(passive(running)).toBe(1);
  expect(await post('nine')).toBe(201);
  clock.advance(0);
  expect(passive(running)).toBe(0);
  expect((await http(running, 'GET', `${INSTANCES}/latest/content`)).bytes.toString()).toBe('nine');
  clock.advance(2_000);
  await resting(running);
  // What is read of it is no reading that it takes: whoever reads may read on.
  expect((await http(running, 'GET', LOAD)).status).toBe(200);
  clock.advance(0);
  expect(passive(running)).toBe(0);
});

test('what is subscribed to stays as it is, and is a row when the subscription has gone', async () => {
  const running = await startBroker({}, { passivation: EAGER_ROWS });
  await gateway(running);
  await resting(running);
  const { port, session } = await subscribe(running, LOAD);
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'other' } });
  // It has become one, and gateway-1 had as long.
  await resting(running);
  await http(running, 'POST', INSTANCES, 'eight', { 'content-type': 'text/plain' });
  await until('it is told', () => port.sent.length === 1);
  session.close('PEER_CLOSED');
  await http(running, 'GET', LOAD);
  await resting(running, 2);
});

test('a pattern that it matches subscribes to it once, whatever is changed of it afterwards', async () => {
  const running = await startBroker({}, { passivation: EAGER_ROWS });
  await gateway(running);
  await resting(running);
  const client = await clientOf(running, 'ws');
  const heard: string[] = [];
  void (async () => {
    for await (const { body } of client.observe('/m2m/applications/*/containers/load/contentInstances/latest/content'))
      heard.push(Buffer.from(body).toString());
  })().catch(() => undefined);
  await until('it is told', () => heard.length === 1);
  expect((await http(running, 'PUT', LOAD, { container: { maxNrOfInstances: 5 } })).status).toBe(200);
  await http(running, 'POST', INSTANCES, 'eight', { 'content-type': 'text/plain' });
  await until('it is told of the next', () => heard.includes('eight'));
  expect(running.broker.subscriptions.population.size).toBe(1);
  expect(heard).toEqual(['7', 'eight']);
});

test('it is deleted like any other, and its readings go from the store with it', async () => {
  const store = new RememberingStore();
  const running = await startBroker({}, { store, passivation: EAGER_ROWS });
  await gateway(running);
  await resting(running);
  expect((await http(running, 'DELETE', GATEWAY)).status).toBe(204);
  expect((await http(running, 'GET', LOAD)).status).toBe(404);
  expect(
    [...store.tables.resource.keys(), ...store.tables.instance.keys()].filter((key) => key.includes('gateway-1')),
  ).toEqual([]);
});

test('a lease ends at its time, whether it is a row or not', async () => {
  const clock = new ManualClock();
  const running = await startBroker({}, { clock, passivation: EAGER_ROWS });
  const expirationTime = formatTime(clock.wallUs() + 3_600_000_000);
  await gateway(running, { expirationTime });
  clock.advance(100);
  await until('it is idle', () => passive(running) === 1);
  clock.advance(3_599_000);
  expect(running.broker.resources.tree.nodeAt(['m2m', 'applications', 'gateway-1'])).toBeDefined();
  clock.advance(1_100);
  expect(running.broker.resources.tree.nodeAt(['m2m', 'applications', 'gateway-1'])).toBeUndefined();
});

test('a restart has what was a row, and makes it one again', async () => {
  const store = new RememberingStore();
  const running = await startBroker({}, { store, passivation: EAGER_ROWS });
  await gateway(running);
  const before = await readAll(running);
  await resting(running);
  await running.close();
  const next = await startBroker({}, { store, passivation: EAGER_ROWS });
  const tags = (all: typeof before) => all.slice(2).map(({ text }) => text);
  expect(tags(await readAll(next)).slice(0, 4)).toEqual(tags(before).slice(0, 4));
  await resting(next);
});
