/** The alarms of a broker on a clock and store of the test: floods, restarts, leases. */
import fc from 'fast-check';
import { isRefusal, type Refusal } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { seededRandom } from '../../src/random.js';
import { INTERNAL } from '../../src/resources/node.js';
import { PRIORITIES, type AlarmReport } from '../../src/routing/alarm.js';
import { JournalStore } from '../../src/store/journal-store.js';
import { sampleAt } from '../support/deliveries.js';
import { ManualClock } from '../support/manual-clock.js';
import { MemoryDisk } from '../support/memory-disk.js';
import { SEGMENT_BYTES, settle as settleDisk } from '../support/store.js';
import { raise, SOURCE, stand } from './alarm-stage.js';

test('a restart brings every alarm back as it was, and what was told is not told as new', async () => {
  const before = await stand();
  await before.say(raise('active', 1));
  await before.say(raise('acknowledged'));
  await before.act('acknowledged', 'acknowledge');
  await before.say(raise('cleared'));
  await before.say({ condition: 'cleared', state: 'normal' });
  await before.say(raise('suppressed'));
  await before.act('suppressed', 'suppress');
  await before.say(raise('over'));
  await before.act('over', 'acknowledge');
  await before.say({ condition: 'over', state: 'normal' });
  const rows = [...before.store.tables.alarm].map(([key, { document }]) => [key, document]);

  const after = await stand(before.clock, before.store);
  expect([...after.alarms.all()].map(({ key, alarm }) => [key, alarm])).toEqual(rows);
  expect(after.alarms.population.size).toBe(4);
  expect(after.listen().heard.map(({ condition }) => condition)).toEqual([
    'active',
    'acknowledged',
    'cleared',
    'suppressed',
  ]);
  expect(await after.act('cleared', 'acknowledge')).toBeUndefined();
  expect(after.stateOf('cleared')).toBe('normal');
  await after.say({ condition: 'suppressed', state: 'normal' });
  await after.act('suppressed', 'unsuppress');
  expect(after.stateOf('suppressed')).toBe('unacknowledgedCleared');
  expect(await after.say(raise('active', 1))).toBeUndefined();
  expect(after.alarms.outcomes).toMatchObject({ raised: 0, repeated: 1 });
});

test('shelving ends when its time is over, and the time the broker was down counts', async () => {
  const before = await stand();
  await before.say(raise('short'));
  await before.act('short', 'shelve', 60);
  await before.say(raise('long'));
  await before.act('long', 'shelve', 600);
  before.clock.advance(30_000);
  expect([before.stateOf('short'), before.stateOf('long')]).toEqual(['shelved', 'shelved']);

  before.clock.step(120_000);
  const after = await stand(before.clock, before.store);
  after.clock.advance(20);
  await after.settle();
  expect([after.stateOf('short'), after.stateOf('long')]).toEqual(['unacknowledgedActive', 'shelved']);
  after.clock.advance(449_000);
  expect(after.stateOf('long')).toBe('shelved');
  after.clock.advance(2_000);
  await after.settle();
  expect(after.stateOf('long')).toBe('unacknowledgedActive');
  expect(after.store.tables.alarm.get(`${SOURCE} long`)?.document).toMatchObject({ state: 'unacknowledgedActive' });
});

test('a clock that was set back before a restart makes no shelving longer', async () => {
  const before = await stand();
  await before.say(raise('short'));
  await before.act('short', 'shelve', 60);
  before.clock.step(-3_600_000);
  const after = await stand(before.clock, before.store);
  after.clock.advance(59_000);
  expect(after.stateOf('short')).toBe('shelved');
  after.clock.advance(2_000);
  await after.settle();
  expect(after.stateOf('short')).toBe('unacknowledgedActive');
});

