/**
 * Subscriptions as resources of the tree: those that somebody created, whose notifications go to a contact, and those that stand
 * for an observer's or a WebSocket's relation and end with it.
 *
 *     POST .../subscriptions {contact} ──> notificationChannel here, or a POST to http:, https:, coap:
 *                 {aggregateURI} ──> the same, together with what other members of a group tell (aggregate.ts)
 *                 {pattern} ───────> the same, of all resources that match (pattern-contacts.ts)
 *     Observe, sub ──> a subscription whose contact is the peer: read, given a lease, deleted like any other; never stored
 */
import type { Clock } from '../clock.js';
import { isRefusal, refuse, type Refusal } from '../errors.js';
import { isObject, type Json } from '../json.js';
import { criteriaQuery } from '../resources/filter.js';
import type { Flag } from '../resources/permissions.js';
import type { Couriers } from '../routing/courier.js';
import type { Delivery, Port } from '../routing/delivery.js';
import type { FoundTarget } from '../routing/dispatcher.js';
import { ENDINGS, type Ending } from '../routing/endings.js';
import { FORMATS } from '../routing/format.js';
import { ANY_NAME, patternOf, type Pattern } from '../routing/pattern.js';
import { parsePath } from '../routing/primitive.js';
import type { Peer } from '../routing/site.js';
import {
  checkTerms,
  conditionsText,
  LATENCY_CLASSES,
  METHODS,
  termsOfConditions,
  type Terms,
} from '../routing/terms.js';
import type { Access } from './access.js';
import { Aggregate } from './aggregate.js';
import { Contact } from './contact.js';
import { NotificationChannel, type Schedule } from './notification-channel.js';
import { PatternContacts } from './pattern-contacts.js';
import type { Patterns } from './patterns.js';
import { numberOf, type Node, type Resources } from './resources.js';
import type { Subscriptions, Wanted } from './subscriptions.js';
import { meantBy, type IsMeant } from './wanted.js';

export interface SubscriptionResourcesOptions {
  readonly subscriptions: Subscriptions;
  readonly patterns: Patterns;
  readonly resources: Resources;
  readonly access: Pick<Access, 'may'>;
  readonly couriers: Couriers;
  readonly schedule: Schedule;
  readonly clock: Clock;
}

const NOT_HIS = refuse('STATUS_PERMISSION_DENIED', ENDINGS.PERMISSION_DENIED.sentence);
const bad = (detail: string): Refusal => refuse('STATUS_BAD_REQUEST', detail);

export class SubscriptionResources {
  /** Of those that somebody created. */
  private readonly deliveries = new Map<Node, Delivery>();
  /** Of those that end with their subscriber's relation. */
  private readonly relations = new Map<Node, Delivery>();
  /** By aggregateURI, contact and creator. */
  private readonly aggregates = new Map<string, Aggregate>();
  private readonly patterns = new Map<Node, (ending: Ending) => void>();

  private readonly patternContacts: PatternContacts;

  constructor(private readonly options: SubscriptionResourcesOptions) {
    const { resources, clock } = options;
    this.patternContacts = new PatternContacts({
      ...options,
      find: (path) => {
        const target = resources.tree.resolve(path, clock.wallUs());
        return target.kind === 'none' ? undefined : target;
      },
      ended: (node) => this.over(node),
    });
  }

