/**
 * A group: the deliveries of one container that want the same samples in the same form. One decision and one encoding serve
 * them all, and what is decided for all is counted once.
 */
import type { Cadence } from './cadence.js';
import { DROP_REASONS, type Delivery, type DropReason } from './delivery.js';
import type { Route } from './router.js';
import type { Sample } from './sample.js';

/** Without a declared rate spacing is measured; devices that stamp in milliseconds must not lose every other sample. */
const SPACING_SLACK_US = 1_000;

/** Why the router offered a sample to nobody. */
export type RefusedReason =
  /** The same slot of the same source came twice; the first one won. */
  | 'duplicate'
  /** Its tag lies before one already delivered. */
  | 'out-of-order';

interface Counters {
  offered: number;
  decimated: number;
  duplicate: number;
  outOfOrder: number;
}

export class Group implements Counters {
  readonly deliveries: Delivery[] = [];
  offered = 0;
  decimated = 0;
  duplicate = 0;
  outOfOrder = 0;
  /** Measured time of the last sample admitted by spacing. */
  private lastUs = -Infinity;

  constructor(
    readonly route: Route,
    readonly key: string,
    readonly cadence: Cadence,
  ) {}

  admits(sample: Sample, slot: number): boolean {
    if (this.cadence.sourceRate > 0) return this.cadence.admits(slot);
    const sinceUs = sample.measuredUs - this.lastUs;
    // A clock that stepped back starts the spacing anew; waiting for it to catch up could take hours.
    if (sinceUs >= 0 && sinceUs < this.cadence.spacingUs - SPACING_SLACK_US) return false;
    this.lastUs = sample.measuredUs;
    return true;
  }

  /** @param from the place it had, whose counts it keeps */
  add(delivery: Delivery, from?: Membership): void {
    const counted = (name: keyof Counters): number => (from ? from.group[name] - from.before[name] : 0);
    const before = {
      offered: this.offered - counted('offered'),
      decimated: this.decimated - counted('decimated'),
      duplicate: this.duplicate - counted('duplicate'),
      outOfOrder: this.outOfOrder - counted('outOfOrder'),
    };
    delivery.membership = { group: this, index: this.deliveries.length, before, repeated: from?.repeated ?? 0 };
    this.deliveries.push(delivery);
  }

  /** Takes a delivery out in constant time; tells how many are left. */
  remove(delivery: Delivery): number {
    const index = delivery.membership?.index ?? -1;
    const last = this.deliveries.pop();
    if (last?.membership && last !== delivery) {
      this.deliveries[index] = last;
      last.membership.index = index;
    }
    delivery.membership = undefined;
    return this.deliveries.length;
  }
}

/** A delivery's place in its group. */
export interface Membership {
  readonly group: Group;
  index: number;
  /** The group's counters when the delivery joined: what came before is not its own. */
  readonly before: Readonly<Counters>;
  /** Samples offered to this delivery alone: its largest spacing had passed, or it is fed one by one. */
  repeated: number;
}

/** A delivery's balance: received = delivered + decimated + the sum of dropped + held. */
export interface Account {
  readonly received: number;
  readonly delivered: number;
  readonly decimated: number;
  readonly dropped: Readonly<Record<DropReason | RefusedReason, number>>;
  /** 1 while a sample waits for its endpoint. */
  readonly held: number;
}

const NONE: Counters = { offered: 0, decimated: 0, duplicate: 0, outOfOrder: 0 };

export function accountOf({ membership, delivered, unwanted, dropped, held }: Delivery): Account {
  const { group, before, repeated } = membership ?? { group: NONE, before: NONE, repeated: 0 };
  const duplicate = group.duplicate - before.duplicate;
  const outOfOrder = group.outOfOrder - before.outOfOrder;
  const own = Object.fromEntries(DROP_REASONS.map((reason, index) => [reason, dropped[index] ?? 0]));
  return {
    received: group.offered - before.offered + duplicate + outOfOrder + repeated,
    delivered,
    decimated: group.decimated - before.decimated + unwanted,
    dropped: { ...(own as Record<DropReason, number>), duplicate, 'out-of-order': outOfOrder },
    held: held ? 1 : 0,
  };
}
