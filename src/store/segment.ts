/**
 * A segment: one file of a journal, of a size that never changes. Pure.
 *
 *     sector 0   what it is: version, size, number                 written when it is prepared
 *     sector 1   where it begins: first sequence, chain            zero until its turn comes, and synced before any frame
 *     frames     one after the other; zero behind the last
 *
 * As the size is known, a file cut at any length is seen. What an older segment holds from a newer one's first sequence on is
 * superseded: a write that failed there was taken up again here.
 */
import { crc32 } from 'node:zlib';
import { isZero } from '../disk.js';
import { findFrame, readFrame, SECTOR_BYTES, type Frame } from './frame.js';

/** Version of what this program writes; older ones are read through the formats given to the journal. */
export const FORMAT_VERSION = 1;
/** Where the first frame starts. */
export const FRAMES_AT = 2 * SECTOR_BYTES;

/** `GCSG`, `GCBG`. */
const SEGMENT_MAGIC = 0x47534347;
const BEGINNING_MAGIC = 0x47424347;
const [SEGMENT_BYTES, BEGINNING_BYTES] = [24, 24];

export interface SegmentHeader {
  readonly version: number;
  /** Bytes of the file. */
  readonly size: number;
  readonly number: number;
}

export interface Beginning {
  readonly first: number;
  /** Of the last frame that counts before it; 0 for none. */
  readonly chain: number;
}

/** Something on the disk is not what was written there. */
export class Damage extends Error {
  constructor(
    readonly file: string,
    /** Bytes from its start. */
    readonly at: number,
    what: string,
  ) {
    super(`${file} is damaged at byte ${at}: ${what}`);
  }
}

const NAME = /^(\d{10})\.log$/;
export const segmentName = (number: number): string => `${String(number).padStart(10, '0')}.log`;
export const numberOf = (name: string): number | undefined => {
  const [, digits] = NAME.exec(name) ?? [];
  return digits === undefined ? undefined : Number(digits);
};

/** Sector 0. */
export function encodeSegmentHeader({ version, size, number }: SegmentHeader): Buffer {
  const sector = Buffer.alloc(SECTOR_BYTES);
  sector.writeUInt32LE(SEGMENT_MAGIC, 0);
  sector.writeUInt32LE(version, 4);
  sector.writeUIntLE(size, 8, 6);
  sector.writeUIntLE(number, 14, 6);
  sector.writeUInt32LE(crc32(sector.subarray(0, SEGMENT_BYTES - 4)), SEGMENT_BYTES - 4);
  return sector;
}

/** Sector 1. */
export function encodeBeginning(number: number, { first, chain }: Beginning): Buffer {
  const sector = Buffer.alloc(SECTOR_BYTES);
  sector.writeUInt32LE(BEGINNING_MAGIC, 0);
  sector.writeUIntLE(first, 4, 6);
  sector.writeUIntLE(number, 10, 6);
  sector.writeUInt32LE(chain, 16);
  sector.writeUInt32LE(seedOf(number, { first, chain }), BEGINNING_BYTES - 4);
  return sector;
}

/** What the header CRCs of a segment's frames start from: the beginning's own CRC. */
export function seedOf(number: number, { first, chain }: Beginning): number {
  const bytes = Buffer.alloc(BEGINNING_BYTES - 4);
  bytes.writeUInt32LE(BEGINNING_MAGIC, 0);
  bytes.writeUIntLE(first, 4, 6);
  bytes.writeUIntLE(number, 10, 6);
  bytes.writeUInt32LE(chain, 16);
  return crc32(bytes);
}

/**
 * Reads sectors 0 and 1.
 *
 * @param size what the file has
 * @throws Damage
 */
export function readSegmentHeader(
  file: string,
  bytes: Buffer,
  size: number,
): SegmentHeader & { readonly beginning: Beginning | undefined } {
  if (bytes.length < FRAMES_AT) throw new Damage(file, bytes.length, 'the file is cut short');
  if (
    bytes.readUInt32LE(0) !== SEGMENT_MAGIC ||
    bytes.readUInt32LE(SEGMENT_BYTES - 4) !== crc32(bytes.subarray(0, SEGMENT_BYTES - 4))
  )
    throw new Damage(file, 0, 'the header of the segment is not what was written');
  const header = { version: bytes.readUInt32LE(4), size: bytes.readUIntLE(8, 6), number: bytes.readUIntLE(14, 6) };
  if (header.number !== numberOf(file.slice(file.lastIndexOf('/') + 1)))
    throw new Damage(file, 14, `the header says that it is segment ${header.number}: the file was renamed`);
  if (header.size !== size)
    throw new Damage(file, Math.min(size, header.size), `it has ${size} bytes, and was written with ${header.size}`);
  const sector = bytes.subarray(SECTOR_BYTES, FRAMES_AT);
  if (isZero(sector.subarray(0, BEGINNING_BYTES))) return { ...header, beginning: undefined };
  const beginning = { first: sector.readUIntLE(4, 6), chain: sector.readUInt32LE(16) };
  if (
    !encodeBeginning(header.number, beginning).subarray(0, BEGINNING_BYTES).equals(sector.subarray(0, BEGINNING_BYTES))
  )
    throw new Damage(file, SECTOR_BYTES, 'the beginning of the segment is not what was written');
  return { ...header, beginning };
}

export interface SegmentEnd {
  /** Where the next frame would start. */
  readonly at: number;
  readonly next: number;
  readonly chain: number;
  /** Bytes behind the end are not all zero: a write was cut short. */
  readonly isTorn: boolean;
  /** Where the last frame starts, if there is one. */
  readonly lastAt: number | undefined;
}

/**
 * The frames of a segment that has begun.
 *
 * @param file its path, for what is said of it
 * @param next first sequence of the segment that follows; undefined for the last one
 * @throws Damage where the log goes on behind a fault, or the fault is none that a crash can make
 */
export function* framesOf(
  file: string,
  bytes: Buffer,
  number: number,
  beginning: Beginning,
  next: number | undefined,
): Generator<Frame, SegmentEnd> {
  const seed = seedOf(number, beginning);
  let [at, sequence, chain] = [FRAMES_AT, beginning.first, beginning.chain];
  let lastAt: number | undefined;
  while (sequence !== next) {
    const read = readFrame(bytes, { at, seed, sequence, chain });
    if ('kind' in read) {
      const isLast = next === undefined;
      if (read.kind === 'damaged') throw new Damage(file, at, read.what);
      if (!isLast) throw new Damage(file, at, `${read.what}, and the next segment begins at entry ${next}`);
      const beyond = findFrame(bytes, at + 1, seed, sequence);
      if (beyond !== undefined) throw new Damage(file, at, `${read.what}, but a frame stands at byte ${beyond}`);
      return { at, next: sequence, chain, isTorn: !isZero(bytes.subarray(at)), lastAt };
    }
    if (next !== undefined && sequence + read.entries.length > next)
      throw new Damage(file, at, `a frame reaches beyond entry ${next}, where the next segment begins`);
    yield read;
    lastAt = at;
    [at, sequence, chain] = [read.end, sequence + read.entries.length, read.crc];
  }
  return { at, next: sequence, chain, isTorn: false, lastAt };
}
