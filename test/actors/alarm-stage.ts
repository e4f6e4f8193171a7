/** Alarms with all that is theirs, without a broker around them, on a clock and store of the test. */
import { AlarmRules } from '../../src/actors/alarm-rules.js';
import { Alarms } from '../../src/actors/alarms.js';
import { openOwnApplication } from '../../src/actors/own-application.js';
import { OwnAlarms } from '../../src/actors/own-alarms.js';
import { Resources } from '../../src/actors/resources.js';
import { Cadence } from '../../src/routing/cadence.js';
import { isRefusal, type Refusal } from '../../src/errors.js';
import type { JsonObject } from '../../src/json.js';
import { Wheel } from '../../src/kernel/wheel.js';
import { silentLog } from '../../src/log.js';
import { seededRandom } from '../../src/random.js';
import type { AlarmActionName, AlarmReport, Priority } from '../../src/routing/alarm.js';
import { Delivery, MODE } from '../../src/routing/delivery.js';
import { FORMATS } from '../../src/routing/format.js';
import { Router } from '../../src/routing/router.js';
import type { Store } from '../../src/store/store.js';
import { CountingEncoder, RecordingPort } from '../support/deliveries.js';
import { ManualClock } from '../support/manual-clock.js';
import { noQuotas } from '../support/quotas.js';
import { RememberingStore } from '../support/remembering-store.js';
import { during } from '../support/store.js';

export const SOURCE = '/m2m/applications/feeder';
const everySample = Cadence.of(0, {}) as Cadence;

export async function stand<S extends Store = RememberingStore>(
  clock = new ManualClock(),
  store: S = new RememberingStore() as unknown as S,
) {
  const random = seededRandom(1);
  const wheel = new Wheel(clock, (error) => {
    throw error;
  });
  const { schedule, leases } = wheel;
  const router = new Router(clock, 1e6, () => {});
  const encoder = new CountingEncoder();
  const shared = { clock, random, log: silentLog, schedule, leases, router, store, encoder };
  const resources = new Resources({
    ...shared,
    stateEncoder: shared.encoder,
    longPollHoldMs: 1000,
    quotas: noQuotas(),
    mayKnow: () => true,
    shows: () => true,
  });
  const alarms = new Alarms({ ...shared, resources });
  const own = new OwnAlarms(() => alarms, schedule);
  /** What the field of a rule has in each sample. */
  const measured = { value: NaN };
  const rules = new AlarmRules({ ...shared, resources, alarms, valueOf: () => measured.value });
  resources.listen({
    created: (node) => {
      if (node.type === 'container') {
        alarms.places.adopt(node);
        rules.apply(node);
      }
      return undefined;
    },
    written: () => {},
    updated: () => {},
    activated: () => {},
    rated: () => {},
    removed: () => {},
  });
  const rows = await during(clock, store.open());
  if (isRefusal(rows)) throw new Error(rows.detail);
  alarms.restore(rows.alarm);
  resources.restore(rows.resource, rows.instance, { unitOf: () => undefined, isPlain: () => false, rest: () => {} });
  openOwnApplication(resources);
  alarms.population.start();
  /** What is noted is written, settled and told. */
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 8; turn++) {
      clock.endTurn();
      await Promise.resolve();
      await Promise.resolve();
    }
  };
  const say = async (report: AlarmReport): Promise<Refusal | undefined> => {
    let answer: Refusal | undefined;
    alarms.report(SOURCE, report, (refusal) => (answer = refusal));
    await settle();
    return answer;
  };
  const act = async (condition: string, action: AlarmActionName, forS = 60): Promise<Refusal | undefined> => {
    const record = alarms.find(SOURCE, condition);
    if (!record) throw new Error(`no alarm ${condition}`);
    let answer: Refusal | undefined;
    alarms.act(record, { alarmId: record.id, action, forS }, 'op', (refusal) => (answer = refusal));
    await settle();
    return answer;
  };
  const stateOf = (condition: string) => alarms.find(SOURCE, condition)?.alarm.state;
  /** A session that subscribes to all alarms and acknowledges when it is told to. */
  const listen = () => {
    const contentInstances = resources.tree.nodeAt([
      'm2m',
      'applications',
      'gridcast',
      'containers',
      'alarms',
      'contentInstances',
    ]);
    const route = contentInstances && resources.routeOf(contentInstances);
    if (!route) throw new Error('no alarms container');
    const delivery = new Delivery(new RecordingPort(), 'content', FORMATS.json, {});
    const heard: JsonObject[] = [];
    const owed: (() => void)[] = [];
    delivery.way = (body, acknowledged) => {
      heard.push(body);
      owed.push(acknowledged);
    };
    router.subscribe(route, delivery, everySample);
    delivery.mode = MODE.active;
    delivery.feeder?.relieved(delivery);
    const acknowledge = (count = owed.length): void => {
      for (const each of owed.splice(0, count)) each();
    };
    return { heard, acknowledge, owed, leave: () => router.unsubscribe(delivery) };
  };
  return { clock, store, alarms, own, measured, resources, router, schedule, settle, say, act, stateOf, listen };
}

export const raise = (condition: string, priority: Priority = 3): AlarmReport => ({
  condition,
  state: 'active',
  priority,
});
