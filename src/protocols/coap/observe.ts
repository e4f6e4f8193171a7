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
import { STATUSES, type Refusal, type Status } from '../../errors.js';
import { Port, type Delivery } from '../../routing/delivery.js';
import { ENDINGS, type Ending } from '../../routing/endings.js';
import type { Sample } from '../../routing/sample.js';
import type { Session } from '../../routing/site.js';
import { tokenOf } from './message.js';
import { encodeTail, OPTION, option, type Option } from './options.js';
import { DEFAULT_MAX_AGE_S, MESSAGE_IDS } from './parameters.js';
import type { Observers } from './observers.js';
import { Pacer } from './pacing.js';
import type { PatternRelation } from './pattern-relation.js';
import type { Peer } from './peer.js';

/**
 * Ids whose relation is known when a reset comes: so many for each relation, and this many at most. One for an older id is swallowed:
 * the next notification is reset as well.
 */
const REMEMBERED_IDS = 1024;
const REMEMBERED_OF_EACH = 64;
/** Of one port: an ordinal has 16 bits, and none is 0. */
const MOST_RELATIONS = 0xffff;
/** Stands in for the rate of a source that declares none, per second. */
const ASSUMED_RATE = 1;

/** What a token stands for: the observation of one resource, or of all that match a pattern (pattern-relation.ts). */
export interface Registration {
  /** As a key of maps. */
  readonly token: string;
  /** Number within its port, 1..65535: what a message id is traced back by. */
  readonly ordinal: number;
  /** When the next notification is due, whole seconds. */
  readonly maxAgeS: number;
  /** Notifications per second by its cadence. */
  readonly rate: number;
  /** By which the further blocks of what it was told are asked for; set once it is registered. */
  cacheKey: string;
  /** No notification goes by it any more; harmless where that is so already. */
  detach(): void;
  /** The same, and the client wants none: the broker is told. */
  leave(session: Session | undefined, ending: Ending): void;
}

export class Relation implements Registration {
  /** Round of the pacer in which it was last confirmable. */
  round = 0;
  readonly maxAgeS: number;
  readonly rate: number;
  /** Nothing but CON: asked for, or what must not be lost. */
  readonly isConfirmable: boolean;
  cacheKey = '';

  constructor(
    readonly token: string,
    readonly ordinal: number,
    readonly delivery: Delivery,
    /** Of the largest block the client asked for; notifications bear block 0 only [RFC7959-3.4]. */
    readonly exponent: number,
  ) {
    this.maxAgeS = maxAgeOf(delivery);
    this.rate = rateOf(delivery);
    this.isConfirmable = delivery.terms.isConfirmable === true || delivery.feeder !== undefined;
  }

  /** What the client registered. */
  get registration(): Registration {
    return this;
  }

  /** Options and payload of a notification. */
  tail(sample: Sample, body: Uint8Array, { observers, peer }: ObserverPort): Uint8Array {
    const { lastTail } = observers;
    const tail = lastTail.of(sample, body, this);
    if (lastTail.long) observers.keepLong(peer, this.cacheKey, lastTail.long);
    return tail;
  }

  /** Notifications go by it from now on. */
  attach(): void {
    this.delivery.mark = this;
    this.port.rate += this.rate;
  }

  detach(): void {
    if (this.delivery.mark !== this) return;
    this.delivery.mark = undefined;
    this.port.rate -= this.rate;
  }

  private get port(): ObserverPort {
    return this.delivery.port as ObserverPort; // whose deliveries alone have relations
  }

  leave(session: Session | undefined, ending: Ending): void {
    session?.unsubscribe(this.delivery, ending);
  }
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
  /** By token. */
  readonly relations = new Map<string, Registration>();
  private readonly byOrdinal = new Map<number, Registration>();
  /** Notifications a second by all of them, a pattern's members each. */
  rate = 0;
  private readonly pacer: Pacer;
  /** By the low bits of a message id: the id in the upper half, the ordinal of its relation in the lower. As many as a power of two. */
  private senders = new Uint32Array(REMEMBERED_OF_EACH);
  private lastOrdinal = 0;
  private cancelWait: Cancel | undefined;
  session: Session | undefined;
  /** Registrations whose answer is still being made, by token; a later one, or Observe 1, takes the place. */
  readonly registering = new Map<string, number>();

