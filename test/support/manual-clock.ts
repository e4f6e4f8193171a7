/** A clock that stands still until a test moves it: both clocks advance together, timers fire in order of their instants. */
import type { Cancel, Clock } from '../../src/clock.js';

interface Timer {
  readonly atUs: number;
  readonly run: () => void;
}

export class ManualClock implements Clock {
  private nowUs = 0;
  private timers: Timer[] = [];
  private turnEnd: (() => void)[] = [];

  /** @param startUs the wall clock's first reading, microseconds since the epoch */
  constructor(private wallOffsetUs = Date.UTC(2026, 0, 1) * 1000) {}

  wallUs = (): number => this.wallOffsetUs + this.nowUs;
  monotonicUs = (): number => this.nowUs;

  after = (delayMs: number, run: () => void): Cancel => {
    const timer = { atUs: this.nowUs + Math.max(0, delayMs) * 1000, run };
    this.timers.push(timer);
    return () => void (this.timers = this.timers.filter((other) => other !== timer));
  };

  atTurnEnd = (run: () => void): void => void this.turnEnd.push(run);

  /** Timers that have not fired: a test ends by proving that none is left. */
  get pending(): number {
    return this.timers.length;
  }

  /** Runs what waits for the end of the turn, and what that adds. */
  endTurn(): void {
    while (this.turnEnd.length > 0) this.turnEnd.splice(0).forEach((run) => run());
  }

  /** Moves both clocks, firing each timer at its own instant. */
  advance(ms: number): void {
    const untilUs = this.nowUs + ms * 1000;
    for (;;) {
      this.endTurn();
      const next = this.timers.filter(({ atUs }) => atUs <= untilUs).sort((a, b) => a.atUs - b.atUs)[0];
      if (!next) break;
      this.timers = this.timers.filter((timer) => timer !== next);
      this.nowUs = Math.max(this.nowUs, next.atUs);
      next.run();
    }
    this.nowUs = untilUs;
    this.endTurn();
  }

  /** Steps the wall clock alone, as an operator or a bad receiver does. */
  step(ms: number): void {
    this.wallOffsetUs += ms * 1000;
  }
}