test('nothing is told or answered before it is on disk', async () => {
  const { store, settle, alarms, listen } = await stand();
  const { heard } = listen();
  store.isHeld = true;
  let isAnswered = false;
  alarms.report(SOURCE, raise('a'), () => (isAnswered = true));
  await settle();
  // The same again, while the first is on its way: no answer before the first is safe.
  let isRepeatAnswered = false;
  alarms.report(SOURCE, raise('a'), () => (isRepeatAnswered = true));
  await settle();
  expect([isAnswered, isRepeatAnswered, heard.length, alarms.places.all.size]).toEqual([false, false, 0, 0]);
  for (const write of store.waiting.splice(0)) write();
  expect([isAnswered, isRepeatAnswered, heard.length, alarms.places.all.size]).toEqual([true, true, 1, 1]);
});

test('a flood of 10,000 keeps the order of priority and of raising, and conserves every count', async () => {
  const { alarms, settle, listen, clock } = await stand();
  const { heard, acknowledge, owed } = listen();
  let answered = 0;
  const reported = Array.from({ length: 10_000 }, (_, n) => {
    const priority = PRIORITIES[n % 4]!;
    alarms.report(SOURCE, raise(`c-${n}`, priority), (refusal) => (answered += refusal ? 0 : 1));
    return { n, priority };
  });
  // Half of it comes twice, and some of it is over before anybody has been told.
  await settle();
  while (alarms.intake.pending.some((count) => count > 0)) await settle();
  await settle();
  expect(heard).toHaveLength(64);
  for (let n = 0; n < 5_000; n++) alarms.report(SOURCE, raise(`c-${n}`, PRIORITIES[n % 4]));
  for (let n = 9_000; n < 10_000; n++) alarms.report(SOURCE, { condition: `c-${n}`, state: 'normal' });
  while (alarms.intake.pending.some((count) => count > 0)) await settle();
  await settle();
  expect(answered).toBe(10_000);
  expect(alarms.outcomes).toEqual({ raised: 10_000, cleared: 1_000, repeated: 5_000, idle: 0, refused: 0 });

  const { figures } = alarms.places.pump;
  expect(figures.offered).toBe(11_000);
  expect(figures.told + figures.conflated + alarms.places.pending.reduce((sum, count) => sum + count)).toBe(11_000);
  while (owed.length > 0) {
    acknowledge();
    clock.endTurn();
  }
  expect(alarms.places.pending).toEqual([0, 0, 0, 0]);
  expect(figures).toEqual({ offered: 11_000, told: heard.length, conflated: 11_000 - heard.length, dropped: 0 });
  // Each alarm once, those that changed while they waited as they are now; those told before the change twice.
  const first = new Set<unknown>();
  const order = heard.filter(({ alarmId }) => !first.has(alarmId) && first.add(alarmId));
  expect(order).toHaveLength(10_000);
  const expected = PRIORITIES.flatMap((priority) =>
    reported.filter((each) => each.priority === priority).map(({ n }) => `feeder~c-${n}`),
  );
  expect(order.map(({ alarmId }) => alarmId)).toEqual(expected);
  const last = new Map(heard.map(({ alarmId, state }) => [alarmId, state]));
  expect([...last.values()].filter((state) => state === 'unacknowledgedCleared')).toHaveLength(1_000);
}, 60_000);

test('in a flood an urgent alarm is taken in and told before all that wait, and no turn takes in more than its share', async () => {
  const { alarms, settle, listen, store } = await stand();
  const { heard } = listen();
  const sizes: number[] = [];
  const write = store.write.bind(store);
  store.write = (writing, done) => {
    sizes.push((writing.changes ?? []).filter(({ table }) => table === 'alarm').length);
    write(writing, done);
  };
  for (let n = 0; n < 2_000; n++) alarms.report(SOURCE, raise(`low-${n}`, 4));
  alarms.report(SOURCE, raise('urgent', 1));
  expect(alarms.intake.pending).toEqual([1, 0, 0, 2_000]);
  await settle();
  expect(heard[0]).toMatchObject({ condition: 'urgent' });
  expect(sizes.reduce((sum, size) => sum + size)).toBe(2_001);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(64);
});

