/**
 * Proofs of identity that end at an instant of the wall clock: whoever holds one is told when it is over.
 *
 * Looked through twice a second instead of timed one by one: a timer would not notice that the wall clock was stepped.
 */
import { every, type Cancel, type Clock } from '../clock.js';
import type { Identity } from './identity.js';

/** The end is told within a second. */
const LOOK_MS = 500;

export class Expiries<Holder> {
  private readonly expiresUs = new Map<Holder, number>();
  private stop: Cancel | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly over: (holder: Holder) => void,
  ) {}

  /** From now on the holder stands on this proof; a former one no longer counts. */
  hold(holder: Holder, { expiresUs }: Identity): void {
    if (expiresUs === undefined) return this.release(holder);
    this.expiresUs.set(holder, expiresUs);
    this.stop ??= every(this.clock, LOOK_MS, () => this.look());
  }

  release(holder: Holder): void {
    this.expiresUs.delete(holder);
    if (this.expiresUs.size === 0) this.close();
  }

  /** Forgets all. */
  close(): void {
    this.expiresUs.clear();
    this.stop?.();
    this.stop = undefined;
  }

  private look(): void {
    const nowUs = this.clock.wallUs();
    for (const [holder, expiresUs] of this.expiresUs) {
      if (expiresUs > nowUs) continue;
      this.release(holder);
      this.over(holder);
    }
  }
}
