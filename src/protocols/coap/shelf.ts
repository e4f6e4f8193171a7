/**
 * A shelf: things kept for peers for a while, bounded by number per peer, number in all, bytes and age [RFC7959-7].
 * The longest untouched leave first. One timer for the whole shelf, none while it is empty.
 */
import type { Cancel, Clock } from '../../clock.js';
import type { Timers } from './confirmable.js';

export interface ShelfLimits {
  readonly perPeer: number;
  readonly inAll: number;
  readonly bytes: number;
  readonly ageMs: number;
}

interface Kept<T> {
  readonly owner: string;
  readonly thing: T;
  bytes: number;
  touchedUs: number;
}

export class Shelf<T> {
  /** Removed for age or to make room. */
  evicted = 0;
  private bytes = 0;
  /** Longest untouched first. */
  private readonly kept = new Map<string, Kept<T>>();
  private readonly perOwner = new Map<string, number>();
  private cancelSweep: Cancel | undefined;

  constructor(
    private readonly clock: Pick<Clock, 'monotonicUs'>,
    private readonly timers: Timers,
    private readonly limits: ShelfLimits,
  ) {}

  get size(): number {
    return this.kept.size;
  }

  get(key: string): T | undefined {
    return this.kept.get(key)?.thing;
  }

  /** Keeps a thing under a new or replaced key. False: no room within the limits. */
  put(key: string, owner: string, thing: T, bytes: number): boolean {
    this.remove(key);
    if (!this.hasRoom(owner, bytes)) return false;
    this.kept.set(key, { owner, thing, bytes, touchedUs: this.clock.monotonicUs() });
    this.bytes += bytes;
    this.perOwner.set(owner, (this.perOwner.get(owner) ?? 0) + 1);
    this.cancelSweep ??= this.timers.after(this.limits.ageMs, () => this.sweep());
    return true;
  }

  /** As `put`, but whatever stands longest gives way, the owner's own first. What exceeds the shelf is not kept. */
  putAnyway(key: string, owner: string, thing: T, bytes: number): void {
    if (bytes > this.limits.bytes) return this.remove(key);
    while (!this.put(key, owner, thing, bytes)) {
      const victim = this.oldestOf(owner) ?? this.oldestOf(undefined);
      if (victim === undefined) return;
      this.remove(victim);
      this.evicted++;
    }
  }

  /** The thing has grown to `bytes` and was touched. False: no room; it stays as it was. */
  grow(key: string, bytes: number): boolean {
    const entry = this.kept.get(key);
    if (!entry || this.bytes - entry.bytes + bytes > this.limits.bytes) return false;
    this.bytes += bytes - entry.bytes;
    entry.bytes = bytes;
    entry.touchedUs = this.clock.monotonicUs();
    this.kept.delete(key);
    this.kept.set(key, entry);
    return true;
  }

  remove(key: string): void {
    const entry = this.kept.get(key);
    if (!entry) return;
    this.kept.delete(key);
    this.bytes -= entry.bytes;
    const left = (this.perOwner.get(entry.owner) ?? 1) - 1;
    if (left > 0) this.perOwner.set(entry.owner, left);
    else this.perOwner.delete(entry.owner);
    if (this.kept.size > 0) return;
    this.cancelSweep?.();
    this.cancelSweep = undefined;
  }

  clear(): void {
    for (const key of [...this.kept.keys()]) this.remove(key);
  }

  private hasRoom(owner: string, bytes: number): boolean {
    const { perPeer, inAll } = this.limits;
    const fits = this.kept.size < inAll && this.bytes + bytes <= this.limits.bytes;
    return fits && (this.perOwner.get(owner) ?? 0) < perPeer;
  }

  private oldestOf(owner: string | undefined): string | undefined {
    if (owner !== undefined && !this.perOwner.has(owner)) return undefined;
    for (const [key, entry] of this.kept) if (owner === undefined || entry.owner === owner) return key;
    return undefined;
  }

  private sweep(): void {
    this.cancelSweep = undefined;
    const deadlineUs = this.clock.monotonicUs() - this.limits.ageMs * 1000;
    for (const [key, entry] of this.kept) {
      if (entry.touchedUs > deadlineUs) {
        this.cancelSweep = this.timers.after((entry.touchedUs - deadlineUs) / 1000, () => this.sweep());
        return;
      }
      this.remove(key);
      this.evicted++;
    }
  }
}
