/**
 * The contentInstances of an alarms container: one per alarm, as it was last told, the one that changed last the latest. Nothing
 * is stored for them: they are read out of the alarms themselves, and made when somebody looks.
 */
import { refuse, type Refusal } from '../errors.js';
import { History, type InstanceRecord } from '../resources/history.js';
import type { Revisions } from '../resources/revision.js';
import type { Sample } from '../routing/sample.js';

/** An alarm that has been told. */
export interface Shown {
  readonly id: string;
  readonly instance: InstanceRecord<Sample>;
}

/** Alarms in the order in which they last changed. */
export class AlarmShelf<Alarm extends Shown> {
  readonly alarms = new Map<string, Alarm>();
  latest: Alarm | undefined;
  revision = 0;
  changedUs = 0;

  put(alarm: Alarm, revision: number, nowUs: number): void {
    this.alarms.delete(alarm.id);
    this.alarms.set(alarm.id, alarm);
    this.latest = alarm;
    this.revision = revision;
    this.changedUs = nowUs;
  }

  remove(alarm: Alarm, revision: number, nowUs: number): void {
    if (!this.alarms.delete(alarm.id)) return;
    if (alarm === this.latest) this.latest = [...this.alarms.values()].at(-1);
    this.revision = revision;
    this.changedUs = nowUs;
  }
}

const UNLIMITED = { count: Infinity, bytes: Infinity, ageS: Infinity };

export class AlarmHistory extends History<Sample> {
  constructor(
    revisions: Revisions,
    private readonly shelf: AlarmShelf<Shown>,
  ) {
    super(revisions, UNLIMITED);
  }

  override get count(): number {
    return this.shelf.alarms.size;
  }

  override get byteSize(): number {
    let bytes = 0;
    for (const { instance } of this.shelf.alarms.values()) bytes += instance.sizeBytes;
    return bytes;
  }

  override get oldest(): InstanceRecord<Sample> | undefined {
    const [oldest] = this.shelf.alarms.values();
    return oldest?.instance;
  }

  override get latest(): InstanceRecord<Sample> | undefined {
    return this.shelf.latest?.instance;
  }

  override get revision(): number {
    return this.shelf.revision;
  }

  override get changedUs(): number {
    return this.shelf.changedUs;
  }

  override find(id: string): InstanceRecord<Sample> | undefined {
    return this.shelf.alarms.get(id)?.instance;
  }

  override newest(limit = Infinity): readonly InstanceRecord<Sample>[] {
    return [...this.shelf.alarms.values()].slice(-Math.min(limit, this.count)).map(({ instance }) => instance);
  }

  /** An alarm that changes comes again. */
  override *after(sequence: number): Generator<InstanceRecord<Sample>> {
    for (const { instance } of this.shelf.alarms.values()) if (instance.sequence > sequence) yield instance;
  }

  /** What comes in is a report or an act on an alarm, and never gets here. */
  override append(): Refusal {
    return refuse('STATUS_METHOD_NOT_ALLOWED', 'Alarms are reported and acted on; they are not stored one by one.');
  }

  override delete(): boolean {
    return false;
  }

  override prune(): void {}

  override retain(): void {}
}
