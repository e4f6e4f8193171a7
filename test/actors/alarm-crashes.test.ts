/** What becomes of reports whose alarm's actor has crashed: none is lost without a word, and the counts agree. */
import { isRefusal } from '../../src/errors.js';
import type { JsonObject } from '../../src/json.js';
import { INTERNAL } from '../../src/resources/node.js';
import { sampleAt } from '../support/deliveries.js';
import { raise, SOURCE, stand } from './alarm-stage.js';

/** The back-off before the first restart, with its spread. */
const RESTART_MS = 100;
const QUARANTINE_MS = 30_000;

async function stage() {
  const stood = await stand();
  const { alarms, clock } = stood;
  const cellOf = (source: string, condition: string) => alarms.population.get(`${source} ${condition}`)!;
  const crash = (source = SOURCE, condition = 'hot'): void => cellOf(source, condition).fail(new Error('injected'));
  const quarantine = (source?: string, condition?: string): void => {
    for (let crashes = 0; crashes < 5; crashes++) {
      crash(source, condition);
      if (crashes < 4) clock.advance(2_000);
    }
  };
  const came = (): number => Object.values(alarms.outcomes).reduce((sum, count) => sum + count);
  return { ...stood, cellOf, crash, quarantine, came };
}

const normal = { condition: 'hot', state: 'normal' } as const;

test('what is reported while an actor is being restarted waits, and is taken in its order', async () => {
  const { alarms, say, act, settle, clock, crash, stateOf, came } = await stage();
  await say(raise('hot'));
  await act('hot', 'acknowledge');
  crash();
  const answers: string[] = [];
  for (const report of [normal, raise('hot'), normal, raise('hot')])
    alarms.report(SOURCE, report, (refusal) => answers.push(refusal?.status ?? report.state));
  await settle();
  expect(answers).toEqual([]);
  expect(alarms.waiting).toEqual([0, 0, 4, 0]);
  clock.advance(RESTART_MS);
  await settle();
  expect(answers).toEqual(['normal', 'active', 'normal', 'active']);
  expect(stateOf('hot')).toBe('unacknowledgedActive');
  expect(alarms.outcomes).toEqual({ raised: 3, cleared: 2, repeated: 0, idle: 0, refused: 0 });
  expect([came(), alarms.waiting]).toEqual([5, [0, 0, 0, 0]]);
});

test('what an actor in quarantine is told is refused to its reporter, and counted', async () => {
  const { alarms, say, clock, settle, quarantine, stateOf, came } = await stage();
  await say(raise('hot'));
  quarantine();
  expect((await say(normal))?.status).toBe('STATUS_SERVICE_UNAVAILABLE');
  expect(alarms.outcomes).toMatchObject({ raised: 1, refused: 1 });
  clock.advance(QUARANTINE_MS);
  await settle();
  expect(await say(normal)).toBeUndefined();
  expect(stateOf('hot')).toBe('unacknowledgedCleared');
  expect([came(), alarms.waiting]).toEqual([3, [0, 0, 0, 0]]);
});

test.each([
  ['a limit', { kind: 'limit', field: 'load', high: 100 }, (n: number) => (n === 0 ? 150 : 50)],
  ['silence', { kind: 'stale', staleAfterS: 2 }, () => 50],
])(
  'what a rule on %s could not tell it tells again with the next sample',
  async (_name, terms: JsonObject, valueAt) => {
    const { resources, router, alarms, measured, clock, settle, quarantine } = await stage();
    const source = '/m2m/containers/load';
    const container = { id: 'load', alarmRules: [{ condition: 'hot', ...terms }] };
    const written = resources.create(resources.tree.root.child('containers')!, { container }, INTERNAL);
    if (isRefusal(written)) throw new Error(written.detail);
    const route = resources.routeOf(written.node.child('contentInstances')!)!;
    let n = 0;
    const publish = async (): Promise<void> => {
      measured.value = valueAt(n);
      router.publish(route, Object.assign(sampleAt(n++), { arrivedUs: clock.monotonicUs() }));
      await settle();
    };
    const stateOf = () => alarms.find(source, 'hot')?.alarm.state;
    await publish();
    clock.advance(2_000);
    await settle();
    expect(stateOf()).toBe('unacknowledgedActive');
    quarantine(source);
    await publish();
    expect([stateOf(), alarms.outcomes.refused]).toEqual(['unacknowledgedActive', 1]);
    clock.advance(QUARANTINE_MS);
    await settle();
    await publish();
    expect(stateOf()).toBe('unacknowledgedCleared');
  },
);
