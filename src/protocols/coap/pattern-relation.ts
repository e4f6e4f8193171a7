/**
 * An observation of a pattern: one token, and a relation for each resource that matches, which come and go with the tree.
 *
 *     GET Observe 0, /m2m/applications/*\/containers/measurements/contentInstances/latest/content ──> 2.05, Observe, no payload
 *        <── 2.05, Observe n, Location-Path /m2m/applications/pmu-61/containers/measurements, payload
 *        <── 2.05, Observe n + 1, Location-Path /m2m/applications/pmu-62/containers/measurements, payload
 *
 * Location-Path is elective: who does not know it here sees a stream like any other. Observe counts the notifications of all members
 * together, since a client drops what bears a lower number than the last [RFC7641-3.4].
 */
import { STATUSES, type Refusal } from '../../errors.js';
import type { Delivery } from '../../routing/delivery.js';
import type { Ending } from '../../routing/endings.js';
import type { PatternSubscription, RouteSink } from '../../routing/pattern.js';
import type { Sample } from '../../routing/sample.js';
import { blockBytes, blockOption, tagOf } from './blocks.js';
import { sequenceBytes } from './last-tail.js';
import { maxAgeOf, maxAgeOption, Relation, type ObserverPort, type Registration } from './observe.js';
import { encodeTail, OPTION, option, type Option } from './options.js';
import { DEFAULT_MAX_AGE_S } from './parameters.js';

/** 24 bits [RFC7641-4.4]. */
const SEQUENCE_MASK = 0xff_ffff;

export class PatternRelation implements Registration, RouteSink {
  /** Of a container that has told nothing yet nobody knows when it will. */
  readonly maxAgeS = DEFAULT_MAX_AGE_S;
  ordinal = 0;
  cacheKey = '';
  subscription: PatternSubscription | undefined;
  private readonly members = new Set<Member>();
  private sequence = 0;
  private refusal: Refusal | undefined;

  /** @param end ends it with an answer that says why */
  constructor(
    readonly token: string,
    readonly exponent: number,
    private readonly end: (relation: PatternRelation, why: Ending | Refusal) => void,
  ) {}

  get rate(): number {
    let sum = 0;
    for (const { rate } of this.members) sum += rate;
    return sum;
  }

  nextSequence(): number {
    return (this.sequence = (this.sequence + 1) & SEQUENCE_MASK);
  }

  opened(delivery: Delivery, container: readonly string[]): void {
    const member = new Member(this, delivery, container);
    this.members.add(member);
    member.attach();
  }

  /** One among others is left out in silence: CoAP has no word for it. Where there is no other, the observation is refused. */
  refused(_: readonly string[], refusal: Refusal): void {
    this.refusal ??= refusal;
  }

  complete(): void {
    if (this.members.size > 0 || !this.refusal) return;
    this.leave();
    this.end(this, this.refusal);
  }

  ended(ending: Ending): void {
    this.end(this, ending);
  }

  left(member: Member): void {
    this.members.delete(member);
  }

  detach(): void {
    for (const member of this.members) member.detach();
  }

  leave(): void {
    this.subscription?.end();
  }
}

/** What of it one resource is: goes by its token, and says in each notification whose it is. */
class Member extends Relation {
  private readonly from: readonly Option[];

  constructor(
    private readonly pattern: PatternRelation,
    delivery: Delivery,
    container: readonly string[],
  ) {
    super(pattern.token, pattern.ordinal, delivery, pattern.exponent);
    this.from = [
      ...container.map((segment) => option(OPTION.locationPath, segment)),
      option(OPTION.contentFormat, delivery.format.coap),
      ...maxAgeOption(maxAgeOf(delivery)),
    ];
  }

  override get registration(): Registration {
    return this.pattern;
  }

  override detach(): void {
    super.detach();
    this.pattern.left(this);
  }

  override tail(_: Sample, body: Uint8Array, { observers, peer }: ObserverPort): Uint8Array {
    const { from, exponent, pattern } = this;
    const observe = option(OPTION.observe, sequenceBytes(pattern.nextSequence()));
    if (body.length <= blockBytes(exponent)) return encodeTail([observe, ...from], body);
    const etag = option(OPTION.etag, tagOf(body));
    const long = { code: STATUSES.STATUS_OK.coap, options: [etag, ...from], payload: body };
    observers.keepLong(peer, pattern.cacheKey, long);
    const block = blockOption(OPTION.block2, { number: 0, isMore: true, exponent });
    return encodeTail([observe, ...from, etag, block], body.subarray(0, blockBytes(exponent)));
  }
}
