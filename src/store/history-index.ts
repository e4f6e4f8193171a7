/**
 * The history's index, in keys and values:
 *
 *     m                                   how far the log is indexed, how far its rows are here, how many containers there are
 *     h id 4                              head: a container's owner, its first and next ordinal, what the next row continues
 *     r id 4, ordinal 6                   row: where the chunk is that begins with this ordinal
 *
 * Every value has its CRC, rows must follow each other without a gap, and there must be as many heads as counted: what LevelDB
 * has lost or changed is noticed, and the index is made anew from the log. It never leads to a wrong answer.
 *
 * Rows are ahead of all else: what the heads were after them is read off the log.
 */
import type { Owner } from './history-chunk.js';
import { decodeRow, encodeRow, sealed, unsealed, type HistoryRow, type Running } from './history-row.js';
import type { IndexWrite, OrderedIndex } from './level.js';

/** The index contradicts itself or the log. */
export class IndexFault extends Error {}

export interface Head extends Owner {
  readonly id: number;
  /** Ordinals of what is on disk: from `first` up to but not with `next`. */
  readonly first: number;
  readonly next: number;
  readonly sizeBytes: number;
  readonly measured: Running;
  readonly created: Running;
  /** Some record has a name. */
  readonly hasNames: boolean;
}

/** Of the whole index. */
export interface Extent {
  /** Last entry of the log that is in it as a whole. */
  readonly sequence: number;
  /** Last entry of the log that has a row here. */
  readonly rowsTo: number;
  readonly heads: number;
}

const ORDINAL_BYTES = 6;
const EXTENT_KEY = Buffer.from('m');
const HEADS = { from: Buffer.from('h'), to: Buffer.from('i') };
const VERSION = 2;
/** Without `rowsTo`: rows were ahead of nothing. */
const FIRST_VERSION = 1;

function keyOf(kind: 'h' | 'r', id: number): Buffer {
  const key = Buffer.alloc(kind === 'h' ? 5 : 5 + ORDINAL_BYTES, kind);
  key.writeUInt32BE(id, 1);
  return key;
}

function rowKey(id: number, ordinal: number): Buffer {
  const key = keyOf('r', id);
  key.writeUIntBE(ordinal, 5, ORDINAL_BYTES);
  return key;
}
const LARGEST_ORDINAL = 2 ** (8 * ORDINAL_BYTES) - 1;

const written = (value: object): Uint8Array => sealed(Buffer.from(JSON.stringify(value)));
function parsed(value: Uint8Array, what: string): object {
  const bytes = unsealed(value);
  if (!bytes) throw new IndexFault(`${what} is not what was written`);
  return JSON.parse(bytes.toString()) as object;
}

export const headWrite = (head: Head): IndexWrite => ({ key: keyOf('h', head.id), value: written(head) });
export const extentWrite = (extent: Extent): IndexWrite => ({
  key: EXTENT_KEY,
  value: written({ ...extent, version: VERSION }),
});
export const rowWrite = (id: number, row: HistoryRow): IndexWrite => ({
  key: rowKey(id, row.n),
  value: encodeRow(row),
});
export const rowDeletion = (id: number, { n }: HistoryRow): IndexWrite => ({ key: rowKey(id, n) });

export class HistoryIndex {
  constructor(readonly ordered: OrderedIndex) {}

  /** Undefined for an index that is empty, or of another version. @throws IndexFault */
  async extent(): Promise<Extent | undefined> {
    const value = await this.ordered.get(EXTENT_KEY);
    if (!value) return undefined;
    const extent = parsed(value, 'the extent of the index') as Extent & { readonly version: number };
    if (extent.version === FIRST_VERSION) return { ...extent, rowsTo: extent.sequence };
    return extent.version === VERSION ? extent : undefined;
  }

  /** @throws IndexFault */
  async heads(): Promise<readonly Head[]> {
    const heads: Head[] = [];
    for await (const [, value] of this.ordered.entries(HEADS)) heads.push(parsed(value, 'a head') as Head);
    return heads;
  }

  /** The row whose chunk has this ordinal. @throws IndexFault where there is none */
  async rowAt(id: number, ordinal: number): Promise<HistoryRow> {
    const range = { from: rowKey(id, 0), to: rowKey(id, ordinal + 1), isReverse: true, limit: 1 };
    for await (const [, value] of this.ordered.entries(range)) {
      const row = readRow(value);
      if (row.n <= ordinal && ordinal < row.n + row.count) return row;
    }
    throw new IndexFault(`no row has the ordinal ${ordinal}`);
  }

  /** The rows from the one that has `first` on, one following the other. @throws IndexFault where one is missing */
  async *rows(id: number, first: number): AsyncGenerator<HistoryRow> {
    let row = await this.rowAt(id, first);
    yield row;
    for await (const [, value] of this.ordered.entries({
      from: rowKey(id, row.n + 1),
      to: rowKey(id, LARGEST_ORDINAL),
    })) {
      const next = readRow(value);
      if (next.n !== row.n + row.count) throw new IndexFault(`the row of the ordinal ${row.n + row.count} is missing`);
      row = next;
      yield row;
    }
  }

  /** Deletions of a container's head and all its rows. */
  async deletions(id: number): Promise<readonly IndexWrite[]> {
    const writes: IndexWrite[] = [{ key: keyOf('h', id) }];
    for await (const [key] of this.ordered.entries({ from: rowKey(id, 0), to: rowKey(id, LARGEST_ORDINAL) }))
      writes.push({ key });
    return writes;
  }
}

function readRow(value: Uint8Array): HistoryRow {
  const row = decodeRow(value);
  if (!row) throw new IndexFault('a row is not what was written');
  return row;
}
