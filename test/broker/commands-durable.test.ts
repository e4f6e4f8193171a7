/** What was accepted is on disk before anything leaves, and survives the broker. */
import { systemClock, type Clock } from '../../src/clock.js';
import {
  AuditedStore,
  becomes,
  COMMANDS,
  device,
  feeder,
  historyOf,
  issue,
  OPEN,
  operator,
  restarted,
  silentDevice,
  stateOf,
} from './command-stage.js';
import { closeStage, http, until } from './stage.js';

afterEach(closeStage);

const FULL = { kind: 'full', detail: 'The disk is full.' } as const;

test('nothing is answered and nothing is sent before the fsync; acceptance and dispatch share it', async () => {
  const store = new AuditedStore();
  const running = await feeder({}, { store });
  const { heard } = await silentDevice(running);
  store.isHeld = true;
  let isAnswered = false;
  const answer = issue(running, OPEN).finally(() => (isAnswered = true));
  await until('it is being written', () => store.waiting.length === 1);
  expect((await http(running, 'GET', COMMANDS)).json).toMatchObject({ contentInstances: { currentNrOfInstances: 0 } });
  expect([isAnswered, heard]).toEqual([false, []]);
  store.release();
  expect(await answer).toMatchObject({ status: 201, json: { state: 'accepted' } });
  await until('it has gone out', () => heard.length === 1);
  expect(store.syncs).toEqual([['command-accepted', 'command-dispatched']]);
  expect(store.trailOf('open-1')).toEqual(['command-accepted anonymous', 'command-dispatched broker']);
});

test('one that the store refuses is answered 503 with its sentence, forgotten, and may come again', async () => {
  const store = new AuditedStore();
  const running = await feeder({}, { store });
  const { heard } = await silentDevice(running);
  store.set(FULL);
  const refused = await issue(running, OPEN);
  expect([refused.status, refused.sentence, refused.headers.get('retry-after')]).toEqual([503, FULL.detail, '1']);
  expect([store.tables.command.size, running.broker.commands.population.size, heard]).toEqual([0, 0, []]);
  store.set(undefined);
  expect((await issue(running, { ...OPEN, value: 1 })).status).toBe(201);
  await until('it has gone out', () => heard.length === 1);
  expect(heard).toMatchObject([{ commandId: 'open-1', value: 1 }]);
});

test.each([
  ['a success', undefined, 201],
  ['a refusal', FULL, 503],
])('the same command while the first is being written gets its answer: %s', async (_name, trouble, status) => {
  const store = new AuditedStore();
  const running = await feeder({}, { store });
  store.isHeld = true;
  const answers = [issue(running, OPEN), issue(running, OPEN), issue(running, OPEN)];
  await until('it is being written', () => store.waiting.length === 1);
  // A request after them on another connection has been answered: so they have arrived.
  await until('all have arrived', async () => (await http(running, 'GET', COMMANDS)).status === 200);
  store.set(trouble);
  store.release();
  expect((await Promise.all(answers)).map((answer) => answer.status)).toEqual([status, status, status]);
  expect(store.trailOf('open-1')).toEqual(trouble ? [] : ['command-accepted anonymous']);
});

test('a device’s word is acknowledged when it is on disk; one that the store refuses comes again', async () => {
  const store = new AuditedStore();
  const running = await feeder({}, { store });
  const { heard, say } = await silentDevice(running);
  const scada = await operator(running);
  const { location = '' } = await scada.issue(OPEN);
  await until('it has gone out', () => heard.length === 1);
  store.isHeld = true;
  let isHeard = false;
  const said = say({ commandId: 'open-1', state: 'executed' }).then(() => (isHeard = true));
  await until('it is being written', () => store.waiting.length === 1);
  expect([isHeard, scada.told, (await stateOf(running, location)).state]).toEqual([false, [], 'dispatched']);
  store.set(FULL);
  store.release();
  await until('the store has refused it', () => store.waiting.length === 0);
  expect([isHeard, scada.told, (await stateOf(running, location)).state]).toEqual([false, [], 'dispatched']);
  store.set(undefined);
  await said;
  await until('the issuer has heard', () => scada.told.length === 1);
  expect(scada.states('open-1')).toEqual(['executed']);
  expect(store.trailOf('open-1').at(-1)).toBe('command-executed rtu-7');
});

test('an end that the store refuses to take is written when it takes it again, and nothing goes out meanwhile', async () => {
  const store = new AuditedStore();
  const running = await feeder({}, { store });
  const { location } = await issue(running, { ...OPEN, deadlineMs: 500 });
  store.set(FULL);
  const { heard } = await silentDevice(running);
  await until('its deadline has passed', () => store.syncs.flat().includes('command-expired'));
  expect((await stateOf(running, location)).state).toBe('accepted');
  store.set(undefined);
  await becomes(running, location, 'expired');
  expect(heard).toEqual([]);
});

/** What a broker sees that starts so much later. */
const later = (ms: number): Clock => ({ ...systemClock, wallUs: () => systemClock.wallUs() + ms * 1000 });

