/** A broker that starts where the last one ended: resources, contents, subscriptions, leases and PMU streams. */
import { formatTime, systemClock } from '../../src/clock.js';
import { EAGER_ROWS } from '../support/broker.js';
import { ManualClock } from '../support/manual-clock.js';
import { RememberingStore } from '../support/remembering-store.js';
import { closeStage, container, http, nodeAt, simulate, startBroker, until, type RunningBroker } from './stage.js';

afterEach(closeStage);

const TROUBLE = { kind: 'full', detail: 'The disk is full.' } as const;

/** Ends a broker and starts the next on the same store. */
async function restarted(running: RunningBroker, ...options: Parameters<typeof startBroker>): Promise<RunningBroker> {
  await running.close();
  return startBroker(...options);
}

const documentOf = async (running: RunningBroker, path: string) => {
  const { status, json, headers } = await http(running, 'GET', path);
  return { status, json, etag: headers.get('etag') };
};

test('resources come back as they were, tags and times included', async () => {
  const store = new RememberingStore();
  const first = await startBroker({}, { store });
  await http(first, 'POST', '/m2m/applications', { application: { appId: 'feeder 1', aPoC: 'http://192.0.2.1/' } });
  const path = await container(first, { id: 'load', maxNrOfInstances: 3, searchStrings: { searchString: ['a'] } });
  await http(first, 'POST', '/m2m/applications/feeder%201/containers', { container: { id: 'c' } });
  await http(first, 'PUT', path, { container: { maxNrOfInstances: 5, maxByteSize: 100 } });
  await http(first, 'PUT', '/m2m', { sclBase: { searchStrings: { searchString: ['centre'] } } });
  await http(first, 'POST', '/m2m/containers', { container: { id: 'gone' } });
  await http(first, 'DELETE', '/m2m/containers/gone');
  const paths = ['/m2m', path, '/m2m/applications/feeder%201', '/m2m/applications/feeder%201/containers/c'];
  const before = await Promise.all(paths.map((each) => documentOf(first, each)));
  const next = await restarted(first, {}, { store });
  expect(await Promise.all(paths.map((each) => documentOf(next, each)))).toEqual(before);
  expect(before.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect((await documentOf(next, '/m2m/containers/gone')).status).toBe(404);
});

test('a collection has a new tag: what left it before the restart is not known any more', async () => {
  const store = new RememberingStore();
  const first = await startBroker({}, { store });
  await container(first, { id: 'a' });
  await container(first, { id: 'b' });
  const { etag } = await documentOf(first, '/m2m/containers');
  await http(first, 'DELETE', '/m2m/containers/a');
  const next = await restarted(first, {}, { store });
  const { status } = await http(next, 'GET', '/m2m/containers', undefined, { 'if-none-match': etag ?? '' });
  expect(status).toBe(200);
});

describe.each(['grouped', 'synced'])('contents of a container that is %s', (durability) => {
  test('come back in order, with what was said of them; those that were evicted or deleted do not', async () => {
    const store = new RememberingStore();
    const first = await startBroker({}, { store });
    const path = await container(first, { id: 'meter', durability, maxNrOfInstances: 3 });
    const contentInstances = `${path}/contentInstances`;
    for (const kwh of [1, 2, 3, 4]) await http(first, 'POST', contentInstances, { kwh });
    await http(first, 'POST', contentInstances, {
      contentInstance: {
        id: 'b c',
        searchStrings: { searchString: ['x'] },
        content: { contentType: 'application/octet-stream', binaryContent: 'AAEC/w==' },
      },
    });
    const before = await documentOf(first, contentInstances);
    const next = await restarted(first, {}, { store });
    const after = await documentOf(next, contentInstances);
    // The ring is a collection: its tag is a new one.
    expect(after.json).toEqual(before.json);
    expect(after.etag).not.toBe(before.etag);
    expect(before.json).toMatchObject({ contentInstances: { currentNrOfInstances: 3 } });
    const raw = await http(next, 'GET', `${contentInstances}/b%20c/content`);
    expect(raw.bytes).toEqual(Buffer.from([0, 1, 2, 255]));
    await http(next, 'DELETE', `${contentInstances}/b%20c`);
    await http(next, 'DELETE', path);
    expect([...store.tables.instance.keys()]).toEqual([]);
    const others = [...store.tables.resource.keys()].filter((key) => !key.startsWith('/m2m/applications/gridcast'));
    expect(others).toEqual(['/m2m']);
  });
});

test('a container that promises memory alone keeps no contents, until it promises more', async () => {
  const store = new RememberingStore();
  const first = await startBroker({}, { store });
  const path = await container(first, { id: 'fast', durability: 'latest' });
  await http(first, 'POST', `${path}/contentInstances`, { v: 1 });
  expect(store.tables.instance.size).toBe(0);
  await http(first, 'PUT', path, { container: { durability: 'synced' } });
  expect(store.tables.instance.size).toBe(1);
  await http(first, 'PUT', path, { container: { durability: 'latest' } });
  expect(store.tables.instance.size).toBe(0);
});

test('a subscription to a channel goes on; one that expired meanwhile is gone, as is a resource', async () => {
  const store = new RememberingStore();
  const clock = new ManualClock(Date.UTC(2026, 10, 25) * 1000);
  const first = await startBroker({}, { store, clock });
  const minuteLater = formatTime(clock.wallUs() + 90e6);
  const path = await container(first, { id: 'load' });
  await container(first, { id: 'short', expirationTime: minuteLater });
  const channel = await http(first, 'POST', '/m2m/notificationChannels', {
    notificationChannel: { id: 'mine', channelType: 'LONG_POLLING' },
  });
  const subscribe = (id: string, rest = {}) =>
    http(first, 'POST', `${path}/contentInstances/subscriptions`, {
      subscription: { id, contact: channel.location, ...rest },
    });
  expect((await subscribe('lasting')).status).toBe(201);
  expect((await subscribe('passing', { expirationTime: minuteLater })).status).toBe(201);
  await first.close();
  clock.advance(120_000);
  const next = await startBroker({}, { store, clock });
  expect(next.broker.subscriptions.population.size).toBe(1);
  expect((await http(next, 'GET', '/m2m/containers/short')).status).toBe(404);
  await http(next, 'POST', `${path}/contentInstances`, { kw: 7 });
  const poll = await http(next, 'POST', `${channel.location}/longPolling`);
  expect(poll.json).toMatchObject({
    notify: { subscriptionReference: `${path}/contentInstances/subscriptions/lasting` },
  });
});

test.each([
  ['', {}],
  [', where all that is idle becomes a row as well', { passivation: EAGER_ROWS }],
])(
  'a stream of the configuration takes its PMUs’ applications up again, and leaves them when it is not named any more%s',
  async (_, options) => {
    const store = new RememberingStore();
    const { uri } = await simulate({ pmus: '2' });
    const first = await startBroker({ pmu: [uri] }, { store, ...options });
    const content = '/m2m/applications/pmu-2/containers/measurements/contentInstances';
    const flows = (running: RunningBroker) => until('it flows', () => nodeAt(running, content)?.history?.latest);
    await flows(first);
    const created = await http(first, 'GET', '/m2m/applications/pmu-2/creationTime');
    const next = await restarted(first, { pmu: [uri] }, { store, ...options });
    await flows(next);
    const applications = [...(nodeAt(next, '/m2m/applications')?.children ?? [])].map(({ id }) => id);
    expect(applications.filter((id) => /^(pmu|stream)/.test(id)).sort()).toEqual(['pmu-1', 'pmu-2', 'stream-1']);
    expect((await http(next, 'GET', '/m2m/applications/pmu-2/creationTime')).json).toEqual(created.json);
    const last = await restarted(next, {}, { store, ...options });
    expect(nodeAt(last, '/m2m/applications/pmu-2')).toBeUndefined();
    expect(nodeAt(last, '/m2m/applications/stream-1')).toBeUndefined();
  },
);

describe('an alarm of a rule, after a kill before it was written that it clears', () => {
  const high = { condition: 'high', kind: 'limit', field: 'power', high: 100 };
  const other = { ...high, condition: 'other' };
  test.each([
    ['stands where the rule does', 'unacknowledgedActive', () => Promise.resolve()],
    [
      'clears where another rule has taken its place',
      'unacknowledgedCleared',
      (running: RunningBroker, path: string) => http(running, 'PUT', path, { container: { alarmRules: [other] } }),
    ],
    [
      'clears where its container is gone',
      'unacknowledgedCleared',
      (running: RunningBroker, path: string) => http(running, 'DELETE', path),
    ],
  ])('%s', async (_what, state, change) => {
    const store = new RememberingStore();
    const first = await startBroker({}, { store });
    const path = await container(first, { id: 'load', alarmRules: [high] });
    const above = JSON.stringify([{ n: 'power', v: 101 }]);
    await http(first, 'POST', `${path}/contentInstances`, above, { 'content-type': 'application/senml+json' });
    const key = `${path} high`;
    const standing = await until('it is written', () => store.tables.alarm.get(key));
    expect(standing.document).toMatchObject({ state: 'unacknowledgedActive' });
    await change(first, path);
    await first.close();
    store.tables.alarm.set(key, standing);
    const next = await startBroker({}, { store });
    await until('it is told', () => next.broker.alarms.find(path, 'high')?.told?.state === state);
    expect(store.tables.alarm.get(key)?.document).toMatchObject({ state });
  });
});

test.each(['CREATE', 'DELETE', 'DELETE of a contentInstance'])(
  'no %s is answered before it is durable',
  async (what) => {
    const store = new RememberingStore();
    const running = await startBroker({}, { store });
    await until('the sclBase is written', () => store.tables.resource.has('/m2m'));
    const path = await container(running, { id: 'old' });
    await http(running, 'POST', `${path}/contentInstances`, { v: 1 });
    store.isHeld = true;
    let isAnswered = false;
    const asked =
      what === 'CREATE'
        ? http(running, 'POST', '/m2m/containers', { container: { id: 'load' } })
        : http(running, 'DELETE', what === 'DELETE' ? path : `${path}/contentInstances/latest`);
    const answer = asked.then(({ status }) => {
      isAnswered = true;
      return status;
    });
    await until('it is being written', () => store.waiting.length > 0);
    await new Promise<void>((next) => systemClock.after(20, next));
    expect(isAnswered).toBe(false);
    store.isHeld = false;
    for (const settle of store.waiting.splice(0)) settle();
    expect(await answer).toBe(what === 'CREATE' ? 201 : 204);
  },
);

test('while the store is in trouble changes are refused, memory goes on, and what was in between is written when it is well', async () => {
  const store = new RememberingStore();
  const running = await startBroker({}, { store });
  const fast = await container(running, { id: 'fast', durability: 'latest' });
  const slow = await container(running, { id: 'slow' });
  store.set(TROUBLE);
  expect(await http(running, 'GET', '/readyz')).toMatchObject({ status: 503 });
  const refused = await http(running, 'POST', '/m2m/containers', { container: { id: 'load' } });
  expect(refused).toMatchObject({ status: 503, sentence: TROUBLE.detail });
  expect(refused.headers.get('retry-after')).toBe('1');
  expect((await http(running, 'POST', `${slow}/contentInstances`, { v: 1 })).status).toBe(503);
  expect((await http(running, 'DELETE', slow)).status).toBe(503);
  expect((await http(running, 'POST', `${fast}/contentInstances`, { v: 1 })).status).toBe(201);
  expect((await http(running, 'GET', `${fast}/contentInstances/latest/content`)).json).toEqual({ v: 1 });
  store.set(undefined);
  expect((await http(running, 'POST', '/m2m/containers', { container: { id: 'load' } })).status).toBe(201);
  expect(await http(running, 'GET', '/readyz')).toMatchObject({ status: 200 });
});

test('a change that the disk refused under way is told so, and is on disk when the disk is well', async () => {
  const store = new RememberingStore();
  const running = await startBroker({}, { store });
  await until('the sclBase is written', () => store.tables.resource.has('/m2m'));
  store.isHeld = true;
  const answer = http(running, 'POST', '/m2m/containers', { container: { id: 'load' } });
  await until('it is being written', () => store.waiting.length > 0);
  store.set(TROUBLE);
  store.isHeld = false;
  for (const settle of store.waiting.splice(0)) settle();
  expect(await answer).toMatchObject({ status: 503 });
  expect([...store.tables.resource.keys()]).not.toContain('/m2m/containers/load');
  store.set(undefined);
  await until('it is written', () => store.tables.resource.has('/m2m/containers/load'));
  expect((await http(running, 'GET', '/m2m/containers/load')).status).toBe(200);
});
