/**
 * Reports on their way to the alarms they are about: the most urgent first, a bounded number a turn, so that a flood of them
 * stands in nobody's way.
 *
 *     put ──> queue of its priority ── at the end of the turn: PER_TURN of them, 1 before 2 before 3 before 4 ──> take
 */
import type { Clock } from '../clock.js';
import { Mailbox } from '../kernel/mailbox.js';
import { PRIORITIES, type Priority } from '../routing/alarm.js';

/** A slice of some 2 ms: actor, journal row and telling cost about 25 us an alarm. With 24 no command is faster, with 256 their p99 doubles. */
const PER_TURN = 64;
/** Two seconds of a flood of 10,000 a second. A report beyond is refused, and its sender told. */
const CAPACITY = 20_000;

export class AlarmIntake {
  private readonly queues: readonly Mailbox<() => void>[] = PRIORITIES.map(() => new Mailbox(CAPACITY, 'refuse'));
  private isArmed = false;

  constructor(private readonly clock: Clock) {}

  get pending(): readonly number[] {
    return this.queues.map(({ length }) => length);
  }

  /** False: there is no room. */
  put(priority: Priority, take: () => void): boolean {
    if (this.queues[priority - 1]?.put(take) !== undefined) return false;
    this.arm();
    return true;
  }

  private arm(): void {
    if (this.isArmed) return;
    this.isArmed = true;
    this.clock.atTurnEnd(() => {
      this.isArmed = false;
      this.takeSome();
    });
  }

  private takeSome(): void {
    for (let left = PER_TURN; left > 0; left--) {
      const take = this.queues.find(({ length }) => length > 0)?.take();
      if (take === undefined) return;
      take();
    }
    this.arm();
  }
}