  /** One was created. */
  open(node: Node): Refusal | undefined {
    const { subscriptions } = this.options;
    const originator = node.creator.kind === 'originator' ? node.creator.id : undefined;
    if (textOf(node, 'pattern') !== '') return this.openPattern(node, originator);
    const target = this.targetOf(node);
    if (isRefusal(target)) return target;
    if (!this.may(originator, 'READ', target.node)) return NOT_HIS;
    const criteria = criteriaOf(node);
    const isMeant = meantBy(target, criteria);
    if (isRefusal(isMeant)) return isMeant;
    const contact = this.portOf(node, originator, isMeant);
    if (isRefusal(contact)) return contact;
    const port = node.attributes.has('aggregateURI') ? this.aggregateOf(node, contact, originator) : contact;
    if (isRefusal(port)) return port;
    const terms = termsOf(node);
    if (isRefusal(terms)) return terms;
    const wanted = wantedBy(node, originator, terms, criteria);
    const delivery = subscriptions.subscribe(target, wanted, port, () => this.over(node));
    if (isRefusal(delivery)) {
      if (port instanceof Aggregate) port.checkIdle();
      return delivery;
    }
    if (port instanceof NotificationChannel) port.join(delivery, node.path);
    if (port instanceof Aggregate) port.join(delivery, node.reference);
    this.deliveries.set(node, delivery);
    subscriptions.open(delivery);
    return undefined;
  }

  private openPattern(node: Node, originator: string | undefined): Refusal | undefined {
    const text = textOf(node, 'pattern');
    const path = parsePath(`${node.parent?.parent?.reference}/${text}`);
    if (isRefusal(path)) return path;
    if (!text.startsWith(`${ANY_NAME}/`))
      return bad(`subscription.pattern is ${text}; it begins with "*": what stands before is where it is created.`);
    const pattern = patternOf(path);
    if (isRefusal(pattern)) return pattern;
    if (accessorOf(node))
      return bad('subscription.pattern says what is told; leave filterCriteria.attributeAccessor out.');
    if (node.attributes.has('aggregateURI'))
      return bad('What a subscription.pattern brings comes together as it is; leave aggregateURI out.');
    const contact = this.portOf(node, originator);
    if (isRefusal(contact)) return contact;
    const terms = termsOf(node);
    if (isRefusal(terms)) return terms;
    this.patternContacts.open(node, pattern, wantedBy(node, originator, terms, criteriaOf(node)), contact);
    return undefined;
  }

  /** Shows a peer's relation in the tree. @returns its resource, for `over` when the relation is */
  relate(target: FoundTarget, delivery: Delivery, peer: Peer): Node | undefined {
    const accessor = target.kind === 'instance' ? [target.by, ...target.rest].join('/') : undefined;
    const attributes = relationOf(delivery.terms, peer);
    if (accessor !== undefined) attributes.set('filterCriteria', { attributeAccessor: accessor });
    attributes.set('accept', delivery.format.mediaType);
    const node = this.show(target.node, attributes, peer);
    if (node) this.relations.set(node, delivery);
    return node;
  }

  /**
   * Shows a subscription to a pattern, once for all its routes.
   *
   * @param anchor the resource in front of the first `*`
   * @param ended called where it ends as a resource: deleted, expired, or the anchor has gone
   */
  relatePattern(
    anchor: Node | undefined,
    { container, accessor }: Pattern,
    terms: Terms,
    peer: Peer,
    ended: (ending: Ending) => void,
  ): () => void {
    const attributes = relationOf(terms, peer);
    attributes.set('pattern', [...container, ...accessor].slice(anchor?.path.length).join('/'));
    const node = anchor && this.show(anchor, attributes, peer);
    if (!node) return () => {};
    this.patterns.set(node, ended);
    return () => {
      this.patterns.delete(node);
      this.over(node);
    };
  }

  /** Undefined where nothing has subscriptions. */
  private show(subscribed: Node, attributes: ReadonlyMap<string, Json>, { originator }: Peer): Node | undefined {
    const collection = subscribed.child('subscriptions');
    const creator = { kind: 'originator', id: originator } as const;
    return collection && this.options.resources.show(collection, 'subscription', attributes, creator);
  }

  /** It was deleted, or has expired. Who deleted his own knows; who is connected is told. */
  close(node: Node, ending: Ending): void {
    const pattern = this.patterns.get(node);
    this.patterns.delete(node);
    pattern?.(ending);
    this.patternContacts.close(node, ending);
    const { subscriptions } = this.options;
    const related = this.relations.get(node);
    const delivery = related ?? this.deliveries.get(node);
    if (!delivery) return;
    this.forget(node);
    if (ending === 'LEASE_EXPIRED' || related) subscriptions.endAndTell(delivery, ending);
    else subscriptions.end(delivery, 'UNSUBSCRIBED');
  }

