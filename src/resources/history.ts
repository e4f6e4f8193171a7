/**
 * History: the contentInstances of one container, in order of creation. Retention is by count, bytes and age; the oldest go first.
 *
 *     append ──> [ oldest ... latest ]      a ring: nothing is shifted, nothing allocated but the record the caller made
 *                    └─> evicted
 *
 * Count, bytes, latest and oldest change in one step [TS 102 921 10.18]. A PMU's record has no name: its id is its time tag,
 * written out only when somebody reads it, and found by comparing numbers. So the hot path makes no string and fills no index.
 */
import { formatTime, parseTime } from '../clock.js';
import { refuse, type Refusal } from '../errors.js';
import type { Archive } from './archive.js';
import type { Revisions } from './revision.js';
import type { Json } from './values.js';

const US_PER_SECOND = 1_000_000;
/** Slots of a new ring; a power of two, as all later sizes. */
const FIRST_CAPACITY = 8;
/**
 * How far back a time tag is looked for when it is not the highest so far. A network's duplicate follows its original closely; the same tag
 * further back means a clock that was stepped, and both measurements are kept.
 */
const DUPLICATE_WINDOW = 64;

/** A contentInstance before anybody has asked for its representation. */
export class InstanceRecord<T> {
  /** Its place in the order of all changes, set by `append`: its entity tag, and a cursor for whoever reads on. */
  sequence = 0;

  /**
   * @param measuredUs UTC instant of measurement, microseconds since the epoch
   * @param createdUs UTC instant of storing, microseconds since the epoch
   * @param sizeBytes contentSize: bytes of the decoded content
   * @param name id that was given or generated; absent: the time tag is the id
   * @param attributes what else the creator said: delayTolerance, contentTypes, searchStrings
   * @param creator the originator; absent: the broker itself
   */
  constructor(
    readonly value: T,
    readonly measuredUs: number,
    readonly createdUs: number,
    readonly sizeBytes: number,
    readonly name?: string,
    readonly attributes?: ReadonlyMap<string, Json>,
    readonly creator?: string,
  ) {}

