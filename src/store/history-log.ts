/**
 * The history on disk: a journal of chunks and an index that finds them.
 *
 *     tracks ── two turns a second, each container in one of them ──> chunks ──> journal, fsync ──> index ──> settled
 *
 * The journal is the truth, and the index never ahead of it: one that is missing or damaged is made anew by reading the journal, and one
 * that is behind, as a kill leaves it, reads the last ten seconds of it. What a crash can lose is what has come in since the container's last turn, a second of it.
 *
 * Both are made with the first container that wants them: a broker without one writes nothing, and has no 64 MB of prepared
 * segments that it never uses.
 */
import type { Cancel, Clock } from '../clock.js';
import type { Disk } from '../disk.js';
import { reasonOf, refuse, type Refusal } from '../errors.js';
import type { Log } from '../log.js';
import { ChunkReader } from './chunk-reader.js';
import { RECORDS_A_CHUNK, type Owner } from './history-chunk.js';
import { HistoryIndex, IndexFault, type Head } from './history-index.js';
import { absorbLog, newHead, ownerKey } from './history-rebuild.js';
import { HistoryTrack, type HistoryForm, type Kept, type Limits, type TrackSource } from './history-track.js';
import { HistoryWriter } from './history-writer.js';
import { Journal } from './journal.js';
import type { OrderedIndex } from './level.js';

const TURN_MS = 500;
/** Each container has its turn once a second, half of them at a time: no long halt, and no fsync for each. */
const TURNS = 2;
/** Every 10 s the index is told the rest, and segments are looked through for what can go. */
const TURNS_TO_REST = 20;
/** A second of 100 PMUs is 0.3 MB; the last one is read whole at a start. */
const SEGMENT_BYTES = 32 * 1024 * 1024;
const FOREVER: Limits = { count: Infinity, bytes: Infinity, ageS: Infinity };

export interface HistoryPlace {
  readonly disk: Disk;
  /** Of the history alone: log and index stand in it. */
  readonly folder: string;
  readonly openIndex: (folder: string) => Promise<OrderedIndex>;
  readonly segmentBytes?: number;
}

export interface HistoryLogOptions<R extends Kept> extends HistoryPlace {
  readonly clock: Clock;
  readonly log: Log;
  readonly form: HistoryForm<R>;
}

export class HistoryLog<R extends Kept> {
  private readonly journal: Journal;
  private readonly writer: HistoryWriter;
  private readonly chunks: ChunkReader;
  private readonly source: TrackSource;
  /** By ownerKey. Those that nobody has claimed since the start are not among them. */
  private readonly tracks = new Map<string, HistoryTrack<R>>();
  private readonly unclaimed = new Map<string, HistoryTrack<R>>();
  private readonly removed: HistoryTrack<R>[] = [];
  private index: HistoryIndex | undefined;
  private lostByRemoved = 0;
  private lastId = 0;
  private turn = 0;
  /** The turn that the index was last told everything in. */
  private wholeAt = 0;
  private cancelTurn: Cancel | undefined;
  /** Writing or rebuilding is under way; one at a time. */
  private working: Promise<void> | undefined;
  private isRebuildDue = false;
  /** Log and index are there, or why not is said. */
  private isPrepared = false;
  private isClosed = false;
  /** Why nothing is read or written any more. */
  private damage: string | undefined;

  constructor(private readonly options: HistoryLogOptions<R>) {
    const { disk, folder, clock, segmentBytes = SEGMENT_BYTES } = options;
    this.journal = new Journal({ disk, clock, folder: this.logFolder, segmentBytes });
    this.writer = new HistoryWriter(this.journal);
    this.chunks = new ChunkReader(disk, `${folder}/log`);
    this.source = {
      rowAt: (id, ordinal) => this.present().rowAt(id, ordinal),
      rows: (id, first) => this.present().rows(id, first),
      chunk: (head, row) => this.chunks.read(head, row),
      nowUs: () => clock.wallUs(),
    };
  }

  /** Instances that were not kept, since the disk took nothing for too long. */
  get lost(): number {
    return [...this.tracks.values()].reduce((sum, { lost }) => sum + lost, this.lostByRemoved);
  }