  /** A channel goes: the subscriptions that notify over it go too. */
  closeChannel(channel: Port): void {
    this.patternContacts.closeChannel(channel);
    this.closeWhere((port) => port === channel || (port instanceof Aggregate && port.contact === channel));
  }

  /** A group goes: the subscriptions that it gathers for go too. */
  closeAggregates(group: Node): void {
    this.closeWhere((port) => port instanceof Aggregate && port.group === group);
  }

  private closeWhere(isGone: (port: Port) => boolean): void {
    for (const delivery of [...this.deliveries.values()])
      if (isGone(delivery.port)) this.options.subscriptions.end(delivery, 'CONTACT_DELETED');
  }

  /** Nothing is told any more: the broker stops. */
  stop(): void {
    for (const { port } of this.deliveries.values()) if (port instanceof Contact) port.close();
    for (const aggregate of this.aggregates.values()) aggregate.close();
    this.patternContacts.stop();
  }

  /** The subscription has ended, whoever ended it: so has its resource. */
  over(node: Node): void {
    this.forget(node);
    if (!node.isRemoved) this.options.resources.remove(node);
  }

  private forget(node: Node): void {
    this.deliveries.delete(node);
    this.relations.delete(node);
  }

  /** Undefined: the broker itself. */
  private may(originator: string | undefined, flag: Flag, node: Node): boolean {
    return originator === undefined || this.options.access.may(originator, flag, node);
  }

  private targetOf(node: Node): FoundTarget | Refusal {
    const { resources, clock } = this.options;
    const subscribed = node.parent?.parent;
    if (!subscribed) throw new Error(`${node.reference} is in no collection`);
    const accessor = accessorOf(node);
    if (!subscribed.history && accessor)
      return bad(`filterCriteria.attributeAccessor chooses of contentInstances; this is one of ${subscribed.type}.`);
    const path = subscribed.history ? [...subscribed.path, ...(accessor ?? ['latest'])] : subscribed.path;
    const target = resources.tree.resolve(path, clock.wallUs());
    return target.kind === 'none' ? target.refusal : target;
  }

  private portOf(
    node: Node,
    originator: string | undefined,
    isMeant: IsMeant = () => true,
  ): Contact | NotificationChannel | Refusal {
    const { resources, couriers, schedule, clock, subscriptions } = this.options;
    const contact = textOf(node, 'contact');
    if (contact.startsWith('/')) {
      const path = parsePath(contact);
      const at = isRefusal(path) ? undefined : resources.tree.resolve(path, clock.wallUs());
      return (
        // What others have opened for themselves is no contact, and is not told of.
        (at?.kind === 'resource' && this.may(originator, 'CREATE', at.node)
          ? resources.channelOf(at.node)
          : undefined) ??
        bad(`subscription.contact is ${contact}; a path must be the contactURI of a notificationChannel here.`)
      );
    }
    const uri = URL.canParse(contact) ? new URL(contact) : undefined;
    const courier = uri && couriers[uri.protocol];
    if (!courier) {
      const schemes = Object.keys(couriers).join(', ');
      return bad(`subscription.contact is ${contact}; its scheme must be one of ${schemes}, or it is a path here.`);
    }
    const subscribed = node.parent?.parent;
    return new Contact({
      uri,
      courier,
      schedule,
      reference: node.reference,
      collection: subscribed?.history && !accessorOf(node) ? subscribed : undefined,
      isMeant,
      refused: (delivery) => subscriptions.end(delivery, 'CONTACT_REFUSED'),
    });
  }