  constructor(
    readonly observers: Observers,
    readonly peer: Peer,
  ) {
    super();
    this.pacer = new Pacer(observers.endpoint.parameters, peer);
    peer.pins++;
    peer.onRoom = () => this.drain();
  }

  /** Whether there is a number for one more token. */
  hasNumberFor(token: string): boolean {
    return this.relations.size < MOST_RELATIONS || this.relations.has(token);
  }

  /** Whether the message ids suffice for a stream of `rate` notifications a second beside those of other tokens. */
  affords(token: string, rate: number): boolean {
    const others = this.rate - (this.relations.get(token)?.rate ?? 0);
    return others + rate <= MESSAGE_IDS / (this.observers.endpoint.parameters.exchangeLifetimeMs / 1000);
  }

  get isPaused(): boolean {
    return this.pacer.isPaused(this.observers.endpoint.clock.monotonicUs());
  }

  /** Enters a relation; one with the same token is replaced [RFC7641-4.1]. */
  add(token: string, delivery: Delivery, exponent: number): Relation {
    const relation = new Relation(token, this.makeRoom(token), delivery, exponent);
    relation.attach();
    this.enter(relation);
    return relation;
  }

  /** The same for a pattern, whose deliveries are still to come. */
  addPattern(relation: PatternRelation): void {
    relation.ordinal = this.makeRoom(relation.token);
    this.enter(relation);
  }

  /** @returns a free ordinal */
  private makeRoom(token: string): number {
    this.remove(token, 'REPLACED');
    do this.lastOrdinal = (this.lastOrdinal % MOST_RELATIONS) + 1;
    while (this.byOrdinal.has(this.lastOrdinal));
    return this.lastOrdinal;
  }

  private enter(relation: Registration): void {
    this.relations.set(relation.token, relation);
    this.byOrdinal.set(relation.ordinal, relation);
    // A pattern is as many as match it.
    const mostRelations = relation instanceof Relation ? this.relations.size : Infinity;
    while (this.senders.length < Math.min(mostRelations * REMEMBERED_OF_EACH, REMEMBERED_IDS)) this.rememberMore();
  }

  private rememberMore(): void {
    const senders = new Uint32Array(2 * this.senders.length);
    for (const sender of this.senders) senders[(sender >>> 16) & (senders.length - 1)] = sender;
    this.senders = senders;
  }

  /** The client, or we on its behalf, end the relation with this token. */
  remove(token: string, ending: Ending): void {
    const relation = this.relations.get(token);
    if (!relation) return;
    this.detach(relation, ending);
    relation.leave(this.session, ending);
  }

  /** A reset to a non-confirmable notification [RFC7641-3.6]. */
  reset(id: number): void {
    const sender = this.senders[id & (this.senders.length - 1)] ?? 0;
    const relation = sender >>> 16 === id ? this.byOrdinal.get(sender & 0xffff) : undefined;
    if (relation) this.ended(relation, 'PEER_RESET');
  }

  override end(delivery: Delivery, ending: Ending): void {
    const relation = relationOf(delivery);
    const registered = relation?.registration;
    // One of a pattern just ends; `release` follows.
    if (registered && registered === relation) this.endRelation(registered, ending);
  }

  override release(delivery: Delivery): void {
    super.release(delivery);
    relationOf(delivery)?.detach();
  }

  /** The broker ends what a token stands for, and says why. */
  endRelation(relation: Registration, why: Ending | Refusal): void {
    const isRefused = typeof why !== 'string';
    this.detach(relation, isRefused ? 'UNSUBSCRIBED' : why);
    const final = isRefused ? answerOf(why.status, why.detail) : finalOf(why);
    const token = tokenOf(relation.token);
    if (final) this.observers.endpoint.confirm(this.peer, { ...final, token, settled: () => {} });
    this.observers.closeIfIdle(this);
  }

  /** Ends the port with all its relations. Nobody stays to wait for acknowledgements, so what is said is said once. */
  close(ending: Ending): void {
    const final = finalOf(ending);
    for (const relation of [...this.relations.values()]) {
      this.detach(relation, ending);
      if (final) this.observers.endpoint.sendNon(this.peer, final.code, tokenOf(relation.token), final.tail);
    }
    this.cancelWait?.();
    this.peer.onRoom = undefined;
    this.peer.pins--;
    this.registering.clear();
    this.session?.close(ending);
  }

