/**
 * A confirmable message on its way [RFC7252-4.2].
 *
 *     queued (NSTART) ──> sent ──> sent again, waits doubled, at most R times ──> timed-out
 *                           └─────────┴──> acknowledged | reset
 *
 * At a retransmission the owner may put a newer notification in the place of the one unacknowledged; count and wait are kept
 * [RFC7641-4.5.2]. It then has a new message id, and an acknowledgement or a reset of any of its ids settles it.
 */
import type { Cancel, Clock } from '../../clock.js';
import type { Random } from '../../random.js';
import { compose, TYPE, type Message } from './message.js';
import { ACK_RANDOM_FACTOR, type Parameters } from './parameters.js';
import type { Peer } from './peer.js';

/** How it ended. `out-of-ids` and `queue-full`: it never left. */
export type Outcome = 'acknowledged' | 'reset' | 'timed-out' | 'out-of-ids' | 'queue-full' | 'closed';

export interface Outgoing {
  readonly code: number;
  readonly token: Uint8Array;
  /** Options and payload. */
  readonly tail: Uint8Array;
  /** Called once. `reply` is the acknowledgement, empty or with a piggybacked response. */
  readonly settled: (outcome: Outcome, reply?: Message) => void;
  /** A newer tail to send instead, asked for at each retransmission. */
  readonly renew?: () => Uint8Array | undefined;
}

/** A timer service: the clock itself, or a wheel over it. */
export type Timers = Pick<Clock, 'after'>;

/** What the message layer lends to a message on its way. */
export interface Carrier {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly parameters: Parameters;
  readonly figures: { retransmissions: number; givenUp: number };
  send(peer: Peer, datagram: Uint8Array): void;
}

export class Confirmable {
  /** One for each time that it was sent with something newer. */
  readonly ids: number[] = [];
  private datagram: Uint8Array | undefined;
  private retransmissions = 0;
  private waitMs = 0;
  private sentUs = 0;
  private cancelWait: Cancel = () => {};
  private isSettled = false;

  constructor(
    private readonly carrier: Carrier,
    private readonly peer: Peer,
    private readonly outgoing: Outgoing,
  ) {}

  /** The first sending; NSTART allows it. */
  start(): void {
    const { clock, parameters, random } = this.carrier;
    this.sentUs = clock.monotonicUs();
    if (!this.renumber(this.outgoing.tail)) return this.settle('out-of-ids');
    const { ackTimeoutFloorMs: floor, ackTimeoutCeilingMs: ceiling } = parameters;
    const timeoutMs = Math.min(ceiling, Math.max(floor, this.peer.rtt.timeoutUs / 1000));
    // Random within [T, 1.5 T], so that clients cut off together do not come back together.
    this.waitMs = timeoutMs * (1 + (ACK_RANDOM_FACTOR - 1) * (random.below(0x10000) / 0x10000));
    this.transmit();
  }

  /** An acknowledgement or a reset bearing one of its ids. */
  answered(outcome: 'acknowledged' | 'reset', reply: Message): void {
    this.peer.rtt.measure(this.carrier.clock.monotonicUs() - this.sentUs, this.retransmissions);
    this.settle(outcome, reply);
  }

  /** Ends it without hearing from the peer: what it was for is done, or nobody waits any more. */
  settle(outcome: Outcome, reply?: Message): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.cancelWait();
    this.outgoing.settled(outcome, reply);
    // Last, so that what the owner ends because of it does not get the free place.
    this.peer.left(this);
  }

  private transmit(): void {
    if (this.datagram) this.carrier.send(this.peer, this.datagram);
    this.cancelWait = this.carrier.timers.after(this.waitMs, () => this.waited());
  }

  private waited(): void {
    if (this.retransmissions >= this.carrier.parameters.maxRetransmit) {
      this.carrier.figures.givenUp++;
      return this.settle('timed-out');
    }
    this.retransmissions++;
    this.carrier.figures.retransmissions++;
    this.waitMs *= 2;
    const newer = this.outgoing.renew?.();
    // Without an id to spare the old datagram goes out again: it is still the same message.
    if (newer) this.renumber(newer);
    this.transmit();
  }

  private renumber(tail: Uint8Array): boolean {
    const id = this.peer.ids.take(Math.floor(this.carrier.clock.monotonicUs() / 1000));
    if (id === undefined) return false;
    this.ids.push(id);
    this.datagram = compose(TYPE.confirmable, this.outgoing.code, id, this.outgoing.token, tail);
    return true;
  }
}