  /** Instances that wait to be written. */
  get waiting(): number {
    return [...this.tracks.values()].reduce((sum, { waiting }) => sum + waiting, 0);
  }

  /** Reads what is there, if anything. A log that is damaged is left as it is: nothing is read from it or written to it. */
  async open(): Promise<void> {
    const names = await this.options.disk.list(this.logFolder);
    if (names.length > 0) await this.prepare();
  }

  /** The track of a container, which goes on where the same container's ended. */
  track(owner: Owner, limits: Limits): HistoryTrack<R> {
    const key = ownerKey(owner);
    const track = this.unclaimed.get(key) ?? this.trackOf(newHead(owner, ++this.lastId));
    this.unclaimed.delete(key);
    track.retain(limits);
    // Containers that are filled at the same instants have their turns one after the other.
    track.writtenAt = this.turn - (track.head.id % TURNS);
    this.tracks.set(key, track);
    if (!this.isPrepared && !this.working && !this.isClosed) this.begin(() => this.prepare());
    return track;
  }

  /** The container has been deleted, and its history goes. */
  remove(track: HistoryTrack<R>): void {
    this.tracks.delete(ownerKey(track.head));
    this.lostByRemoved += track.lost;
    this.removed.push(track);
    this.write();
  }

  /** All containers that there are have their tracks: what is left belongs to none and goes. */
  settle(): void {
    for (const track of this.unclaimed.values()) this.removed.push(track);
    this.unclaimed.clear();
  }

  /** Runs a reading; where the index turns out to be wrong it is made anew, and the reading done once more. */
  async reading<Result>(read: () => Promise<Result>): Promise<Result | Refusal> {
    for (let attempt = 1; ; attempt++) {
      while ((this.isRebuildDue || !this.isPrepared) && this.working) await this.working;
      try {
        if (this.damage !== undefined) throw new Error(this.damage);
        return await read();
      } catch (error) {
        const { log } = this.options;
        if (error instanceof IndexFault && attempt === 1 && !this.isClosed) {
          log.warn({ err: error }, 'the index of the history is made anew');
          this.isRebuildDue = true;
          // Others may have met the same fault: one of us makes it anew.
          while (this.working) await this.working;
          if (this.wantsRebuild) this.begin(() => this.rebuild());
          continue;
        }
        log.error({ err: error }, 'the history cannot be read');
        return refuse('STATUS_SERVICE_UNAVAILABLE', `The history cannot be read: ${reasonOf(error)}.`);
      }
    }
  }

  /** Writes what waits, and closes. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.cancelTurn?.();
    await this.working;
    try {
      // What is in the log already must not go there twice.
      if (this.isRebuildDue) await this.rebuild();
      if (this.index && this.damage === undefined) await this.commit([...this.tracks.values()], true);
    } catch (error) {
      this.options.log.error({ err: error }, 'what waited for the disk is not in the history');
    } finally {
      await this.journal.close();
      await this.chunks.close();
      await this.index?.ordered.close();
    }
  }

  private async prepare(): Promise<void> {
    try {
      await this.journal.open(Infinity, () => {});
      await this.openIndex();
      if (!this.isClosed) this.arm();
    } catch (error) {
      this.damage = reasonOf(error);
      this.options.log.error({ err: error }, 'there is no history on disk until this is mended');
    } finally {
      this.isPrepared = true;
    }
  }

  private get wantsRebuild(): boolean {
    return this.isRebuildDue && !this.isClosed;
  }

  private get logFolder(): string {
    return `${this.options.folder}/log`;
  }

  private present(): HistoryIndex {
    if (!this.index) throw new IndexFault('there is no index');
    return this.index;
  }

  private trackOf(head: Head): HistoryTrack<R> {
    return new HistoryTrack(head, FOREVER, this.options.form, this.source);
  }

  /** Twice a second. */
  private arm(): void {
    this.cancelTurn = this.options.clock.after(TURN_MS, () => {
      this.arm();
      this.turn++;
      this.write();
    });
  }

