/**
 * History: the contentInstances of one container, in order of creation. Retention is by count, bytes and age; the oldest go first.
 *
 *     append ──> [ oldest ... latest ]      ring.ts: nothing is shifted, nothing allocated but the record the caller made
 *                    └─> evicted
 *
 * Count, bytes, latest and oldest change in one step [TS 102 921 10.18]. A PMU's record has no name: its id is its time tag,
 * written out only when somebody reads it, and found by comparing numbers. So the hot path makes no string and fills no index.
 */
import { formatTime, parseTime } from '../clock.js';
import { refuse, type Refusal } from '../errors.js';
import type { Archive } from './archive.js';
import type { InstanceRecord } from './instance-record.js';
import { Ring, type Packing } from './ring.js';
import type { Revisions } from './revision.js';

export { InstanceRecord } from './instance-record.js';

const US_PER_SECOND = 1_000_000;
/**
 * How far back a time tag is looked for when it is not the highest so far. A network's duplicate follows its original closely; the same tag
 * further back means a clock that was stepped, and both measurements are kept.
 */
const DUPLICATE_WINDOW = 64;

/** Each may be Infinity. */
export interface Retention {
  /** maxNrOfInstances, at least 1. */
  readonly count: number;
  /** maxByteSize. */
  readonly bytes: number;
  /** maxInstanceAge. */
  readonly ageS: number;
  /** Most bytes of one content; default `bytes`. */
  readonly contentBytes?: number;
}

/** What a history is besides its records and limits. */
export interface HistoryState {
  readonly epoch: number;
  readonly revision: number;
  /** Microseconds since the epoch. */
  readonly changedUs: number;
  /** The highest time tag of a record without a name, whether that is still here or not; -Infinity: there was none. */
  readonly highestTagUs: number;
}

export class History<T> {
  private readonly ring: Ring<T>;
  private heldBytes = 0;
  private ageUs: number;
  /** Only records with a name. */
  private named: Map<string, InstanceRecord<T>> | undefined;
  private highestTagUs = -Infinity;
  private lastRevision = 0;
  private lastChangeUs = 0;
  /** This history's own number: its cursors hold for no other. */
  readonly epoch: number;
  /** Where the container keeps its instances on disk. */
  archive: Archive<T> | undefined;
  /** Told of each record that leaves, whatever made it go. */
  onForget?(record: InstanceRecord<T>): void;

  constructor(
    private readonly revisions: Revisions,
    private limits: Retention,
    /** As it was before it became a row; absent: it is new. */
    before?: HistoryState,
    packing?: Packing<T>,
  ) {
    this.ring = new Ring(packing);
    this.ageUs = limits.ageS * US_PER_SECOND;
    this.epoch = before?.epoch ?? revisions.latest;
    if (!before) return;
    this.lastRevision = before.revision;
    this.lastChangeUs = before.changedUs;
    this.highestTagUs = before.highestTagUs;
  }

  get state(): HistoryState {
    const { epoch, lastRevision: revision, lastChangeUs: changedUs, highestTagUs } = this;
    return { epoch, revision, changedUs, highestTagUs };
  }

  /** currentNrOfInstances. This and all other readings are as of the last `append` or `prune`. */
  get count(): number {
    return this.archive?.count ?? this.ring.length;
  }

  /** currentByteSize. */
  get byteSize(): number {
    return this.archive?.byteSize ?? this.heldBytes;
  }

  get oldest(): InstanceRecord<T> | undefined {
    return this.ring.length > 0 ? this.ring.at(0) : undefined;
  }

  get latest(): InstanceRecord<T> | undefined {
    return this.ring.length > 0 ? this.ring.at(this.ring.length - 1) : undefined;
  }

  /** Of the last change; 0 before the first. */
  get revision(): number {
    return this.lastRevision;
  }

  /** When the last change was, microseconds since the epoch; 0 before the first. */
  get changedUs(): number {
    return this.lastChangeUs;
  }

  /**
   * Takes a record as the latest and evicts what no longer fits.
   *
   * @returns why it was not taken: 400 when it alone exceeds the byte limit, 409 when its id is there already
   */
  append(record: InstanceRecord<T>): Refusal | undefined {
    const { sizeBytes, createdUs, name } = record;
    const { bytes, contentBytes = bytes } = this.limits;
    if (sizeBytes > contentBytes) {
      return refuse(
        'STATUS_BAD_REQUEST',
        `The content has ${sizeBytes} bytes; maxByteSize of the container is ${contentBytes}.`,
      );
    }
    this.prune(createdUs);
    if (name === undefined ? this.isRepeated(record.measuredUs) : this.find(name) !== undefined) {
      return refuse('STATUS_CONFLICT', `There is a contentInstance ${JSON.stringify(record.id)} already.`);
    }
    const { ring } = this;
    while (ring.length > 0 && (ring.length >= this.limits.count || this.heldBytes + sizeBytes > this.limits.bytes))
      this.forget(0);
    this.changed(createdUs);
    record.sequence = this.lastRevision;
    this.push(record);
    this.archive?.push(record);
    return undefined;
  }

