/**
 * The one timer wheel that all deadlines, leases and holds share: constant time to add and to cancel, one timer of the
 * system's for all of them, armed for the next slot that holds something and not at all when nothing waits.
 *
 *     level 0   32 slots of one tick (10 ms)     what is due within the present 320 ms
 *     level 1   32 slots of 32 ticks             ... the present 10 s; when its slot begins, its entries move down
 *     level 2   32 slots of 1,024 ticks          ... the present 5 minutes
 *     ...       level 7: 348 years
 *
 * An entry's level is that of the highest base-32 digit in which its tick differs from the present one, so every entry of a
 * lower level is due before every entry of a higher one. A lease of a month moves down five times; until then it costs its
 * 200 bytes and no wake-up. Nothing fires early; it may fire one tick late. What is due in different ticks fires in order,
 * however far the clock jumped.
 */
import type { Cancel, Clock } from '../clock.js';

/** Finer than any deadline that people or devices set, coarse enough that a burst of them shares a wake-up. */
const TICK_US = 10_000;
/** One bit each of a level's 32-bit map of occupied slots. */
const SLOTS = 32;
const LEVELS = 8;
/** A year short of a hundred: far beyond any lease, and far from the last level's end. */
const LONGEST_DELAY_MS = 99 * 365 * 86_400_000;

/** A place in a slot's ring; the slot itself is the entry that begins and ends it. */
class Entry {
  previous: Entry = this;
  next: Entry = this;
  /** Where it stands, or NOWHERE once it has fired or been cancelled. */
  slot = NOWHERE;

  constructor(
    readonly dueTick: number,
    readonly run: () => void,
  ) {}
}
const NOWHERE = -1;

export class Wheel {
  private readonly slots = Array.from({ length: LEVELS * SLOTS }, () => new Entry(0, () => {}));
  /** Per level, a bit for each slot that holds something. */
  private readonly occupied = new Int32Array(LEVELS);
  private readonly originUs: number;
  /** All that was due up to here has fired. */
  private tick = 0;
  private armedTick = Infinity;
  private cancelTimer: Cancel | undefined;
  private isTurning = false;
  /** Entries that wait. */
  size = 0;

  /** @param onError is told what a callback throws; the others fire all the same */
  constructor(
    private readonly clock: Clock,
    private readonly onError: (error: unknown) => void,
  ) {
    this.originUs = clock.monotonicUs();
  }

  /**
   * Calls `run` once, not earlier than `delayMs` from now and at most a tick later.
   *
   * @throws RangeError where `delayMs` is no number or longer than 99 years
   */
  readonly schedule = (delayMs: number, run: () => void): Cancel => {
    if (!(delayMs <= LONGEST_DELAY_MS)) throw new RangeError(`a timer of ${delayMs} ms: at most ${LONGEST_DELAY_MS}`);
    // Not in a turn: the slot that is being emptied must stay behind the present tick, or a new entry could land in it.
    if (this.size === 0 && !this.isTurning) this.tick = this.tickNow();
    const dueUs = this.elapsedUs() + Math.max(0, delayMs) * 1000;
    const entry = new Entry(Math.max(this.tick + 1, Math.ceil(dueUs / TICK_US)), run);
    this.size++;
    this.place(entry);
    if (!this.isTurning) this.arm();
    return () => this.cancel(entry);
  };

  private cancel(entry: Entry): void {
    if (entry.slot === NOWHERE) return;
    this.remove(entry);
    if (--this.size > 0 || this.isTurning) return;
    this.cancelTimer?.();
    this.armedTick = Infinity;
  }

  private elapsedUs(): number {
    return this.clock.monotonicUs() - this.originUs;
  }

  private tickNow(): number {
    return Math.floor(this.elapsedUs() / TICK_US);
  }

  /** Ticks outgrow 32 bits after 497 days, so their digits are found by division. */
  private place(entry: Entry): void {
    let level = 0;
    let span = 1;
    for (; Math.floor(entry.dueTick / (span * SLOTS)) !== Math.floor(this.tick / (span * SLOTS)); level++)
      span *= SLOTS;
    const digit = Math.floor(entry.dueTick / span) % SLOTS;
    entry.slot = level * SLOTS + digit;
    const slot = this.slotAt(entry.slot);
    entry.previous = slot.previous;
    entry.next = slot;
    slot.previous.next = entry;
    slot.previous = entry;
    this.occupied[level] = this.occupancy(level) | (1 << digit);
  }

  private remove(entry: Entry): void {
    entry.previous.next = entry.next;
    entry.next.previous = entry.previous;
    if (entry.next === entry.previous && entry.next === this.slotAt(entry.slot)) {
      const level = Math.floor(entry.slot / SLOTS);
      this.occupied[level] = this.occupancy(level) & ~(1 << (entry.slot % SLOTS));
    }
    entry.slot = NOWHERE;
    // Whoever keeps a `Cancel` shall not keep the neighbours of its entry.
    entry.previous = entry.next = entry;
  }

  private occupancy(level: number): number {
    return this.occupied[level] ?? 0;
  }

  private slotAt(index: number): Entry {
    const slot = this.slots[index];
    if (!slot) throw new RangeError(`no slot ${index}`);
    return slot;
  }

  /** The first occupied slot, and the tick at which it begins. */
  private firstOccupied(): { readonly slot: number; readonly tick: number } | undefined {
    for (let level = 0, span = 1; level < LEVELS; level++, span *= SLOTS) {
      const bits = this.occupancy(level);
      if (bits === 0) continue;
      const digit = 31 - Math.clz32(bits & -bits);
      const turn = span * SLOTS;
      return { slot: level * SLOTS + digit, tick: Math.floor(this.tick / turn) * turn + digit * span };
    }
    return undefined;
  }

  private arm(): void {
    const first = this.firstOccupied();
    if (!first || first.tick >= this.armedTick) return;
    this.cancelTimer?.();
    this.armedTick = first.tick;
    this.cancelTimer = this.clock.after(Math.ceil((first.tick * TICK_US - this.elapsedUs()) / 1000), () => this.turn());
  }

  private turn(): void {
    this.armedTick = Infinity;
    this.isTurning = true;
    try {
      const now = this.tickNow();
      for (let first = this.firstOccupied(); first && first.tick <= now; first = this.firstOccupied()) {
        this.tick = first.tick;
        if (first.slot < SLOTS) this.fire(this.slotAt(first.slot));
        else this.moveDown(this.slotAt(first.slot));
      }
      this.tick = Math.max(this.tick, now);
    } finally {
      // Even where `onError` itself throws, what still waits has its timer.
      this.isTurning = false;
      this.arm();
    }
  }

  private fire(slot: Entry): void {
    while (slot.next !== slot) {
      const entry = slot.next;
      this.remove(entry);
      this.size--;
      try {
        entry.run();
      } catch (error) {
        this.onError(error);
      }
    }
  }

  private moveDown(slot: Entry): void {
    while (slot.next !== slot) {
      const entry = slot.next;
      this.remove(entry);
      this.place(entry);
    }
  }
}
