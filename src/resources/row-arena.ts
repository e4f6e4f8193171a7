/**
 * Where rows stand: in blocks of whole units within pieces of memory that the garbage collector never looks into.
 *
 *     piece, 256 KiB   │ row, 20 units │ row, 19 units │ free, 20 units │ ...
 *                                                         └─<──> the other free blocks of 20 units
 *
 * A block is given back to the list of its size, where the next row of that size takes it: rows of one kind are of a few sizes. Those
 * sizes change all the same, when a gateway has its first reading say; then the piece with the most room is emptied, and let go.
 */

/** A reference counts units, so 32 bits reach 32 GiB. */
const UNIT_BYTES = 8;
const PIECE_BYTES = 256 * 1024;
const UNITS_PER_PIECE = PIECE_BYTES / UNIT_BYTES;
/** Of a block: the units it has, and the bytes of its row; 0 for a free one, in which the next and the one before stand. */
const LENGTH_AT = 2;
const HEADER_BYTES = 4;
const [NEXT_AT, PREVIOUS_AT] = [4, 8];
const LEAST_UNITS = 2;

/** Where a row stands; 0 is none. */
export type RowAt = number;

/** Told that a row stands elsewhere. */
type Moved = (from: RowAt, to: RowAt) => void;

export class RowArena {
  private readonly pieces: (Buffer | undefined)[] = [];
  /** Free units of each piece, and of all. */
  private readonly freeUnits: number[] = [];
  private allFree = 0;
  /** Numbers of pieces that were let go. */
  private readonly vacant: number[] = [];
  /** The piece that is being cut, and its units that are given out. */
  private current = -1;
  private given = UNITS_PER_PIECE;
  /** By units, the first free block. */
  private readonly free: RowAt[] = [];

  /** What it takes of memory, free blocks and all. */
  get bytes(): number {
    return (this.pieces.length - this.vacant.length) * PIECE_BYTES;
  }

  /** Of that, the blocks that wait for a row of their size. */
  get freeBytes(): number {
    return this.allFree * UNIT_BYTES;
  }

  put(row: Uint8Array): RowAt {
    const units = Math.max(LEAST_UNITS, Math.ceil((HEADER_BYTES + row.length) / UNIT_BYTES));
    const at = this.takeFree(units) ?? this.cut(units);
    const [piece, start] = [this.pieceOf(at), startOf(at)];
    piece.writeUInt16LE(row.length, start + LENGTH_AT);
    piece.set(row, start + HEADER_BYTES);
    return at;
  }

  pieceOf(at: RowAt): Buffer {
    const piece = this.pieces[numberOf(at)];
    if (!piece) throw new RangeError(`no row at ${at}`);
    return piece;
  }

  /** Where the row begins in its piece. */
  startOf(at: RowAt): number {
    return startOf(at) + HEADER_BYTES;
  }

  /** And where it ends. */
  endOf(at: RowAt): number {
    return this.startOf(at) + this.pieceOf(at).readUInt16LE(startOf(at) + LENGTH_AT);
  }

  /** Gives the place of a row to others. */
  release(at: RowAt): void {
    this.pieceOf(at).writeUInt16LE(0, startOf(at) + LENGTH_AT);
    this.link(at);
  }

  /** Empties the piece that has the most room, and lets go of it. */
  compact(moved: Moved): void {
    let most = -1;
    for (let n = 0; n < this.pieces.length; n++)
      if (n !== this.current && (this.freeUnits[n] ?? 0) > (this.freeUnits[most] ?? 0)) most = n;
    if (most < 0) return;
    const blocks = [...this.blocksOf(most)];
    const piece = this.pieces[most];
    for (const at of blocks) if (piece?.readUInt16LE(startOf(at) + LENGTH_AT) === 0) this.unlink(at);
    for (const at of blocks) {
      const length = piece?.readUInt16LE(startOf(at) + LENGTH_AT) ?? 0;
      if (piece && length > 0) moved(at, this.put(piece.subarray(this.startOf(at), this.startOf(at) + length)));
    }
    this.freeUnits[most] = 0;
    this.pieces[most] = undefined;
    this.vacant.push(most);
  }

  private *blocksOf(number: number): Generator<RowAt> {
    const first = number * UNITS_PER_PIECE + 1;
    for (let at = first; at < first + UNITS_PER_PIECE;) {
      const units = this.unitsAt(at);
      // What is left of a piece may be too small for a block.
      if (units === 0) return;
      yield at;
      at += units;
    }
  }

  private unitsAt(at: RowAt): number {
    return this.pieceOf(at).readUInt16LE(startOf(at));
  }

  private takeFree(units: number): RowAt | undefined {
    const at = this.free[units];
    if (at === undefined || at === 0) return undefined;
    this.unlink(at);
    return at;
  }

  private link(at: RowAt): void {
    const [piece, start, units] = [this.pieceOf(at), startOf(at), this.unitsAt(at)];
    const next = this.free[units] ?? 0;
    piece.writeUInt32LE(next, start + NEXT_AT);
    piece.writeUInt32LE(0, start + PREVIOUS_AT);
    if (next !== 0) this.pieceOf(next).writeUInt32LE(at, startOf(next) + PREVIOUS_AT);
    this.free[units] = at;
    this.count(at, units);
  }

  private unlink(at: RowAt): void {
    const [piece, start, units] = [this.pieceOf(at), startOf(at), this.unitsAt(at)];
    const [next, previous] = [piece.readUInt32LE(start + NEXT_AT), piece.readUInt32LE(start + PREVIOUS_AT)];
    if (next !== 0) this.pieceOf(next).writeUInt32LE(previous, startOf(next) + PREVIOUS_AT);
    if (previous === 0) this.free[units] = next;
    else this.pieceOf(previous).writeUInt32LE(next, startOf(previous) + NEXT_AT);
    this.count(at, -units);
  }

  private count(at: RowAt, units: number): void {
    const number = numberOf(at);
    this.freeUnits[number] = (this.freeUnits[number] ?? 0) + units;
    this.allFree += units;
  }

  private cut(units: number): RowAt {
    if (this.given + units > UNITS_PER_PIECE) this.begin();
    const at = this.current * UNITS_PER_PIECE + this.given + 1;
    this.given += units;
    this.pieceOf(at).writeUInt16LE(units, startOf(at));
    return at;
  }

  private begin(): void {
    const left = UNITS_PER_PIECE - this.given;
    if (left > 0) {
      const at = this.current * UNITS_PER_PIECE + this.given + 1;
      const isBlock = left >= LEAST_UNITS;
      this.pieceOf(at).writeUInt16LE(isBlock ? left : 0, startOf(at));
      if (isBlock) this.release(at);
    }
    this.given = 0;
    this.current = this.vacant.pop() ?? this.pieces.length;
    this.pieces[this.current] = Buffer.allocUnsafeSlow(PIECE_BYTES);
    this.freeUnits[this.current] = 0;
  }
}

const numberOf = (at: RowAt): number => Math.floor((at - 1) / UNITS_PER_PIECE);
const startOf = (at: RowAt): number => ((at - 1) % UNITS_PER_PIECE) * UNIT_BYTES;
