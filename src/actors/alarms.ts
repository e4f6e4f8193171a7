/**
 * All alarms of this SCL: one actor for each that is not normal, a row for every one.
 *
 *     device, rule, broker ── report ──> repeated? counted ──> intake, by priority ──> actor ──> journal ──> told
 *     operator ── act ───────────────────────────────────────────────────────────────> actor ──> journal ──> told, answered
 *
 * What is told is on disk, unless the disk is what ails: then it is told all the same. Each alarm is told in the alarms container
 * of the application it is about, and in that of the broker's own application, which has them all.
 */
import type { Clock } from '../clock.js';
import { isRefusal, refuse, type Refusal } from '../errors.js';
import { Population } from '../kernel/population.js';
import type { Log } from '../log.js';
import type { Random } from '../random.js';
import { rulesOf } from '../resources/alarm-rules.js';
import {
  DEFAULT_PRIORITY,
  PRIORITIES,
  isActive,
  isSourceTooLong,
  readAlarm,
  readAlarmReport,
  sourceAmong,
  type Alarm,
  type AlarmAction,
  type AlarmReport,
} from '../routing/alarm.js';
import { parsePath, type JsonObject } from '../routing/primitive.js';
import type { Router } from '../routing/router.js';
import type { SampleEncoder } from '../routing/sample.js';
import type { Peer } from '../routing/site.js';
import type { Row, Rows, Store } from '../store/store.js';
import { alarmKind, type AlarmMessage, type Answered, type Deed, type ReportOutcome } from './alarm.js';
import { AlarmIntake } from './alarm-intake.js';
import { AlarmJournal } from './alarm-journal.js';
import { AlarmPlaces } from './alarm-places.js';
import { AlarmRecord, keyOfAlarm, newAlarm } from './alarm-record.js';
import type { Schedule } from './notification-channel.js';
import type { Resources } from './resources.js';

/** Alarms kept, normal ones among them; at some 4 KB for one that stands, 80 MB. */
export const MOST_ALARMS = 20_000;

export interface AlarmsOptions {
  readonly resources: Resources;
  readonly router: Router;
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly schedule: Schedule;
  readonly encoder: SampleEncoder;
  /** Default MOST_ALARMS. */
  readonly mostAlarms?: number;
  /** The table is full of alarms that stand, and one more is refused. */
  readonly onFull?: () => void;
}

export class Alarms {
  readonly population: Population<AlarmMessage>;
  readonly places: AlarmPlaces;
  readonly journal: AlarmJournal;
  readonly intake: AlarmIntake;
  /** Reports that have come to nothing yet, by priority from 1 on: in the intake, or before an actor that is being restarted. */
  readonly waiting: number[] = PRIORITIES.map(() => 0);
  /** Reports by what they came to: all that were ever made = their sum + those that wait. */
  readonly outcomes: Record<ReportOutcome | 'refused', number> = {
    raised: 0,
    cleared: 0,
    repeated: 0,
    idle: 0,
    refused: 0,
  };
  private readonly records = new Map<string, AlarmRecord>();
  /** Normal, told, and with nothing on its way: what gives way when the table is full, the longest unchanged first. */
  private readonly idle = new Set<AlarmRecord>();

  constructor(private readonly options: AlarmsOptions) {
    const { clock, random, log, store } = options;
    this.population = new Population({
      name: 'alarms',
      kind: (key) => this.kindOf(key),
      members: () => this.standing(),
      clock,
      random,
      log,
    });
    this.places = new AlarmPlaces(options);
    this.journal = new AlarmJournal(store, clock, (key) => this.records.get(key)?.alarm);
    this.intake = new AlarmIntake(clock);
    store.provide('alarm', () => this.rows());
  }

  /** Takes back the alarms of an earlier run, before the population starts. */
  restore(rows: Rows): void {
    for (const [key, { document }] of rows) {
      const alarm = readAlarm(document);
      if (!alarm || keyOfAlarm(alarm.source, alarm.condition) !== key) {
        this.options.log.error({ alarm: key }, 'a row of the store is no alarm');
        continue;
      }
      const record = new AlarmRecord(alarm, this.options);
      this.records.set(key, record);
      this.places.put(record, alarm);
      this.settleDown(record);
    }
  }

