/**
 * Loss, as the receiver sees it. A peer numbers what it sends to us with one rising counter (ours do; RFC 7252 asks only for ids
 * that do not repeat), so the ids between the first and the highest that never came are messages lost on the way.
 */

/** A jump this far is a peer that has started again, not loss. */
const RESTART_JUMP = 4096;

export class Arrivals {
  private first: number | undefined;
  /** Ids since the first, counted on beyond 16 bits. */
  private span = 0;
  private count = 0;
  private lostBefore = 0;

  /** Notes one message, duplicates excepted. */
  note(id: number): void {
    if (this.first === undefined) return this.begin(id);
    const highest = (this.first + this.span - 1) & 0xffff;
    // Signed distance on the circle of ids.
    const ahead = ((id - highest + 0x8000) & 0xffff) - 0x8000;
    if (Math.abs(ahead) > RESTART_JUMP) {
      this.lostBefore = this.lost;
      return this.begin(id);
    }
    this.span += Math.max(0, ahead);
    this.count++;
  }

  /** Messages that have not come so far; one that comes late is taken off again. */
  get lost(): number {
    return this.lostBefore + Math.max(0, this.span - this.count);
  }

  private begin(id: number): void {
    this.first = id;
    this.span = 1;
    this.count = 1;
  }
}
