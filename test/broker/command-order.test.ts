/** Order per point of a device: one in flight, the next when it is over. */
import { becomes, feeder, historyOf, issue, silentDevice } from './command-stage.js';
import { closeStage, until, type RunningBroker } from './stage.js';

afterEach(closeStage);

const give = (running: RunningBroker, commandId: string, point: string, deadlineMs = 10_000) =>
  issue(running, { commandId, point, deadlineMs });

test('one command is in flight at a point; the next goes when it is over, in the order of acceptance', async () => {
  const running = await feeder();
  const { heard, orders, say } = await silentDevice(running);
  for (const id of ['a', 'b', 'c']) await give(running, id, 'breaker-1');
  await give(running, 'other', 'breaker-2');
  await until('two have gone out', () => heard.length === 2);
  expect(orders()).toEqual(['a operate', 'other operate']);
  await say({ commandId: 'a', state: 'acknowledged' });
  expect(heard).toHaveLength(2);
  await say({ commandId: 'a', state: 'executed' });
  await until('the next goes', () => heard.length === 3);
  await say({ commandId: 'b', state: 'rejected' });
  await until('the last goes', () => heard.length === 4);
  expect(orders().slice(2)).toEqual(['b operate', 'c operate']);
});

test('one whose outcome stays unknown gives the point free at its deadline; one that waits too long has expired', async () => {
  const running = await feeder();
  const { heard, orders } = await silentDevice(running);
  const first = await give(running, 'a', 'breaker-1', 300);
  const waiting = await give(running, 'b', 'breaker-1', 100);
  await give(running, 'c', 'breaker-1');
  await becomes(running, first.location, 'unknown');
  await until('the one after goes', () => heard.length === 2);
  expect(orders()).toEqual(['a operate', 'c operate']);
  expect(await historyOf(running, waiting.location)).toEqual(['accepted', 'expired']);
});

test('one that is cancelled while it waits leaves the queue', async () => {
  const running = await feeder();
  const { heard, orders, say } = await silentDevice(running);
  for (const id of ['a', 'b', 'c']) await give(running, id, 'breaker-1');
  await issue(running, { commandId: 'b', action: 'cancel' });
  await say({ commandId: 'a', state: 'executed' });
  await until('the one after goes', () => heard.length === 2);
  expect(orders()).toEqual(['a operate', 'c operate']);
});

test('what waited for a device goes out in order, one for each point', async () => {
  const running = await feeder();
  for (const [id, point] of [
    ['a', 'breaker-1'],
    ['b', 'breaker-2'],
    ['c', 'breaker-1'],
  ] as const)
    await give(running, id, point);
  const { heard, orders, say } = await silentDevice(running);
  await until('two have gone out', () => heard.length === 2);
  expect(orders()).toEqual(['a operate', 'b operate']);
  await say({ commandId: 'a', state: 'executed' });
  await until('the third goes', () => heard.length === 3);
});

test('what a device had not acknowledged goes to the session that was its device before', async () => {
  const running = await feeder();
  const older = await silentDevice(running);
  const newer = await silentDevice(running);
  await give(running, 'a', 'breaker-1');
  await until('the newer has it', () => newer.heard.length === 1);
  // Its lane ends with it.
  await newer.leave();
  await until('the older has it', () => older.heard.length === 1);
  expect(older.orders()).toEqual(['a operate']);
});