describe('after a restart', () => {
  test('one that waited goes to its device, and one that had gone out goes again, with the id and the time that are left', async () => {
    const store = new AuditedStore();
    const first = await feeder({}, { store });
    await silentDevice(first);
    await issue(first, { ...OPEN, deadlineMs: 60_000 });
    await issue(first, { ...OPEN, commandId: 'next', deadlineMs: 60_000 });
    await issue(first, { ...OPEN, commandId: 'short', point: 'breaker-2', deadlineMs: 10_000 });
    const second = await restarted(first, {}, { store, clock: later(20_000) });
    const { heard, say } = await silentDevice(second);
    await until('it hears', () => heard.length === 1);
    expect(heard).toMatchObject([{ commandId: 'open-1', point: 'breaker-1', value: 0 }]);
    expect(Number(heard[0]?.deadlineMs)).toBeLessThanOrEqual(40_000);
    const locationOf = (id: string): string => `${COMMANDS}/anonymous~${id}`;
    await becomes(second, locationOf('short'), 'unknown');
    await say({ commandId: 'short', state: 'executed' });
    expect(await historyOf(second, locationOf('short'))).toEqual(['accepted', 'dispatched', 'unknown', 'executedLate']);
    await say({ commandId: 'open-1', state: 'executed' });
    await until('the next one goes out', () => heard.length === 2);
    expect(heard[1]).toMatchObject({ commandId: 'next' });
    expect(await historyOf(second, locationOf('open-1'))).toEqual(['accepted', 'dispatched', 'executed']);
  });

  test('one that had not gone out in time has expired, and one that is over is answered as before', async () => {
    const store = new AuditedStore();
    const first = await feeder({}, { store });
    const waiting = await issue(first, { ...OPEN, deadlineMs: 10_000 });
    await issue(first, { ...OPEN, commandId: 'gone', point: 'breaker-2' });
    const cancelled = await issue(first, { commandId: 'gone', action: 'cancel' });
    const second = await restarted(first, {}, { store, clock: later(20_000) });
    await becomes(second, waiting.location, 'expired');
    const again = await issue(second, { ...OPEN, commandId: 'gone', point: 'breaker-2' });
    expect(again).toMatchObject({ status: 201, json: cancelled.json });
    await until('its actors are gone', () => second.broker.commands.population.size === 0);
  });

  test('a clock that was set back meanwhile gives none more time than it had', async () => {
    const store = new AuditedStore();
    const first = await feeder({}, { store });
    const waiting = await issue(first, { ...OPEN, deadlineMs: 500 });
    const selecting = await issue(first, { ...OPEN, commandId: 's', point: 'b-2', action: 'select', deadlineMs: 500 });
    const second = await restarted(first, {}, { store, clock: later(-3_600_000) });
    for (const { location } of [waiting, selecting]) await becomes(second, location, 'expired');
  });

  test('one that was accepted longer ago than a day is forgotten, with its row', async () => {
    const store = new AuditedStore();
    const first = await feeder({}, { store });
    const { location } = await issue(first, OPEN);
    await issue(first, { commandId: 'open-1', action: 'cancel' });
    const second = await restarted(first, {}, { store, clock: later(86_400_000) });
    expect((await stateOf(second, location)).state).toBe('cancelled');
    await issue(second, { ...OPEN, commandId: 'open-2' });
    expect([...store.tables.command.keys()]).toEqual(['anonymous open-2']);
    expect((await issue(second, { ...OPEN, value: 1 })).json).toMatchObject({ state: 'accepted', value: 1 });
  });

  test('the outcome that nobody could be told is told when a session of its issuer begins, once', async () => {
    const store = new AuditedStore();
    const first = await feeder({}, { store });
    const scada = await operator(first);
    await scada.issue(OPEN);
    await scada.close();
    await until('it is away', () => first.broker.sessions.population.size === 0);
    await device(first, () => ({ state: 'executed' }));
    await becomes(first, `${COMMANDS}/scada-1~open-1`, 'executed');
    const second = await restarted(first, {}, { store });
    const other = await operator(second, 'scada-2');
    const back = await operator(second);
    await until('it is told', () => back.told.length > 0);
    expect(back.told).toMatchObject([{ commandId: 'open-1', state: 'executed' }]);
    await until('that is noted', () => store.tables.command.get('scada-1 open-1')?.document.told === 4);
    const again = await operator(await restarted(second, {}, { store }));
    await again.client.request({ op: 'retrieve', to: COMMANDS });
    expect([other.told, again.told]).toEqual([[], []]);
  });

  test('the outcome goes to another session of its issuer where the one it came by is gone', async () => {
    const running = await feeder();
    const [one, other] = [await operator(running), await operator(running)];
    const silent = await silentDevice(running);
    await one.issue(OPEN);
    await one.close();
    await silent.say({ commandId: 'open-1', state: 'rejected', reason: 'locked' });
    await until('the other is told', () => other.told.length > 0);
    expect(other.told).toMatchObject([{ commandId: 'open-1', state: 'rejected', reason: 'locked' }]);
  });
});
