/**
 * A frame: what one write puts into the journal, whole or not at all. Pure.
 *
 *     header, 32 bytes, little-endian                                payload, filled up with zeros to 32
 *     magic 4 │ length 4 │ sequence 6 │ 0 2 │ mask 4 │ chain 4 │ payload CRC 4 │ header CRC 4 │ (length 4, entry)...
 *
 * `chain` is the header CRC of the frame before, so a frame that is missing is seen at the next one. The header CRC starts
 * from the segment's seed and the frame's place, so bytes that were a frame elsewhere (a journal sent as a content) are none here.
 *
 * Frames start at multiples of 32, so no header crosses a sector, and what a disk writes whole or not at all is a sector: a
 * header is there or it is zero. The payload is masked so that none of its sectors is all zero. A sector that is zero has
 * therefore not been written: the frame is torn, nothing of it was ever acknowledged. Any other fault is damage.
 */
import { crc32 } from 'node:zlib';
import { isZero } from '../disk.js';

/** What a disk writes whole; larger ones are multiples of it. */
export const SECTOR_BYTES = 512;
export const FRAME_ALIGNMENT = 32;
export const FRAME_HEADER_BYTES = 32;
const LENGTH_BYTES = 4;
/** `GCFR`. */
const MAGIC = 0x52464347;
const MAGIC_BYTES = Buffer.from('GCFR');
const HEADER_CRC_AT = 28;

/** Where a frame stands: what it needs to be written and to be read. */
export interface Place {
  /** Bytes from the start of the file, a multiple of 32. */
  readonly at: number;
  readonly seed: number;
  /** Of its first entry. */
  readonly sequence: number;
  /** Header CRC of the frame before it. */
  readonly chain: number;
}

export interface Frame extends Place {
  /** Views on what was read; they live as long as it does. */
  readonly entries: readonly Uint8Array[];
  /** The next frame's chain. */
  readonly crc: number;
  /** Where the next frame starts. */
  readonly end: number;
}

/** What is not a frame: nothing (`end`), a write that was cut short, or something that has changed since it was written. */
export interface NoFrame {
  readonly kind: 'end' | 'torn' | 'damaged';
  /** Half a sentence. */
  readonly what: string;
}

const aligned = (bytes: number): number => Math.ceil(bytes / FRAME_ALIGNMENT) * FRAME_ALIGNMENT;
const headerCrcOf = (header: Buffer, { at, seed }: Pick<Place, 'at' | 'seed'>): number =>
  crc32(header.subarray(0, HEADER_CRC_AT), (seed ^ at) >>> 0);

const payloadBytesOf = (entries: readonly Uint8Array[]): number =>
  entries.reduce((sum, { length }) => sum + LENGTH_BYTES + length, 0);

/** What a frame of these entries takes in the file. */
export const frameBytes = (entries: readonly Uint8Array[]): number =>
  aligned(FRAME_HEADER_BYTES + payloadBytesOf(entries));

/** @param room where the frame is written if it fits there */
export function encodeFrame(
  entries: readonly Uint8Array[],
  place: Place,
  room?: Buffer,
): { bytes: Buffer; crc: number } {
  const length = payloadBytesOf(entries);
  const size = aligned(FRAME_HEADER_BYTES + length);
  const bytes = room && size <= room.length ? room.subarray(0, size) : Buffer.allocUnsafe(size);
  let at = FRAME_HEADER_BYTES;
  for (const entry of entries) {
    bytes.writeUInt32LE(entry.length, at);
    bytes.set(entry, at + LENGTH_BYTES);
    at += LENGTH_BYTES + entry.length;
  }
  bytes.fill(0, at);
  const payload = bytes.subarray(FRAME_HEADER_BYTES);
  const mask = maskFor(payload, place.at + FRAME_HEADER_BYTES);
  if (mask !== 0) applyMask(payload, mask);
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.writeUInt32LE(length, 4);
  bytes.writeUIntLE(place.sequence, 8, 6);
  bytes.writeUInt16LE(0, 14);
  bytes.writeUInt32LE(mask, 16);
  bytes.writeUInt32LE(place.chain, 20);
  bytes.writeUInt32LE(crc32(payload), 24);
  const crc = headerCrcOf(bytes, place);
  bytes.writeUInt32LE(crc, HEADER_CRC_AT);
  return { bytes, crc };
}

