/**
 * The message ids of one peer: one counter with a random start for confirmable and non-confirmable alike, and the budget that
 * keeps an id from coming back while it lives [RFC7252-4.4].
 *
 *     lifetime = 64 slices        |··|··|··| ... |··|+1|      used = the sum; a slice is forgotten when all of it is older
 *
 * 65,536 ids per lifetime is a ceiling of the endpoint pair: 265 messages a second by the Internet's defaults. Beyond it a
 * client takes new notifications for duplicates and stalls, so the budget is enforced: `take` refuses.
 */
import type { Random } from '../../random.js';
import { MESSAGE_IDS } from './parameters.js';

const SLICES = 64;

export class MessageIds {
  /** Ids that may be used within one lifetime. */
  readonly allowed = MESSAGE_IDS;
  private next: number;
  /** Ids taken in each full slice of the lifetime. */
  private readonly taken = new Uint32Array(SLICES);
  private readonly sliceMs: number;
  private slice = 0;
  private sliceEndMs = 0;
  /** In the slice that is being filled: written there when it is full, so that `take` looks at one place. */
  private takenNow = 0;
  private total = 0;

  /** @param lifetimeMs how long an id stays taken */
  constructor(lifetimeMs: number, random: Random) {
    this.sliceMs = lifetimeMs / SLICES;
    this.next = random.below(MESSAGE_IDS);
  }

  /** The next id; `undefined` while the budget is spent. @param nowMs whole: a fraction would be an object for each notification */
  take(nowMs: number): number | undefined {
    if (nowMs >= this.sliceEndMs) this.forget(nowMs);
    if (this.total >= this.allowed) return undefined;
    this.total++;
    this.takenNow++;
    const id = this.next;
    this.next = (id + 1) & 0xffff;
    return id;
  }

  /** Ids taken within the last lifetime. */
  used(nowMs: number): number {
    if (nowMs >= this.sliceEndMs) this.forget(nowMs);
    return this.total;
  }

  /** When `take` may succeed again, if it refused just now: the end of a slice. */
  get retryAfterMs(): number {
    return this.sliceMs;
  }

  private forget(nowMs: number): void {
    const now = Math.floor(nowMs / this.sliceMs);
    this.sliceEndMs = Math.ceil((now + 1) * this.sliceMs);
    // The place of a slice is that of the one that has just become too old.
    for (let slice = Math.max(this.slice, now - SLICES); slice < now; slice++) {
      const index = slice % SLICES;
      this.total -= this.taken[index] ?? 0;
      this.taken[index] = slice === this.slice ? this.takenNow : 0;
    }
    if (now === this.slice) return;
    if (now - this.slice > SLICES) this.total -= this.takenNow;
    this.takenNow = 0;
    this.slice = now;
  }
}
