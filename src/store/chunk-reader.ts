/** Reads single chunks out of the history's log, wherever they stand, and believes none that is not the one that was asked for. */
import { codeOf, type Disk, type DiskFile } from '../disk.js';
import { decodeEntry, type Owner, type Stored } from './history-chunk.js';
import { IndexFault } from './history-index.js';
import type { HistoryRow } from './history-row.js';
import { segmentName } from './segment.js';

/** Segments kept open: a few readers, each somewhere else. */
const OPEN_SEGMENTS = 8;
/** In a frame's header, see frame.ts. */
const MASK_AT = 16;
const MASK_BYTES = 4;

export class ChunkReader {
  /** By number, the one that was read last at the end. */
  private readonly files = new Map<number, Promise<DiskFile>>();

  constructor(
    private readonly disk: Disk,
    private readonly folder: string,
  ) {}

  /** @throws IndexFault where another chunk stands there, or none */
  async read(owner: Owner, row: HistoryRow): Promise<readonly Stored[]> {
    const file = await this.file(row.segment).catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') throw new IndexFault(`there is no segment ${row.segment}`);
      throw error;
    });
    let bytes = await file.read(row.at, row.length);
    let chunk = decodeEntry(bytes);
    if (!chunk) {
      // Once in a long while a frame is masked: only then is its header looked at.
      const mask = await file.read(row.frameAt + MASK_AT, MASK_BYTES);
      bytes = bytes.map((byte, index) => byte ^ (mask[(row.at + index) % MASK_BYTES] ?? 0));
      chunk = decodeEntry(bytes);
    }
    const isIt =
      chunk?.records !== undefined &&
      chunk.reference === owner.reference &&
      chunk.epoch === owner.epoch &&
      chunk.n === row.n &&
      chunk.records.length === row.count;
    if (!isIt || !chunk?.records) throw new IndexFault(`segment ${row.segment} has no such chunk at byte ${row.at}`);
    return chunk.records;
  }

  async close(): Promise<void> {
    const files = [...this.files.values()];
    this.files.clear();
    for (const file of files) await (await file.catch(() => undefined))?.close();
  }

  private file(segment: number): Promise<DiskFile> {
    const opened = this.files.get(segment) ?? this.disk.open(`${this.folder}/${segmentName(segment)}`, 'read');
    this.files.delete(segment);
    this.files.set(segment, opened);
    opened.catch(() => this.files.delete(segment));
    for (const [number, file] of this.files) {
      if (this.files.size <= OPEN_SEGMENTS) break;
      this.files.delete(number);
      void file.then((each) => each.close()).catch(() => {}); // a reading that still has it reads to its end
    }
    return opened;
  }
}
