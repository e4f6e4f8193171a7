/**
 * The instants at which a PMU measures: slot k of every UTC second at k/rate, or every n seconds counted from the hour
 * [C37.118.2 DATA_RATE]. Slots are numbered through from the epoch, so "the next" is always one more.
 */
import { refuse, type Refusal } from '../errors.js';
import { slotTag, type TimeTag } from '../protocols/c37118/time.js';

const US_PER_SECOND = 1_000_000;
const SECONDS_PER_HOUR = 3600;
const FASTEST = 120;
const SLOWEST_S = 60;

export class SlotGrid {
  /** @param dataRate as on the wire: above 0 frames a second, below 0 seconds a frame; never 0 */
  constructor(readonly dataRate: number) {}

  get periodUs(): number {
    return this.dataRate > 0 ? US_PER_SECOND / this.dataRate : -this.dataRate * US_PER_SECOND;
  }

  /** The first slot not before an instant, in microseconds since the epoch. */
  firstFrom(us: number): number {
    const estimate = Math.floor(us / this.periodUs) - 1;
    let slot = estimate;
    while (this.us(slot) < us) slot++;
    return slot;
  }

  /** The instant of a slot, to the nearest microsecond. */
  us(slot: number): number {
    const { soc, slot: k } = this.place(slot);
    return soc * US_PER_SECOND + Math.round((k * US_PER_SECOND) / Math.max(this.dataRate, 1));
  }

  /** Seconds between two slots, exact but for the last division. */
  secondsBetween(from: number, to: number): number {
    return this.dataRate > 0 ? (to - from) / this.dataRate : (to - from) * -this.dataRate;
  }

  tag(slot: number, timeBase: number): TimeTag {
    return slotTag(this.place(slot), timeBase, Math.max(this.dataRate, 1));
  }

  private place(slot: number): { readonly soc: number; readonly slot: number } {
    if (this.dataRate < 0) return { soc: slot * -this.dataRate, slot: 0 };
    const soc = Math.floor(slot / this.dataRate);
    return { soc, slot: slot - soc * this.dataRate };
  }
}

/** Reads `30` (a second) or `1/10` (one in ten seconds). */
export function parseRate(text: string): SlotGrid | Refusal {
  const [, above, below] = /^(?:(\d{1,3})|1\/(\d{1,2}))$/.exec(text) ?? [];
  const [rate, seconds] = [Number(above), Number(below)];
  if (rate >= 1 && rate <= FASTEST) return new SlotGrid(rate);
  if (seconds === 1) return new SlotGrid(1);
  if (seconds > 1 && seconds <= SLOWEST_S && SECONDS_PER_HOUR % seconds === 0) return new SlotGrid(-seconds);
  return refuse(
    'STATUS_BAD_REQUEST',
    `--rate is 1 to ${FASTEST} frames a second, or 1/n for one in n seconds, n up to ${SLOWEST_S} and dividing the hour; not ${JSON.stringify(text)}.`,
  );
}
