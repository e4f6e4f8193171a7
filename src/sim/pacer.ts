/**
 * Runs something at instants given beforehand. Every wait is computed from its own deadline, never added to the last one,
 * so that lateness does not add up; and it is never early.
 *
 *     dueUs() ── wait until then ──> run() ── dueUs() again: past? run at once; later? wait; undefined? rest until woken
 */
import type { Cancel, Clock } from '../clock.js';

/** The wall clock may be stepped while we wait: look again after this. */
const LONGEST_WAIT_MS = 1000;

export class Pacer {
  private cancel: Cancel = () => {};

  /**
   * @param nowUs which of the clock's two clocks the deadlines are on
   * @param dueUs the next deadline; `undefined`: none
   * @param run must move `dueUs` on
   */
  constructor(
    private readonly clock: Clock,
    private readonly nowUs: () => number,
    private readonly dueUs: () => number | undefined,
    private readonly run: () => void,
  ) {}

  /** Looks at the deadline (again): at the beginning, and when an earlier one has come up. */
  wake = (): void => {
    this.cancel();
    let due = this.dueUs();
    while (due !== undefined && due <= this.nowUs()) {
      this.run();
      due = this.dueUs();
    }
    if (due === undefined) return;
    // Timers count whole milliseconds; rounding up is what keeps a frame from leaving before its own tag.
    const waitMs = Math.ceil((due - this.nowUs()) / 1000);
    this.cancel = this.clock.after(Math.min(waitMs, LONGEST_WAIT_MS), this.wake);
  };

  stop(): void {
    this.cancel();
  }
}
