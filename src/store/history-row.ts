/**
 * A row of the history's index: what one must know of a chunk to find it, or to pass it by. Fixed width, with a CRC; whatever is
 * here can be made again from the log.
 *
 * Rows are in the order of creation, and times need not rise with it: clocks step and datagrams overtake each other. So a row
 * also has, of everything up to its chunk, the highest time and the farthest that a later one fell back behind it. With both the
 * first chunk of a span is found by halving, and it is known behind which chunk none of the span can come any more.
 */
import { crc32 } from 'node:zlib';
import type { Storable } from './history-chunk.js';

/** Where a chunk stands in the log. */
export interface Place {
  /** Of its entry in the journal. */
  readonly sequence: number;
  /** Number of the segment file. */
  readonly segment: number;
  /** Of its frame, and of its entry, in bytes from the start of the file. */
  readonly frameAt: number;
  readonly at: number;
  readonly length: number;
}

/** One of the two times of a chunk's instances, microseconds since the epoch. */
export interface Times {
  readonly least: number;
  readonly most: number;
  /** Highest up to this chunk. */
  readonly high: number;
  /** Farthest that a chunk began behind the highest before it. */
  readonly back: number;
}

export interface HistoryRow extends Place {
  /** Ordinal of its first record. */
  readonly n: number;
  readonly count: number;
  /** Sum of what its records count for. */
  readonly sizeBytes: number;
  readonly measured: Times;
  readonly created: Times;
  /** 16 bits of each name; empty where the records have none. */
  readonly names: Uint16Array;
}

/** What the next row continues. */
export interface Running {
  readonly high: number;
  readonly back: number;
}
export const NOTHING_YET: Running = { high: -Infinity, back: 0 };

export const endOf = ({ n, count }: Pick<HistoryRow, 'n' | 'count'>): number => n + count;

const NO_NAMES = new Uint16Array(0);
const NAME_BITS = 0xffff;
export const nameMark = (name: string): number => crc32(name) & NAME_BITS;

/** What a row says of its chunk's records, gathered as they come. */
export class Span {
  count = 0;
  sizeBytes = 0;
  leastMeasured = Infinity;
  mostMeasured = -Infinity;
  leastCreated = Infinity;
  mostCreated = -Infinity;
  names: number[] | undefined;

  static of(records: readonly Storable[]): Span {
    const span = new Span();
    for (const record of records) span.add(record);
    return span;
  }

  /** Runs for every sample. */
  add({ measuredUs, createdUs, sizeBytes, name }: Storable): void {
    this.count++;
    this.sizeBytes += sizeBytes;
    if (measuredUs < this.leastMeasured) this.leastMeasured = measuredUs;
    if (measuredUs > this.mostMeasured) this.mostMeasured = measuredUs;
    if (createdUs < this.leastCreated) this.leastCreated = createdUs;
    if (createdUs > this.mostCreated) this.mostCreated = createdUs;
    if (name !== undefined) (this.names ??= []).push(nameMark(name));
  }
}

export function rowOf(
  n: number,
  span: Span,
  place: Place,
  before: { readonly measured: Running; readonly created: Running },
): HistoryRow {
  const { count, sizeBytes, leastMeasured, mostMeasured, leastCreated, mostCreated, names } = span;
  const { sequence, segment, frameAt, at, length } = place;
  return {
    sequence,
    segment,
    frameAt,
    at,
    length,
    n,
    count,
    sizeBytes,
    measured: timesOf(leastMeasured, mostMeasured, before.measured),
    created: timesOf(leastCreated, mostCreated, before.created),
    names: names ? Uint16Array.from(names) : NO_NAMES,
  };
}

const timesOf = (least: number, most: number, { high, back }: Running): Times => ({
  least,
  most,
  high: Math.max(high, most),
  back: Math.max(back, high - least),
});

const NUMBERS = 16;
const FIXED_BYTES = NUMBERS * 8;
const CRC_BYTES = 4;

export function encodeRow(row: HistoryRow): Uint8Array {
  const { n, count, sizeBytes, sequence, segment, frameAt, at, length, measured, created, names } = row;
  const bytes = Buffer.allocUnsafe(FIXED_BYTES + names.byteLength + CRC_BYTES);
  let end = 0;
  for (const number of [n, count, sizeBytes, sequence, segment, frameAt, at, length])
    end = bytes.writeDoubleLE(number, end);
  for (const { least, most, high, back } of [measured, created])
    for (const us of [least, most, high, back]) end = bytes.writeDoubleLE(us, end);
  for (const mark of names) end = bytes.writeUInt16LE(mark, end);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, end)), end);
  return bytes;
}

/** Undefined: this is not what was written. */
export function decodeRow(value: Uint8Array): HistoryRow | undefined {
  const bytes = unsealed(value);
  if (!bytes || bytes.length < FIXED_BYTES) return undefined;
  // Copied: neither array may begin at any byte.
  const copy = Uint8Array.from(bytes);
  const numbers = new Float64Array(copy.buffer, 0, NUMBERS);
  const number = (index: number): number => numbers[index]!; // there are NUMBERS
  const times = (from: number): Times => ({
    least: number(from),
    most: number(from + 1),
    high: number(from + 2),
    back: number(from + 3),
  });
  return {
    n: number(0),
    count: number(1),
    sizeBytes: number(2),
    sequence: number(3),
    segment: number(4),
    frameAt: number(5),
    at: number(6),
    length: number(7),
    measured: times(8),
    created: times(12),
    names: new Uint16Array(copy.buffer, FIXED_BYTES),
  };
}

/** Bytes with their CRC behind them. */
export function sealed(bytes: Uint8Array): Uint8Array {
  const whole = Buffer.allocUnsafe(bytes.length + CRC_BYTES);
  whole.set(bytes);
  whole.writeUInt32LE(crc32(bytes), bytes.length);
  return whole;
}

export function unsealed(value: Uint8Array): Buffer | undefined {
  const whole = Buffer.from(value.buffer, value.byteOffset, value.length);
  const bytes = whole.subarray(0, Math.max(0, whole.length - CRC_BYTES));
  return whole.length >= CRC_BYTES && whole.readUInt32LE(bytes.length) === crc32(bytes) ? bytes : undefined;
}
