/**
 * A track: the history of one container. What comes in waits in memory, in chunks that grow, until these are in the log and in the
 * index; a reader sees both as one, in order, with nothing twice.
 *
 *     push ──> open chunks ──(once a second)──> log ──> index: first ... next        the first open one begins at next
 */
import { OpenChunk, type Storable, type Stored } from './history-chunk.js';
import type { Head } from './history-index.js';
import { endOf, nameMark, type HistoryRow, type Times } from './history-row.js';

/** What the broker makes of an instance, as far as the history looks into it. */
export interface Kept {
  readonly measuredUs: number;
  readonly createdUs: number;
  readonly sizeBytes: number;
  readonly name?: string | undefined;
}

/** Each may be Infinity. */
export interface Limits {
  readonly count: number;
  readonly bytes: number;
  readonly ageS: number;
}

export interface Bounds {
  readonly fromUs: number;
  readonly toUs: number;
}

export interface Reading {
  /** Ordinals above it alone; 0 for all. */
  readonly after: number;
  /** What lies outside may be passed over. */
  readonly measured: Bounds;
  readonly created: Bounds;
}

/** Where a reading was given up to let others have their turn; undefined: it came to its end. */
export type Pause = number | undefined;

/** How records become bytes and come back. */
export interface HistoryForm<R extends Kept> {
  stored(record: R): Storable;
  record(stored: Stored): R;
}

/** Where the rows and chunks come from. @throws IndexFault */
export interface TrackSource {
  rowAt(id: number, ordinal: number): Promise<HistoryRow>;
  rows(id: number, first: number): AsyncIterable<HistoryRow>;
  chunk(head: Head, row: HistoryRow): Promise<readonly Stored[]>;
  nowUs(): number;
}

/** Instances that wait for the disk: 20 s of the fastest PMU. What comes while the disk takes nothing for longer is not kept, counted. */
const MOST_WAITING = 2_400;
/** Bytes of the same. */
const MOST_WAITING_BYTES = 16 * 1024 * 1024;
/** For which a new chunk has room; beyond, it grows as it must. */
const MOST_EXPECTED_BYTES = 16 * 1024;
/** Rows looked at in one reading that finds nothing: some 50 ms. */
const ROWS_A_READING = 20_000;
const US_PER_SECOND = 1_000_000;
export const EVERYTHING: Bounds = { fromUs: -Infinity, toUs: Infinity };

export class HistoryTrack<R extends Kept> {
  /** The oldest chunk that is kept. */
  oldestRow: HistoryRow | undefined;
  /** Instances that are not in the index yet, the first with the ordinal `head.next`. */
  waiting = 0;
  /** Instances that could not be kept: the disk took nothing for too long. */
  lost = 0;
  /** The turn that it was last written in. */
  writtenAt = 0;
  private waitingBytes = 0;
  /** What waits. Only the last one grows, unless it is being written. */
  private readonly chunks: OpenChunk[] = [];
  private growing: OpenChunk | undefined;
  /** As long as a second's chunk was last. */
  private chunkBytes: number | undefined;

  constructor(
    public head: Head,
    public limits: Limits,
    private readonly form: HistoryForm<R>,
    private readonly source: TrackSource,
  ) {}

  get epoch(): number {
    return this.head.epoch;
  }

  /** Ordinal of the latest; 0 for none. */
  get last(): number {
    return this.head.next + this.waiting - 1;
  }

  get count(): number {
    return this.last + 1 - this.first;
  }

  get byteSize(): number {
    return this.head.sizeBytes + this.waitingBytes;
  }

  /** Ordinal of the oldest that counts. */
  get first(): number {
    return Math.max(this.head.first, this.last + 1 - this.limits.count);
  }

  /** The hot path. */
  push(record: R): void {
    if (this.waiting >= MOST_WAITING || this.waitingBytes >= MOST_WAITING_BYTES) {
      this.lost++;
      return;
    }
    const stored = this.form.stored(record);
    if (!this.growing?.add(stored)) {
      const chunk = new OpenChunk(this.head, stored, this.chunkBytes);
      chunk.add(stored);
      this.chunks.push(chunk);
      this.growing = chunk;
    }
    this.waiting++;
    this.waitingBytes += stored.sizeBytes;
  }

  /** What waits, to be written: what comes from now on begins another chunk. */
  cut(): readonly OpenChunk[] {
    const longest = Math.max(0, ...this.chunks.map(({ byteLength }) => byteLength));
    if (longest > 0) this.chunkBytes = Math.min(longest, MOST_EXPECTED_BYTES);
    this.growing = undefined;
    return [...this.chunks];
  }

  /** So many of the waiting are in the index. They were written by whole chunks. */
  settle(head: Head): void {
    let left = head.next - this.head.next;
    for (let [chunk] = this.chunks; chunk && chunk.count <= left; [chunk] = this.chunks) {
      left -= chunk.count;
      this.waiting -= chunk.count;
      this.waitingBytes -= chunk.span.sizeBytes;
      this.chunks.shift();
      chunk.leave();
    }
    this.head = head;
  }

  retain(limits: Limits): void {
    this.limits = limits;
  }

  /** Whether there is something to write: what has come, or what goes. */
  get isDue(): boolean {
    return this.waiting > 0 || (this.oldestRow !== undefined && this.isUnwanted(this.oldestRow, this.head));
  }

