/**
 * The journal: an append-only log in a folder of its own, which says that something is done when it is on the disk.
 *
 *     append ──> waiting ──(end of the turn; 50 ms if only grouped)──> one frame ──> written through ──> done, done, ...
 *                   ^                                                                     │ fails
 *                   └── grouped ones stay, as they have been answered; the rest is refused ┘
 *
 * While one frame is on its way the next gathers. A descriptor that failed is never trusted again: a new segment begins after
 * the last entry that is durable, and supersedes what the failed one holds beyond it.
 */
import type { Cancel, Clock } from '../clock.js';
import { codeOf, type Disk } from '../disk.js';
import { reasonOf, refuse, type Refusal } from '../errors.js';
import { encodeFrame, frameBytes } from './frame.js';
import { walkJournal, type Entry, type Formats } from './journal-reader.js';
import { FORMAT_VERSION } from './segment.js';
import { Segments, type CurrentSegment } from './segments.js';

/** Written with zeros when it is prepared; read whole at recovery. */
const SEGMENT_BYTES = 8 * 1024 * 1024;
/** The fsync of what only waits to be gathered: with the time it takes, within the 100 ms that `grouped` promises. */
const GROUPED_WAIT_MS = 50;
/** Gathered into one frame at most, unless one appending alone is larger. */
const FRAME_BYTES = 1024 * 1024;
/**
 * Waiting for the disk while what is grouped is done at once; beyond it that is done when it is on the disk, so that whoever waits for his
 * answer comes no faster than the disk writes: one frame on its way, and one gathered.
 */
const GROUPED_BYTES = 2 * FRAME_BYTES;
/** Waiting for the disk at most; beyond it appendings are refused. */
const WAITING_BYTES = 32 * 1024 * 1024;
/** From a failure to the next attempt: within 1 s of the disk's recovery everything is taken again. */
const RETRY_MS = 250;

/** Why nothing is taken now: the disk is full, or it failed and is being tried again. */
export interface Trouble {
  readonly kind: 'full' | 'failed';
  /** A sentence. */
  readonly detail: string;
}

export interface JournalOptions {
  readonly disk: Disk;
  readonly clock: Pick<Clock, 'after' | 'atTurnEnd'>;
  /** Made if it is not there; its files are this journal's alone. */
  readonly folder: string;
  readonly segmentBytes?: number;
  readonly formats?: Formats;
  /** Told of each frame before its entries are done: it is durable, or none of it can be relied upon. */
  readonly onFrame?: (isDurable: boolean) => void;
}

/** Entries that stand together in one frame: after a crash all of them are there, or none. No entries at all: a barrier. */
export interface Appending {
  readonly entries: readonly Uint8Array[];
  /** `synced`: done after the fsync. `grouped`: done at once, and the fsync at most 100 ms later; as `synced` while the disk is behind. */
  readonly durability: 'grouped' | 'synced';
  /** Also taken while the disk is full, as long as the current segment has room. */
  readonly isVital?: boolean;
  /**
   * Called when its place in the log is certain, with the number of the segment and where in it the frame will stand; may then
   * change the entries' bytes. Called again if that frame fails.
   */
  readonly form?: (place: { readonly segment: number; readonly frameAt: number }) => void;
}

interface Waiting extends Pick<Appending, 'entries' | 'durability'> {
  readonly form: Appending['form'];
  /** 0 for what only waits to be told its refusal. */
  readonly bytes: number;
  readonly done: (refusal?: Refusal) => void;
}

export class Journal {
  private readonly segments: Segments;
  private durable = { sequence: 0, chain: 0 };
  private waiting: Waiting[] = [];
  private waitingBytes = 0;
  private isTurnEndAwaited = false;
  private isFlushDue = false;
  private flushing: Promise<void> | undefined;
  private cancelGrouped: Cancel | undefined;
  private cancelRetry: Cancel | undefined;
  private isClosed = false;
  private present: Trouble | undefined;
  private readonly listeners: ((trouble: Trouble | undefined) => void)[] = [];
  private written = 0;
  /** For the frame that is being written: one at a time. Its bytes made anew would call for the collector by and by. */
  private memory = Buffer.alloc(0);

  constructor(private readonly options: JournalOptions) {
    this.segments = new Segments(options.disk, options.folder, options.segmentBytes ?? SEGMENT_BYTES);
  }

  /** Undefined while it takes everything. */
  get trouble(): Trouble | undefined {
    return this.present;
  }

  onTrouble(listener: (trouble: Trouble | undefined) => void): void {
    this.listeners.push(listener);
  }

  /** Of the last entry that is durable; 0 for none. Entries are numbered from 1. */
  get durableSequence(): number {
    return this.durable.sequence;
  }

