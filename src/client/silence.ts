/**
 * Watches that the other side is heard often enough. When the look itself comes late it was this process that did not listen:
 * what was said meanwhile waits in the socket, so a third of the limit is granted again.
 */
import { every, type Cancel, type Clock } from '../clock.js';

const LOOKS_PER_LIMIT = 6;

export class Silence {
  private heardUs = 0;
  private cancel: Cancel = () => {};

  constructor(
    private readonly clock: Clock,
    /** Called once, when nothing was heard for the limit. */
    private readonly over: (limitMs: number) => void,
  ) {}

  heard(): void {
    this.heardUs = this.clock.monotonicUs();
  }

  /** Begins to watch, or goes on with another limit. */
  watch(limitMs: number): void {
    this.stop();
    this.heard();
    const lookMs = limitMs / LOOKS_PER_LIMIT;
    let lookedUs = this.heardUs;
    this.cancel = every(this.clock, lookMs, () => {
      const nowUs = this.clock.monotonicUs();
      if (nowUs - lookedUs > 2 * lookMs * 1000) this.heardUs = Math.max(this.heardUs, nowUs - (limitMs * 1000 * 2) / 3);
      lookedUs = nowUs;
      if (nowUs - this.heardUs < limitMs * 1000) return;
      this.stop();
      this.over(limitMs);
    });
  }

  stop(): void {
    this.cancel();
  }
}
