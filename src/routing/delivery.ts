/**
 * A delivery is one subscription at one endpoint; a port is the endpoint's way out. Together they do the last step of a
 * sample's walk and keep its accounts:
 *
 *     offered ──> decimated                              counted by the group, once for all its deliveries
 *        └──────> Port.offer ──> transmit ──> delivered
 *                     └── congested: held, one sample per delivery; a newer one takes its place ──> dropped(conflated)
 *
 * offered = delivered + decimated + dropped(by reason) + (1 if a sample is held), always.
 */
import type { Ending } from './endings.js';
import type { ContentFormat, Projection } from './format.js';
import type { Membership } from './group.js';
import type { JsonObject } from './primitive.js';
import type { Sample } from './sample.js';
import { LATENCY_CLASSES, type Terms } from './terms.js';

/** The hot path reads this integer; the subscription's machine sets it. */
export const MODE = {
  /** The answer to the registration is not out yet: samples are held. */
  opening: 0,
  active: 1,
  /** Not now (the endpoint's reliable lane is full, its peer is silent): samples are held. */
  suspended: 2,
  ended: 3,
} as const;
export type Mode = (typeof MODE)[keyof typeof MODE];

/** Why a sample of the asked cadence did not reach a subscriber. Index into `Delivery.dropped`. */
export const DROP_REASONS = [
  /** A newer sample took its place while the endpoint was congested or suspended. */
  'conflated',
  /** The subscription ended with the sample still held. */
  'ended',
  /** It cannot be written in the subscriber's format. */
  'no-such-format',
  /** It does not fit one message of this binding. */
  'too-large',
  /** The system refused to send it. */
  'send-failed',
  /** Something threw while it was written or sent: a bug, logged. */
  'fault',
] as const;
export type DropReason = (typeof DROP_REASONS)[number];
const DROP_INDEX = Object.fromEntries(DROP_REASONS.map((reason, index) => [reason, index])) as Record<
  DropReason,
  number
>;

const NO_DROPS: readonly number[] = DROP_REASONS.map(() => 0);

/**
 * Gives its deliveries what is theirs one by one, each when the one before has gone: for what may be neither conflated nor
 * decimated.
 */
export interface Feeder {
  joined(delivery: Delivery): void;
  /** There may be room: it has become active, or what it held has gone. */
  relieved(delivery: Delivery): void;
  left(delivery: Delivery): void;
}

/** Below every latency class: nothing to flush. */
export const UNTOUCHED = LATENCY_CLASSES.length;

/** A way on which each body is kept until the peer has acknowledged it. */
export type ReliableWay = (body: JsonObject, acknowledged: () => void) => void;

export class Delivery {
  // What a sample's walk looks at stands together, in fewer cache lines than the whole has: thousands of them do not fit the caches.
  mode: Mode = MODE.opening;
  /** Which of the samples that its group passed it was offered last. */
  walked = 0;
  /** The newest sample that could not go yet. */
  held: Sample | undefined;
  /** Whether what is offered is what its filterCriteria want, where it has some. */
  isWanted: ((sample: Sample) => boolean) | undefined;
  /** What its port keeps of it, and nobody else looks at: here, because it is wanted for each sample. */
  mark: unknown;
  /** Samples handed to the transport. */
  delivered = 0;
  /** Samples of the asked cadence lost since the last one delivered; told with the next notification, then 0 again. */
  missed = 0;
  /** Of its subscription; empty before it is one. */
  id = '';
  /** Samples that its filter did not want: counted among the decimated. */
  unwanted = 0;
  // Made with the first drop: most have none.
  private drops: number[] | undefined;
  /** Its place in the router's table; undefined before and after. */
  membership: Membership | undefined;
  /** Whose it is to give it samples, where not every one that is published is offered. */
  feeder: Feeder | undefined;
  /** Beside its port, where its endpoint has one. */
  way: ReliableWay | undefined;

  constructor(
    readonly port: Port,
    readonly projection: Projection,
    readonly format: ContentFormat,
    readonly terms: Terms,
  ) {}

