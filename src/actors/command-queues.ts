/**
 * Who is next at each point of each device. A command stands in the queue of its point from its acceptance until it is over; the
 * first alone may be with the device, and points do not wait for one another.
 */
import type { CommandRecord } from './command-record.js';

export class CommandQueues {
  /** By application, then by point; a set keeps the order of acceptance. */
  private readonly queues = new Map<string, Map<string, Set<CommandRecord>>>();

  add(record: CommandRecord): void {
    const { application, command } = record;
    const points = this.queues.get(application) ?? new Map<string, Set<CommandRecord>>();
    this.queues.set(application, points);
    const queue = points.get(command.point) ?? new Set();
    points.set(command.point, queue.add(record));
  }

  /** Takes one out, whatever its place; harmless for one that is not in. */
  remove(record: CommandRecord): void {
    const { application, command } = record;
    const points = this.queues.get(application);
    const queue = points?.get(command.point);
    queue?.delete(record);
    if (queue?.size === 0) points?.delete(command.point);
    if (points?.size === 0) this.queues.delete(application);
  }

  first(application: string, point: string): CommandRecord | undefined {
    const [first] = this.queues.get(application)?.get(point) ?? [];
    return first;
  }

  /** Those that may be with one device, one for each point. */
  *firsts(application: string): Iterable<CommandRecord> {
    for (const [first] of this.queues.get(application)?.values() ?? []) if (first) yield first;
  }
}