  /** Of the oldest entry that is still there. */
  get firstSequence(): number {
    return this.segments.begun[0]?.beginning.first ?? 1;
  }

  /** Frames written since it was opened. */
  get writtenBytes(): number {
    return this.written;
  }

  /** Some of it was written by an older version. */
  get isOfOldFormat(): boolean {
    return this.segments.begun.some(({ version }) => version !== FORMAT_VERSION);
  }

  /**
   * Reads what is there, mends what a crash has torn, and gets ready to append. To be called once, before all else.
   *
   * @param from entries before it are not visited, nor verified where their segment holds none after it; 0: from the oldest that is there; Infinity: only find the end
   * @throws Damage, and what the disk fails with
   */
  async open(from: number, visit: (entry: Entry) => void): Promise<void> {
    const { disk, formats = {} } = this.options;
    const walk = walkJournal(disk, await this.segments.survey(formats), from, formats);
    let step = await walk.next();
    for (; step.done !== true; step = await walk.next())
      for (const entry of step.value.entries) if (entry.sequence >= from) visit(entry);
    if (step.value) {
      this.durable = { sequence: step.value.next - 1, chain: step.value.chain };
      await this.segments.resume(step.value);
    }
    await this.complete();
  }

  /** @param done called once, with a refusal if nothing of it can be relied upon; for those that are synced in the order of the calls */
  append(appending: Appending, done: (refusal?: Refusal) => void): void {
    const { entries, isVital = false, form } = appending;
    const isGrouped = appending.durability === 'grouped' && this.waitingBytes < GROUPED_BYTES;
    const durability = isGrouped ? 'grouped' : 'synced';
    const bytes = entries.length === 0 ? 0 : frameBytes(entries);
    const refusal = this.refusalOf(bytes, isVital);
    if (isGrouped) {
      if (!refusal) this.wait({ entries, durability, form, bytes, done: answered });
      done(refusal);
      return;
    }
    // What is refused waits as well: no answer overtakes another.
    this.wait(
      refusal
        ? { entries: [], durability, form: undefined, bytes: 0, done: () => done(refusal) }
        : { entries, durability, form, bytes, done },
    );
  }

  private wait(waiting: Waiting): void {
    const { clock } = this.options;
    this.waiting.push(waiting);
    this.waitingBytes += waiting.bytes;
    if (waiting.durability === 'grouped') {
      this.cancelGrouped ??= clock.after(GROUPED_WAIT_MS, () => {
        this.cancelGrouped = undefined;
        this.flush();
      });
    } else if (!this.isTurnEndAwaited) {
      this.isTurnEndAwaited = true;
      clock.atTurnEnd(() => {
        this.isTurnEndAwaited = false;
        this.flush();
      });
    }
  }

  private refusalOf(bytes: number, isVital: boolean): Refusal | undefined {
    const { current } = this.segments;
    if (this.isClosed) return refuse('STATUS_SERVICE_UNAVAILABLE', 'The store is closed; try again after the restart.');
    if (this.present) {
      const isRoom = current !== undefined && current.at + this.waitingBytes + bytes <= current.size;
      return isVital && isRoom ? undefined : refusalFor(this.present);
    }
    if (this.waitingBytes < WAITING_BYTES) return undefined;
    const limit = WAITING_BYTES / 1024 / 1024;
    return refuse('STATUS_SERVICE_UNAVAILABLE', `${limit} MiB wait for the disk already; try again in a second.`);
  }

  private flush(): void {
    this.isFlushDue = true;
    this.flushing ??= this.writeFrames().finally(() => (this.flushing = undefined));
  }

  private async writeFrames(): Promise<void> {
    while (this.isFlushDue) {
      const batch = this.gather();
      this.isFlushDue = batch.length > 0 && this.waiting.length > 0;
      const failure = await this.write(batch);
      if (failure) this.failed(batch, failure);
      else for (const { done } of batch) done();
    }
  }

  /** Takes from the waiting what goes into one frame. */
  private gather(): readonly Waiting[] {
    if (this.present && !this.segments.current) {
      // There is nothing to write to: only those go that have their refusal already.
      const refused = this.waiting.filter(({ bytes }) => bytes === 0);
      this.waiting = this.waiting.filter(({ bytes }) => bytes > 0);
      return refused;
    }
    let [count, bytes] = [0, 0];
    for (const { bytes: more } of this.waiting) {
      if (count > 0 && bytes + more > FRAME_BYTES) break;
      count++;
      bytes += more;
    }
    const batch = this.waiting.splice(0, count);
    if (this.waiting.length === 0) {
      this.cancelGrouped?.();
      this.cancelGrouped = undefined;
    }
    return batch;
  }

