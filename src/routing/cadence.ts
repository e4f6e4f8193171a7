/**
 * Cadence: which samples of a periodic stream one subscriber gets.
 *
 *     source 30/s   0  1  2  3  4  5  6  7 ...   slot = round(fraction of the UTC second x source rate)
 *     wanted  5/s   0                 6    ...   admitted when slot x wanted / source is whole
 *     every 10 s    slot 0 of the seconds with SOC mod 10 = 0
 *
 * The grid hangs on the UTC second of the *measured* time: not on arrival, not on the moment of subscribing. So all PMUs of
 * one application are decimated at the same instants, a lost frame never shifts the phase, and decimating twice (30 -> 15 at
 * a gateway, 15 -> 5 at a control centre) picks what decimating once would. Integers only: it runs once per sample and group
 * of equal subscribers.
 */
import { refuse, type Refusal } from '../errors.js';
import type { Terms } from './terms.js';

const US_PER_SECOND = 1_000_000;
/** Periods above a second must divide the hour, so that every hour has the same grid. */
const SECONDS_PER_HOUR = 3600;
/** `minimalTimeBetweenNotifications` has whole milliseconds: 33 ms must still mean 30/s. */
const SPACING_TOLERANCE_S = 0.001;

/** The rates per second that divide `sourceRate`, fastest first. */
export function dividingRates(sourceRate: number): readonly number[] {
  const rates: number[] = [];
  for (let rate = sourceRate; rate >= 1; rate--) if (sourceRate % rate === 0) rates.push(rate);
  return rates;
}

/** The slot of its UTC second that an instant belongs to, counted from the epoch: second x rate + slot. */
export function slotOf(measuredUs: number, sourceRate: number): number {
  const second = Math.floor(measuredUs / US_PER_SECOND);
  // Rounding to the nearest slot absorbs what devices do to FRACSEC (truncation, a TIME_BASE of 2^24 - 1); what rounds up to
  // the next second is that second's slot 0.
  return second * sourceRate + Math.round(((measuredUs - second * US_PER_SECOND) * sourceRate) / US_PER_SECOND);
}

export class Cadence {
  private constructor(
    /** Samples per second of the source; 0 when it declares none. */
    readonly sourceRate: number,
    /** Slots from one admitted sample to the next. */
    readonly stride: number,
    /** Without a declared rate: the smallest spacing of measured time, microseconds. */
    readonly spacingUs: number,
  ) {}

  /** Equal keys are equal cadences: what deliveries are grouped by. */
  get key(): string {
    return `${this.sourceRate}/${this.stride}/${this.spacingUs}`;
  }

  /** Seconds between two samples of this cadence; 0 when the source declares no rate and none was asked. */
  get periodS(): number {
    return this.sourceRate > 0 ? this.stride / this.sourceRate : this.spacingUs / US_PER_SECOND;
  }

  /**
   * The cadence that answers the terms.
   *
   * @param sourceRate samples per second the source reports [C37.118.2 DATA_RATE]; 0 or below 1: taken as not periodic within
   *   the second, spacing is by measured time
   * @param limits the container's default and highest allowed rate, samples per second
   */
  static of(
    sourceRate: number,
    terms: Pick<Terms, 'rate' | 'minSpacingS'>,
    limits: { readonly defaultRate?: number; readonly highestRate?: number } = {},
  ): Cadence | Refusal {
    const { highestRate } = limits;
    const rate = terms.rate ?? (terms.minSpacingS === undefined ? limits.defaultRate : undefined);
    if (highestRate !== undefined && rate !== undefined && rate > highestRate) {
      return refuse('STATUS_BAD_REQUEST', `rate ${rate} is above the highest allowed here, ${highestRate} per second.`);
    }
    const asked = rate !== undefined ? 1 / rate : (terms.minSpacingS ?? 0);
    const spacingS = highestRate === undefined ? asked : Math.max(asked, 1 / highestRate);
    if (sourceRate < 1) return new Cadence(0, 0, Math.round(spacingS * US_PER_SECOND));
    if (rate === undefined) return Cadence.spaced(sourceRate, spacingS);
    const accepted = acceptedRates(sourceRate, highestRate);
    if (rate >= 1 && accepted.includes(rate)) return new Cadence(sourceRate, sourceRate / rate, 0);
    const seconds = Math.round(1 / rate);
    if (rate < 1 && SECONDS_PER_HOUR % seconds === 0 && Math.abs(seconds * rate - 1) < 1e-3)
      return new Cadence(sourceRate, sourceRate * seconds, 0);
    return refuse(
      'STATUS_BAD_REQUEST',
      `rate ${rate} does not divide the source's ${sourceRate} per second; possible: ${accepted.join(', ')}, or one in n seconds with n dividing 3600.`,
    );
  }

  /** The fastest cadence whose period is not shorter than `spacingS`. */
  private static spaced(sourceRate: number, spacingS: number): Cadence {
    const fastest = dividingRates(sourceRate).find((rate) => 1 / rate >= spacingS - SPACING_TOLERANCE_S);
    if (fastest !== undefined) return new Cadence(sourceRate, sourceRate / fastest, 0);
    let seconds = Math.min(SECONDS_PER_HOUR, Math.ceil(spacingS - SPACING_TOLERANCE_S));
    while (SECONDS_PER_HOUR % seconds !== 0) seconds++;
    return new Cadence(sourceRate, sourceRate * seconds, 0);
  }

  /** Whether the sample in `slot` (of `slotOf`) belongs to this cadence. Only for a source with a declared rate. */
  admits(slot: number): boolean {
    return slot % this.stride === 0;
  }
}

const acceptedRates = (sourceRate: number, highestRate = Infinity): readonly number[] =>
  dividingRates(sourceRate).filter((rate) => rate <= highestRate);
