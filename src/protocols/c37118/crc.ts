/**
 * CHK of every C37.118 frame: CRC-16 with polynomial 0x1021, initial 0xFFFF, no reflection, no final XOR [C37.118.2 CHK].
 *
 * A frame with its CHK at the end has CRC 0, which is how frames are checked. For the stream framer there is the CRC of
 * any stretch in constant time from the running values at its two ends, so that hostile bytes full of false beginnings cost
 * no more than good ones.
 */

const POLYNOMIAL = 0x1021;
const INITIAL = 0xffff;
/** The longest stretch asked for: a frame's size is 16 bits. */
const LONGEST = 0xffff;

const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ POLYNOMIAL : crc << 1;
  return crc;
});

/** The running CRC after one more byte. */
// The index is masked to 8 bits: the table always has it.
export const crcStep = (crc: number, byte: number): number => ((crc << 8) & 0xffff) ^ TABLE[(crc >> 8) ^ byte]!;

/**
 * `running[i]` is the running CRC in front of `bytes[i]`; this goes on from `from` up to `to`.
 *
 * A function of its own: inside one that does more, V8 may drop the optimised loop and run it 20 times slower (bench history).
 */
export function crcRun(bytes: Uint8Array, running: Uint16Array, from: number, to: number): void {
  // `at` stays inside both arrays.
  for (let at = from; at < to; at++) running[at + 1] = crcStep(running[at]!, bytes[at]!);
}

/** CRC of `bytes` from `start` up to `end`; 0 for a whole frame with a good CHK. */
export function crcCcitt(bytes: Uint8Array, start = 0, end = bytes.length): number {
  let crc = INITIAL;
  for (let at = start; at < end; at++) crc = crcStep(crc, bytes[at] ?? 0);
  return crc;
}

/** SHIFT[n]: x^(8n) modulo the polynomial, the factor that n further zero bytes put on a running CRC. */
const SHIFT = new Uint16Array(LONGEST + 1);
for (let n = 0, factor = 1; n <= LONGEST; n++, factor = crcStep(factor, 0)) SHIFT[n] = factor;

/**
 * CRC of a stretch of `length` bytes (at most 65535), given the running CRCs `before` its first and `after` its last byte,
 * whatever they started from: CRCs are linear, so the part that lies before is shifted along and taken off.
 */
export function crcBetween(before: number, after: number, length: number): number {
  const factor = SHIFT[length] ?? 0;
  let carried = 0;
  for (let bit = 0x8000; bit > 0; bit >>= 1) {
    carried = carried & 0x8000 ? ((carried << 1) & 0xffff) ^ POLYNOMIAL : carried << 1;
    if (factor & bit) carried ^= before ^ INITIAL;
  }
  return after ^ carried;
}
