/**
 * What all C37.118.2 frames have in common, and the codec's one error value.
 *
 *     0      1             2          4       6     10            11        14        n-2
 *     0xAA | type,version | FRAMESIZE | IDCODE | SOC | time quality | fraction | body ... | CHK
 *
 * Everything is big-endian. Reading never throws: what is wrong with bytes is a `Malformed`. Fields are kept as they stand
 * on the wire, so that writing a frame that was read gives its bytes again.
 */
import { crcCcitt } from './crc.js';
import type { TimeTag } from './time.js';

export const SYNC = 0xaa;
export const HEAD_BYTES = 14;
export const CHK_BYTES = 2;
/** A header frame without text: head and CHK. */
export const SMALLEST_FRAME = HEAD_BYTES + CHK_BYTES;
/** FRAMESIZE is 16 bits. */
export const LARGEST_FRAME = 0xffff;

/** Bits 6-4 of the second byte. */
export const FRAME_TYPES = {
  data: 0,
  header: 1,
  configuration1: 2,
  configuration2: 3,
  command: 4,
  configuration3: 5,
} as const;
export type FrameType = keyof typeof FRAME_TYPES;
const TYPE_NAMES = Object.keys(FRAME_TYPES) as readonly FrameType[];

/** Written as AA01 .. AA41 by the 2011 text, and AA52 for CFG-3; some devices write 2 everywhere. */
export const VERSION = 1;
/** Bit 7 of the second byte: C37.118.2-2024. */
const NEXT_GENERATION = 0x80;

/** The fields at the head of every frame. The time is the measurement's in data frames, that of sending in all others. */
export interface FrameHead extends TimeTag {
  /** 1 or 2. */
  readonly version: number;
  /** IDCODE: the stream the frame belongs to, or is addressed to; 1..65534. */
  readonly streamId: number;
  /** See TIME_QUALITY. */
  readonly timeQuality: number;
}

/** `length`: a data frame whose size is not that of its configuration; `configuration`: none is known for its stream. */
export type Fault = 'sync' | 'size' | 'type' | 'version' | 'crc' | 'body' | 'length' | 'configuration';

/** Bytes that are no frame of the 2011 text, and why. */
export interface Malformed {
  readonly kind: 'malformed';
  readonly fault: Fault;
  readonly detail: string;
}

export const malformed = (fault: Fault, detail: string): Malformed => ({ kind: 'malformed', fault, detail });

/** Where FRAMESIZE and IDCODE stand. */
export const SIZE_AT = 2;
export const STREAM_ID_AT = 4;

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** A 16-bit field; beyond the end is 0. */
export const wordAt = (bytes: Uint8Array, at: number): number => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);

/** What the second byte says; `undefined` if no frame begins like that. `generation3` is C37.118.2-2024, not read here. */
export function typeOfSync(second: number): FrameType | 'generation3' | undefined {
  const version = second & 0x0f;
  if (second & NEXT_GENERATION) return version === 3 ? 'generation3' : undefined;
  return version === 1 || version === 2 ? TYPE_NAMES[second >> 4] : undefined;
}

/** Type of a frame that `checkFrame` or the framer let pass. */
export const typeOf = (frame: Uint8Array): FrameType => TYPE_NAMES[(frame[1] ?? 0) >> 4] ?? 'data';

/** Whether `bytes` are exactly one frame with a good CHK: `undefined`, or what is wrong. */
export function checkFrame(bytes: Uint8Array): Malformed | undefined {
  if (bytes.length < SMALLEST_FRAME)
    return malformed('size', `${bytes.length} bytes; the smallest frame has ${SMALLEST_FRAME}`);
  // Byte by byte: a view of each of 30,000 small frames a second is felt.
  const second = bytes[1]!; // as long as the smallest frame
  if (bytes[0] !== SYNC) return malformed('sync', `begins with ${hex(bytes[0]!)}, not 0xaa`); // as above
  if (second & NEXT_GENERATION) return malformed('version', 'a frame of C37.118.2-2024, which is not read');
  if (second >> 4 > FRAME_TYPES.configuration3) return malformed('type', `type ${second >> 4} is not one of 0 to 5`);
  if (typeOfSync(second) === undefined) return malformed('version', `version ${second & 0x0f} is neither 1 nor 2`);
  const size = wordAt(bytes, SIZE_AT);
  if (size !== bytes.length) return malformed('size', `FRAMESIZE ${size} in ${bytes.length} bytes`);
  return crcCcitt(bytes) === 0 ? undefined : malformed('crc', `CHK ${hex(wordAt(bytes, size - CHK_BYTES))} is wrong`);
}

export function readHead(view: DataView): FrameHead {
  return {
    version: view.getUint8(1) & 0x0f,
    streamId: view.getUint16(4),
    soc: view.getUint32(6),
    timeQuality: view.getUint8(10),
    fraction: view.getUint32(10) & 0xff_ffff,
  };
}

/**
 * Makes a frame: `write` fills the `bodyBytes` from HEAD_BYTES on.
 *
 * @throws RangeError if it would be larger than FRAMESIZE can say; who composes configurations checks that before
 */
export function makeFrame(
  type: FrameType,
  head: FrameHead,
  bodyBytes: number,
  write: (view: DataView) => void,
): Uint8Array {
  const size = HEAD_BYTES + bodyBytes + CHK_BYTES;
  if (size > LARGEST_FRAME) throw new RangeError(`a frame of ${size} bytes; FRAMESIZE ends at ${LARGEST_FRAME}`);
  const frame = new Uint8Array(size);
  const view = viewOf(frame);
  view.setUint8(0, SYNC);
  view.setUint8(1, (FRAME_TYPES[type] << 4) | head.version);
  view.setUint16(2, size);
  view.setUint16(4, head.streamId);
  view.setUint32(6, head.soc);
  view.setUint32(10, head.fraction);
  view.setUint8(10, head.timeQuality);
  write(view);
  seal(frame);
  return frame;
}

/** Writes the CHK of a frame whose other bytes are in place. */
export function seal(frame: Uint8Array): void {
  const end = frame.length - CHK_BYTES;
  viewOf(frame).setUint16(end, crcCcitt(frame, 0, end));
}

/** The same frame under another IDCODE. */
export function readdressed(frame: Uint8Array, streamId: number): Uint8Array {
  if (viewOf(frame).getUint16(STREAM_ID_AT) === streamId) return frame;
  const copy = Uint8Array.from(frame);
  viewOf(copy).setUint16(STREAM_ID_AT, streamId);
  seal(copy);
  return copy;
}

const hex = (value: number): string => `0x${value.toString(16)}`;
