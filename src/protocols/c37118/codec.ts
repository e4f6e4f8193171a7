/**
 * The C37.118.2-2011 codec's front door: bytes to frames and back, for whoever speaks the protocol (broker, simulators, tests).
 *
 *     bytes ── checkFrame: sync, type, version, size, CHK ──> by type ──> frame | malformed
 *
 * Pure: no clock, no I/O. Nothing throws, nothing is allocated from a length that was not checked, and time is linear in the
 * bytes. encode(decode(bytes)) gives the same bytes, but for the payload bits of a float NaN.
 */
import {
  decodeCommand,
  decodeHeader,
  encodeCommand,
  encodeHeader,
  type CommandFrame,
  type HeaderFrame,
} from './command.js';
import { decodeConfiguration, encodeConfiguration, type Configuration } from './configuration.js';
import { writeConfiguration3, type Configuration3 } from './configuration3.js';
import { decodeConfiguration3, encodePart, type Configuration3Part } from './configuration3-parts.js';
import { decodeData, type DataFrame, type StreamLayout } from './data-frame.js';
import { checkFrame, malformed, readHead, typeOf, viewOf, type Malformed } from './frame.js';

export type Frame = DataFrame | HeaderFrame | Configuration | Configuration3 | Configuration3Part | CommandFrame;

/**
 * Reads one frame.
 *
 * @param bytes exactly the frame
 * @param layoutOfStream the layout of a stream's data frames; without one, data frames are Malformed 'configuration'
 */
export function decode(
  bytes: Uint8Array,
  layoutOfStream?: (streamId: number) => StreamLayout | undefined,
): Frame | Malformed {
  return checkFrame(bytes) ?? decodeChecked(bytes, layoutOfStream);
}

/** As `decode`, of a frame that `checkFrame` or the framer has let pass. */
function decodeChecked(
  bytes: Uint8Array,
  layoutOfStream?: (streamId: number) => StreamLayout | undefined,
): Frame | Malformed {
  const type = typeOf(bytes);
  switch (type) {
    case 'data': {
      const { streamId } = readHead(viewOf(bytes));
      const layout = layoutOfStream?.(streamId);
      return layout ? decodeData(bytes, layout) : malformed('configuration', `no configuration of stream ${streamId}`);
    }
    case 'header':
      return decodeHeader(bytes);
    case 'command':
      return decodeCommand(bytes);
    case 'configuration1':
    case 'configuration2':
      return decodeConfiguration(bytes, type);
    case 'configuration3':
      return decodeConfiguration3(bytes);
  }
}

/**
 * Writes one frame, its size and CHK computed; data frames are written by `encodeData` with their layout.
 *
 * @throws RangeError for more than 65535 bytes
 */
export function encode(frame: Exclude<Frame, DataFrame>): Uint8Array {
  switch (frame.kind) {
    case 'header':
      return encodeHeader(frame);
    case 'command':
      return encodeCommand(frame);
    case 'configuration1':
    case 'configuration2':
      return encodeConfiguration(frame);
    case 'configuration3':
      return encodePart({ ...frame, kind: 'configuration3Part', index: 0, bytes: writeConfiguration3(frame) });
    case 'configuration3Part':
      return encodePart(frame);
  }
}
