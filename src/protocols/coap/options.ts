/**
 * The options of a CoAP message: their numbers, lengths and meaning [RFC7252-5.10, 7641, 7959, 9175, 7967], and the delta
 * encoding they travel in.
 *
 *     delta|length  [delta 1-2 bytes]  [length 1-2 bytes]  value        13: one byte + 13   14: two bytes + 269   15: refused
 *
 * An odd number is critical: who does not know it must not act on the message. A length out of range or a second instance of an
 * option that does not repeat makes that option unknown [RFC7252-5.4.3, 5.4.5]; `screen` sorts these out.
 */

export interface Option {
  readonly number: number;
  readonly value: Uint8Array;
}

export const OPTION = {
  ifMatch: 1,
  uriHost: 3,
  etag: 4,
  ifNoneMatch: 5,
  observe: 6,
  uriPort: 7,
  locationPath: 8,
  uriPath: 11,
  contentFormat: 12,
  maxAge: 14,
  uriQuery: 15,
  accept: 17,
  locationQuery: 20,
  block2: 23,
  block1: 27,
  size2: 28,
  proxyUri: 35,
  proxyScheme: 39,
  size1: 60,
  echo: 252,
  noResponse: 258,
  requestTag: 292,
  /** Brokers that a request has come through: for experiments [RFC7252-12.2], elective, safe to forward, no part of the cache key. */
  via: 65_020,
} as const;

interface OptionRule {
  readonly name: string;
  readonly shortest: number;
  readonly longest: number;
  readonly isRepeatable: boolean;
}

const once = (name: string, shortest: number, longest: number): OptionRule => ({
  name,
  shortest,
  longest,
  isRepeatable: false,
});
const repeatable = (name: string, shortest: number, longest: number): OptionRule => ({
  name,
  shortest,
  longest,
  isRepeatable: true,
});

const RULES: ReadonlyMap<number, OptionRule> = new Map([
  [OPTION.ifMatch, repeatable('If-Match', 0, 8)],
  [OPTION.uriHost, once('Uri-Host', 1, 255)],
  [OPTION.etag, repeatable('ETag', 1, 8)],
  [OPTION.ifNoneMatch, once('If-None-Match', 0, 0)],
  [OPTION.observe, once('Observe', 0, 3)],
  [OPTION.uriPort, once('Uri-Port', 0, 2)],
  [OPTION.locationPath, repeatable('Location-Path', 0, 255)],
  [OPTION.uriPath, repeatable('Uri-Path', 0, 255)],
  [OPTION.contentFormat, once('Content-Format', 0, 2)],
  [OPTION.maxAge, once('Max-Age', 0, 4)],
  [OPTION.uriQuery, repeatable('Uri-Query', 0, 255)],
  [OPTION.accept, once('Accept', 0, 2)],
  [OPTION.locationQuery, repeatable('Location-Query', 0, 255)],
  [OPTION.block2, once('Block2', 0, 3)],
  [OPTION.block1, once('Block1', 0, 3)],
  [OPTION.size2, once('Size2', 0, 4)],
  [OPTION.proxyUri, once('Proxy-Uri', 1, 1034)],
  [OPTION.proxyScheme, once('Proxy-Scheme', 1, 255)],
  [OPTION.size1, once('Size1', 0, 4)],
  [OPTION.echo, once('Echo', 1, 40)],
  [OPTION.noResponse, once('No-Response', 0, 1)],
  [OPTION.requestTag, repeatable('Request-Tag', 0, 8)],
  [OPTION.via, repeatable('Via', 1, 64)],
]);

/** `Uri-Path`, or `option 9` for a number without a name here. */
export const optionName = (number: number): string => RULES.get(number)?.name ?? `option ${number}`;

const isCritical = (number: number): boolean => (number & 1) === 1;

/** Not part of the cache key [RFC7252-5.4.6]: two requests that differ only in these are the same. */
export const isNoCacheKey = (number: number): boolean => (number & 0x1e) === 0x1c;

const EMPTY = new Uint8Array(0);