test('reports of one alarm keep their order, whatever overtakes them', async () => {
  const { alarms, settle, stateOf, listen } = await stand();
  const { heard } = listen();
  const outcomes: string[] = [];
  const report = (said: AlarmReport): void =>
    void alarms.report(SOURCE, said, (refusal) => outcomes.push(`${said.condition} ${refusal?.status ?? said.state}`));
  report(raise('slow', 4));
  report({ condition: 'slow', state: 'normal' });
  report(raise('slow', 1));
  report(raise('urgent', 1));
  report({ condition: 'slow', state: 'normal' });
  await settle();
  expect(outcomes).toEqual(['urgent active', 'slow active', 'slow normal', 'slow active', 'slow normal']);
  expect(heard[0]).toMatchObject({ condition: 'urgent' });
  expect(stateOf('slow')).toBe('unacknowledgedCleared');
  expect(alarms.find(SOURCE, 'slow')?.alarm.count).toBe(2);
});

test('a subscriber who leaves is accounted for', async () => {
  const { alarms, say, listen } = await stand();
  const { leave } = listen();
  for (let n = 0; n < 70; n++) await say(raise(`c-${n}`));
  leave();
  expect(alarms.places.pump.figures).toEqual({ offered: 70, told: 64, conflated: 0, dropped: 6 });
  expect(alarms.places.pending).toEqual([0, 0, 0, 0]);
});

test('whatever is reported and done, what is told last is what is on disk, and the sums agree', async () => {
  const events = fc.array(
    fc.tuple(
      fc.constantFrom('a', 'b', 'c'),
      fc.constantFrom(
        'raise',
        'urgent',
        'clear',
        'acknowledge',
        'shelve',
        'unshelve',
        'suppress',
        'unsuppress',
        'fail',
        'mend',
      ),
    ),
    { maxLength: 40 },
  );
  await fc.assert(
    fc.asyncProperty(events, async (steps) => {
      const { alarms, say, act, settle, store, listen } = await stand();
      const { heard, acknowledge } = listen();
      let reports = 0;
      for (const [condition, step] of steps) {
        if (step === 'fail') store.set({ kind: 'failed', detail: 'The disk failed.' });
        else if (step === 'mend') store.set(undefined);
        else if (step === 'raise' || step === 'urgent' || step === 'clear') {
          reports++;
          const refusal = await say(
            step === 'clear' ? { condition, state: 'normal' } : raise(condition, step === 'raise' ? 3 : 1),
          );
          if (!store.trouble) expect(refusal).toBeUndefined();
        } else if (alarms.find(SOURCE, condition)) {
          await act(condition, step);
        }
        acknowledge();
      }
      store.set(undefined);
      await settle();
      const last = new Map(heard.map((alarm) => [alarm.condition as string, alarm]));
      const written = new Map(
        [...store.tables.alarm.values()].map(({ document }) => [document.condition as string, document]),
      );
      expect(Object.fromEntries(last)).toEqual(Object.fromEntries(written));
      const { raised, cleared, repeated, idle, refused } = alarms.outcomes;
      expect(raised + cleared + repeated + idle + refused).toBe(reports);
      expect(alarms.journal.owed).toBe(0);
    }),
    { numRuns: 60 },
  );
});

test('a power cut at any moment loses no alarm and no act that was answered', async () => {
  const journalOn = (disk: MemoryDisk, clock: ManualClock): JournalStore =>
    new JournalStore({ disk, clock, log: silentLog, folder: 'data', segmentBytes: SEGMENT_BYTES });
  let answers = 0;
  for (let seed = 1; seed <= 25; seed++) {
    const random = seededRandom(seed);
    const disk = new MemoryDisk({ random });
    const clock = new ManualClock();
    const { alarms } = await stand(clock, journalOn(disk, clock));
    const answered = new Map<string, string>();
    const note = (condition: string, state: string) => (refusal?: Refusal) => {
      if (!refusal) answered.set(condition, state);
    };
    for (let n = 0; n < 20; n++) {
      alarms.report(SOURCE, raise(`c-${n}`), note(`c-${n}`, 'unacknowledgedActive'));
      await settleDisk(clock, random.below(4));
      const standing = alarms.find(SOURCE, `c-${random.below(n + 1)}`);
      if (standing?.alarm.state === 'unacknowledgedActive') {
        const action = { alarmId: standing.id, action: 'acknowledge', forS: 60 } as const;
        alarms.act(standing, action, 'op', note(standing.alarm.condition, 'acknowledgedActive'));
      }
    }
    const lostMoment = new ManualClock();
    const after = await stand(lostMoment, journalOn(disk.crash(), lostMoment));
    for (const [condition, state] of answered) {
      answers++;
      const found = after.stateOf(condition);
      // What was done and not answered may have come through too.
      expect([condition, found]).toEqual([condition, state === found ? state : 'acknowledgedActive']);
    }
  }
  expect(answers).toBeGreaterThan(100);
});

