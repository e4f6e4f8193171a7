/**
 * The figures of one source's health [synchrophasor.md 6, what users ask for]: what was lost, late, doubled, and how old
 * measurements are when they arrive. Plain integers, read when somebody asks.
 */
import { noFramingCounts, type FramingCounts } from './framer.js';
import { slotOf, type TimeTag } from './time.js';

/** How far back a frame is recognised as a duplicate: 0.5 s at 120/s, above any reordering of a network. */
const REMEMBERED_SLOTS = 64;
/** A larger step is the source's clock being set, not frames lost. */
const LARGEST_GAP_SLOTS = 3600;

export type Arrival = 'in order' | 'out of order' | 'duplicate';

/** What a source's `health` shows. Delays are in microseconds, arrival at our socket minus the tag. */
export interface HealthFigures extends Readonly<FramingCounts> {
  readonly dataFrames: number;
  /** Data frames before any configuration. */
  readonly unconfigured: number;
  readonly lengthMismatches: number;
  /** Good frames of other streams or of types that are not for a client. */
  readonly foreignFrames: number;
  readonly duplicates: number;
  readonly outOfOrder: number;
  readonly missingSlots: number;
  /** Tags outside the lag/lead window around the local clock. */
  readonly unreasonableTags: number;
  readonly sourceDelayUs: { readonly min: number; readonly mean: number; readonly max: number } | undefined;
  readonly connects: number;
  readonly lastError: string | undefined;
}

export class StreamHealth {
  readonly framing: FramingCounts = noFramingCounts();
  dataFrames = 0;
  unconfigured = 0;
  lengthMismatches = 0;
  foreignFrames = 0;
  duplicates = 0;
  outOfOrder = 0;
  missingSlots = 0;
  unreasonableTags = 0;
  /** Links opened so far. */
  connects = 0;
  lastError: string | undefined;
  private readonly remembered = new Float64Array(REMEMBERED_SLOTS).fill(-1);
  private newest = -1;
  private delays = 0;
  private delaySumUs = 0;
  private delayMinUs = Infinity;
  private delayMaxUs = -Infinity;

  /**
   * Files a frame under its slot.
   *
   * @param rate frames per second
   * @param isLeapSecond the second of an inserted leap second's repetition of SOC, kept apart from the first
   */
  arrive(tag: TimeTag, timeBase: number, rate: number, isLeapSecond: boolean): Arrival {
    const { soc, slot } = slotOf(tag, timeBase, Math.max(1, rate));
    const index = rate < 1 ? Math.round(soc * rate) : soc * rate + slot;
    const key = 2 * index + (isLeapSecond ? 1 : 0);
    const place = index % REMEMBERED_SLOTS;
    if (this.remembered[place] === key) {
      this.duplicates++;
      return 'duplicate';
    }
    this.remembered[place] = key;
    const gap = index - this.newest;
    const isFirst = this.newest < 0;
    if (gap > 0 || gap < -LARGEST_GAP_SLOTS) this.newest = index;
    if (isFirst || Math.abs(gap) > LARGEST_GAP_SLOTS) return 'in order';
    if (gap > 0) {
      this.missingSlots += gap - 1;
      return 'in order';
    }
    this.outOfOrder++;
    // It had been counted as missing when the one after it came; one from long ago is a replay.
    if (gap > -REMEMBERED_SLOTS && this.missingSlots > 0) this.missingSlots--;
    return 'out of order';
  }

  /** Takes one source delay; those of unreasonable tags are left out by the caller. */
  delay(us: number): void {
    this.delays++;
    this.delaySumUs += us;
    this.delayMinUs = Math.min(this.delayMinUs, us);
    this.delayMaxUs = Math.max(this.delayMaxUs, us);
  }

  /** A new session or configuration: the next frame is nobody's successor. */
  restart(): void {
    this.newest = -1;
  }

  figures(): HealthFigures {
    const { dataFrames, unconfigured, lengthMismatches, foreignFrames, duplicates, outOfOrder, missingSlots } = this;
    const { unreasonableTags, connects, lastError, delays } = this;
    return {
      ...this.framing,
      dataFrames,
      unconfigured,
      lengthMismatches,
      foreignFrames,
      duplicates,
      outOfOrder,
      missingSlots,
      unreasonableTags,
      sourceDelayUs:
        delays === 0
          ? undefined
          : { min: this.delayMinUs, mean: Math.round(this.delaySumUs / delays), max: this.delayMaxUs },
      connects,
      lastError,
    };
  }
}
