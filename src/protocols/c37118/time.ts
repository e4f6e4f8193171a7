/**
 * Time tags: SOC whole seconds of UTC and a count of TIME_BASE ticks [C37.118.2 SOC, FRACSEC].
 *
 *     tag (soc, fraction) ── tagUs ──> microseconds UTC ── usTag ──> tag
 *              └──────────── slotOf ─> slot k of rate: round(fraction x rate / TIME_BASE); k = rate is slot 0 of the next second
 *
 * All integers. A double of seconds resolves only 0.24 us, so a tag and its twin computed that way would compare unequal.
 */

const US_PER_SECOND = 1_000_000;

export interface TimeTag {
  /** Seconds since 1970-01-01 UTC, unsigned 32 bits, leap seconds not counted. */
  readonly soc: number;
  /** Ticks of 1/TIME_BASE second, 24 bits. */
  readonly fraction: number;
}

export interface Slot {
  readonly soc: number;
  readonly slot: number;
}

/** Exact round(a x b / c), half up, for products below 2^51. */
const scaled = (a: number, b: number, c: number): number => Math.floor((2 * a * b + c) / (2 * c));

/** Microseconds since the epoch, rounded to the nearest. */
export const tagUs = ({ soc, fraction }: TimeTag, timeBase: number): number =>
  soc * US_PER_SECOND + scaled(fraction, US_PER_SECOND, timeBase);

/** The tag nearest to an instant in microseconds since the epoch. */
export function usTag(us: number, timeBase: number): TimeTag {
  const soc = Math.floor(us / US_PER_SECOND);
  return carried(soc, scaled(us - soc * US_PER_SECOND, timeBase, US_PER_SECOND), timeBase);
}

/** Which slot of its second's grid of `rate` per second a tag belongs to. */
export function slotOf({ soc, fraction }: TimeTag, timeBase: number, rate: number): Slot {
  const slot = scaled(fraction, rate, timeBase);
  return { soc: soc + Math.floor(slot / rate), slot: slot % rate };
}

/** The tag of slot `slot` of `rate` per second. */
export const slotTag = ({ soc, slot }: Slot, timeBase: number, rate: number): TimeTag =>
  carried(soc, scaled(slot, timeBase, rate), timeBase);

function carried(soc: number, fraction: number, timeBase: number): TimeTag {
  const seconds = Math.floor(fraction / timeBase);
  return { soc: soc + seconds, fraction: fraction - seconds * timeBase };
}

/** The time quality byte [C37.118.2 time quality]; bit 7 is reserved. */
export const TIME_QUALITY = {
  leapDelete: 0x40,
  leapOccurred: 0x20,
  leapPending: 0x10,
  /** MSG_TQ: 0 locked, 1..9 within 10^-9..10^-1 s, 10 1 s, 11 10 s, 15 clock fault. */
  errorMask: 0x0f,
} as const;
