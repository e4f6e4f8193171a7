/**
 * Observe, the server's side [RFC7641-4]: one port per client endpoint, one relation per token.
 *
 *     sample ──> offer ──> transmit ──> pacer ──> NON | CON | held (latest wins)
 *                                         │
 *                      type, id, token ───┴── + tail (options, payload): one per sample and format, shared by all observers
 *
 *     ended by      GET Observe 1 · RST to any notification · a CON given up (the client is gone: all its relations) · the broker
 *
 * Per observer a notification costs its datagram and nothing else: no timer, no closure, no entry in a table that grows.
 */
import type { Cancel } from '../../clock.js';
import { STATUSES } from '../../errors.js';
import { Port, type Delivery } from '../../routing/delivery.js';
import { ENDINGS, type Ending } from '../../routing/endings.js';
import type { Sample } from '../../routing/sample.js';
import type { Session } from '../../routing/site.js';
import type { Representation } from './blocks.js';
import { tokenKey } from './message.js';
import { encodeTail, OPTION, option, type Option } from './options.js';
import { DEFAULT_MAX_AGE_S, MESSAGE_IDS } from './parameters.js';
import type { Observers } from './observers.js';
import { Pacer } from './pacing.js';
import type { Peer } from './peer.js';

/** Ids whose relation is known when a reset comes. One for an older id is swallowed: the next notification is reset as well. */
const REMEMBERED_IDS = 1024;
/** Stands in for the rate of a source that declares none, per second. */
const ASSUMED_RATE = 1;

export class Relation {
  /** Round of the pacer in which it was last confirmable. */
  round = 0;
  /** Keeps what was told in a first block, until the client has read the rest [RFC7959-3.4]. */
  keepsLong: (representation: Representation) => void = () => {};

  constructor(
    readonly token: Uint8Array,
    /** Number within its port, 1..65535: what a message id is traced back by. */
    readonly ordinal: number,
    readonly delivery: Delivery,
    /** When the next notification is due, whole seconds. */
    readonly maxAgeS: number,
    /** Notifications per second by its cadence. */
    readonly rate: number,
    /** Of the largest block the client asked for; notifications bear block 0 only [RFC7959-3.4]. */
    readonly exponent: number,
  ) {}
}

/**
 * Seconds until a delivery's next sample is due, rounded up; bounded by the largest spacing asked for. With a condition nobody can say
 * when that is met.
 */
export function maxAgeOf({ membership, terms }: Delivery): number {
  const periodS = terms.condition ? 0 : (membership?.group.cadence.periodS ?? 0);
  const dueS = Math.min(periodS > 0 ? periodS : DEFAULT_MAX_AGE_S, terms.maxSpacingS ?? Infinity);
  return Math.max(1, Math.ceil(dueS));
}

export const rateOf = ({ membership }: Delivery): number => {
  const periodS = membership?.group.cadence.periodS ?? 0;
  return periodS > 0 ? 1 / periodS : ASSUMED_RATE;
};

/** Max-Age where it is not the default. */
export const maxAgeOption = (seconds: number): readonly Option[] =>
  seconds === DEFAULT_MAX_AGE_S ? [] : [option(OPTION.maxAge, seconds)];

/** One client endpoint that observes. */
export class ObserverPort extends Port {
  readonly relations = new Map<string, Relation>();
  private readonly byOrdinal = new Map<number, Relation>();
  private readonly pacer: Pacer;
  /** By the low bits of a message id: the id in the upper half, the ordinal of its relation in the lower. */
  private readonly senders = new Uint32Array(REMEMBERED_IDS);
  private lastOrdinal = 0;
  private cancelWait: Cancel | undefined;
  session: Session | undefined;
  /** Registrations whose answer is still being made, by token; a later one, or Observe 1, takes the place. */
  readonly registering = new Map<string, number>();

  constructor(
    private readonly observers: Observers,
    readonly peer: Peer,
  ) {
    super();
    this.pacer = new Pacer(observers.endpoint.parameters, peer);
    peer.pins++;
    peer.onRoom = () => this.drain();
  }

  /** Whether the message ids suffice for a stream of `rate` notifications a second beside those of other tokens. */
  affords(token: Uint8Array, rate: number): boolean {
    let sum = rate;
    for (const [key, relation] of this.relations) if (key !== tokenKey(token)) sum += relation.rate;
    return sum <= MESSAGE_IDS / (this.observers.endpoint.parameters.exchangeLifetimeMs / 1000);
  }

  get isPaused(): boolean {
    return this.pacer.isPaused(this.observers.endpoint.clock.monotonicUs());
  }

  /** Enters a relation; one with the same token is replaced [RFC7641-4.1]. */
  add(token: Uint8Array, delivery: Delivery, exponent: number): Relation {
    this.remove(token, 'REPLACED');
    do this.lastOrdinal = (this.lastOrdinal % 0xffff) + 1;
    while (this.byOrdinal.has(this.lastOrdinal));
    // A copy: the token is a view into the datagram that registered.
    const relation = new Relation(
      Uint8Array.from(token),
      this.lastOrdinal,
      delivery,
      maxAgeOf(delivery),
      rateOf(delivery),
      exponent,
    );
    this.relations.set(tokenKey(token), relation);
    delivery.mark = relation;
    this.byOrdinal.set(relation.ordinal, relation);
    return relation;
  }

  /** The client, or we on its behalf, end the relation with this token. */
  remove(token: Uint8Array, ending: Ending): void {
    const relation = this.relations.get(tokenKey(token));
    if (!relation) return;
    this.detach(relation, ending);
    this.session?.unsubscribe(relation.delivery, ending);
  }