  /** The one that all subscriptions share whose notifications are to come together. @param contact where they go */
  private aggregateOf(
    node: Node,
    contact: Contact | NotificationChannel,
    originator: string | undefined,
  ): Aggregate | Refusal {
    const { resources, schedule, clock, subscriptions } = this.options;
    const aggregateURI = textOf(node, 'aggregateURI').replace(/\/membersContent$/, '');
    const path = parsePath(aggregateURI);
    const at = isRefusal(path) ? undefined : resources.tree.resolve(path, clock.wallUs());
    const group = at?.kind === 'resource' && at.node.type === 'group' ? at.node : undefined;
    if (!group || !this.may(originator, 'DISCOVER', group))
      return bad(`subscription.aggregateURI is ${aggregateURI}; it must be the path of a group here.`);
    const key = JSON.stringify([group.reference, textOf(node, 'contact'), originator]);
    const standing = this.aggregates.get(key);
    // One that is still telling what it gathered for a group or over a channel of the same name, which is gone, is another.
    const isSame = standing?.group === group && (contact instanceof Contact || standing.contact === contact);
    if (standing && isSame) return standing;
    const aggregate: Aggregate = new Aggregate({
      group,
      contact,
      schedule,
      refused: (delivery) => subscriptions.end(delivery, 'CONTACT_REFUSED'),
      idle: () => {
        if (this.aggregates.get(key) === aggregate) this.aggregates.delete(key);
      },
    });
    this.aggregates.set(key, aggregate);
    return aggregate;
  }
}

/** What a peer's relation is as a subscription. A client may subscribe a thousand times: nothing of it is checked again as a document. */
function relationOf(terms: Terms, { binding, address }: Peer): Map<string, Json> {
  const { rate, minSpacingS, latencyClass, method } = terms;
  const conditions = conditionsText(terms);
  const attributes = new Map<string, Json>([['contact', `${binding}://${address}`]]);
  if (rate !== undefined) attributes.set('rate', rate);
  else if (minSpacingS !== undefined && conditions === undefined)
    attributes.set('minimalTimeBetweenNotifications', Math.round(minSpacingS * 1000));
  if (latencyClass !== undefined) attributes.set('latencyClass', latencyClass);
  if (conditions !== undefined) attributes.set('conditions', conditions);
  if (method !== undefined) attributes.set('method', method);
  return attributes;
}

function wantedBy(node: Node, originator: string | undefined, terms: Terms, criteria: URLSearchParams): Wanted {
  const accept = textOf(node, 'accept');
  return { originator, terms, accept: accept === '' ? [] : [accept], preferred: FORMATS.senmlJson, criteria };
}

function criteriaOf(node: Node): URLSearchParams {
  const filter = node.attributes.get('filterCriteria');
  return criteriaQuery(isObject(filter) ? filter : {});
}

function termsOf(node: Node): Terms | Refusal {
  const rate = numberOf(node, 'rate');
  const spacingMs = numberOf(node, 'minimalTimeBetweenNotifications');
  const latencyClass = LATENCY_CLASSES.find((name) => name === node.attributes.get('latencyClass'));
  const method = METHODS.find((name) => name === node.attributes.get('method'));
  const conditions = termsOfConditions(textOf(node, 'conditions'));
  if (isRefusal(conditions)) return conditions;
  return checkTerms({
    ...conditions,
    ...(rate !== undefined && { rate }),
    ...(spacingMs !== undefined && spacingMs > 0 && { minSpacingS: spacingMs / 1000 }),
    ...(latencyClass !== undefined && { latencyClass }),
    ...(method !== undefined && { method }),
  });
}

/** What of the contentInstances is notified. */
function accessorOf(node: Node): readonly string[] | undefined {
  const filter = node.attributes.get('filterCriteria');
  const accessor = isObject(filter) ? filter.attributeAccessor : undefined;
  return typeof accessor === 'string' ? accessor.split('/') : undefined;
}

function textOf(node: Node, name: string): string {
  const value = node.attributes.get(name);
  return typeof value === 'string' ? value : '';
}
