/**
 * All subscriptions, however they were asked for: over CoAP, over a WebSocket, or as a resource (subscription-resources.ts).
 * Checks what is asked, makes the delivery and gives it to its actor.
 */
import type { Clock } from '../clock.js';
import { isRefusal, refuse, type Refusal } from '../errors.js';
import type { Cell } from '../kernel/cell.js';
import { Population } from '../kernel/population.js';
import type { Log } from '../log.js';
import { randomId, type Random } from '../random.js';
import { BROKER_APPLICATION } from '../routing/alarm.js';
import { Cadence } from '../routing/cadence.js';
import { Delivery, type Port } from '../routing/delivery.js';
import type { FoundTarget } from '../routing/dispatcher.js';
import type { Ending } from '../routing/endings.js';
import { filterOf, type Contents } from '../routing/filters.js';
import { FORMATS, type ContentFormat, type Projection } from '../routing/format.js';
import { accountOf, type Account } from '../routing/group.js';
import { negotiate } from '../routing/negotiation.js';
import { readerOf, recordsOf } from '../routing/records.js';
import type { Route, Router } from '../routing/router.js';
import type { Sample, SampleContent } from '../routing/sample.js';
import type { Terms } from '../routing/terms.js';
import type { Access } from './access.js';
import type { Schedule } from './notification-channel.js';
import { numberOf, type Node, type Resources } from './resources.js';
import { SNAPSHOT } from './snapshots.js';
import { meantBy } from './wanted.js';
import { Subscription, type SubscriptionMessage, type SubscriptionOptions } from './subscription.js';

export interface SubscriptionsOptions {
  readonly resources: Resources;
  readonly router: Router;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly schedule: Schedule;
  readonly access: Pick<Access, 'may'>;
  readonly contents: Contents;
  /** What of a group's snapshots is subscribed to. */
  readonly snapshotRoute: (target: VirtualTarget) => Route | Refusal;
}

/** What is asked for, by whom: undefined is the broker itself. */
export interface Wanted {
  readonly originator?: string | undefined;
  readonly terms: Terms;
  readonly accept: readonly string[];
  readonly preferred: ContentFormat;
  /** Its filterCriteria, as a query. */
  readonly criteria?: URLSearchParams;
}

type VirtualTarget = Extract<FoundTarget, { readonly kind: 'virtual' }>;

/** Sums over all subscriptions that have ended, so that no sample leaves the books. */
export interface Totals {
  received: number;
  delivered: number;
  decimated: number;
  readonly dropped: Map<string, number>;
}

export class Subscriptions {
  readonly population: Population<SubscriptionMessage>;
  /** Of those that are over. */
  readonly ended: Totals = { received: 0, delivered: 0, decimated: 0, dropped: new Map() };
  readonly endings = new Map<Ending, number>();
  private readonly byId = new Map<string, Subscription>();
  /** What all of them have in common. */
  private readonly common: SubscriptionOptions;

  constructor(private readonly options: SubscriptionsOptions) {
    const { router, clock, random, log, schedule } = options;
    this.common = { router, clock, schedule, onEnded: (...over) => this.close(...over) };
    this.population = new Population({
      name: 'subscriptions',
      kind: (id) => this.kindOf(id),
      members: () => this.byId.keys(),
      clock,
      random,
      log,
    });
  }

  /**
   * Subscribes a port to what a path points at.
   *
   * @param ended called once when the subscription is over, whoever ended it
   * @returns the delivery, still opening; 405 for what cannot be observed, 400 for a rate that is not to be had, 406 for a format
   */
  subscribe(
    target: FoundTarget,
    wanted: Wanted,
    port: Port,
    ended: (delivery: Delivery) => void = () => {},
  ): Delivery | Refusal {
    const projection = projectionOf(target);
    if (isRefusal(projection)) return projection;
    const route =
      target.kind === 'virtual' ? this.options.snapshotRoute(target) : this.options.resources.routeOf(target.node);
    if (!route) return notObservable(target.node);
    if (isRefusal(route)) return route;
    const content = target.kind === 'virtual' ? SOME_SNAPSHOT : target.node.history?.latest?.value.content;
    const isJsonBetter =
      projection === 'instance'
        ? target.kind === 'resource' || wanted.preferred.mediaType.includes('json')
        : target.kind !== 'virtual' && !holdsMeasurements(target.node);
    const preferred = isJsonBetter ? FORMATS.json : wanted.preferred;
    const format = negotiate(projection, content, wanted.accept, preferred);
    if (isRefusal(format)) return format;
    const { terms } = wanted;
    const cadence = this.cadenceOf(target.node, route, terms);
    if (isRefusal(cadence)) return cadence;
    const unfit = unfitFilter(terms, target, route, content, cadence);
    if (unfit) return unfit;
    const isMeant = wanted.criteria && meantBy(target, wanted.criteria);
    if (isRefusal(isMeant)) return isMeant;
    const delivery = new Delivery(port, projection, format, terms);
    if (isMeant) delivery.isWanted = (sample) => isMeant(recordOf(target.node, sample));
    this.options.router.subscribe(route, delivery, cadence, filterOf(terms, this.options.contents));
    const id = randomId(this.options.random);
    const subscription = new Subscription(this.common, id, delivery, route, wanted.originator, target.node, ended);
    this.byId.set(id, subscription);
    delivery.id = id;
    this.population.activate(id);
    return delivery;
  }

