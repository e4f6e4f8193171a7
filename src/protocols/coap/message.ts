/**
 * One CoAP message and its bytes [RFC7252-3].
 *
 *      0               1               2               3
 *     |ver|typ|  TKL  |     code      |           message id          | token | options | 0xFF payload |
 *
 * The decoder is strict, never throws and allocates nothing from a length it has not checked. What it refuses falls in two:
 * `foreign` (not CoAP version 1: ignored without a word) and `malformed` (a reset if it was confirmable, else silence).
 * Token, option values and payload are views into the datagram.
 */
import { decodeOptions, encodeTail, type Option } from './options.js';

export const TYPE = { confirmable: 0, nonConfirmable: 1, acknowledgement: 2, reset: 3 } as const;
export type MessageType = (typeof TYPE)[keyof typeof TYPE];

/** Method and signalling codes by name; answers are made by `coapCode` of errors.ts. */
export const CODE = { empty: 0, get: 1, post: 2, put: 3, delete: 4, fetch: 5, continue: 0x5f } as const;

export interface Message {
  readonly type: MessageType;
  /** Class in the upper three bits, detail in the lower five: 0x45 is 2.05. */
  readonly code: number;
  /** 16 bits. */
  readonly id: number;
  /** 0 to 8 bytes. */
  readonly token: Uint8Array;
  readonly options: readonly Option[];
  readonly payload: Uint8Array;
}

export type Malformed =
  | { readonly kind: 'foreign' }
  | { readonly kind: 'malformed'; readonly type: MessageType; readonly id: number; readonly reason: string };

export const isMalformed = (decoded: Message | Malformed): decoded is Malformed => 'kind' in decoded;

export const isRequest = (code: number): boolean => code >= 0x01 && code <= 0x1f;
const isResponse = (code: number): boolean => code >= 0x40 && code <= 0xbf;
export const isSuccessCode = (code: number): boolean => code >>> 5 === 2;

/** `2.05`. */
export const codeText = (code: number): string => `${code >>> 5}.${String(code & 0x1f).padStart(2, '0')}`;

export const HEADER_BYTES = 4;
export const ID_AT = 2;
const VERSION = 1;
const LONGEST_TOKEN = 8;
const NOTHING = new Uint8Array(0);

/** Whether a datagram begins as a non-confirmable POST does. */
export const isNonPost = (datagram: Uint8Array): boolean =>
  datagram.length > HEADER_BYTES &&
  (datagram[0]! & 0xf0) === ((VERSION << 6) | (TYPE.nonConfirmable << 4)) && // as the length says
  (datagram[0]! & 0x0f) <= LONGEST_TOKEN &&
  datagram[1] === CODE.post;

/** Whether a message is a confirmable POST: each gateway of a million posts with options of its own, now and then. */
export const isConfirmablePost = ({ type, code }: Pick<Message, 'type' | 'code'>): boolean =>
  type === TYPE.confirmable && code === CODE.post;

const typeOf = (first: number): MessageType => ((first >>> 4) & 3) as MessageType;

/** Where its options begin. */
export const optionsAt = (datagram: Uint8Array): number => HEADER_BYTES + ((datagram[0] ?? 0) & 0x0f);

/**
 * Reads one datagram.
 *
 * @param remembered reads options that come again and again; those of confirmable POSTs are decoded
 */
export function decode(datagram: Uint8Array, remembered = decodeOptions): Message | Malformed {
  // By index: to take a datagram apart as a list goes by an iterator.
  const [first, code] = [datagram[0] ?? 0, datagram[1] ?? 0];
  if (datagram.length < HEADER_BYTES || first >>> 6 !== VERSION) return { kind: 'foreign' };
  const type = typeOf(first);
  const tokenLength = first & 0x0f;
  const id = (datagram[ID_AT]! << 8) | datagram[ID_AT + 1]!; // within the header
  const malformed = (reason: string): Malformed => ({ kind: 'malformed', type, id, reason });

  if (code === CODE.empty) {
    if (datagram.length > HEADER_BYTES || tokenLength > 0)
      return malformed('an empty message with bytes behind its id');
    if (type === TYPE.nonConfirmable) return malformed('an empty non-confirmable message');
    return { type, code, id, token: NOTHING, options: [], payload: NOTHING };
  }
  if (!isRequest(code) && !isResponse(code)) return malformed('a code of a reserved class');
  if (type === TYPE.reset) return malformed('a reset that is not empty');
  if (type === TYPE.acknowledgement && isRequest(code)) return malformed('an acknowledgement that carries a request');
  if (tokenLength > LONGEST_TOKEN) return malformed('a token length of 9 to 15');
  const tokenEnd = HEADER_BYTES + tokenLength;
  if (tokenEnd > datagram.length) return malformed('a token that runs past the end');
  const readOptions = isConfirmablePost({ type, code }) ? decodeOptions : remembered;
  const decoded = readOptions(datagram, tokenEnd);
  if ('malformed' in decoded) return malformed(decoded.malformed);
  if (decoded.end === datagram.length - 1) return malformed('a payload marker without payload');
  return {
    type,
    code,
    id,
    token: datagram.subarray(HEADER_BYTES, tokenEnd),
    options: decoded.options,
    payload: decoded.end < datagram.length ? datagram.subarray(decoded.end + 1) : NOTHING,
  };
}

/** The bytes of a message. Options may stand in any order; the token has at most 8 bytes. */
export const encode = ({ type, code, id, token, options, payload }: Message): Buffer =>
  compose(type, code, id, token, encodeTail(options, payload));

/** Header and token before a tail that many datagrams share, as bytes of their own. */
export function compose(type: MessageType, code: number, id: number, token: Uint8Array, tail: Uint8Array): Buffer {
  const headBytes = HEADER_BYTES + token.length;
  const datagram = Buffer.allocUnsafe(headBytes + tail.length);
  writeFixed(datagram, 0, type, code, id, token.length);
  datagram.set(token, HEADER_BYTES);
  datagram.set(tail, headBytes);
  return datagram;
}

/** Writes header and token of a non-confirmable at an offset: all that a notification costs per observer. @param token as a key */
export function writeNonHead(bytes: Uint8Array, at: number, code: number, id: number, token: string): void {
  writeFixed(bytes, at, TYPE.nonConfirmable, code, id, token.length);
  for (let n = 0; n < token.length; n++) bytes[at + HEADER_BYTES + n] = token.charCodeAt(n);
}

function writeFixed(
  bytes: Uint8Array,
  at: number,
  type: MessageType,
  code: number,
  id: number,
  tokenLength: number,
): void {
  bytes[at] = (VERSION << 6) | (type << 4) | tokenLength;
  bytes[at + 1] = code;
  bytes[at + 2] = id >>> 8;
  bytes[at + 3] = id;
}

/** An empty message: an acknowledgement, a reset, or (confirmable) a ping. */
export const encodeEmpty = (type: MessageType, id: number): Buffer => compose(type, CODE.empty, id, NOTHING, NOTHING);

/** A token as a key of maps, 24 bytes where an array of it is 208. Not by way of a Buffer: whoever looks at the `buffer` of a small array has it moved out of the heap. */
export function tokenKey(token: Uint8Array): string {
  let key = '';
  for (const byte of token) key += String.fromCharCode(byte);
  return key;
}

/** The token of a key. */
export const tokenOf = (key: string): Uint8Array => Buffer.from(key, 'latin1');