/** The shortest big-endian bytes of a whole number up to 32 bits; none for 0 [RFC7252-3.2]. */
export function uintBytes(value: number): Uint8Array {
  if (value === 0) return EMPTY;
  if (value < 0x100) return Uint8Array.of(value);
  if (value < 0x10000) return Uint8Array.of(value >>> 8, value);
  if (value < 0x1000000) return Uint8Array.of(value >>> 16, value >>> 8, value);
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

/** A uint option's value; leading zeros are taken. At most 4 bytes, as `screen` has seen to. */
export const uintOf = (value: Uint8Array): number => value.reduce((sum, byte) => sum * 256 + byte, 0);

/** One option from its natural value: a whole number, text, or bytes. */
export const option = (number: number, value: number | string | Uint8Array): Option => ({
  number,
  value: typeof value === 'number' ? uintBytes(value) : typeof value === 'string' ? Buffer.from(value, 'utf8') : value,
});

export const valuesOf = (options: readonly Option[], number: number): readonly Uint8Array[] =>
  options.filter((each) => each.number === number).map(({ value }) => value);

export const firstOf = (options: readonly Option[], number: number): Uint8Array | undefined =>
  options.find((each) => each.number === number)?.value;

/** The value of a uint option; `undefined` where it is absent. */
export function uintOption(options: readonly Option[], number: number): number | undefined {
  const value = firstOf(options, number);
  return value === undefined ? undefined : uintOf(value);
}

export interface Screened {
  /** Those that are known and well-formed. */
  readonly options: readonly Option[];
  /** The first critical one that is not. */
  readonly unknownCritical?: number;
}

/** Sorts out what we do not understand: elective options vanish, a critical one is named. */
export function screen(options: readonly Option[]): Screened {
  let unknownCritical: number | undefined;
  const known = options.filter(({ number, value }, index) => {
    const rule = RULES.get(number);
    const isKnown =
      rule !== undefined &&
      value.length >= rule.shortest &&
      value.length <= rule.longest &&
      // Options come in order of number, so a surplus instance stands right behind its like.
      (rule.isRepeatable || options[index - 1]?.number !== number);
    if (!isKnown && isCritical(number)) unknownCritical ??= number;
    return isKnown;
  });
  return unknownCritical === undefined ? { options: known } : { options: known, unknownCritical };
}

const ONE_BYTE = 13;
const TWO_BYTES = 14;
const ONE_BYTE_FROM = 13;
const TWO_BYTES_FROM = 269;
const HIGHEST_NUMBER = 65535;
export const PAYLOAD_MARKER = 0xff;

/** Options and where they ended (the payload marker or the end of the datagram), or what was wrong with them. */
export type DecodedOptions =
  { readonly options: readonly Option[]; readonly end: number } | { readonly malformed: string };

/** Reads options from `offset`. Values are views into `datagram`. Linear in its length; every length is checked before the read. */
export function decodeOptions(datagram: Uint8Array, offset: number): DecodedOptions {
  const options: Option[] = [];
  let at = offset;
  let number = 0;
  /** The extended form of a nibble; NaN where the datagram ends inside it or the nibble is the reserved 15. */
  const extended = (nibble: number): number => {
    if (nibble < ONE_BYTE) return nibble;
    if (nibble === ONE_BYTE) return (datagram[at++] ?? NaN) + ONE_BYTE_FROM;
    if (nibble === TWO_BYTES) return (datagram[at++] ?? NaN) * 256 + (datagram[at++] ?? NaN) + TWO_BYTES_FROM;
    return NaN;
  };
  while (at < datagram.length) {
    const first = datagram[at] ?? PAYLOAD_MARKER;
    if (first === PAYLOAD_MARKER) break;
    at++;
    number += extended(first >>> 4);
    const length = extended(first & 0x0f);
    if (Number.isNaN(number) || Number.isNaN(length)) return { malformed: 'an option header is cut off or reserved' };
    if (number > HIGHEST_NUMBER) return { malformed: 'an option number exceeds 65535' };
    if (at + length > datagram.length) return { malformed: 'an option runs past the end' };
    options.push({ number, value: datagram.subarray(at, at + length) });
    at += length;
  }
  return { options, end: at };
}

/** Where the options that begin at `offset` end, or undefined where they are malformed; makes nothing. */
export function optionsEnd(datagram: Uint8Array, offset: number): number | undefined {
  let at = offset;
  while (at < datagram.length && datagram[at] !== PAYLOAD_MARKER) {
    const first = datagram[at++]!; // below the length
    at += extensionBytes(first >>> 4);
    const nibble = first & 0x0f;
    const extension = extensionBytes(nibble);
    const [high = NaN, low = NaN] = [datagram[at], datagram[at + 1]];
    const length =
      extension === 0 ? nibble : extension === 1 ? high + ONE_BYTE_FROM : high * 256 + low + TWO_BYTES_FROM;
    at += extension + length;
    if (!(at <= datagram.length)) return undefined;
  }
  return at;
}

/** Bytes that follow for a nibble; for the reserved 15 more than there can be. */
const extensionBytes = (nibble: number): number =>
  nibble < ONE_BYTE ? 0 : nibble === ONE_BYTE ? 1 : nibble === TWO_BYTES ? 2 : Infinity;

const extraBytes = (value: number): number => (value < ONE_BYTE_FROM ? 0 : value < TWO_BYTES_FROM ? 1 : 2);
const nibbleOf = (value: number): number =>
  value < ONE_BYTE_FROM ? value : value < TWO_BYTES_FROM ? ONE_BYTE : TWO_BYTES;

/** Options in order of number, those of one number in the order given. */
const inOrder = (options: readonly Option[]): readonly Option[] =>
  options.some((each, index) => each.number < (options[index - 1]?.number ?? 0))
    ? [...options].sort((a, b) => a.number - b.number)
    : options;

/** Options and payload as they travel: what follows the token, shared by all observers of one sample. */
export function encodeTail(options: readonly Option[], payload: Uint8Array): Buffer {
  const ordered = inOrder(options);
  let size = payload.length === 0 ? 0 : 1 + payload.length;
  let previous = 0;
  for (const { number, value } of ordered) {
    size += 1 + extraBytes(number - previous) + extraBytes(value.length) + value.length;
    previous = number;
  }
  const tail = Buffer.allocUnsafe(size);
  let at = 0;
  const extend = (value: number): void => {
    if (value >= TWO_BYTES_FROM) at = tail.writeUInt16BE(value - TWO_BYTES_FROM, at);
    else if (value >= ONE_BYTE_FROM) at = tail.writeUInt8(value - ONE_BYTE_FROM, at);
  };
  previous = 0;
  for (const { number, value } of ordered) {
    const delta = number - previous;
    previous = number;
    tail[at++] = (nibbleOf(delta) << 4) | nibbleOf(value.length);
    extend(delta);
    extend(value.length);
    tail.set(value, at);
    at += value.length;
  }
  if (payload.length > 0) {
    tail[at++] = PAYLOAD_MARKER;
    tail.set(payload, at);
  }
  return tail;
}
