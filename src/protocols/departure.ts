/**
 * That somebody who waits for an answer has gone. An AbortSignal tells the same, but to make one, listen to it and let go of it
 * takes 3 us or more, of each poll that is held; this a twentieth.
 */
import type { Cancel } from '../clock.js';

export class Departure {
  private told: Set<() => void> | undefined;
  private isOver = false;

  /** Calls `run` once when he goes: now, where he has gone. */
  onGone(run: () => void): Cancel {
    if (this.isOver) {
      run();
      return () => {};
    }
    const told = (this.told ??= new Set());
    told.add(run);
    return () => told.delete(run);
  }

  /** He has gone. */
  begin(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.told?.forEach((run) => run());
    this.told = undefined;
  }
}