  /** By index of DROP_REASONS. */
  get dropped(): readonly number[] {
    return this.drops ?? NO_DROPS;
  }

  drop(reason: DropReason, count = 1): void {
    this.drops ??= [...NO_DROPS];
    this.drops[DROP_INDEX[reason]]! += count; // the index comes from the table that made the array
    this.missed += count;
  }
}

export abstract class Port {
  /** Set by the router: how urgent what it has to flush is, as a rank of a latency class; UNTOUCHED: nothing. */
  touched: number = UNTOUCHED;
  /** Deliveries that hold a sample, oldest first; made with the first. */
  private waiting: Set<Delivery> | undefined;

  /** Takes a sample of the delivery's cadence: it goes now, or is held as the newest. */
  offer(delivery: Delivery, sample: Sample): void {
    if (delivery.mode === MODE.ended) return;
    if (delivery.isWanted !== undefined && !delivery.isWanted(sample)) {
      delivery.unwanted++;
      return;
    }
    if (delivery.mode !== MODE.active || delivery.held !== undefined || !this.attempt(delivery, sample))
      this.hold(delivery, sample);
  }

  /** Lets go of what is held, in the order it began to wait, until the transport refuses. Called when it has room again. */
  drain(): void {
    // Called for each subscriber of each turn: no iterator is made where nobody waits.
    const { waiting } = this;
    if (waiting === undefined || waiting.size === 0) return;
    for (const delivery of waiting) {
      if (delivery.mode !== MODE.active || delivery.held === undefined) continue;
      if (!this.attempt(delivery, delivery.held)) return;
      delivery.held = undefined;
      waiting.delete(delivery);
      delivery.feeder?.relieved(delivery);
    }
  }

  /** True while a delivery that may send holds a sample. */
  get hasWaiting(): boolean {
    for (const { mode } of this.waiting ?? []) if (mode === MODE.active) return true;
    return false;
  }

  /** Forgets a delivery that has ended; a held sample is counted as dropped. */
  release(delivery: Delivery): void {
    delivery.mode = MODE.ended;
    this.waiting?.delete(delivery);
    if (delivery.held) delivery.drop('ended');
    delivery.held = undefined;
  }

  /**
   * Sends what has gathered; the fan-out calls it at the end of the turn in which something was offered, or of one soon after.
   *
   * @param _isUrgent it was touched for something of class protection or control
   */
  flush(_isUrgent: boolean): void {}

  /** Tells the peer that the broker has ended this delivery, and why. Not called for what the peer ended itself. */
  abstract end(delivery: Delivery, ending: Ending): void;

  /**
   * Gives the body to the transport. False: not now, keep it and call `drain` later. A sample that can never go is
   * dropped here with its reason, and the answer is true.
   */
  protected abstract transmit(delivery: Delivery, sample: Sample, body: Uint8Array): boolean;

  /** Hands out the held sample of one delivery, out of its turn: it goes in the place of an unacknowledged one. */
  protected redeem(delivery: Delivery): Sample | undefined {
    const { held } = delivery;
    if (delivery.mode !== MODE.active || held === undefined) return undefined;
    delivery.held = undefined;
    this.waiting?.delete(delivery);
    delivery.delivered++;
    delivery.missed = 0;
    return held;
  }

  private attempt(delivery: Delivery, sample: Sample): boolean {
    const body = sample.body(delivery.projection, delivery.format);
    if (body === undefined) {
      delivery.drop('no-such-format');
      return true;
    }
    const drops = delivery.missed;
    if (!this.transmit(delivery, sample, body)) return false;
    if (delivery.missed > drops) return true;
    delivery.delivered++;
    delivery.missed = 0;
    return true;
  }

  private hold(delivery: Delivery, sample: Sample): void {
    if (delivery.held) delivery.drop('conflated');
    delivery.held = sample;
    (this.waiting ??= new Set()).add(delivery);
  }
}