  override flush(isUrgent: boolean): void {
    this.observers.endpoint.flush(this.peer.destination, isUrgent);
  }

  override drain(): void {
    super.drain();
    this.observers.endpoint.flushSoon(this.peer.destination);
  }

  protected override transmit(delivery: Delivery, sample: Sample, body: Uint8Array): boolean {
    const relation = relationOf(delivery);
    if (!relation) return false;
    const { endpoint } = this.observers;
    if (relation.isConfirmable || !this.pacer.isQuiet(endpoint.nowMs())) return this.pace(relation, sample, body);
    return this.sendNon(relation, relation.tail(sample, body, this));
  }

  private pace(relation: Relation, sample: Sample, body: Uint8Array): boolean {
    const { endpoint } = this.observers;
    const nowUs = endpoint.nowUs();
    const verdict = this.pacer.verdict(nowUs, relation.isConfirmable, relation);
    if (verdict === 'wait') {
      this.wakeAt(nowUs, this.pacer.freeAtUs);
      return false;
    }
    const tail = relation.tail(sample, body, this);
    if (verdict === 'con') {
      this.confirm(relation, tail, nowUs);
      return true;
    }
    const isSent = this.sendNon(relation, tail);
    if (isSent) this.pacer.sentNon(nowUs);
    return isSent;
  }

  private sendNon(relation: Relation, tail: Uint8Array): boolean {
    const { endpoint } = this.observers;
    const id = endpoint.queueNon(this.peer, NOTIFICATION, relation.token, tail);
    if (id === undefined) {
      const nowUs = endpoint.nowUs();
      this.wakeAt(nowUs, nowUs + this.peer.ids.retryAfterMs * 1000);
      return false;
    }
    this.senders[id & (this.senders.length - 1)] = (id << 16) | relation.ordinal;
    return true;
  }

  private confirm(relation: Relation, tail: Uint8Array, nowUs: number): void {
    const { endpoint } = this.observers;
    this.pacer.sentConfirmable(nowUs, relation, this.relations.size);
    endpoint.confirm(this.peer, {
      code: NOTIFICATION,
      token: tokenOf(relation.token),
      tail,
      renew: () => this.newer(relation),
      settled: (outcome) => {
        this.pacer.settled(endpoint.clock.monotonicUs(), outcome === 'acknowledged');
        if (outcome === 'reset') this.ended(relation.registration, 'PEER_RESET');
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
    return sample && body && relation.tail(sample, body, this);
  }

  /** One timer per client, and only while something waits for the path to be free. */
  private wakeAt(nowUs: number, atUs: number): void {
    if (this.cancelWait || atUs <= nowUs) return;
    this.cancelWait = this.observers.endpoint.clock.after((atUs - nowUs) / 1000, () => {
      this.cancelWait = undefined;
      this.drain();
    });
  }

  private ended(relation: Registration, ending: Ending): void {
    // An older one of the same token may already have been replaced.
    if (this.relations.get(relation.token) !== relation) return;
    this.remove(relation.token, ending);
    this.observers.closeIfIdle(this);
  }

  private detach(relation: Registration, ending: Ending): void {
    this.observers.countEnding(ending);
    this.relations.delete(relation.token);
    this.byOrdinal.delete(relation.ordinal);
    relation.detach();
  }
}

/** The relation that stands; undefined before and after. */
const relationOf = ({ mark }: Delivery): Relation | undefined => (mark instanceof Relation ? mark : undefined);

/** 2.05 */
const NOTIFICATION = STATUSES.STATUS_OK.coap;

/** The last notification of a relation that the broker ends: an error, without Observe [RFC7641-4.2]. */
function finalOf(ending: Ending): { readonly code: number; readonly tail: Uint8Array } | undefined {
  const row = ENDINGS[ending];
  if (!('status' in row)) return undefined;
  return answerOf(row.status, row.sentence);
}

const answerOf = (status: Status, sentence = ''): { readonly code: number; readonly tail: Uint8Array } => ({
  code: STATUSES[status].coap,
  tail: encodeTail([], Buffer.from(sentence)),
});
