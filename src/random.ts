/** Randomness, injected like time: ids, jitter of back-offs, message-id starts. */
import { randomBytes, randomFillSync, randomInt } from 'node:crypto';

export interface Random {
  /** `count` random bytes. */
  bytes(count: number): Uint8Array;
  /** A whole number in 0 .. limit-1. */
  below(limit: number): number;
}

/** Drawn at once: a call for the 16 bytes of an id costs 2.3 us, its share of this many 0.1 us. */
const POOL_BYTES = 4096;
const pool = new Uint8Array(POOL_BYTES);
let drawn = POOL_BYTES;

function pooledBytes(count: number): Uint8Array {
  if (count > POOL_BYTES) return randomBytes(count);
  if (drawn + count > POOL_BYTES) {
    randomFillSync(pool);
    drawn = 0;
  }
  return pool.slice(drawn, (drawn += count)); // a copy: what is given out is never given again
}

export const systemRandom: Random = {
  bytes: pooledBytes,
  below: (limit) => randomInt(limit),
};

/** Equal seeds give equal sequences (mulberry32): simulations and tests, never secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const below = (limit: number): number => Math.floor((next() / 2 ** 32) * limit);
  return { below, bytes: (count) => Uint8Array.from({ length: count }, () => below(256)) };
}

/** An id of 16 characters without look-alikes of `/` or reserved names: 80 random bits. */
export function randomId(random: Random): string {
  const bytes = random.bytes(ID_LENGTH);
  for (let n = 0; n < ID_LENGTH; n++) letters[n] = ID_ALPHABET.charCodeAt((bytes[n] ?? 0) & 31);
  // Put together character by character it would stay the 160 bytes of its pieces instead of 32.
  return letters.toString('latin1');
}
const ID_ALPHABET = 'abcdefghijkmnpqrstuvwxyz23456789';
const ID_LENGTH = 16;
/** Of the id that is being made. */
const letters = Buffer.alloc(ID_LENGTH);

/**
 * Ids of the same kind for what comes ten thousand times a second: 60 bits are drawn for a million of them, the others count. For
 * names alone: whoever has seen one can guess the next.
 */
export function idSeries(random: Random): () => string {
  let drawn = '';
  let prefix = '';
  let next = 0;
  return () => {
    if (next === 0) drawn = randomId(random).slice(0, ID_LENGTH - 4);
    if (next % PAIRS.length === 0) prefix = drawn + PAIRS[next / PAIRS.length]!; // below their number
    const id = prefix + PAIRS[next % PAIRS.length]!; // as above
    next = (next + 1) % PAIRS.length ** 2;
    return id;
  };
}
const PAIRS = Array.from(ID_ALPHABET).flatMap((first) => Array.from(ID_ALPHABET, (second) => first + second));

/** Two characters are ten bits; eight are five bytes. */
export const PACKED_ID_BYTES = 10;
const VALUES = new Map(Array.from(ID_ALPHABET, (character, value) => [character.charCodeAt(0), value]));

/** The 80 bits of such an id, until the next is packed; undefined for any other text. */
export function packId(id: string): Uint8Array | undefined {
  if (id.length !== ID_LENGTH) return undefined;
  let [bits, held, at] = [0, 0, 0];
  for (let n = 0; n < ID_LENGTH; n++) {
    const value = VALUES.get(id.charCodeAt(n));
    if (value === undefined) return undefined;
    bits = (bits << 5) | value;
    held += 5;
    if (held < 8) continue;
    held -= 8;
    packed[at++] = bits >>> held;
    bits &= (1 << held) - 1;
  }
  return packed;
}
const packed = new Uint8Array(PACKED_ID_BYTES);

/** The id whose bits stand at a place. */
export function unpackId(bytes: Uint8Array, start: number): string {
  let [bits, held, id] = [0, 0, ''];
  for (let n = start; n < start + PACKED_ID_BYTES; n++) {
    bits = (bits << 8) | (bytes[n] ?? 0);
    for (held += 8; held >= 5; held -= 5) id += ID_ALPHABET.charAt((bits >>> (held - 5)) & 31);
    bits &= (1 << held) - 1;
  }
  return id;
}