  /** The answer to the registration is on its way. */
  open(delivery: Delivery): void {
    this.tell(delivery, { type: 'OPEN' });
  }

  /** Gives it the newest there is, whose answer to the registration bore none. */
  tellLatest(delivery: Delivery): void {
    const route = this.byId.get(delivery.id)?.route;
    if (route && !route.feeder) this.options.router.repeat(route, delivery);
  }

  suspend(delivery: Delivery): void {
    this.tell(delivery, { type: 'SUSPEND' });
  }

  resume(delivery: Delivery): void {
    this.tell(delivery, { type: 'RESUME' });
  }

  /** Ends one; harmless for one that has ended. */
  end(delivery: Delivery, ending: Ending): void {
    this.tell(delivery, { type: 'END', ending });
  }

  /** The source reports at another rate: its subscribers are moved to the new grid, or told that theirs is not to be had. */
  rerate(contentInstances: Node): void {
    const route = this.options.resources.routeOf(contentInstances);
    if (!route) return;
    for (const delivery of route.groups.flatMap(({ deliveries }) => deliveries)) {
      const cadence = this.cadenceOf(contentInstances, route, delivery.terms);
      if (!isRefusal(cadence)) this.options.router.move(route, delivery, cadence);
      else this.endAndTell(delivery, 'RATE_CHANGED');
    }
  }

  /** Rights have changed: who may not read any more what he subscribed to is told, and it is over. */
  recheck(): void {
    const { access } = this.options;
    for (const { originator, node, delivery } of [...this.byId.values()])
      if (originator !== undefined && !access.may(originator, 'READ', node))
        this.endAndTell(delivery, 'PERMISSION_DENIED');
  }

  mayRead(originator: string | undefined, node: Node): boolean {
    return originator === undefined || this.options.access.may(originator, 'READ', node);
  }

  /** Whether a subscriber may know of a resource. */
  shows(delivery: Delivery, node: Node): boolean {
    const originator = this.byId.get(delivery.id)?.originator;
    return originator === undefined || this.options.access.may(originator, 'DISCOVER', node);
  }

  /** A container goes: its subscribers are told. */
  closeRoute(contentInstances: Node, ending: Ending): void {
    const route = this.options.resources.routeOf(contentInstances);
    if (route) this.endAll(route, ending);
  }

  /** Ends all of a route's, and tells their subscribers. */
  endAll(route: Route, ending: Ending): void {
    for (const delivery of route.groups.flatMap(({ deliveries }) => deliveries)) this.endAndTell(delivery, ending);
  }

  /** Something threw on the way to one subscriber; its actor starts anew, the delivery stands. */
  failed(delivery: Delivery, error: unknown): void {
    const cell = this.cellOf(delivery);
    // One that is down already has said so: a fault in every sample must not fill the log.
    if (cell?.state === 'up') cell.fail(error);
  }

  /** Accounts of the subscriptions that stand. */
  *accounts(): Iterable<Account> {
    for (const { delivery } of this.byId.values()) yield accountOf(delivery);
  }

  private cadenceOf(contentInstances: Node, route: Route, terms: Terms): Cadence | Refusal {
    const container = contentInstances.parent;
    const defaultRate = container && numberOf(container, 'defaultRate');
    const highestRate = container && numberOf(container, 'highestRate');
    // Beside a condition a smallest spacing is one of notifications: what meets it first does not wait for a slot.
    const { condition, minSpacingS, ...rest } = terms;
    return Cadence.of(
      route.sourceRate,
      condition ? rest : { ...rest, ...(minSpacingS !== undefined && { minSpacingS }) },
      {
        ...(defaultRate !== undefined && { defaultRate }),
        ...(highestRate !== undefined && { highestRate }),
      },
    );
  }

  /** Ends one from the broker's side. */
  endAndTell(delivery: Delivery, ending: Ending): void {
    delivery.port.end(delivery, ending);
    this.end(delivery, ending);
  }