  /** Why the batch is not durable, if it is not. */
  private async write(batch: readonly Waiting[]): Promise<{ readonly error: unknown } | undefined> {
    const entries = batch.flatMap((waiting) => waiting.entries);
    if (entries.length === 0) return undefined;
    const size = frameBytes(entries);
    const { sequence, chain } = this.durable;
    let current: CurrentSegment;
    try {
      const before = this.segments.current;
      current = await this.segments.roomFor(size, { first: sequence + 1, chain });
      if (current !== before) void this.complete();
    } catch (error) {
      return { error };
    }
    try {
      for (const { form } of batch) form?.({ segment: current.number, frameAt: current.at });
      const { bytes, crc } = encodeFrame(entries, { ...current, sequence: sequence + 1, chain }, this.memoryFor(size));
      await current.file.write(current.at, bytes);
      current.at += bytes.length;
      this.written += bytes.length;
      this.durable = { sequence: sequence + entries.length, chain: crc };
    } catch (error) {
      this.segments.abandon();
      return { error };
    }
    for (const { bytes } of batch) this.waitingBytes -= bytes;
    this.options.onFrame?.(true);
    return undefined;
  }

  private memoryFor(size: number): Buffer {
    if (size > this.memory.length && size <= FRAME_BYTES)
      this.memory = Buffer.allocUnsafeSlow(Math.min(FRAME_BYTES, 2 * size));
    return this.memory;
  }

  private failed(batch: readonly Waiting[], { error }: { readonly error: unknown }): void {
    this.options.onFrame?.(false);
    const all = [...batch, ...this.waiting];
    this.waiting = all.filter(({ durability }) => durability === 'grouped');
    this.waitingBytes = this.waiting.reduce((sum, { bytes }) => sum + bytes, 0);
    this.isFlushDue = false;
    const trouble = troubleOf(error);
    this.tell(trouble);
    for (const { durability, done } of all) if (durability === 'synced') done(refusalFor(trouble));
  }

  /** Gets what is missing to write to; while that fails there is trouble, and it is tried again. */
  private async complete(): Promise<void> {
    if (this.isClosed) return;
    try {
      await this.segments.complete(() => ({ first: this.durable.sequence + 1, chain: this.durable.chain }));
    } catch (error) {
      this.tell(troubleOf(error));
      return;
    }
    if (!this.segments.current) return; // it failed meanwhile, and is tried again
    this.tell(undefined);
    if (this.waiting.length > 0) this.flush();
  }

  private tell(trouble: Trouble | undefined): void {
    const isNews = trouble?.kind !== this.present?.kind;
    this.present = trouble;
    if (trouble && !this.isClosed) {
      this.cancelRetry ??= this.options.clock.after(RETRY_MS, () => {
        this.cancelRetry = undefined;
        void this.complete();
      });
    }
    if (isNews) for (const listener of this.listeners) listener(trouble);
  }

  /**
   * The entries from a sequence to the last that is durable now, frame by frame.
   *
   * @throws Damage
   */
  async *read(from: number): AsyncGenerator<readonly Entry[]> {
    const { disk, formats } = this.options;
    const last = this.durable.sequence;
    if (from > last) return;
    for await (const { entries, frame } of walkJournal(disk, [...this.segments.begun], from, formats)) {
      yield frame.sequence >= from ? entries : entries.filter(({ sequence }) => sequence >= from);
      // What stands behind it may be on its way.
      if (frame.sequence + frame.entries.length > last) return;
    }
  }

  /** Deletes the segments all of whose entries come before `sequence`. */
  truncateBefore(sequence: number): Promise<void> {
    return this.segments.deleteBefore(sequence);
  }

  /** Writes what waits, and closes. */
  async close(): Promise<void> {
    this.isClosed = true;
    if (this.waiting.length > 0) this.flush();
    await this.flushing;
    this.cancelGrouped?.();
    this.cancelRetry?.();
    await this.segments.close();
  }
}

/** Of what is grouped: it was done when it was taken. */
const answered = (): void => {};

function troubleOf(error: unknown): Trouble {
  const code = codeOf(error);
  return code === 'ENOSPC' || code === 'EDQUOT'
    ? { kind: 'full', detail: 'The disk of the store is full; nothing new is taken until there is room again.' }
    : {
        kind: 'failed',
        detail: `The disk of the store failed (${reasonOf(error)}); it is tried again until it works.`,
      };
}

const refusalFor = ({ detail }: Trouble): Refusal => refuse('STATUS_SERVICE_UNAVAILABLE', detail);