  /** Whether the oldest chunk is no longer wanted: all its instances are too many or too old, or the bytes are too many with it. */
  isUnwanted(row: HistoryRow, head: Head): boolean {
    const { bytes } = this.limits;
    return endOf(row) <= this.first || row.created.high < this.oldestUs() || head.sizeBytes + this.waitingBytes > bytes;
  }

  private oldestUs(): number {
    return this.source.nowUs() - this.limits.ageS * US_PER_SECOND;
  }

  /**
   * Offers records in their order until one is refused.
   *
   * @throws IndexFault
   */
  async read({ after, measured, created }: Reading, offer: (record: R, ordinal: number) => boolean): Promise<Pause> {
    const { head, first: oldest } = this;
    const waiting = this.waitingNow();
    const first = Math.max(after + 1, oldest);
    const oldestUs = this.oldestUs();
    const visible = { fromUs: Math.max(created.fromUs, oldestUs), toUs: created.toUs };
    if (first < head.next) {
      // Behind a cursor the search was done by an earlier page.
      const start = after >= oldest ? first : await this.seek(head, first, measured, visible);
      let left = ROWS_A_READING;
      for await (const row of this.source.rows(head.id, start)) {
        if (row.n >= head.next) break;
        if (left-- === 0) return row.n - 1;
        // It has gone since the reading began.
        if (endOf(row) <= this.head.first) continue;
        if (touches(row.measured, measured) && touches(row.created, visible)) {
          for (const [index, stored] of (await this.source.chunk(head, row)).entries()) {
            const ordinal = row.n + index;
            if (ordinal < first || stored.createdUs < oldestUs) continue;
            if (!offer(this.form.record(stored), ordinal)) return undefined;
          }
        }
        if (isBehind(row.measured, head.measured.back, measured) || isBehind(row.created, head.created.back, visible))
          break;
      }
    }
    let ordinal = head.next;
    for (const stored of waiting()) {
      if (ordinal >= first && stored.createdUs >= oldestUs && !offer(this.form.record(stored), ordinal))
        return undefined;
      ordinal++;
    }
    return undefined;
  }

  /** Reads what waits now, whatever comes or is written until then. */
  private waitingNow(): () => Iterable<Stored> {
    const standing = this.chunks.map((chunk) => {
      chunk.keep();
      return { chunk, count: chunk.count };
    });
    return function* () {
      for (const { chunk, count } of standing) yield* chunk.records(count);
    };
  }

  /** The first ordinal of the first chunk, from `first` on, that may reach into both spans. */
  private async seek(head: Head, first: number, measured: Bounds, created: Bounds): Promise<number> {
    let [from, to] = [first, head.next - 1];
    if (measured.fromUs === -Infinity && created.fromUs === -Infinity) return from;
    while (from < to) {
      const row = await this.source.rowAt(head.id, Math.floor((from + to) / 2));
      // All up to this chunk is older.
      if (row.measured.high < measured.fromUs || row.created.high < created.fromUs)
        from = Math.min(endOf(row), head.next - 1);
      else to = Math.max(from, row.n);
    }
    return from;
  }

  async oldest(): Promise<R | undefined> {
    let found: R | undefined;
    await this.read({ after: 0, measured: EVERYTHING, created: EVERYTHING }, (record) => {
      found = record;
      return false;
    });
    return found;
  }

  /** @throws IndexFault */
  async latest(): Promise<R | undefined> {
    const { head } = this;
    const newest = this.chunks.at(-1)?.records().at(-1);
    if (newest) return this.form.record(newest);
    if (this.first >= head.next) return undefined;
    const stored = (await this.source.chunk(head, await this.source.rowAt(head.id, head.next - 1))).at(-1);
    return stored && stored.createdUs >= this.oldestUs() ? this.form.record(stored) : undefined;
  }

  /** The newest of this time tag that has no name. @throws IndexFault */
  async measuredAt(us: number): Promise<R | undefined> {
    let found: R | undefined;
    for (let after: Pause = 0; after !== undefined;) {
      after = await this.read({ after, measured: { fromUs: us, toUs: us }, created: EVERYTHING }, (record) => {
        if (record.measuredUs === us && record.name === undefined) found = record;
        return true;
      });
    }
    return found;
  }

  /** The newest of this name. All rows are looked at, chunks only where the name may be. @throws IndexFault */
  async named(name: string): Promise<R | undefined> {
    const { head, first } = this;
    const waiting = [...this.waitingNow()()].findLast((stored) => stored.name === name);
    if (waiting) return this.form.record(waiting);
    if (!head.hasNames || first >= head.next) return undefined;
    let found: R | undefined;
    const mark = nameMark(name);
    for await (const row of this.source.rows(head.id, first)) {
      if (row.n >= head.next) break;
      if (!row.names.includes(mark)) continue;
      for (const [index, stored] of (await this.source.chunk(head, row)).entries())
        if (stored.name === name && row.n + index >= first && stored.createdUs >= this.oldestUs())
          found = this.form.record(stored);
    }
    return found;
  }
}

const touches = ({ least, most }: Times, { fromUs, toUs }: Bounds): boolean => least <= toUs && most >= fromUs;

/** Whether nothing behind this chunk can be within the bounds: nothing falls back farther than `back`. */
const isBehind = ({ high }: Times, back: number, { toUs }: Bounds): boolean => high - back > toUs;
