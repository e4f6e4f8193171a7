/** A history log on a disk in memory, that can be killed and opened again; instances are texts. */
import { MemoryLevel } from 'memory-level';
import { isRefusal } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import type { Stored } from '../../src/store/history-chunk.js';
import { HistoryLog } from '../../src/store/history-log.js';
import { EVERYTHING, type HistoryTrack, type Kept, type Limits, type Reading } from '../../src/store/history-track.js';
import { historyFolder } from '../../src/store/layout.js';
import { BINARY, indexOn, type IndexWrite, type OrderedIndex } from '../../src/store/level.js';
import { ManualClock } from '../support/manual-clock.js';
import { MemoryDisk } from '../support/memory-disk.js';

export interface Entry extends Kept {
  readonly text: string;
  readonly mediaType?: string;
}

export const UNLIMITED: Limits = { count: Infinity, bytes: Infinity, ageS: Infinity };
export const SECOND_US = 1_000_000;

const form = {
  stored: ({ measuredUs, createdUs, sizeBytes, name, text, mediaType = 'text/plain' }: Entry): Stored => ({
    ...{ measuredUs, createdUs, sizeBytes, name, quality: 3, creator: undefined, attributes: undefined },
    ...{ mediaType, configuration: undefined, content: Buffer.from(text) },
  }),
  record: ({ measuredUs, createdUs, sizeBytes, name, content }: Stored): Entry => ({
    ...{ measuredUs, createdUs, sizeBytes, name, text: Buffer.from(content).toString() },
  }),
};

/** Lets promises and what they start come to rest. */
export async function settled(clock: ManualClock): Promise<void> {
  for (let turn = 0; turn < 200; turn++) {
    clock.endTurn();
    await new Promise(setImmediate);
  }
}

export class HistoryStage {
  readonly clock: ManualClock;
  disk: MemoryDisk;
  level = new MemoryLevel<Uint8Array, Uint8Array>(BINARY);
  /** Asked before the index is written. */
  indexFails = false;
  /** What was written to the index. */
  readonly indexWrites: IndexWrite[] = [];
  /** How often it was made anew. */
  rebuilds = 0;
  /** What was done to it, a clearing as undefined, and how much of that is on the disk. */
  private readonly batches: (readonly IndexWrite[] | undefined)[] = [];
  private durableBatches = 0;
  log!: HistoryLog<Entry>; // `open` sets it before a stage is handed out

  private constructor(private readonly segmentBytes: number) {
    this.clock = new ManualClock();
    this.disk = new MemoryDisk();
  }

  static async open(segmentBytes = 64 * 1024): Promise<HistoryStage> {
    const stage = new HistoryStage(segmentBytes);
    await stage.start();
    return stage;
  }

  /** @param data the folder that the history stands in */
  async start(data = 'data'): Promise<void> {
    const { clock, disk, segmentBytes } = this;
    const index = indexOn(this.level);
    const openIndex = async (): Promise<OrderedIndex> => {
      await this.level.open();
      return {
        ...index,
        write: (writes: readonly IndexWrite[], isDurable = false) => {
          this.indexWrites.push(...writes);
          if (this.indexFails) return Promise.reject(new Error('the index fails'));
          this.batches.push(writes);
          if (isDurable) this.durableBatches = this.batches.length;
          return index.write(writes);
        },
        clear: () => {
          this.rebuilds++;
          this.batches.push(undefined);
          return index.clear();
        },
        // It outlives the process.
        close: () => Promise.resolve(),
      };
    };
    this.log = new HistoryLog({
      ...{ clock, disk, openIndex, segmentBytes, form },
      folder: historyFolder(data),
      log: silentLog,
    });
    await this.log.open();
  }

  /** The process dies, without a word, and a new one begins. */
  async kill(): Promise<void> {
    this.disk = this.disk.kill();
    await this.start();
  }

  /** @param lostBatches of what the index was told last and need not be on the disk yet */
  async powerCut(lostBatches = 0): Promise<void> {
    this.disk = this.disk.crash();
    if (lostBatches > 0) {
      this.batches.length = Math.max(this.durableBatches, this.batches.length - lostBatches);
      this.level = new MemoryLevel<Uint8Array, Uint8Array>(BINARY);
      const index = indexOn(this.level);
      for (const batch of this.batches) await (batch ? index.write(batch) : index.clear());
    }
    await this.start();
  }

  track(reference = '/m2m/containers/load', epoch = 7, limits: Limits = UNLIMITED): HistoryTrack<Entry> {
    return this.log.track({ reference, epoch }, limits);
  }

  /** An instance measured and created now; ordinals and texts agree where all go into one track from its start. */
  push(track: HistoryTrack<Entry>, values: Partial<Entry> = {}): Entry {
    const nowUs = this.clock.wallUs();
    const entry = { measuredUs: nowUs, createdUs: nowUs, sizeBytes: 10, text: String(track.last + 1), ...values };
    track.push(entry);
    return entry;
  }

  /** So many instances at a rate, the disk having its turns. */
  async run(track: HistoryTrack<Entry>, count: number, rate = 10): Promise<void> {
    for (let n = 0; n < count; n++) {
      this.push(track);
      this.clock.advance(1000 / rate);
      if (n % 5 === 4) await settled(this.clock);
    }
  }

  /** Until everything is on disk. */
  async flush(): Promise<void> {
    for (let turn = 0; turn < 20 && this.log.waiting > 0; turn++) {
      this.clock.advance(250);
      await settled(this.clock);
    }
  }

  /** What a reader gets, as texts. */
  async read(track: HistoryTrack<Entry>, reading: Partial<Reading> = {}): Promise<string[]> {
    const texts: string[] = [];
    const read = this.log.reading(async () => {
      texts.length = 0;
      let after: number | undefined = reading.after ?? 0;
      while (after !== undefined)
        after = await track.read({ measured: EVERYTHING, created: EVERYTHING, ...reading, after }, ({ text }) => {
          texts.push(text);
          return true;
        });
    });
    await settled(this.clock);
    const result = await read;
    if (isRefusal(result)) throw new Error(result.detail);
    return texts;
  }
}

export const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => String(from + index));