test('a lost stream is an alarm after a second, and clears when it streams again', async () => {
  const { own, settle, stateOf, clock } = await stand();
  own.sourceState(SOURCE, 'connecting');
  own.sourceState(SOURCE, 'awaitingConfig');
  clock.advance(900);
  await settle();
  expect(stateOf('source-lost')).toBeUndefined();
  clock.advance(200);
  await settle();
  expect(stateOf('source-lost')).toBe('unacknowledgedActive');
  own.sourceState(SOURCE, 'streaming');
  await settle();
  expect(stateOf('source-lost')).toBe('unacknowledgedCleared');
  own.sourceState(SOURCE, 'stale');
  own.sourceState(SOURCE, 'streaming');
  clock.advance(5_000);
  await settle();
  expect(stateOf('source-lost')).toBe('unacknowledgedCleared');
});

test('what happens and is over clears a minute after it happened last', async () => {
  const { own, settle, alarms, clock } = await stand();
  const stateOf = () => alarms.find(alarms.places.own, 'slow-consumer')?.alarm.state;
  const ended = { ending: 'SLOW_CONSUMER', address: 'a', binding: 'ws', originator: 'op', atUs: 0 } as const;
  own.endpointEnded({ ...ended, ending: 'PEER_CLOSED' });
  await settle();
  expect(stateOf()).toBeUndefined();
  own.endpointEnded(ended);
  clock.advance(50_000);
  own.endpointEnded(ended);
  clock.advance(50_000);
  await settle();
  expect(stateOf()).toBe('unacknowledgedActive');
  clock.advance(11_000);
  await settle();
  expect(stateOf()).toBe('unacknowledgedCleared');
  own.executedLate(SOURCE, 'c-1');
  await settle();
  expect(alarms.find(SOURCE, 'command-late')?.alarm).toMatchObject({
    state: 'unacknowledgedActive',
    text: expect.stringContaining('c-1'),
  });
});

test('a stale rule has one deadline, however many samples pass, and none is left when the rules go', async () => {
  const { resources, router, settle, alarms, clock } = await stand();
  const containers = resources.tree.root.child('containers')!;
  const alarmRules = [{ condition: 'silent', kind: 'stale', staleAfterS: 2 }];
  const written = resources.create(containers, { container: { id: 'load', alarmRules } }, INTERNAL);
  if (isRefusal(written)) throw new Error(written.detail);
  const route = resources.routeOf(written.node.child('contentInstances')!)!;
  const stateOf = () => alarms.find('/m2m/containers/load', 'silent')?.alarm.state;
  for (let n = 0; n < 100; n++) {
    const sample = sampleAt(n);
    Object.assign(sample, { arrivedUs: clock.monotonicUs() });
    router.publish(route, sample);
    clock.advance(100);
  }
  await settle();
  expect(stateOf()).toBeUndefined();
  expect(clock.pending).toBeLessThanOrEqual(1);
  clock.advance(2_000);
  await settle();
  expect(stateOf()).toBe('unacknowledgedActive');
  expect(clock.pending).toBe(0);
  const sample = sampleAt(1_000);
  Object.assign(sample, { arrivedUs: clock.monotonicUs() });
  router.publish(route, sample);
  await settle();
  expect(stateOf()).toBe('unacknowledgedCleared');
});
