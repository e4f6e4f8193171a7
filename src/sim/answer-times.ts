/** How long answers take: a histogram whose steps grow with what they count, 5 % each, so that no percentile is further off than that. */

const STEP = 1.05;
/** From 10 us to 100 s. */
const LEAST_US = 10;
const STEPS = Math.ceil(Math.log(1e8 / LEAST_US) / Math.log(STEP));

export class AnswerTimes {
  private readonly counts = new Float64Array(STEPS + 1);
  private total = 0;

  add(us: number): void {
    const step = us <= LEAST_US ? 0 : Math.ceil(Math.log(us / LEAST_US) / Math.log(STEP));
    const at = Math.min(step, STEPS);
    this.counts[at] = (this.counts[at] ?? 0) + 1;
    this.total++;
  }

  /** Microseconds that a share of all answers took at most; 0 of none. */
  percentile(share: number): number {
    let [left, step] = [share * this.total, 0];
    if (this.total === 0) return 0;
    for (; step < STEPS; step++) {
      left -= this.counts[step] ?? 0;
      if (left <= 0) break;
    }
    return LEAST_US * STEP ** step;
  }

  clear(): void {
    this.counts.fill(0);
    this.total = 0;
  }
}