  *all(): Iterable<AlarmRecord> {
    yield* this.records.values();
  }

  find(source: string, condition: string): AlarmRecord | undefined {
    return this.records.get(keyOfAlarm(source, condition));
  }

  /**
   * Something is wrong, or well again.
   *
   * @param source path text of what it is about
   * @param answered when it is on disk, or with 503 when it cannot be
   * @param isOwn the broker's own alarms have room in a full table
   * @returns false: it was refused, and `answered` with why; nobody will be told
   */
  report(source: string, report: AlarmReport, answered: Answered = () => {}, isOwn = false): boolean {
    const { condition, state, priority = DEFAULT_PRIORITY } = report;
    const standing = this.find(source, condition);
    const isSettled = standing === undefined || standing.waiting === 0;
    const isStanding = standing !== undefined && isActive(standing.alarm);
    // The usual flood is one alarm again and again: it costs a look-up.
    if (isSettled && state === 'normal' && !isStanding) return this.count('idle', standing, answered);
    if (isSettled && state === 'active' && isStanding && priority >= standing.alarm.priority)
      return this.count('repeated', standing, answered);
    const record = standing ?? this.enter(source, report, isOwn);
    if (isRefusal(record)) return this.refuse(record, answered);
    if (isSettled) record.queue = state === 'active' ? priority : record.alarm.priority;
    const take = (): void => this.population.activate(record.key).tell({ type: 'REPORT', report, answered });
    if (!this.intake.put(record.queue, take)) {
      if (!standing) this.records.delete(record.key);
      return this.refuse(FLOODED, answered);
    }
    this.wait(record, 1);
    this.idle.delete(record);
    return true;
  }

  /** A device's word on the reliable lane. */
  word(peer: Peer, body: JsonObject): Promise<Refusal | undefined> {
    const source = sourceAmong(peer.attach, body);
    if (isRefusal(source)) return Promise.resolve(source);
    const report = readAlarmReport(body);
    if (isRefusal(report)) return Promise.resolve(report);
    return new Promise((resolve) => this.report(source, report, resolve));
  }

  /** An operator's act on an alarm that has been told. */
  act(record: AlarmRecord, action: AlarmAction, by: string, answered: Answered): void {
    const { trouble } = this.options.store;
    // What an operator did must be recorded; a disk that is full has room kept for that.
    if (trouble?.kind === 'failed') return answered(refuse('STATUS_SERVICE_UNAVAILABLE', trouble.detail));
    this.idle.delete(record);
    this.population.activate(record.key).tell({ type: 'ACT', action, by, answered });
    this.settleDown(record);
  }

  /** What its device said of it clears, and waits to be acknowledged. */
  applicationGone(application: string): void {
    for (const { alarm } of [...this.places.ofApplication(application).values()])
      if (alarm.source === application) this.report(application, { condition: alarm.condition, state: 'normal' });
  }

  /** After a start: what ended while the broker was down, be it an application, a container or its rule, clears. */
  sweep(): void {
    for (const { alarm } of [...this.records.values()]) {
      if (isActive(alarm) && !this.isThere(alarm))
        this.report(alarm.source, { condition: alarm.condition, state: 'normal' });
    }
  }

  private isThere({ source, condition }: Alarm): boolean {
    const { resources, clock } = this.options;
    const path = parsePath(source);
    const target = isRefusal(path) ? undefined : resources.tree.resolve(path, clock.wallUs());
    if (target?.kind !== 'resource') return false;
    if (!target.node.row.isContainer) return true;
    return rulesOf(target.node.attributes.get('alarmRules')).some((rule) => rule.condition === condition);
  }

