/**
 * How long a command may still wait for its effect on the device, by two clocks, whichever is over first:
 *
 *     deadlineMs  from its arrival in this process, monotonic: holds whatever the wall clocks say
 *     dueAt       UTC: holds for a command that waited in a stalled link, or in the socket of a stopped process
 *
 * A wall clock ahead of the broker's makes the device refuse more than it must, one behind makes `dueAt` hold later by as much; it
 * is the rule of IEC 60870-5-104's time-tagged commands, and as there the clocks have to agree better than the shortest deadline.
 */
import type { Clock } from '../clock.js';
import type { Command } from '../routing/command.js';

/** Milliseconds left right now; 0 or less: it must not be done any more. */
export type TimeLeft = () => number;

/** @param command that arrives at this moment */
export function timeLeft(
  clock: Pick<Clock, 'monotonicUs' | 'wallUs'>,
  { deadlineMs, dueUs = Infinity }: Pick<Command, 'deadlineMs' | 'dueUs'>,
): TimeLeft {
  const endUs = clock.monotonicUs() + deadlineMs * 1000;
  return () => Math.min(endUs - clock.monotonicUs(), dueUs - clock.wallUs()) / 1000;
}