  /** A reset to a non-confirmable notification [RFC7641-3.6]. */
  reset(id: number): void {
    const sender = this.senders[id % REMEMBERED_IDS] ?? 0;
    const relation = sender >>> 16 === id ? this.byOrdinal.get(sender & 0xffff) : undefined;
    if (relation) this.ended(relation, 'PEER_RESET');
  }

  override end(delivery: Delivery, ending: Ending): void {
    const relation = relationOf(delivery);
    if (!relation) return;
    this.detach(relation, ending);
    const final = finalOf(ending);
    const { token } = relation;
    if (final) this.observers.endpoint.confirm(this.peer, { ...final, token, settled: () => {} });
    this.observers.closeIfIdle(this);
  }

  /** Ends the port with all its relations. Nobody stays to wait for acknowledgements, so what is said is said once. */
  close(ending: Ending): void {
    const final = finalOf(ending);
    for (const relation of [...this.relations.values()]) {
      this.detach(relation, ending);
      if (final) this.observers.endpoint.sendNon(this.peer, final.code, relation.token, final.tail);
    }
    this.cancelWait?.();
    this.peer.onRoom = undefined;
    this.peer.pins--;
    this.registering.clear();
    this.session?.close(ending);
  }

  /** The first of the ports that the router flushes sends what all of them have queued. */
  override flush(): void {
    this.observers.endpoint.flush();
  }

  override drain(): void {
    super.drain();
    this.observers.endpoint.flushSoon();
  }

  protected override transmit(delivery: Delivery, sample: Sample, body: Uint8Array): boolean {
    const relation = relationOf(delivery);
    if (!relation) return false;
    const { endpoint, lastTail } = this.observers;
    const nowUs = endpoint.nowUs();
    const verdict = this.pacer.verdict(nowUs, isConfirmable(delivery), relation);
    if (verdict === 'wait') {
      this.wakeAt(nowUs, this.pacer.freeAtUs);
      return false;
    }
    const tail = lastTail.of(sample, body, relation);
    if (verdict === 'con') {
      this.confirm(relation, tail, nowUs);
      return true;
    }
    const id = endpoint.queueNon(this.peer, NOTIFICATION, relation.token, tail);
    if (id === undefined) {
      this.wakeAt(nowUs, nowUs + this.peer.ids.retryAfterMs * 1000);
      return false;
    }
    this.senders[id % REMEMBERED_IDS] = id * 0x10000 + relation.ordinal;
    this.pacer.sentNon(nowUs);
    return true;
  }

  private confirm(relation: Relation, tail: Uint8Array, nowUs: number): void {
    const { endpoint } = this.observers;
    this.pacer.sentConfirmable(nowUs, relation, this.relations.size);
    endpoint.confirm(this.peer, {
      code: NOTIFICATION,
      token: relation.token,
      tail,
      renew: () => this.newer(relation),
      settled: (outcome) => {
        this.pacer.settled(endpoint.clock.monotonicUs(), outcome === 'acknowledged');
        if (outcome === 'reset') this.ended(relation, 'PEER_RESET');
        else if (outcome === 'timed-out') this.observers.close(this, 'PEER_TIMEOUT');
        // It never left, and says so before `transmit` returns.
        else if (outcome === 'out-of-ids') relation.delivery.drop('send-failed');
      },
    });
  }

  /** [RFC7641-4.5.2] at a retransmission the newest value takes the place of the unacknowledged one. */
  private newer(relation: Relation): Uint8Array | undefined {
    const { delivery } = relation;
    // What is fed one by one is sent until it is acknowledged.
    const isReplaced = relationOf(delivery) !== undefined && delivery.feeder === undefined;
    const sample = isReplaced ? this.redeem(delivery) : undefined;
    const body = sample?.body(delivery.projection, delivery.format);
    return sample && body && this.observers.lastTail.of(sample, body, relation);
  }

  /** One timer per client, and only while something waits for the path to be free. */
  private wakeAt(nowUs: number, atUs: number): void {
    if (this.cancelWait || atUs <= nowUs) return;
    this.cancelWait = this.observers.endpoint.clock.after((atUs - nowUs) / 1000, () => {
      this.cancelWait = undefined;
      this.drain();
    });
  }

  private ended(relation: Relation, ending: Ending): void {
    // An older one of the same token may already have been replaced.
    if (this.relations.get(tokenKey(relation.token)) !== relation) return;
    this.remove(relation.token, ending);
    this.observers.closeIfIdle(this);
  }

  private detach(relation: Relation, ending: Ending): void {
    this.observers.countEnding(ending);
    this.relations.delete(tokenKey(relation.token));
    relation.delivery.mark = undefined;
    this.byOrdinal.delete(relation.ordinal);
  }
}

/** The relation that stands; undefined before and after. */
const relationOf = ({ mark }: Delivery): Relation | undefined => (mark instanceof Relation ? mark : undefined);

/** Asked for, or what must not be lost. */
const isConfirmable = ({ terms, feeder }: Delivery): boolean => terms.isConfirmable === true || feeder !== undefined;

/** 2.05 */
const NOTIFICATION = STATUSES.STATUS_OK.coap;

/** The last notification of a relation that the broker ends: an error, without Observe [RFC7641-4.2]. */
function finalOf(ending: Ending): { readonly code: number; readonly tail: Uint8Array } | undefined {
  const row = ENDINGS[ending];
  if (!('status' in row)) return undefined;
  return { code: STATUSES[row.status].coap, tail: encodeTail([], Buffer.from(row.sentence)) };
}
