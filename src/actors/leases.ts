/**
 * Leases: a resource goes when its expirationTime has come. A live one has a place in the timer wheel. A row has none: in the minute
 * in which a lease of it ends, it is made live again, and its resources have theirs.
 */
import { parseTime, type Cancel, type Clock } from '../clock.js';
import type { Leases } from '../kernel/wheel.js';
import type { ResourceTree } from '../resources/tree.js';
import type { Sample } from '../routing/sample.js';
import type { Schedule } from './notification-channel.js';
import type { Node } from './resources.js';

const MINUTE_US = 60_000_000;
/** What ends sooner does not become a row: its minute may have begun. */
const NEAR_US = 2 * MINUTE_US;
/** Rows that are made live in one turn. */
const WOKEN_AT_ONCE = 200;

export class ResourceLeases {
  /** By the minute in which leases of rows end. */
  private readonly wakes = new Map<number, Cancel>();

  constructor(
    private readonly tree: ResourceTree<Sample>,
    private readonly clock: Clock,
    private readonly schedule: Schedule,
    private readonly granted: Leases<Node>,
  ) {}

  /** Begins a lease where a resource has an end, in place of the one that it had. */
  begin(node: Node): void {
    this.end(node);
    const untilUs = expiryOf(node);
    if (untilUs !== undefined) node.lease = this.granted.grant(node, (untilUs - this.clock.wallUs()) / 1000);
  }

  end(node: Node): void {
    if (node.lease !== undefined) this.granted.revoke(node.lease);
    node.lease = undefined;
  }

  endAll(): void {
    for (const node of this.tree) this.end(node);
    for (const cancel of this.wakes.values()) cancel();
    this.wakes.clear();
  }

  isNearEnd(node: Node): boolean {
    const untilUs = expiryOf(node);
    return untilUs !== undefined && untilUs < this.clock.wallUs() + NEAR_US;
  }

  /** Which `wake` of the tree is that of the earliest end; undefined: there is none. */
  wakeOf(nodes: readonly Node[]): number | undefined {
    let untilUs = Infinity;
    for (const node of nodes) untilUs = Math.min(untilUs, expiryOf(node) ?? Infinity);
    return untilUs === Infinity ? undefined : Math.floor(untilUs / MINUTE_US);
  }

  /** A row has taken the place of resources whose leases end from this minute on. */
  wakeAt(minute: number): void {
    if (this.wakes.has(minute)) return;
    const wake = (): void => {
      this.wakes.delete(minute);
      this.takeSteps(this.tree.wake(minute));
    };
    this.wakes.set(minute, this.schedule((minute * MINUTE_US - this.clock.wallUs()) / 1000, wake));
  }

  private takeSteps(steps: Iterator<void>): void {
    for (let n = 0; n < WOKEN_AT_ONCE; n++) if (steps.next().done === true) return;
    this.clock.atTurnEnd(() => this.takeSteps(steps));
  }
}

/** Its expirationTime, microseconds since the epoch. */
export function expiryOf({ attributes }: Node): number | undefined {
  const until = attributes.get('expirationTime');
  return typeof until === 'string' ? parseTime(until) : undefined;
}
