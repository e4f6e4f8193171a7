/** Select-before-operate: one point, held for one issuer between his select and his operate. */
import type { JsonObject } from '../../src/routing/primitive.js';
import {
  AuditedStore,
  becomes,
  device,
  feeder,
  historyOf,
  issue,
  operator,
  restarted,
  silentDevice,
  stateOf,
} from './command-stage.js';
import { closeStage, until, type RunningBroker } from './stage.js';

afterEach(closeStage);

const SELECT = { commandId: 'sbo-1', action: 'select', point: 'breaker-1', value: 'open' };
const OPERATE = { commandId: 'sbo-1', action: 'operate' };
const CANCEL = { commandId: 'sbo-1', action: 'cancel' };

/** A point that is selected, by a device that says only what it is told to. */
async function selected(running: RunningBroker, more: JsonObject = {}) {
  const silent = await silentDevice(running);
  const { location } = await issue(running, { ...SELECT, ...more });
  await until('it has gone out', () => silent.heard.length === 1);
  await silent.say({ commandId: 'sbo-1', state: 'acknowledged' });
  expect((await stateOf(running, location)).state).toBe('selected');
  return { ...silent, location };
}

test('a device’s acknowledgement of a select makes it selected; its operate is a second order under the same id', async () => {
  const store = new AuditedStore();
  const running = await feeder({}, { store });
  const { heard, say, location } = await selected(running);
  expect(heard).toMatchObject([{ ...SELECT, leaseMs: 30_000 }]);
  const operated = await issue(running, { ...OPERATE, deadlineMs: 5_000 });
  expect(operated).toMatchObject({ status: 201, location });
  await until('the operate has gone out', () => heard.length === 2);
  expect(heard[1]).toMatchObject({ ...SELECT, action: 'operate', selected: true });
  expect(Number(heard[1]?.deadlineMs)).toBeLessThanOrEqual(5_000);
  await say({ commandId: 'sbo-1', state: 'acknowledged' });
  await say({ commandId: 'sbo-1', state: 'executed' });
  expect(await historyOf(running, location)).toEqual([
    'accepted',
    'dispatched',
    'selected',
    'dispatched',
    'acknowledged',
    'executed',
  ]);
  expect(store.trailOf('sbo-1')).toEqual([
    'command-accepted anonymous',
    'command-dispatched broker',
    'command-selected rtu-7',
    'command-dispatched anonymous',
    'command-acknowledged rtu-7',
    'command-executed rtu-7',
  ]);
});

test('the same select and the same operate again get the stored outcome, and nothing goes out for them', async () => {
  const running = await feeder();
  const executed: string[] = [];
  await device(running, ({ commandId }) => (executed.push(commandId), { state: 'executed' }));
  const { location } = await issue(running, SELECT);
  await becomes(running, location, 'selected');
  expect((await issue(running, SELECT)).json).toMatchObject({ state: 'selected' });
  await issue(running, { ...OPERATE, point: 'breaker-1', value: 'open' });
  await becomes(running, location, 'executed');
  for (const again of [OPERATE, SELECT])
    expect(await issue(running, again)).toMatchObject({ status: 201, location, json: { state: 'executed' } });
  expect(executed).toEqual(['sbo-1']);
});

test.each([
  ['another value', { ...OPERATE, point: 'breaker-1', value: 'close' }, 409, 'was used for another command'],
  ['another point', { ...OPERATE, point: 'breaker-2' }, 409, 'was used for another command'],
  ['an id that nothing was selected under', { ...OPERATE, commandId: 'sbo-2' }, 400, 'needs a "point"'],
])('an operate of %s than was selected is refused', async (_name, operate, status, sentence) => {
  const running = await feeder();
  const { heard } = await selected(running);
  const refused = await issue(running, operate);
  expect([refused.status, refused.sentence]).toEqual([status, expect.stringContaining(sentence)]);
  expect(heard).toHaveLength(1);
});

test('while a point is selected all others are refused for it, and told its state; other points are free', async () => {
  const running = await feeder();
  const { location, say } = await selected(running);
  const other = await operator(running, 'scada-2');
  for (const action of ['operate', 'select']) {
    await expect(other.issue({ commandId: 'other', action, point: 'breaker-1' })).rejects.toThrow(
      'The point "breaker-1" is held by a select, which is selected',
    );
  }
  await other.issue({ commandId: 'free', point: 'breaker-2' });
  // His id is his own: nobody else operates or cancels it.
  await expect(other.issue(OPERATE)).rejects.toThrow('was used for another command');
  await expect(other.issue(CANCEL)).rejects.toThrow('no command "sbo-1" of yours');
  await issue(running, OPERATE);
  await say({ commandId: 'sbo-1', state: 'executed' });
  await becomes(running, location, 'executed');
  await other.issue({ commandId: 'other', point: 'breaker-1' });
});

