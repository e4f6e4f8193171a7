/**
 * Where rows stand: in blocks of whole units within large pieces of memory that the garbage collector never looks into.
 *
 *     piece, 1 MiB   │ row, 20 units │ row, 19 units │ free, 20 units │ ...
 *                                                       └─> the next free block of 20 units
 *
 * A block is given back to the list of its size, and never cut or joined: rows of one kind are of a few sizes, so what is given back is
 * taken again, and there are at most as many blocks of a size as there ever were rows of it at once.
 */

/** A reference counts units, so 32 bits reach 32 GiB. */
const UNIT_BYTES = 8;
const PIECE_BYTES = 1024 * 1024;
const UNITS_PER_PIECE = PIECE_BYTES / UNIT_BYTES;
const LENGTH_BYTES = 2;

/** Where a row stands; 0 is none. */
export type RowAt = number;

export class RowArena {
  private readonly pieces: Buffer[] = [];
  /** Units that are given out of the last piece. */
  private given = UNITS_PER_PIECE;
  /** By units, the first free block; in it stands the next. */
  private readonly free: RowAt[] = [];

  /** What it takes of memory, free blocks and all. */
  get bytes(): number {
    return this.pieces.length * PIECE_BYTES;
  }

  /** @param row at most 65,535 bytes */
  put(row: Uint8Array): RowAt {
    const units = unitsFor(row.length);
    const at = this.takeFree(units) ?? this.cut(units);
    const [piece, start] = [this.pieceOf(at), startOf(at)];
    piece.writeUInt16LE(row.length, start);
    piece.set(row, start + LENGTH_BYTES);
    return at;
  }

  pieceOf(at: RowAt): Buffer {
    const piece = this.pieces[Math.floor((at - 1) / UNITS_PER_PIECE)];
    if (!piece) throw new RangeError(`no row at ${at}`);
    return piece;
  }

  /** Where the row begins in its piece. */
  startOf(at: RowAt): number {
    return startOf(at) + LENGTH_BYTES;
  }

  /** Gives the place of a row to others. */
  release(at: RowAt): void {
    this.giveBack(at, unitsFor(this.pieceOf(at).readUInt16LE(startOf(at))));
  }

  private takeFree(units: number): RowAt | undefined {
    const at = this.free[units];
    if (at === undefined || at === 0) return undefined;
    this.free[units] = this.pieceOf(at).readUInt32LE(startOf(at));
    return at;
  }

  private giveBack(at: RowAt, units: number): void {
    this.pieceOf(at).writeUInt32LE(this.free[units] ?? 0, startOf(at));
    this.free[units] = at;
  }

  private cut(units: number): RowAt {
    if (this.given + units > UNITS_PER_PIECE) {
      const left = UNITS_PER_PIECE - this.given;
      if (left > 0) this.giveBack((this.pieces.length - 1) * UNITS_PER_PIECE + this.given + 1, left);
      this.pieces.push(Buffer.allocUnsafeSlow(PIECE_BYTES));
      this.given = 0;
    }
    const at = (this.pieces.length - 1) * UNITS_PER_PIECE + this.given + 1;
    this.given += units;
    return at;
  }
}

const startOf = (at: RowAt): number => ((at - 1) % UNITS_PER_PIECE) * UNIT_BYTES;
const unitsFor = (rowBytes: number): number => Math.ceil((LENGTH_BYTES + rowBytes) / UNIT_BYTES);