  private tell(delivery: Delivery, message: SubscriptionMessage): void {
    this.cellOf(delivery)?.tell(message);
  }

  private cellOf(delivery: Delivery): Cell<SubscriptionMessage> | undefined {
    return this.population.get(delivery.id);
  }

  private kindOf(id: string): Subscription {
    const subscription = this.byId.get(id);
    if (!subscription) throw new Error(`a subscription ${id} that nobody made`);
    return subscription;
  }

  private close(subscription: Subscription, ending: Ending, account: Account): void {
    const { id, delivery } = subscription;
    this.byId.get(id)?.ended(delivery);
    this.byId.delete(id);
    this.population.end(id);
    this.endings.set(ending, (this.endings.get(ending) ?? 0) + 1);
    this.ended.received += account.received;
    this.ended.delivered += account.delivered;
    this.ended.decimated += account.decimated;
    for (const [reason, count] of Object.entries(account.dropped)) {
      if (count > 0) this.ended.dropped.set(reason, (this.ended.dropped.get(reason) ?? 0) + count);
    }
    this.options.log.debug({ subscription: id, ending, account }, 'subscription ended');
  }
}

/** `latest` of a contentInstances, whole or its bare content; any other subscribable resource, whole. */
function projectionOf(target: FoundTarget): Projection | Refusal {
  const { kind, node } = target;
  if (target.kind === 'virtual' && target.name === SNAPSHOT) return 'content';
  if (kind === 'resource' && node.row.isSubscribable && !node.history) return 'instance';
  if (target.kind === 'instance' && target.by === 'latest') {
    const part = target.rest.join('/');
    if (part === '') return 'instance';
    if (part === 'content') return 'content';
  }
  return notObservable(target.node);
}

/** What formats a snapshot is to be had in does not depend on what is in it. */
const SOME_SNAPSHOT = { kind: 'snapshot', snapshot: { group: '', members: [] } } as const;

/** The binding's default is one for measurements. What comes into an empty container of any other kind is most likely JSON. */
function holdsMeasurements({ parent, history }: Node): boolean {
  const content = history?.latest?.value.content;
  if (content) return content.kind === 'measurement';
  // The broker's own words are JSON, be they kept or not.
  return parent?.attributes.get('durability') === 'latest' && !isOwn(parent);
}

/** As it is stored: the latest, but where a sample is told of in a later turn than it came. What a filter made is as the latest. */
function recordOf({ history }: Node, sample: Sample) {
  const latest = history?.latest;
  if (latest === undefined || latest.value === sample || sample.id === undefined) return latest;
  return history?.find(sample.id) ?? latest;
}

/** Why a condition or a method makes no sense of what is subscribed to. */
function unfitFilter(
  { condition, method }: Terms,
  { kind, node }: FoundTarget,
  { sourceRate }: Route,
  content: SampleContent | undefined,
  { stride }: Cadence,
): Refusal | undefined {
  if (!condition && !method) return undefined;
  if (kind !== 'instance')
    return refuse(
      'STATUS_BAD_REQUEST',
      `Conditions and methods are for numbers in contentInstances; ${node.reference} has none.`,
    );
  if (method === 'fir' && (sourceRate < 1 || (content && content.kind !== 'measurement')))
    return refuse('STATUS_BAD_REQUEST', `method=fir is for what a PMU measures at a steady rate; take mean of this.`);
  // The window would be longer than anybody waits.
  if (method === 'fir' && stride > sourceRate)
    return refuse('STATUS_BAD_REQUEST', 'method=fir goes down to one sample per second, not below; mean does.');
  if (!condition) return undefined;
  const { field, epmaxS = Infinity } = condition;
  if (sourceRate > 0 && epmaxS < 1 / sourceRate)
    return refuse(
      'STATUS_BAD_REQUEST',
      `c.epmax is ${epmaxS} s, and the source reports ${sourceRate} times a second: nothing new is there to judge.`,
    );
  if (content?.kind !== 'measurement' || field === '') return undefined;
  const { descriptor } = content.measurement;
  if (readerOf(descriptor, field)) return undefined;
  const names = recordsOf(descriptor).map(({ name }) => name);
  return refuse('STATUS_BAD_REQUEST', `field is ${JSON.stringify(field)}; this PMU has ${names.join(', ')}.`);
}

const isOwn = ({ parent: containers }: Node): boolean => containers?.parent?.id === BROKER_APPLICATION;

const notObservable = ({ reference }: Node): Refusal =>
  refuse(
    'STATUS_METHOD_NOT_ALLOWED',
    `${reference} cannot be observed so; resources can, whole, and of a container .../contentInstances/latest and .../contentInstances/latest/content.`,
  );