  /** What has come into the containers whose turn it is; while something is under way they wait for their next one. */
  private write(): void {
    if (this.working || this.isClosed || this.damage !== undefined) return;
    if (this.isRebuildDue) return this.begin(() => this.rebuild());
    const due = [...this.tracks.values()].filter(
      (track) => track.isDue && (this.turn - track.writtenAt >= TURNS || track.waiting >= RECORDS_A_CHUNK),
    );
    for (const track of due) track.writtenAt = this.turn;
    const isWhole = this.turn - this.wholeAt >= TURNS_TO_REST;
    if (due.length === 0 && this.removed.length === 0 && !isWhole) return;
    this.begin(async () => {
      const isWritten = await this.commit(due, isWhole);
      if (!isWhole || !isWritten) return;
      this.wholeAt = this.turn;
      // Nothing in the index leads there any more.
      await this.journal.truncateBefore(this.firstWanted());
    });
  }

  private begin(task: () => Promise<void>): void {
    this.working = task()
      .catch((error: unknown) => {
        this.options.log.error({ err: error }, 'the history could not be written; its index is made anew');
        this.isRebuildDue = true;
      })
      .finally(() => (this.working = undefined));
  }

  /** @returns false: it is all as it was */
  private async commit(due: readonly HistoryTrack<R>[], isWhole: boolean): Promise<boolean> {
    const removed = this.removed.splice(0);
    const isWritten = await this.writer.write(this.present(), due, removed, isWhole);
    if (!isWritten) this.removed.unshift(...removed);
    return isWritten;
  }

  /** The oldest entry that some container still has. */
  private firstWanted(): number {
    const all = [...this.tracks.values(), ...this.unclaimed.values(), ...this.removed];
    return all.reduce(
      (least, { oldestRow }) => Math.min(least, oldestRow?.sequence ?? Infinity),
      this.journal.durableSequence + 1,
    );
  }

  private async openIndex(): Promise<void> {
    const { disk, folder, openIndex, log } = this.options;
    const at = `${folder}/index`;
    try {
      await disk.makeFolder(at);
      this.index = new HistoryIndex(await openIndex(at));
      const extent = await this.index.extent();
      const heads = await this.index.heads();
      if (!extent) throw new IndexFault('there is none');
      const { durableSequence: durable } = this.journal;
      if (extent.heads !== heads.length || extent.rowsTo > durable) throw new IndexFault('it does not fit the log');
      const place = { disk, folder: this.logFolder };
      const isBehind = extent.sequence < durable;
      await this.adopt(isBehind ? await absorbLog(place, this.index, extent.sequence + 1, durable, heads) : heads);
    } catch (error) {
      if (this.journal.durableSequence > 0) log.warn({ err: error }, 'the index of the history is made anew');
      await this.index?.ordered.close().catch(() => {}); // it may be closed already, or unable to
      this.index = undefined;
      await disk.remove(at);
      await disk.makeFolder(at);
      this.index = new HistoryIndex(await openIndex(at));
      await this.rebuild();
    }
  }

  private async rebuild(): Promise<void> {
    const index = this.present();
    await index.ordered.clear();
    const log = { disk: this.options.disk, folder: this.logFolder };
    await this.adopt(await absorbLog(log, index, undefined, this.journal.durableSequence, []));
    this.isRebuildDue = false;
  }

  /** The heads that the index has now, to those who had others. */
  private async adopt(heads: readonly Head[]): Promise<void> {
    const standing = new Map(this.removed.map((track) => [ownerKey(track.head), track]));
    for (const [key, track] of [...this.unclaimed, ...this.tracks]) standing.set(key, track);
    this.writer.adopt(heads);
    for (const head of heads) {
      const key = ownerKey(head);
      this.lastId = Math.max(this.lastId, head.id);
      const track = standing.get(key) ?? this.trackOf(head);
      if (!standing.delete(key)) this.unclaimed.set(key, track);
      track.settle(head);
      track.oldestRow = head.first < head.next ? await this.present().rowAt(head.id, head.first) : undefined;
      // The last one too: between the two, a reader notices what is missing.
      if (track.oldestRow) await this.present().rowAt(head.id, head.next - 1);
    }
    for (const track of standing.values()) track.settle(newHead(track.head, ++this.lastId, track.head.next));
  }
}