test('a cancel lets go of the point, and the device is told', async () => {
  const running = await feeder();
  const { location, heard, orders } = await selected(running);
  expect(await issue(running, CANCEL)).toMatchObject({ status: 200, json: { state: 'cancelled' } });
  await until('the device is told', () => heard.length === 2);
  expect(orders()).toEqual(['sbo-1 select', 'sbo-1 cancel']);
  expect(await issue(running, CANCEL)).toMatchObject({ status: 200, json: { state: 'cancelled' } });
  const late = await issue(running, OPERATE);
  expect([late.status, late.sentence]).toEqual([
    409,
    expect.stringContaining('is cancelled; only one that is selected'),
  ]);
  expect(await historyOf(running, location)).toEqual(['accepted', 'dispatched', 'selected', 'cancelled']);
  expect((await issue(running, { ...SELECT, commandId: 'sbo-2' })).status).toBe(201);
});

test('a lease that is over ends it, with the reason, and is not operated then', async () => {
  const running = await feeder();
  const { location, heard } = await selected(running, { leaseMs: 50 });
  const { states } = await becomes(running, location, 'expired');
  expect(states.at(-1)).toMatchObject({ reason: 'the lease is over; it was not operated' });
  expect((await issue(running, OPERATE)).status).toBe(409);
  expect(heard).toHaveLength(1);
});

test.each([
  [{ leaseMs: 0 }, '"leaseMs" is 0'],
  [{ leaseMs: 300_001 }, 'at most 300000'],
  [{ point: '' }, 'needs a "point"'],
])('a select with %j is refused by name', async (wrong, sentence) => {
  const running = await feeder();
  const refused = await issue(running, { ...SELECT, ...wrong });
  expect([refused.status, refused.sentence]).toEqual([400, expect.stringContaining(sentence)]);
});

test('a device that rejects a select, or a selection that it had, ends it', async () => {
  const running = await feeder();
  const { location, say } = await selected(running);
  await say({ commandId: 'sbo-1', state: 'rejected', reason: 'local control' });
  expect(await stateOf(running, location)).toMatchObject({ state: 'rejected', reason: 'local control' });
  const next = await issue(running, { ...SELECT, commandId: 'sbo-2' });
  await say({ commandId: 'sbo-2', state: 'rejected', reason: 'local control' });
  await becomes(running, next.location, 'rejected');
});

test('a select that the device says it has executed is not: the word is refused and audited', async () => {
  const store = new AuditedStore();
  const running = await feeder({}, { store });
  const { location, say } = await selected(running);
  await say({ commandId: 'sbo-1', state: 'executed' });
  expect((await stateOf(running, location)).state).toBe('selected');
  expect(store.trailOf('sbo-1').at(-1)).toBe('command-word-refused rtu-7');
});

test('nor is one that the device has not acknowledged: it is still to be selected', async () => {
  const running = await feeder();
  const { say, orders } = await silentDevice(running);
  const { location } = await issue(running, SELECT);
  await until('it has gone out', () => orders().length === 1);
  await say({ commandId: 'sbo-1', state: 'executed' });
  expect((await stateOf(running, location)).state).toBe('dispatched');
  await say({ commandId: 'sbo-1', state: 'acknowledged' });
  expect((await stateOf(running, location)).state).toBe('selected');
});

test('an operate while the device is away is refused for now, and the selection stands', async () => {
  const running = await feeder();
  const silent = await selected(running);
  await silent.close();
  const away = await issue(running, OPERATE);
  expect([away.status, away.sentence]).toEqual([503, expect.stringContaining('The device is not connected')]);
  expect((await stateOf(running, silent.location)).state).toBe('selected');
  const back = await silentDevice(running);
  expect((await issue(running, OPERATE)).status).toBe(201);
  await until('it has gone out', () => back.heard.length > 0);
  expect(back.heard).toMatchObject([{ commandId: 'sbo-1', action: 'operate', selected: true }]);
});

test('a selection survives a restart of the broker, with what is left of its lease', async () => {
  const store = new AuditedStore();
  const first = await feeder({}, { store });
  await (await selected(first, { leaseMs: 60_000 })).close();
  const second = await restarted(first, {}, { store });
  const { heard } = await silentDevice(second);
  const other = await issue(second, { commandId: 'other', point: 'breaker-1' });
  expect([other.status, other.sentence]).toEqual([409, expect.stringContaining('which is selected')]);
  expect((await issue(second, OPERATE)).status).toBe(201);
  await until('it has gone out', () => heard.length > 0);
  expect(heard).toMatchObject([{ commandId: 'sbo-1', action: 'operate', point: 'breaker-1', value: 'open' }]);
});
