/**
 * The one timer wheel that all deadlines, leases and holds share: constant time to add and to cancel, one timer of the
 * system's for all of them, armed only while something waits.
 *
 *     tick 10 ms · 512 buckets · an entry further ahead stays in its bucket for as many rounds as it needs
 *
 * Nothing fires early; it may fire one tick late.
 */
import type { Cancel, Clock } from '../clock.js';

const TICK_US = 10_000;
const BUCKETS = 512;

interface Entry {
  readonly dueTick: number;
  readonly run: () => void;
  previous: Entry | undefined;
  next: Entry | undefined;
  isWaiting: boolean;
}

export class Wheel {
  private readonly buckets: (Entry | undefined)[] = new Array<Entry | undefined>(BUCKETS).fill(undefined);
  private readonly originUs: number;
  private tick = 0;
  private cancelTimer: Cancel | undefined;
  /** Entries that wait. */
  size = 0;

  constructor(
    private readonly clock: Clock,
    private readonly onError: (error: unknown) => void,
  ) {
    this.originUs = clock.monotonicUs();
  }

  /** Calls `run` once, not earlier than `delayMs` from now. */
  readonly schedule = (delayMs: number, run: () => void): Cancel => {
    if (this.size === 0) this.tick = this.tickNow();
    const dueTick = Math.max(this.tick + 1, Math.ceil((this.clock.monotonicUs() - this.originUs + Math.max(0, delayMs) * 1000) / TICK_US));
    const bucket = dueTick % BUCKETS;
    const next = this.buckets[bucket];
    const entry: Entry = { dueTick, run, previous: undefined, next, isWaiting: true };
    if (next) next.previous = entry;
    this.buckets[bucket] = entry;
    this.size++;
    this.arm();
    return () => this.remove(entry);
  };

  private tickNow(): number {
    return Math.floor((this.clock.monotonicUs() - this.originUs) / TICK_US);
  }

  private arm(): void {
    if (this.cancelTimer || this.size === 0) return;
    const untilMs = (this.originUs + (this.tick + 1) * TICK_US - this.clock.monotonicUs()) / 1000;
    this.cancelTimer = this.clock.after(untilMs, () => {
      this.cancelTimer = undefined;
      this.turn();
    });
  }

  private turn(): void {
    const now = this.tickNow();
    // After a long pause every bucket is looked at once, not once per tick that was missed.
    const last = Math.min(now, this.tick + BUCKETS);
    for (let tick = this.tick + 1; tick <= last; tick++) this.fire(tick % BUCKETS, now);
    this.tick = Math.max(this.tick, now);
    this.arm();
  }

  private fire(bucket: number, now: number): void {
    const due: Entry[] = [];
    for (let entry = this.buckets[bucket]; entry; entry = entry.next) if (entry.dueTick <= now) due.push(entry);
    due.sort((a, b) => a.dueTick - b.dueTick);
    for (const entry of due) {
      if (!entry.isWaiting) continue;
      this.remove(entry);
      try {
        entry.run();
      } catch (error) {
        this.onError(error);
      }
    }
  }

  private remove(entry: Entry): void {
    if (!entry.isWaiting) return;
    entry.isWaiting = false;
    if (entry.previous) entry.previous.next = entry.next;
    else this.buckets[entry.dueTick % BUCKETS] = entry.next;
    if (entry.next) entry.next.previous = entry.previous;
    if (--this.size > 0) return;
    this.cancelTimer?.();
    this.cancelTimer = undefined;
  }
}
