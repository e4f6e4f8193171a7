/**
 * The files of a journal: made of zeros under a temporary name, synced, renamed, their folder synced; begun when their turn
 * comes; deleted from the oldest on. One is kept prepared, so that a full disk is noticed while there is room.
 */
import type { Disk, DiskFile } from '../disk.js';
import { SECTOR_BYTES } from './frame.js';
import {
  hasBegun,
  surveyJournal,
  type BegunSegment,
  type Formats,
  type JournalEnd,
  type Segment,
} from './journal-reader.js';
import {
  encodeBeginning,
  encodeSegmentHeader,
  FORMAT_VERSION,
  FRAMES_AT,
  seedOf,
  segmentName,
  type Beginning,
} from './segment.js';

/** Of a file that is being made. */
const PARTIAL = '.part';
/**
 * A new file is written in a few pieces: 8 MiB at once keep a core for 20 ms, and so much memory at once has V8 mark all that lives at
 * that very moment. In a few, as each takes a turn of the event loop, and turns may be long.
 */
const ZEROS = new Uint8Array(2 * 1024 * 1024);

interface OpenSegment extends Omit<Segment, 'beginning' | 'version'> {
  readonly file: DiskFile;
}

/** The one that frames go to. */
export interface CurrentSegment extends OpenSegment {
  readonly seed: number;
  /** Where the next frame starts. */
  at: number;
}

async function fillWithZeros(file: DiskFile, size: number): Promise<void> {
  for (let at = 0; at < size; at += ZEROS.length) await file.write(at, ZEROS.subarray(0, size - at));
}

const hasRoom = ({ at, size }: CurrentSegment, bytes: number): boolean => at + bytes <= size;

export class Segments {
  /** Every segment that has begun and is still there, oldest first. */
  readonly begun: BegunSegment[] = [];
  current: CurrentSegment | undefined;
  private spare: OpenSegment | undefined;
  private lastNumber = 0;
  /** Segments are made one after the other. */
  private making: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly disk: Disk,
    private readonly folder: string,
    private readonly segmentBytes: number,
  ) {}

  /** @throws Damage */
  async survey(formats: Formats): Promise<readonly Segment[]> {
    const { disk, folder } = this;
    await disk.makeFolder(folder);
    for (const name of await disk.list(folder)) if (name.endsWith(PARTIAL)) await disk.remove(`${folder}/${name}`);
    const segments = await surveyJournal(disk, folder, formats);
    this.begun.push(...segments.filter(hasBegun));
    const last = segments.at(-1);
    this.lastNumber = last?.number ?? 0;
    if (last && !hasBegun(last)) {
      this.spare = { ...last, file: await disk.open(last.path, 'write-through') };
      if (last.version !== FORMAT_VERSION) await this.discard(this.spare);
    }
    return segments;
  }

  /**
   * Goes on behind the last frame. That frame is written once more: it may stand in the page cache alone, left there by a
   * process that died before its fsync or, worse, after an fsync that failed, which no later one makes good. What a crash has
   * torn behind it becomes zero again.
   */
  async resume({ segment, bytes, at, isTorn, lastAt }: JournalEnd): Promise<void> {
    const { number, size, beginning, version, path } = segment;
    const file = await this.disk.open(path, 'write-through');
    if (isTorn) bytes.fill(0, at);
    const start = lastAt ?? SECTOR_BYTES;
    await file.write(start, bytes.subarray(start, isTorn ? size : at));
    if (version === FORMAT_VERSION) this.current = { file, path, number, size, seed: seedOf(number, beginning), at };
    else await file.close();
  }

  /** The current segment, or the next one where the current has no such room left or has failed. */
  roomFor(bytes: number, beginning: Beginning): CurrentSegment | Promise<CurrentSegment> {
    if (this.current && hasRoom(this.current, bytes)) return this.current;
    return this.alone(async () => {
      const old = this.current;
      if (old && hasRoom(old, bytes)) return old;
      const current = await this.begin(bytes, beginning);
      await old?.file.close();
      return current;
    });
  }

  /** Gets what is missing: a segment to write to, and the one after it. */
  complete(beginning: () => Beginning): Promise<void> {
    return this.alone(async () => {
      if (!this.current) await this.begin(0, beginning());
      this.spare ??= await this.prepare(0);
    });
  }

  /** A write to the current segment has failed: nothing more is written there. */
  abandon(): void {
    void this.current?.file.close().catch(() => {}); // closing it is all that is left to do with it
    this.current = undefined;
  }

  /** Deletes the segments all of whose entries come before `sequence`; in order of age, so that what is left has no gap. */
  async deleteBefore(sequence: number): Promise<void> {
    for (;;) {
      const [oldest, next] = this.begun;
      if (!oldest || !next || next.beginning.first > sequence) break;
      await this.disk.remove(oldest.path);
      this.begun.shift();
    }
    await this.disk.syncFolder(this.folder);
  }

  async close(): Promise<void> {
    await this.making;
    for (const segment of [this.current, this.spare]) await segment?.file.close();
  }

  private alone<Value>(make: () => Promise<Value>): Promise<Value> {
    const made = this.making.then(make);
    this.making = made.catch(() => {}); // told to whoever asked
    return made;
  }

  /** Makes the spare the current segment, with a write of its own: a frame must never be there without the beginning. */
  private async begin(bytes: number, beginning: Beginning): Promise<CurrentSegment> {
    const fits = this.spare !== undefined && this.spare.size - FRAMES_AT >= bytes;
    if (this.spare && !fits) await this.discard(this.spare); // so that only the last one has not begun
    const spare = (fits ? this.spare : undefined) ?? (await this.prepare(bytes));
    this.spare = undefined;
    try {
      await spare.file.write(SECTOR_BYTES, encodeBeginning(spare.number, beginning));
    } catch (error) {
      await this.discard(spare);
      throw error;
    }
    const { path, number, size } = spare;
    this.begun.push({ path, number, size, version: FORMAT_VERSION, beginning });
    return (this.current = { ...spare, seed: seedOf(number, beginning), at: FRAMES_AT });
  }

  /** A new file under its own name, there for good when this resolves. */
  private async prepare(bytes: number): Promise<OpenSegment> {
    const { disk, folder } = this;
    const number = this.lastNumber + 1;
    const size = Math.max(this.segmentBytes, FRAMES_AT + bytes);
    const path = `${folder}/${segmentName(number)}`;
    await disk.remove(path + PARTIAL);
    let file = await disk.open(path + PARTIAL, 'create');
    try {
      await fillWithZeros(file, size);
      await file.write(0, encodeSegmentHeader({ version: FORMAT_VERSION, size, number }));
      await file.sync();
      await file.close();
      await disk.rename(path + PARTIAL, path);
      await disk.syncFolder(folder);
      file = await disk.open(path, 'write-through');
    } catch (error) {
      await this.discard({ file, path, number });
      throw error;
    }
    this.lastNumber = number;
    return { file, path, number, size };
  }

  /** The failure that led here is told; a file that can not even be removed is replaced at the next attempt. */
  private async discard({ file, path, number }: Pick<OpenSegment, 'file' | 'path' | 'number'>): Promise<void> {
    await file.close().catch(() => {});
    for (const name of [path, path + PARTIAL]) await this.disk.remove(name).catch(() => {});
    if (this.lastNumber === number) this.lastNumber--;
    if (this.spare?.number === number) this.spare = undefined;
  }
}
