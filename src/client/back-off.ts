/** How long to wait before the next attempt: longer after each that failed, and never the same for all who lost the same broker. */
import type { Random } from '../random.js';

const FIRST_MS = 50;
const LONGEST_MS = 5_000;
/** Clients that fell together must not come back together. */
const JITTER = 0.2;
const STEPS = 1_000;

export class BackOff {
  private failures = 0;

  constructor(private readonly random: Random) {}

  nextMs(): number {
    const meanMs = Math.min(FIRST_MS * 2 ** this.failures++, LONGEST_MS);
    return meanMs * (1 + JITTER * ((2 * this.random.below(STEPS + 1)) / STEPS - 1));
  }

  /** It worked. */
  reset(): void {
    this.failures = 0;
  }
}
