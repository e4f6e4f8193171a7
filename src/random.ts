/** Randomness, injected like time: ids, jitter of back-offs, message-id starts. */
import { randomBytes, randomInt } from 'node:crypto';

export interface Random {
  /** `count` random bytes. */
  bytes(count: number): Uint8Array;
  /** A whole number in 0 .. limit-1. */
  below(limit: number): number;
}

export const systemRandom: Random = {
  bytes: (count) => randomBytes(count),
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
  return Array.from(random.bytes(16), (byte) => ID_ALPHABET[byte & 31]).join('');
}
const ID_ALPHABET = 'abcdefghijkmnpqrstuvwxyz23456789';