  private kindOf(key: string) {
    const record = this.records.get(key);
    if (!record) throw new Error(`an alarm ${key} that nobody reported`);
    const { clock, schedule } = this.options;
    return alarmKind(record, {
      clock,
      schedule,
      changed: (by, answered) => this.changed(record, by, answered),
      unchanged: (outcome, answered) => {
        this.wait(record, -1);
        this.count(outcome, record, answered);
      },
      lost: (refusal, answered) => {
        this.wait(record, -1);
        this.refuse(refusal, answered);
      },
    });
  }

  private wait(record: AlarmRecord, more: 1 | -1): void {
    record.waiting += more;
    this.waiting[record.queue - 1]! += more; // one for each priority
  }

  private changed(record: AlarmRecord, by: 'raised' | 'cleared' | Deed, answered: Answered): void {
    const { alarm, key } = record;
    if (typeof by === 'string') {
      this.wait(record, -1);
      this.outcomes[by]++;
    }
    const audit = typeof by === 'string' ? undefined : auditOf(record, by);
    this.journal.note(key, alarm, audit, (refusal) => {
      this.places.tell(record, alarm);
      this.settleDown(record);
      answered(refusal);
    });
    this.settleDown(record);
  }

  /** A normal alarm is a row: its actor is done, unless more is on its way to it. */
  private settleDown(record: AlarmRecord): void {
    const { alarm, told, key, waiting } = record;
    if (alarm.state !== 'normal' || waiting > 0) return;
    this.population.end(key);
    if (told === alarm) this.idle.add(record);
  }

  /** A report that changes nothing is answered when what it repeats is on disk. */
  private count(outcome: 'repeated' | 'idle', record: AlarmRecord | undefined, answered: Answered): true {
    this.outcomes[outcome]++;
    if (record) this.settleDown(record);
    this.journal.afterAll(() => answered(record && this.journal.isOwed(record.key) ? NOT_KEPT : undefined));
    return true;
  }

  private refuse(refusal: Refusal, answered: Answered): false {
    this.outcomes.refused++;
    answered(refusal);
    return false;
  }

  private enter(source: string, { condition, priority = DEFAULT_PRIORITY }: AlarmReport, isOwn: boolean) {
    const { mostAlarms = MOST_ALARMS, onFull, clock } = this.options;
    if (isSourceTooLong(source)) return refuse('STATUS_BAD_REQUEST', 'The path of the alarm’s source is too long.');
    const [oldest] = this.idle;
    if (this.records.size >= mostAlarms && oldest) this.drop(oldest);
    else if (this.records.size >= mostAlarms && !isOwn) {
      onFull?.();
      return refuse('STATUS_SERVICE_UNAVAILABLE', `${mostAlarms} alarms stand, which is the limit.`);
    }
    const record = new AlarmRecord(newAlarm(source, condition, priority, clock.wallUs()), this.options);
    this.records.set(record.key, record);
    return record;
  }

  private drop(record: AlarmRecord): void {
    this.idle.delete(record);
    this.records.delete(record.key);
    this.places.remove(record);
    this.journal.note(record.key, undefined, undefined);
  }

  private *standing(): Iterable<string> {
    for (const { key, alarm } of this.records.values()) if (alarm.state !== 'normal') yield key;
  }

  private *rows(): Iterable<readonly [string, Row]> {
    // One that was never raised is still on its way in.
    for (const { key, alarm } of this.records.values()) if (alarm.count > 0) yield [key, { document: alarm }];
  }
}

const FLOODED = refuse(
  'STATUS_SERVICE_UNAVAILABLE',
  'More alarms of this priority wait than can be taken in; try again.',
);
const NOT_KEPT = refuse('STATUS_SERVICE_UNAVAILABLE', 'The alarm is told, and cannot be written to disk now.');

const EVENTS = {
  acknowledge: 'alarm-acknowledged',
  shelve: 'alarm-shelved',
  unshelve: 'alarm-unshelved',
  suppress: 'alarm-suppressed',
  unsuppress: 'alarm-unsuppressed',
} as const;

const auditOf = ({ alarm, id }: AlarmRecord, { action, by, comment }: Deed) => ({
  event: EVENTS[action],
  originator: by,
  target: alarm.source,
  details: { alarmId: id, state: alarm.state, ...(comment !== undefined && { comment }) },
});
