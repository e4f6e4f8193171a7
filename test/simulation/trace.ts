/** What happened, folded into one number: equal seeds give equal traces. The last lines are kept to be read. */

/** Lines that are shown with a failure. */
const KEPT_LINES = 30;
const FNV_PRIME = 0x01000193;
const FNV_BASIS = 0x811c9dc5;

export class Trace {
  length = 0;
  private low = FNV_BASIS;
  private high = ~FNV_BASIS;
  private readonly kept: string[] = [];

  /** @param every is given each line, for whoever wants to read all of them */
  constructor(private readonly every?: (line: string) => void) {}

  note(atUs: number, actor: string, what: string): void {
    const line = `${(atUs / 1e6).toFixed(6)} ${actor}: ${what}`;
    // FNV-1a, twice with different starts: 64 bits are enough that no two runs agree by chance.
    for (let at = 0; at < line.length; at++) {
      const unit = line.charCodeAt(at);
      this.low = Math.imul(this.low ^ unit, FNV_PRIME);
      this.high = Math.imul(this.high ^ (unit + at), FNV_PRIME);
    }
    this.kept[this.length++ % KEPT_LINES] = line;
    this.every?.(line);
  }

  get hash(): string {
    return [this.high, this.low].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('');
  }

  /** The last lines, oldest first. */
  get tail(): readonly string[] {
    const from = this.length % KEPT_LINES;
    return [...this.kept.slice(from), ...this.kept.slice(0, from)].slice(-KEPT_LINES);
  }
}
