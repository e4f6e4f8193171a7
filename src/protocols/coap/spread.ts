/**
 * Spreads a burst: PMUs measure at the same instants, and a link or a small receiver may not take what that makes at once.
 *
 *     turn ends ──> 1/n of the clients ── 1 ms ──> 1/n ── 1 ms ──> ... the window is over: all are served
 *
 * A client is served whole, so that what goes to it stays one train. What comes meanwhile waits behind it.
 */
import type { Clock } from '../../clock.js';
import type { UdpSocket } from '../../network.js';
import type { Destination } from '../../network/batch.js';

/** Timers have no finer grain. */
const STEP_MS = 1;

export class Spread {
  private stepsLeft = 0;

  /** @param windowMs 0: everything goes at once */
  constructor(
    private readonly socket: UdpSocket,
    private readonly clock: Clock,
    private readonly windowMs: number,
  ) {}

  /** What waits for these and nobody else: few among many that wait. */
  flushAlone(to: Iterable<Destination>): void {
    const { batch } = this.socket;
    let count = 0;
    for (const each of to) {
      if (this.windowMs > 0) this.flush(each);
      else if (batch.bringForward(each)) count++;
    }
    if (count > 0) this.socket.flush(count);
  }

  /** At the end of a turn that has left something to send. @param to whom it is for; with it goes what little else can */
  flush(to: Destination, isUrgent = false): void {
    if (this.windowMs === 0) this.socket.serve(to, isUrgent);
    else if (this.stepsLeft === 0) {
      this.stepsLeft = this.windowMs / STEP_MS;
      this.step();
    }
  }

  private step(): void {
    const { waiting } = this.socket.batch;
    if (waiting === 0) {
      this.stepsLeft = 0;
      return;
    }
    this.socket.flush(Math.ceil(waiting / this.stepsLeft));
    this.stepsLeft = Math.max(1, this.stepsLeft - 1);
    this.clock.after(STEP_MS, () => this.step());
  }
}
