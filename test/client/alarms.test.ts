/** `watchAlarms` on a client and a clock of the test. */
import { watchAlarms, type AlarmNews } from '../../src/client/alarms.js';
import type { Client, Notification } from '../../src/client/client.js';
import { GridcastError } from '../../src/client/error.js';
import { Inbox } from '../../src/client/inbox.js';
import type { JsonObject } from '../../src/json.js';
import { ManualClock } from '../support/manual-clock.js';

/** A client whose two observations are fed by the test. */
function fedClient() {
  const inboxes = new Map<string, Inbox<Notification>>();
  const inboxOf = (to: string): Inbox<Notification> => {
    const name = to.split('/').find((segment) => segment === 'alarms' || segment === 'canary') ?? to;
    if (!inboxes.has(name)) inboxes.set(name, new Inbox());
    return inboxes.get(name)!;
  };
  const client = {
    binding: 'http',
    request: () => Promise.reject(new Error('nothing is asked')),
    async *observe(to: string, { signal }: { signal?: AbortSignal } = {}) {
      const inbox = inboxOf(to);
      signal?.addEventListener('abort', () => inbox.fail(signal.reason));
      for (;;) yield await inbox.take();
    },
    close: () => Promise.resolve(),
  } as Client;
  const give = (name: 'alarms' | 'canary', document: JsonObject): void =>
    inboxOf(name).push({ mediaType: 'application/json', body: Buffer.from(JSON.stringify(document)), missed: 0 });
  return { client, give, fail: (reason: unknown) => inboxOf('alarms').fail(reason) };
}

const turn = (): Promise<void> => new Promise((next) => setImmediate(next));
const alarm = (condition: string, priority: number, state = 'unacknowledgedActive') => ({
  alarmId: `feeder~${condition}`,
  source: '/m2m/applications/feeder',
  condition,
  state,
  priority,
  changed: '2026-01-01T00:00:00.000000Z',
  count: 1,
});

async function watch() {
  const clock = new ManualClock();
  const { client, give, fail } = fedClient();
  const stop = new AbortController();
  const news: AlarmNews[] = [];
  const ended = (async () => {
    for await (const each of watchAlarms(client, { clock, signal: stop.signal })) news.push(each);
  })().catch((error: unknown) => error);
  await turn();
  const types = () => news.map((each) => (each.type === 'alarm' ? each.alarm.condition : each.type));
  return { clock, give, fail, stop, ended, news, types };
}

test('no canary for 3 s is stale, once; the next one is live', async () => {
  const { clock, give, stop, ended, types } = await watch();
  for (let second = 0; second < 5; second++) {
    give('canary', { canary: second, at: '' });
    await turn();
    clock.advance(1_000);
  }
  expect(types()).toEqual([]);
  clock.advance(1_999);
  await turn();
  expect(types()).toEqual([]);
  clock.advance(1);
  await turn();
  expect(types()).toEqual(['stale']);
  clock.advance(10_000);
  await turn();
  expect(types()).toEqual(['stale']);
  give('canary', { canary: 6, at: '' });
  await turn();
  expect(types()).toEqual(['stale', 'live']);
  clock.advance(3_000);
  await turn();
  expect(types()).toEqual(['stale', 'live', 'stale']);
  stop.abort(new Error('enough'));
  expect(await ended).toEqual(new Error('enough'));
  expect(clock.pending).toBe(0);
});

test('alarms are yielded by priority, the newest state of each; what is no alarm is left out', async () => {
  const { give, stop, ended, news, types } = await watch();
  give('alarms', alarm('low', 4));
  give('alarms', alarm('high', 1));
  give('alarms', alarm('low', 4, 'normal'));
  give('alarms', { nothing: 'of the kind' });
  await turn();
  await turn();
  expect(types().sort()).toEqual(expect.arrayContaining(['high', 'low']));
  expect(news.findLast((each) => each.type === 'alarm' && each.alarm.condition === 'low')).toMatchObject({
    alarm: { state: 'normal' },
  });
  expect(types()).not.toContain(undefined);
  stop.abort(new Error('enough'));
  await ended;
});

test('a broker that is gone ends it with the reason', async () => {
  const { fail, ended, clock } = await watch();
  fail(new GridcastError('unreachable', 'The connection is over.'));
  expect(await ended).toMatchObject({ kind: 'unreachable' });
  expect(clock.pending).toBe(0);
});