  get id(): string {
    return this.name ?? formatTime(this.measuredUs);
  }
}

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
  // Made with the first record: of a million containers many are empty.
  private slots: (InstanceRecord<T> | undefined)[] = [];
  private first = 0;
  private held = 0;
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
  ) {
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
    return this.archive?.count ?? this.held;
  }

  /** currentByteSize. */
  get byteSize(): number {
    return this.archive?.byteSize ?? this.heldBytes;
  }

  get oldest(): InstanceRecord<T> | undefined {
    return this.held > 0 ? this.at(0) : undefined;
  }

  get latest(): InstanceRecord<T> | undefined {
    return this.held > 0 ? this.at(this.held - 1) : undefined;
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
    while (this.held > 0 && (this.held >= this.limits.count || this.heldBytes + sizeBytes > this.limits.bytes))
      this.evict();
    this.push(record);
    this.changed(createdUs);
    record.sequence = this.lastRevision;
    this.archive?.push(record);
    return undefined;
  }

  /** Takes back a record of an earlier run, with the `sequence` it had; to be called in their order, before the first `append`. */
  restore(record: InstanceRecord<T>, sequence: number): void {
    this.push(record);
    record.sequence = this.lastRevision = sequence;
    this.lastChangeUs = record.createdUs;
  }

  /** Takes back a record as it was before the history became a row, the oldest first. */
  reclaim(record: InstanceRecord<T>, sequence: number): void {
    record.sequence = sequence;
    this.push(record);
  }

  /** Evicts what is older than maxInstanceAge; to be called before anything is read. */
  prune(nowUs: number): void {
    const before = this.held;
    while (this.held > 0 && nowUs - this.at(0).createdUs > this.ageUs) this.evict();
    if (this.held < before) this.changed(nowUs);
  }

  /** Sets other limits and evicts what no longer fits. */
  retain(limits: Retention, nowUs: number): void {
    this.limits = limits;
    this.ageUs = limits.ageS * US_PER_SECOND;
    this.prune(nowUs);
    const before = this.held;
    while (this.held > limits.count || this.heldBytes > limits.bytes) this.evict();
    if (this.held < before) this.changed(nowUs);
  }

  /** The record of this id; of several with one time tag, the newest. */
  find(id: string): InstanceRecord<T> | undefined {
    const named = this.named?.get(id);
    if (named) return named;
    const measuredUs = parseTime(id);
    if (measuredUs === undefined || formatTime(measuredUs) !== id) return undefined;
    // From the newest on, not by halves: tags need not rise, and 20,000 comparisons of numbers take some 50 us.
    for (let position = this.held - 1; position >= 0; position--) {
      const record = this.at(position);
      if (record.measuredUs === measuredUs && record.name === undefined) return record;
    }
    return undefined;
  }

  /** Takes out one record. False when it is not here (any more). */
  delete(record: InstanceRecord<T>, nowUs: number): boolean {
    let position = this.held - 1;
    while (position >= 0 && this.at(position) !== record) position--;
    if (position < 0) return false;
    if (position === 0) this.evict();
    else {
      for (; position < this.held - 1; position++) this.put(position, this.at(position + 1));
      this.put(position, undefined);
      this.forget(record);
    }
    this.changed(nowUs);
    return true;
  }

  /** Up to `limit` of the newest, oldest first. */
  newest(limit = Infinity): readonly InstanceRecord<T>[] {
    const length = Math.min(limit, this.held);
    return Array.from({ length }, (_, index) => this.at(this.held - length + index));
  }

  /** What came after the record of this sequence, whether that is still here or not; oldest first. */
  *after(sequence: number): Generator<InstanceRecord<T>> {
    let [from, to] = [0, this.held];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.at(middle).sequence > sequence) to = middle;
      else from = middle + 1;
    }
    for (; from < this.held; from++) yield this.at(from);
  }

  private at(position: number): InstanceRecord<T> {
    return this.slots[(this.first + position) & (this.slots.length - 1)]!; // every caller asks below `held`
  }

  private put(position: number, record: InstanceRecord<T> | undefined): void {
    this.slots[(this.first + position) & (this.slots.length - 1)] = record;
  }

  private push(record: InstanceRecord<T>): void {
    if (this.held === this.slots.length) this.grow();
    this.put(this.held, record);
    this.held++;
    this.heldBytes += record.sizeBytes;
    if (record.name !== undefined) (this.named ??= new Map()).set(record.name, record);
    else if (record.measuredUs > this.highestTagUs) this.highestTagUs = record.measuredUs;
  }

  private evict(): void {
    const record = this.at(0);
    this.put(0, undefined);
    this.first = (this.first + 1) & (this.slots.length - 1);
    this.forget(record);
  }

  private forget(record: InstanceRecord<T>): void {
    this.held--;
    this.heldBytes -= record.sizeBytes;
    if (record.name !== undefined) this.named?.delete(record.name);
    this.onForget?.(record);
  }

  private changed(nowUs: number): void {
    this.lastRevision = this.revisions.next();
    this.lastChangeUs = nowUs;
  }

  /** Whether a nameless record of this tag came just before. A tag above all before it, the usual case, costs one comparison. */
  private isRepeated(measuredUs: number): boolean {
    if (measuredUs > this.highestTagUs) return false;
    for (let position = this.held - 1; position >= Math.max(0, this.held - DUPLICATE_WINDOW); position--) {
      const record = this.at(position);
      if (record.measuredUs === measuredUs && record.name === undefined) return true;
    }
    return false;
  }

  private grow(): void {
    const capacity = Math.max(FIRST_CAPACITY, this.slots.length * 2);
    const slots = new Array<InstanceRecord<T> | undefined>(capacity).fill(undefined);
    for (let position = 0; position < this.held; position++) slots[position] = this.at(position);
    this.slots = slots;
    this.first = 0;
  }
}
