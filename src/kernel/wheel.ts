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
 * columns (rings.ts) and no wake-up. Nothing fires early; it may fire one tick late. What is due in different ticks fires in
 * order, however far the clock jumped.
 */
import type { Cancel, Clock } from '../clock.js';
import { NOWHERE, Rings } from './rings.js';

/** Finer than any deadline that people or devices set, coarse enough that a burst of them shares a wake-up. */
const TICK_US = 10_000;
/** One bit each of a level's 32-bit map of occupied slots. */
const SLOTS = 32;
const LEVELS = 8;
/** A year short of a hundred: far beyond any lease, and far from the last level's end. */
const LONGEST_DELAY_MS = 99 * 365 * 86_400_000;

/** The kind of those that `schedule` makes. */
const CALLBACK = 0;
/** A byte each. */
const MOST_KINDS = 255;

/** Times of many things of one kind: each costs integers, where a callback and its `Cancel` would be two closures. */
export interface Leases<Subject extends object> {
  /**
   * Ends it once, not earlier than `delayMs` from now and at most a tick later.
   *
   * @returns the lease's number, good until it has ended or is revoked; never negative
   * @throws RangeError where `delayMs` is no number or longer than 99 years
   */
  grant(subject: Subject, delayMs: number): number;
  revoke(lease: number): void;
}

export class Wheel {
  /** A ring for each slot of each level. */
  private readonly rings = new Rings<object>(LEVELS * SLOTS);
  /** By kind of entry, what ends it; the first are callbacks, which end themselves. */
  private readonly ends: ((subject: object) => void)[] = [(run) => (run as () => void)()];
  /** Per level, a bit for each slot that holds something. */
  private readonly occupied = new Int32Array(LEVELS);
  private readonly originUs: number;
  /** All that was due up to here has fired. */
  private tick = 0;
  private armedTick = Infinity;
  private cancelTimer: Cancel | undefined;
  private isTurning = false;

  /** @param onError is told what a callback throws; the others fire all the same */
  constructor(
    private readonly clock: Clock,
    private readonly onError: (error: unknown) => void,
  ) {
    this.originUs = clock.monotonicUs();
  }

  /** Entries that wait. */
  get size(): number {
    return this.rings.size;
  }

  /**
   * Calls `run` once, not earlier than `delayMs` from now and at most a tick later.
   *
   * @throws RangeError where `delayMs` is no number or longer than 99 years
   */
  readonly schedule = (delayMs: number, run: () => void): Cancel => {
    const entry = this.add(delayMs, CALLBACK, run);
    const life = this.rings.lifeOf(entry);
    // Harmless when it has fired, and its number is another's.
    return () => {
      if (this.rings.lifeOf(entry) === life) this.cancel(entry);
    };
  };

  /** @param end is given the subject of each lease of this kind that ends; called for few kinds, once each */
  readonly leases = <Subject extends object>(end: (subject: Subject) => void): Leases<Subject> => {
    // What is granted under this kind's number is a Subject.
    const kind = this.ends.push((subject) => end(subject as Subject)) - 1;
    if (kind > MOST_KINDS) throw new RangeError(`${kind} kinds of leases: at most ${MOST_KINDS}`);
    return {
      grant: (subject, delayMs) => this.add(delayMs, kind, subject),
      revoke: (lease) => this.cancel(lease),
    };
  };

  private add(delayMs: number, kind: number, subject: object): number {
    if (!(delayMs <= LONGEST_DELAY_MS)) throw new RangeError(`a timer of ${delayMs} ms: at most ${LONGEST_DELAY_MS}`);
    // Not in a turn: the slot that is being emptied must stay behind the present tick, or a new entry could land in it.
    if (this.size === 0 && !this.isTurning) this.tick = this.tickNow();
    const dueUs = this.elapsedUs() + Math.max(0, delayMs) * 1000;
    const entry = this.rings.take(Math.max(this.tick + 1, Math.ceil(dueUs / TICK_US)), kind, subject);
    this.place(entry);
    if (!this.isTurning) this.arm();
    return entry;
  }

  private cancel(entry: number): void {
    if (this.rings.ringOf(entry) === NOWHERE) return;
    this.remove(entry);
    this.rings.release(entry);
    if (this.size > 0 || this.isTurning) return;
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
  private place(entry: number): void {
    const dueTick = this.rings.tickOf(entry);
    let level = 0;
    let span = 1;
    for (; Math.floor(dueTick / (span * SLOTS)) !== Math.floor(this.tick / (span * SLOTS)); level++) span *= SLOTS;
    const digit = Math.floor(dueTick / span) % SLOTS;
    this.rings.append(level * SLOTS + digit, entry);
    this.occupied[level] = this.occupancy(level) | (1 << digit);
  }

  private remove(entry: number): void {
    const slot = this.rings.ringOf(entry);
    this.rings.remove(entry);
    if (this.rings.first(slot) !== undefined) return;
    const level = Math.floor(slot / SLOTS);
    this.occupied[level] = this.occupancy(level) & ~(1 << (slot % SLOTS));
  }

  private occupancy(level: number): number {
    return this.occupied[level] ?? 0;
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
        if (first.slot < SLOTS) this.fire(first.slot);
        else this.moveDown(first.slot);
      }
      this.tick = Math.max(this.tick, now);
    } finally {
      // Even where `onError` itself throws, what still waits has its timer.
      this.isTurning = false;
      this.arm();
    }
  }

  private fire(slot: number): void {
    const { rings } = this;
    for (let entry = rings.first(slot); entry !== undefined; entry = rings.first(slot)) {
      this.remove(entry);
      const end = this.ends[rings.kindOf(entry)];
      const subject = rings.release(entry);
      try {
        end?.(subject);
      } catch (error) {
        this.onError(error);
      }
    }
  }

  private moveDown(slot: number): void {
    const { rings } = this;
    for (let entry = rings.first(slot); entry !== undefined; entry = rings.first(slot)) {
      this.remove(entry);
      this.place(entry);
    }
  }
}
