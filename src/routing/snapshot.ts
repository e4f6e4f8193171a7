/**
 * The time-aligned set: of several sources, the samples of one UTC slot, one from each. Which of them the wait leaves out is
 * said; nothing is ever moved into another slot.
 *
 *     slot t    member 0 ──x              relative   closes at its first arrival + wait
 *               member 1 ─────────x       absolute   closes at t + wait on the local clock
 *               member 2 ──────────────x  preemptive closes when all that are on line have come, else as above
 *
 * Sets are published in the order of their slots: one that is complete waits for older ones, one that is due takes them with it.
 * A sample of a slot that has gone is late and counted. Pure: it is told the time, and `dueUs` says when to tell it next.
 */
import { slotOf } from './cadence.js';

export const WAIT_MODES = ['relative', 'absolute'] as const;
export type WaitMode = (typeof WAIT_MODES)[number];

export interface SnapshotTerms {
  /** Slots per second, whole; or one in n seconds, 1/n. */
  readonly rate: number;
  /** 0: what has come goes at the next `advance`. */
  readonly waitUs: number;
  readonly mode: WaitMode;
  readonly isPreemptive: boolean;
}

export interface AlignedSet<Item> {
  /** Instant of the slot, microseconds UTC. */
  readonly slotUs: number;
  /** By member; undefined: missing. */
  readonly items: readonly (Item | undefined)[];
  readonly present: number;
}

export interface Instant {
  readonly monotonicUs: number;
  readonly wallUs: number;
}

/** Only rising. taken = sum of the sets' present + late + duplicates + those in sets that are open. */
export interface SnapshotFigures {
  taken: number;
  complete: number;
  incomplete: number;
  /** Samples whose set had gone. */
  late: number;
  /** A second sample of one member in one slot; the first one stands. */
  duplicates: number;
}

export const noSnapshotFigures = (): SnapshotFigures => ({
  taken: 0,
  complete: 0,
  incomplete: 0,
  late: 0,
  duplicates: 0,
});

/** A member that no set has had for so long, and for three sets, is off line: sets are not held up for it. */
const OFF_LINE_US = 1_000_000;
const OFF_LINE_SETS = 3;
/** Sets that wait at once; a source that is far ahead must not set our memory. */
const MOST_OPEN = 512;
const US_PER_SECOND = 1_000_000;

interface OpenSet<Item> {
  readonly slot: number;
  readonly dueUs: number;
  readonly items: (Item | undefined)[];
  present: number;
}

export class Aligner<Item> {
  /** By slot, rising. */
  private readonly open: OpenSet<Item>[] = [];
  private lastSlot = -Infinity;
  /** By member: sets in a row that went without it. */
  private readonly absences: number[];

  /** @param members how many; they are known by index */
  constructor(
    private readonly members: number,
    private readonly terms: SnapshotTerms,
    private readonly publish: (set: AlignedSet<Item>) => void,
    readonly figures: SnapshotFigures = noSnapshotFigures(),
  ) {
    this.absences = Array.from({ length: members }, () => 0);
  }

  /** When the next set must go, on the monotonic clock; undefined while none is open. */
  get dueUs(): number | undefined {
    return this.open.length === 0 ? undefined : Math.min(...this.open.map(({ dueUs }) => dueUs));
  }

  /** Takes a sample of the cadence; what it completes goes at once. */
  take(member: number, item: Item, measuredUs: number, now: Instant): void {
    this.figures.taken++;
    // One that comes late is on line all the same.
    this.absences[member] = 0;
    const set = this.setOf(slotIn(measuredUs, this.terms.rate), now);
    if (!set) {
      this.figures.late++;
      return;
    }
    if (set.items[member] !== undefined) {
      this.figures.duplicates++;
      return;
    }
    set.items[member] = item;
    set.present++;
    this.closeComplete();
    if (this.open.length > MOST_OPEN) this.closeFirst(1);
  }

  /** Lets go of what is due. */
  advance(nowUs: number): void {
    const due = this.open.findLastIndex(({ dueUs }) => dueUs <= nowUs);
    this.closeFirst(due + 1);
    this.closeComplete();
  }

  /** The set of a slot, opened by its first sample; undefined when it has gone. */
  private setOf(slot: number, now: Instant): OpenSet<Item> | undefined {
    if (slot <= this.lastSlot) return undefined;
    const index = this.open.findLastIndex((set) => set.slot <= slot);
    const standing = this.open[index];
    if (standing?.slot === slot) return standing;
    const { mode, waitUs, rate } = this.terms;
    const agedUs = mode === 'absolute' ? now.wallUs - slotInstant(slot, rate) : 0;
    if (agedUs > waitUs) return undefined;
    const items = Array.from({ length: this.members }, () => undefined);
    const set: OpenSet<Item> = { slot, dueUs: now.monotonicUs + waitUs - agedUs, items, present: 0 };
    this.open.splice(index + 1, 0, set);
    return set;
  }

  private closeComplete(): void {
    for (let first = this.open[0]; first && this.isComplete(first); first = this.open[0]) this.closeFirst(1);
  }

  private isComplete({ items }: OpenSet<Item>): boolean {
    return this.terms.isPreemptive && items.every((item, member) => item !== undefined || this.isOffLine(member));
  }

  private isOffLine(member: number): boolean {
    const absences = this.absences[member]!; // as many as members
    return absences >= OFF_LINE_SETS && (absences * US_PER_SECOND) / this.terms.rate >= OFF_LINE_US;
  }

  private closeFirst(count: number): void {
    for (const { slot, items, present } of this.open.splice(0, count)) {
      this.lastSlot = slot;
      items.forEach((item, member) => {
        if (item === undefined) this.absences[member]!++; // as many as members
      });
      this.figures[present === this.members ? 'complete' : 'incomplete']++;
      this.publish({ slotUs: slotInstant(slot, this.terms.rate), items, present });
    }
  }
}

/** Which slot of the grid an instant belongs to, counted from the epoch. */
const slotIn = (measuredUs: number, rate: number): number =>
  rate >= 1 ? slotOf(measuredUs, rate) : Math.round((measuredUs * rate) / US_PER_SECOND);

/** The instant of a slot, microseconds UTC. */
function slotInstant(slot: number, rate: number): number {
  if (rate < 1) return slot * Math.round(1 / rate) * US_PER_SECOND;
  const second = Math.floor(slot / rate);
  return second * US_PER_SECOND + Math.round(((slot - second * rate) * US_PER_SECOND) / rate);
}
