/** Command and header frames: what a client asks of a stream, and the free text a device may tell of itself [C37.118.2 6.6, 6.3]. */
import {
  CHK_BYTES,
  HEAD_BYTES,
  makeFrame,
  malformed,
  readHead,
  viewOf,
  type FrameHead,
  type Malformed,
} from './frame.js';

/** The codes of CMD; 0x0100-0x0FFF are the user's, others reserved. Unknown ones are to be discarded in silence. */
export const COMMANDS = {
  dataOff: 1,
  dataOn: 2,
  sendHeader: 3,
  sendConfiguration1: 4,
  sendConfiguration2: 5,
  sendConfiguration3: 6,
  extended: 8,
} as const;

/** The time in commands is to be ignored: a client does not know TIME_BASE before its first command. */
export interface CommandFrame extends FrameHead {
  readonly kind: 'command';
  /** 16 bits; see COMMANDS. */
  readonly code: number;
  /** What follows the code: up to 65,517 bytes of the user's with `extended`, empty otherwise. */
  readonly extension: Uint8Array;
}

export interface HeaderFrame extends FrameHead {
  readonly kind: 'header';
  /** One character a byte (Latin-1); ASCII by the standard, often empty. */
  readonly text: string;
}

const CODE_BYTES = 2;

export function encodeCommand(frame: CommandFrame): Uint8Array {
  return makeFrame('command', frame, CODE_BYTES + frame.extension.length, (view) => {
    view.setUint16(HEAD_BYTES, frame.code);
    new Uint8Array(view.buffer).set(frame.extension, HEAD_BYTES + CODE_BYTES);
  });
}

/** @param bytes a checked frame of type command */
export function decodeCommand(bytes: Uint8Array): CommandFrame | Malformed {
  const end = bytes.length - CHK_BYTES;
  if (end < HEAD_BYTES + CODE_BYTES) return malformed('body', 'a command frame without a command');
  const view = viewOf(bytes);
  return {
    kind: 'command',
    ...readHead(view),
    code: view.getUint16(HEAD_BYTES),
    extension: bytes.subarray(HEAD_BYTES + CODE_BYTES, end),
  };
}

export function encodeHeader(frame: HeaderFrame): Uint8Array {
  return makeFrame('header', frame, frame.text.length, (view) => {
    for (let at = 0; at < frame.text.length; at++) view.setUint8(HEAD_BYTES + at, frame.text.charCodeAt(at));
  });
}

/** @param bytes a checked frame of type header */
export function decodeHeader(bytes: Uint8Array): HeaderFrame {
  const text = Buffer.from(bytes.subarray(HEAD_BYTES, bytes.length - CHK_BYTES)).toString('latin1');
  return { kind: 'header', ...readHead(viewOf(bytes)), text };
}
