/**
 * A snapshot: all rows, so that the journal before it is not needed. A folder of segments like a journal's, each as large as
 * what is in it, closed by an entry that says what it holds.
 *
 *     state/snapshot-000000004711/0000000001.log ...     rows in any order; then { next: 4711, rows: { ... }, audit: { ... } }
 *
 * It is fuzzy: rows change while it is written. As a row is put whole, the journal from entry `next` on, played over it, gives
 * the exact state. It is written under a temporary name and becomes a snapshot by being renamed, when all of it is synced.
 */
import type { Disk, DiskFile } from '../disk.js';
import type { JsonObject } from '../json.js';
import type { ChainHead } from './audit-chain.js';
import { decodeEntry, encodeEnd, type RowEntry } from './entry.js';
import { encodeFrame, SECTOR_BYTES } from './frame.js';
import { surveyJournal, walkJournal, type Formats } from './journal-reader.js';
import {
  Damage,
  encodeBeginning,
  encodeSegmentHeader,
  FORMAT_VERSION,
  FRAMES_AT,
  seedOf,
  segmentName,
  type Beginning,
} from './segment.js';
import type { Table } from './store.js';

/** One write each. */
const FRAME_BYTES = 256 * 1024;
/** Of one file at most, but for the frame that goes beyond it; it is read whole. */
const PART_BYTES = 32 * 1024 * 1024;
const NAME = /^snapshot-(\d{12})$/;

export interface SnapshotEnd {
  /** The first entry of the journal that is to be played over it. */
  readonly next: number;
  readonly rows: Readonly<Record<Table, number>>;
  /** The audit trail's head before that entry; the archive has it up to there. */
  readonly audit: ChainHead;
}

export interface Snapshot {
  readonly path: string;
  readonly next: number;
}

/** Oldest first. */
export async function listSnapshots(disk: Disk, folder: string): Promise<readonly Snapshot[]> {
  const names = await disk.list(folder);
  return names
    .flatMap((name) => {
      const [, next] = NAME.exec(name) ?? [];
      return next === undefined ? [] : [{ path: `${folder}/${name}`, next: Number(next) }];
    })
    .sort((a, b) => a.next - b.next);
}

/**
 * @param visit given each row
 * @throws Damage
 */
export async function readSnapshot(
  disk: Disk,
  { path, next }: Snapshot,
  formats: Formats,
  visit: (entry: RowEntry, bytes: number, version: number) => void,
): Promise<SnapshotEnd> {
  let found: SnapshotEnd | undefined;
  for await (const { entries, segment } of walkJournal(disk, await surveyJournal(disk, path, formats), 1, formats)) {
    for (const { bytes } of entries) {
      const entry = decodeEntry(bytes);
      if (entry.kind === 'end') found = endOf(entry.end);
      else if (entry.kind === 'audit') throw new Damage(path, 0, 'an audit event stands in a snapshot');
      else visit(entry, bytes.length, segment.version);
    }
  }
  if (!found) throw new Damage(path, 0, 'the end of the snapshot is missing');
  if (found.next !== next)
    throw new Damage(path, 0, `it is the snapshot of entry ${found.next}: the folder was renamed`);
  return found;
}

/** As `finish` wrote it: its checksum held. */
function endOf(end: JsonObject): SnapshotEnd {
  const { next, rows, audit } = end as {
    next: number;
    rows: SnapshotEnd['rows'];
    audit: { number: number; hash: string };
  };
  return { next, rows, audit: { number: audit.number, hash: Buffer.from(audit.hash, 'hex') } };
}

/** Writes a snapshot; `finish` makes it one. */
export class SnapshotWriter {
  private readonly partial: string;
  private readonly rows = { resource: 0, instance: 0, command: 0, alarm: 0 };
  private readonly waiting: Uint8Array[] = [];
  private waitingBytes = 0;
  private part:
    { readonly file: DiskFile; readonly number: number; readonly beginning: Beginning; at: number } | undefined;
  private parts = 0;
  private sequence = 1;
  private chain = 0;
  private written = 0;

  constructor(
    private readonly disk: Disk,
    private readonly folder: string,
    private readonly next: number,
  ) {
    this.partial = `${this.path}.part`;
  }

  private get path(): string {
    return `${this.folder}/snapshot-${String(this.next).padStart(12, '0')}`;
  }

  get bytes(): number {
    return this.written;
  }

  async add(table: Table, entries: readonly Uint8Array[]): Promise<void> {
    this.rows[table] += entries.length;
    this.waiting.push(...entries);
    for (const { length } of entries) this.waitingBytes += length;
    if (this.waitingBytes >= FRAME_BYTES) await this.write();
  }

  async finish(audit: ChainHead): Promise<void> {
    const { next, rows } = this;
    this.waiting.push(encodeEnd({ next, rows, audit: { ...audit, hash: Buffer.from(audit.hash).toString('hex') } }));
    await this.write();
    await this.endPart();
    await this.disk.syncFolder(this.partial);
    await this.disk.rename(this.partial, this.path);
    await this.disk.syncFolder(this.folder);
  }

  async abandon(): Promise<void> {
    await this.part?.file.close();
    await this.disk.remove(this.partial);
  }

  private async write(): Promise<void> {
    this.part ??= await this.beginPart();
    const { part, sequence, chain } = this;
    const entries = this.waiting.splice(0);
    this.waitingBytes = 0;
    const seed = seedOf(part.number, part.beginning);
    const { bytes, crc } = encodeFrame(entries, { at: part.at, seed, sequence, chain });
    await part.file.write(part.at, bytes);
    part.at += bytes.length;
    this.written += bytes.length;
    [this.sequence, this.chain] = [sequence + entries.length, crc];
    if (part.at >= PART_BYTES) await this.endPart();
  }

  private async beginPart() {
    const { disk, partial, sequence, chain } = this;
    if (this.parts === 0) {
      await disk.remove(partial);
      await disk.makeFolder(partial);
    }
    const number = ++this.parts;
    const file = await disk.open(`${partial}/${segmentName(number)}`, 'create');
    return { file, number, beginning: { first: sequence, chain }, at: FRAMES_AT };
  }

  /** Its size is known only now, and stands in its header. */
  private async endPart(): Promise<void> {
    if (!this.part) return;
    const { file, number, beginning, at } = this.part;
    await file.write(0, encodeSegmentHeader({ version: FORMAT_VERSION, size: at, number }));
    await file.write(SECTOR_BYTES, encodeBeginning(number, beginning));
    await file.sync();
    await file.close();
    this.part = undefined;
  }
}