  /** Takes back a record of an earlier run, with the `sequence` it had; to be called in their order, before the first `append`. */
  restore(record: InstanceRecord<T>, sequence: number): void {
    record.sequence = this.lastRevision = sequence;
    this.push(record);
    this.lastChangeUs = record.createdUs;
  }

  /** Takes back a record as it was before the history became a row, the oldest first. */
  reclaim(record: InstanceRecord<T>, sequence: number): void {
    record.sequence = sequence;
    this.push(record);
  }

  /** Evicts what is older than maxInstanceAge; to be called before anything is read. */
  prune(nowUs: number): void {
    const { ring } = this;
    const before = ring.length;
    while (ring.length > 0 && nowUs - ring.createdUs(0) > this.ageUs) this.forget(0);
    if (ring.length < before) this.changed(nowUs);
  }

  /** Sets other limits and evicts what no longer fits. */
  retain(limits: Retention, nowUs: number): void {
    this.limits = limits;
    this.ageUs = limits.ageS * US_PER_SECOND;
    this.prune(nowUs);
    const { ring } = this;
    const before = ring.length;
    while (ring.length > limits.count || this.heldBytes > limits.bytes) this.forget(0);
    if (ring.length < before) this.changed(nowUs);
  }

  /** The record of this id; of several with one time tag, the newest. */
  find(id: string): InstanceRecord<T> | undefined {
    const named = this.named?.get(id);
    if (named) return named;
    const measuredUs = parseTime(id);
    if (measuredUs === undefined || formatTime(measuredUs) !== id) return undefined;
    // From the newest on, not by halves: tags need not rise, and 20,000 comparisons of numbers take some 50 us.
    for (let position = this.ring.length - 1; position >= 0; position--)
      if (this.ring.tagUs(position) === measuredUs) return this.ring.at(position);
    return undefined;
  }

  /** Takes out one record. False when it is not here (any more). */
  delete({ sequence }: InstanceRecord<T>, nowUs: number): boolean {
    const position = this.firstAfter(sequence) - 1;
    if (position < 0 || this.ring.sequence(position) !== sequence) return false;
    this.forget(position);
    this.changed(nowUs);
    return true;
  }

  /** Up to `limit` of the newest, oldest first. */
  newest(limit = Infinity): readonly InstanceRecord<T>[] {
    const { ring } = this;
    const records: InstanceRecord<T>[] = [];
    for (let n = Math.max(0, ring.length - limit); n < ring.length; n++) records.push(ring.at(n));
    return records;
  }

  /** What came after the record of this sequence, whether that is still here or not; oldest first. */
  *after(sequence: number): Generator<InstanceRecord<T>> {
    for (let position = this.firstAfter(sequence); position < this.ring.length; position++)
      yield this.ring.at(position);
  }

  /** Sequences rise along the ring. */
  private firstAfter(sequence: number): number {
    let [from, to] = [0, this.ring.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.ring.sequence(middle) > sequence) to = middle;
      else from = middle + 1;
    }
    return from;
  }

  private push(record: InstanceRecord<T>): void {
    this.ring.push(record, this.limits.count);
    this.heldBytes += record.sizeBytes;
    if (record.name !== undefined) (this.named ??= new Map()).set(record.name, record);
    else if (record.measuredUs > this.highestTagUs) this.highestTagUs = record.measuredUs;
  }

  private forget(position: number): void {
    const { ring } = this;
    // Nobody is told of a frame: it need not be made to be forgotten.
    const record = this.onForget || ring.isNamed(position) ? ring.at(position) : undefined;
    this.heldBytes -= ring.sizeBytes(position);
    ring.remove(position);
    if (record?.name !== undefined) this.named?.delete(record.name);
    if (record) this.onForget?.(record);
  }

  private changed(nowUs: number): void {
    this.lastRevision = this.revisions.next();
    this.lastChangeUs = nowUs;
  }

  /** Whether a nameless record of this tag came just before. A tag above all before it, the usual case, costs one comparison. */
  private isRepeated(measuredUs: number): boolean {
    if (measuredUs > this.highestTagUs) return false;
    const { length } = this.ring;
    for (let position = length - 1; position >= Math.max(0, length - DUPLICATE_WINDOW); position--)
      if (this.ring.tagUs(position) === measuredUs) return true;
    return false;
  }
}
