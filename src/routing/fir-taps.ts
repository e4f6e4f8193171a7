/**
 * The anti-aliasing filters of `method=fir`: for each pair of rates one linear-phase low-pass, computed, not tabulated.
 *
 *     gain   1 ─────────╮ 0.09 dB                    asked for: what is at half the new rate or above would be seen
 *                        ╲                           folded down afterwards, and so must be gone
 *          -40 dB         ╰───────────
 *              0 ── 0.2 ──────── 0.5 ── x new rate
 *
 * A windowed sinc, the window Kaiser's: pass and stop band ripple alike, and the number of taps is a formula. A narrower
 * transition costs delay: up to 0.4 of the new rate it would be 2 s at 5 per second instead of 0.8.
 */

/** Up to here, times the new rate, nothing is lost; from there on everything. */
export const PASS_EDGE = 0.2;
export const STOP_EDGE = 0.5;
/** 40 dB at the edge itself, with what the formula is off by. */
const ATTENUATION_DB = 42;

/** A filter that lengthens the grid by `stride`. */
export interface Taps {
  /** An odd number, symmetric, their sum 1. */
  readonly weights: Float64Array;
  /** Input slots by which the output is behind: half of what the weights span. */
  readonly delay: number;
}

const known = new Map<number, Taps>();

/** @param stride input slots to one output, from 2 on; equal ones share their taps */
export function tapsOf(stride: number): Taps {
  let taps = known.get(stride);
  if (!taps) known.set(stride, (taps = design(stride)));
  return taps;
}

/** Kaiser's design [F. Kaiser 1974: N = (A - 7.95) / 14.36 df; beta = 0.5842 (A - 21)^0.4 + 0.07886 (A - 21) for 21 < A < 50]. */
function design(stride: number): Taps {
  const cutoff = (PASS_EDGE + STOP_EDGE) / 2 / stride;
  const transition = (STOP_EDGE - PASS_EDGE) / stride;
  const delay = Math.ceil((ATTENUATION_DB - 7.95) / (14.36 * transition) / 2);
  const beta = 0.5842 * (ATTENUATION_DB - 21) ** 0.4 + 0.07886 * (ATTENUATION_DB - 21);
  const weights = Float64Array.from({ length: 2 * delay + 1 }, (_, index) => {
    const from = index - delay;
    const sinc = from === 0 ? 2 * cutoff : Math.sin(2 * Math.PI * cutoff * from) / (Math.PI * from);
    return sinc * bessel(beta * Math.sqrt(1 - (from / delay) ** 2));
  });
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return { weights: weights.map((weight) => weight / sum), delay };
}

/** Modified Bessel function of the first kind, order 0, by its series: exact to a double in these arguments. */
function bessel(x: number): number {
  let [sum, term] = [1, 1];
  for (let k = 1; term > sum * Number.EPSILON; k++) sum += term *= (x / 2 / k) ** 2;
  return sum;
}
