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
  /** Ids taken in each slice; one more slice than the lifetime has, for the one being filled. */
  private readonly taken = new Uint32Array(SLICES + 1);
  private readonly sliceUs: number;
  private slice = 0;
  private total = 0;

  /** @param lifetimeMs how long an id stays taken */
  constructor(lifetimeMs: number, random: Random) {
    this.sliceUs = (lifetimeMs * 1000) / SLICES;
    this.next = random.below(MESSAGE_IDS);
  }

  /** The next id; `undefined` while the budget is spent. */
  take(nowUs: number): number | undefined {
    this.forget(nowUs);
    if (this.total >= this.allowed) return undefined;
    this.total++;
    this.taken[this.slice % this.taken.length]!++; // the index is below the length
    const id = this.next;
    this.next = (id + 1) & 0xffff;
    return id;
  }

  /** Ids taken within the last lifetime. */
  used(nowUs: number): number {
    this.forget(nowUs);
    return this.total;
  }

  /** When `take` may succeed again, if it refused just now: the end of a slice. */
  get retryAfterMs(): number {
    return this.sliceUs / 1000;
  }

  private forget(nowUs: number): void {
    const now = Math.floor(nowUs / this.sliceUs);
    if (now === this.slice) return;
    for (let slice = Math.max(this.slice + 1, now - SLICES); slice <= now; slice++) {
      const index = slice % this.taken.length;
      this.total -= this.taken[index] ?? 0;
      this.taken[index] = 0;
    }
    this.slice = now;
  }
}
