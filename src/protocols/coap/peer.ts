/**
 * What the message layer knows of one remote endpoint (address and port): its message ids, round-trip time, what was received
 * from it lately, what is outstanding towards it. It lives while any of that does, and is forgotten afterwards.
 */
import { addressKey, type Address } from '../../network.js';
import { Destination } from '../../network/batch.js';
import type { Random } from '../../random.js';
import type { Identity } from '../identity.js';
import { Arrivals } from './arrivals.js';
import type { Confirmable } from './confirmable.js';
import { Recent, type DedupBudget } from './dedup.js';
import { MessageIds } from './ids.js';
import type { Message } from './message.js';
import type { Parameters } from './parameters.js';
import { RttEstimator } from './rtt.js';

/** Confirmables that wait for NSTART; one more is refused: a peer that does not acknowledge gets no backlog. */
const LONGEST_QUEUE = 64;

/** A request of ours that still expects responses with its token. */
export interface Awaited {
  /** A response bearing the token; `Outcome`s other than an acknowledgement are failures. */
  readonly responded: (response: Message) => void;
}

/** What `gridcast top` and /metrics show of a peer. */
export interface PeerFigures {
  readonly address: string;
  readonly congestion: Parameters['congestion'];
  /** `undefined` before the first acknowledgement. */
  readonly rttUs: number | undefined;
  readonly idsUsed: number;
  readonly idsAllowed: number;
  readonly outstanding: number;
  readonly remembered: number;
}

export class Peer {
  readonly key: string;
  readonly destination: Destination;
  readonly rtt = new RttEstimator();
  readonly ids: MessageIds;
  readonly recent: Recent;
  readonly arrivals = new Arrivals();
  // Made when first needed: of a thousand observers none is asked anything.
  private requests: Map<string, Awaited> | undefined;
  /** Whose token was last posted from there; see authz-info.ts. */
  identity: Identity | undefined;
  /** When something last came from it, monotonic microseconds. */
  heardUs = 0;
  /** Owners beyond the message layer: observe relations. */
  pins = 0;
  /** Called when a confirmable has made room. */
  onRoom: (() => void) | undefined;
  private readonly inFlight = new Set<Confirmable>();
  private readonly queue: Confirmable[] = [];

  constructor(
    readonly address: Address,
    private readonly parameters: Parameters,
    budget: DedupBudget,
    random: Random,
  ) {
    this.key = addressKey(address);
    this.destination = new Destination(address);
    this.ids = new MessageIds(parameters.exchangeLifetimeMs, random);
    this.recent = new Recent(budget);
  }

  /** Our requests by token. */
  get awaited(): Map<string, Awaited> {
    return (this.requests ??= new Map());
  }

  /** The confirmable, sent and unsettled, that has had this id: one of a few, NSTART bounds them. */
  outstanding(id: number): Confirmable | undefined {
    for (const confirmable of this.inFlight) if (confirmable.ids.includes(id)) return confirmable;
    return undefined;
  }

  /** Confirmables sent and unsettled. */
  get inFlightCount(): number {
    return this.inFlight.size;
  }

  /** Whether NSTART lets another confirmable go now. */
  get hasRoom(): boolean {
    return this.inFlight.size < this.parameters.nstart;
  }

  /** True while forgetting it would break something. */
  get isBusy(): boolean {
    return this.pins > 0 || this.inFlight.size > 0 || (this.requests?.size ?? 0) > 0;
  }

  /** Sends a confirmable now or in its turn [RFC7252-4.7]. */
  enter(confirmable: Confirmable): void {
    if (this.hasRoom) this.launch(confirmable);
    else if (this.queue.length < LONGEST_QUEUE) this.queue.push(confirmable);
    else confirmable.settle('queue-full');
  }

  /** A confirmable is settled: the next in turn goes. */
  left(confirmable: Confirmable): void {
    const waits = this.queue.indexOf(confirmable);
    if (waits >= 0) this.queue.splice(waits, 1);
    if (!this.inFlight.delete(confirmable)) return;
    const next = this.hasRoom ? this.queue.shift() : undefined;
    if (next) this.launch(next);
    this.onRoom?.();
  }

  figures(nowUs: number): PeerFigures {
    return {
      address: this.key,
      congestion: this.parameters.congestion,
      rttUs: this.rtt.meanUs,
      idsUsed: this.ids.used(Math.floor(nowUs / 1000)),
      idsAllowed: this.ids.allowed,
      outstanding: this.inFlight.size,
      remembered: this.recent.size,
    };
  }

  /** Ends everything towards it. */
  close(): void {
    for (const confirmable of [...this.queue, ...this.inFlight]) confirmable.settle('closed');
    this.recent.clear();
  }

  private launch(confirmable: Confirmable): void {
    this.inFlight.add(confirmable);
    confirmable.start();
  }
}
