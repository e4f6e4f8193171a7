/** STAT, the 16 bits in front of each PMU's values [C37.118.2 STAT]. */

export const STAT = {
  /** Bits 15-14, see `dataError`. */
  dataErrorMask: 0xc000,
  unsynchronised: 0x2000,
  /** Placed by arrival, not by its time tag. */
  byArrival: 0x1000,
  trigger: 0x0800,
  /** Set a minute ahead; the new configuration holds from the first frame without it. */
  configurationChange: 0x0400,
  /** By interpolation, down-sampling, correction; not by conversion of format. */
  modified: 0x0200,
} as const;

/** `error`: nothing known of the data; `test`: test mode, or absent data filled in; `unusable`: do not use. */
export type DataError = 'good' | 'error' | 'test' | 'unusable';
const DATA_ERRORS = ['good', 'error', 'test', 'unusable'] as const;

// Two bits: the table always has the index.
export const dataError = (stat: number): DataError => DATA_ERRORS[(stat >> 14) & 3]!;
const FLAGS = STAT.unsynchronised | STAT.byArrival | STAT.trigger | STAT.configurationChange | STAT.modified;
/** Fields that are worse the larger they are: data error, PMU_TQ, unlocked time. */
const DEGREES = [STAT.dataErrorMask, 0x01c0, 0x0030];
const TRIGGER_REASON = 0x000f;

/** Of what is made of several: every flag that one of them has, of each degree the worst, the reason of the last trigger. */
export function worstStat(stats: readonly number[]): number {
  const flags = stats.reduce((bits, stat) => bits | (stat & FLAGS), 0);
  const degrees = DEGREES.map((mask) => stats.reduce((worst, stat) => Math.max(worst, stat & mask), 0));
  const triggered = stats.findLast((stat) => (stat & STAT.trigger) !== 0) ?? 0;
  return degrees.reduce((bits, degree) => bits | degree, flags | (triggered & TRIGGER_REASON));
}

/** PMU_TQ: 0 not used, 1..6 within 100 ns .. 10 ms, 7 worse or unknown. */
export const pmuTimeQuality = (stat: number): number => (stat >> 6) & 7;
/** 0 locked or for less than 10 s not, 1 below 100 s, 2 below 1000 s, 3 longer. */
export const unlockedTime = (stat: number): number => (stat >> 4) & 3;
/** 0 manual, 1 magnitude low, 2 high, 3 angle difference, 4 frequency, 5 df/dt, 7 digital, 8-15 the user's. */
export const triggerReason = (stat: number): number => stat & 15;
