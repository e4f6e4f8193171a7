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
/** PMU_TQ: 0 not used, 1..6 within 100 ns .. 10 ms, 7 worse or unknown. */
export const pmuTimeQuality = (stat: number): number => (stat >> 6) & 7;
/** 0 locked or for less than 10 s not, 1 below 100 s, 2 below 1000 s, 3 longer. */
export const unlockedTime = (stat: number): number => (stat >> 4) & 3;
/** 0 manual, 1 magnitude low, 2 high, 3 angle difference, 4 frequency, 5 df/dt, 7 digital, 8-15 the user's. */
export const triggerReason = (stat: number): number => stat & 15;