/** Reads the frame that should stand at a place of a file. */
export function readFrame(file: Buffer, place: Place): Frame | NoFrame {
  const { at, sequence, chain } = place;
  if (at + FRAME_HEADER_BYTES > file.length) return { kind: 'end', what: 'the file ends' };
  const header = file.subarray(at, at + FRAME_HEADER_BYTES);
  if (isZero(header)) return { kind: 'end', what: 'nothing is written' };
  if (!isHeader(header, place)) return { kind: 'damaged', what: 'the header of a frame is not what was written' };
  const length = header.readUInt32LE(4);
  const end = at + aligned(FRAME_HEADER_BYTES + length);
  if (end > file.length) return { kind: 'damaged', what: 'a frame is longer than its file' };
  if (header.readUIntLE(8, 6) !== sequence || header.readUInt32LE(20) !== chain)
    return { kind: 'damaged', what: `a frame other than that of entry ${sequence} stands here` };
  let payload = file.subarray(at + FRAME_HEADER_BYTES, end);
  if (crc32(payload) !== header.readUInt32LE(24)) {
    const isTorn = [...piecesOf(payload, at + FRAME_HEADER_BYTES)].some(isZero);
    return isTorn
      ? { kind: 'torn', what: 'a write was cut short' }
      : { kind: 'damaged', what: 'the content of a frame is not what was written' };
  }
  const mask = header.readUInt32LE(16);
  if (mask !== 0) applyMask((payload = Buffer.from(payload)), mask);
  const crc = header.readUInt32LE(HEADER_CRC_AT);
  return { ...place, entries: entriesOf(payload.subarray(0, length)), crc, end };
}

/** Where, from `from` on, a header of this segment stands that is not of before `sequence`: then more was written than was read. */
export function findFrame(file: Buffer, from: number, seed: number, sequence: number): number | undefined {
  // `indexOf` looks at 8 MiB of zeros in 1 ms; a loop over every 32nd byte took up to 130 ms of each start.
  for (let at = from; (at = file.indexOf(MAGIC_BYTES, at)) >= 0 && at + FRAME_HEADER_BYTES <= file.length; at++) {
    if (at % FRAME_ALIGNMENT !== 0) continue;
    const header = file.subarray(at, at + FRAME_HEADER_BYTES);
    if (isHeader(header, { at, seed }) && header.readUIntLE(8, 6) >= sequence) return at;
  }
  return undefined;
}

const isHeader = (header: Buffer, place: Pick<Place, 'at' | 'seed'>): boolean =>
  header.readUInt32LE(0) === MAGIC && header.readUInt32LE(HEADER_CRC_AT) === headerCrcOf(header, place);

function entriesOf(payload: Buffer): readonly Buffer[] {
  const entries: Buffer[] = [];
  for (let at = 0; at < payload.length;) {
    const start = at + LENGTH_BYTES;
    at = start + payload.readUInt32LE(at);
    entries.push(payload.subarray(start, at));
  }
  return entries;
}

/** A payload as the sectors of the file cut it; each piece is a multiple of 32 bytes, as both ends are. */
function* piecesOf(payload: Buffer, at: number): Iterable<Buffer> {
  for (let start = 0; start < payload.length;) {
    const end = start + SECTOR_BYTES - ((at + start) % SECTOR_BYTES);
    yield payload.subarray(start, end);
    start = end;
  }
}

/** The smallest word that is not all there is in some sector: there is one, as there are more words than sectors. Nearly always 0. */
function maskFor(payload: Buffer, at: number): number {
  const taken = new Set<number>();
  for (const piece of piecesOf(payload, at)) {
    const word = piece.readUInt32LE(0);
    if (word === piece.readUInt32LE(4) && piece.subarray(4).equals(piece.subarray(0, -4))) taken.add(word);
  }
  let mask = 0;
  while (taken.has(mask)) mask++;
  return mask;
}

function applyMask(payload: Buffer, mask: number): void {
  for (let at = 0; at < payload.length; at += 4) payload.writeUInt32LE((payload.readUInt32LE(at) ^ mask) >>> 0, at);
}
