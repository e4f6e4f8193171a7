/**
 * A CFG-3 in frames: in one, or where FRAMESIZE or a datagram is too small for it, in several [C37.118.2 6.5].
 *
 *     head | CONT_IDX 1 | bytes .. | CHK    head | 2 | .. bytes .. | CHK    head | 0xFFFF | .. bytes | CHK
 *                         └──────────────── joined: TIME_BASE NUM_PMU ... DATA_RATE ────────────┘
 *
 * Where it may be cut the text does not say: it is cut wherever a frame is full, and joined wherever it was cut. No device that
 * does so is known to us.
 */
import { readConfiguration3, writeConfiguration3, type Configuration3 } from './configuration3.js';
import {
  CHK_BYTES,
  HEAD_BYTES,
  LARGEST_FRAME,
  makeFrame,
  malformed,
  readHead,
  viewOf,
  type FrameHead,
  type Malformed,
} from './frame.js';

const INDEX_BYTES = 2;
const ONLY = 0;
const FIRST = 1;
const LAST = 0xffff;
/** Of all parts of one; a thousand PMUs need half of it. */
const MOST_BYTES = 1024 * 1024;

/** One of several frames: what stands between CONT_IDX and CHK. */
export interface Configuration3Part extends FrameHead {
  readonly kind: 'configuration3Part';
  /** CONT_IDX. */
  readonly index: number;
  readonly bytes: Uint8Array;
}

/**
 * The frames that say it, in order.
 *
 * @param largest what one frame may have, bytes; with 18 or fewer there is room for nothing
 * @throws RangeError for a name above 255 bytes
 */
export function encodeConfiguration3(configuration: Configuration3, largest = LARGEST_FRAME): readonly Uint8Array[] {
  const bytes = writeConfiguration3(configuration);
  const room = largest - HEAD_BYTES - INDEX_BYTES - CHK_BYTES;
  if (bytes.length <= room) return [encodePart({ ...configuration, kind: 'configuration3Part', index: ONLY, bytes })];
  const count = Math.ceil(bytes.length / room);
  return Array.from({ length: count }, (_, part) => {
    const index = part === count - 1 ? LAST : FIRST + part;
    const cut = bytes.subarray(part * room, (part + 1) * room);
    return encodePart({ ...configuration, kind: 'configuration3Part', index, bytes: cut });
  });
}

export function encodePart(part: Configuration3Part): Uint8Array {
  return makeFrame('configuration3', part, INDEX_BYTES + part.bytes.length, (view) => {
    view.setUint16(HEAD_BYTES, part.index);
    new Uint8Array(view.buffer).set(part.bytes, HEAD_BYTES + INDEX_BYTES);
  });
}

/** @param frame a checked frame of type configuration3 */
export function decodeConfiguration3(frame: Uint8Array): Configuration3 | Configuration3Part | Malformed {
  const end = frame.length - CHK_BYTES;
  if (end < HEAD_BYTES + INDEX_BYTES) return malformed('body', 'a CFG-3 without CONT_IDX');
  const view = viewOf(frame);
  const index = view.getUint16(HEAD_BYTES);
  const bytes = frame.subarray(HEAD_BYTES + INDEX_BYTES, end);
  if (index === ONLY) return readConfiguration3(readHead(view), bytes);
  return { kind: 'configuration3Part', ...readHead(view), index, bytes };
}

/** Joins the parts of one stream's CFG-3 as they come. */
export class Configuration3Parts {
  private parts: Configuration3Part[] = [];

  /** The whole, with its last part; undefined: more is to come. A part out of its order is Malformed, and all before it is let go. */
  take(part: Configuration3Part): Configuration3 | Malformed | undefined {
    const before = this.parts;
    const expected = before.length + FIRST;
    this.parts = [];
    if (part.index === FIRST) {
      this.parts = [part];
      return undefined;
    }
    if (before.length === 0 || (part.index !== expected && part.index !== LAST))
      return malformed('body', `part ${part.index} of a CFG-3, where ${expected} was to come`);
    const parts = [...before, part];
    const size = parts.reduce((sum, { bytes }) => sum + bytes.length, 0);
    if (size > MOST_BYTES) return malformed('body', `a CFG-3 of more than ${MOST_BYTES} bytes`);
    if (part.index === LAST)
      return readConfiguration3(before[0] ?? part, Buffer.concat(parts.map(({ bytes }) => bytes)));
    this.parts = parts;
    return undefined;
  }
}
