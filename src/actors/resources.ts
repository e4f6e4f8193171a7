/**
 * The tree with what lives on it: routes of containers, channels, leases. Creating and removing happen here, whoever asks, so
 * that what is opened with a resource is closed with it.
 *
 *     create ──> node ──> container: a route          notificationChannel: a port that is polled
 *                    └──> expirationTime: a lease     application with aPoC, subscription: told to whoever opens them
 *     remove ──> everything below, parents first: who subscribed to a container hears of it before his subscription goes too
 */
import type { Clock } from '../clock.js';
import { isRefusal, refuse, type Refusal } from '../errors.js';
import type { Wheel } from '../kernel/wheel.js';
import type { Log } from '../log.js';
import type { Random } from '../random.js';
import { InstanceRecord } from '../resources/history.js';
import { withBelow, type Creator, type ResourceNode } from '../resources/node.js';
import { ResourceTree, type Act, type Written } from '../resources/tree.js';
import type { TypeName } from '../resources/types.js';
import { isObject, type Json } from '../resources/values.js';
import type { Delivery } from '../routing/delivery.js';
import type { FoundTarget } from '../routing/dispatcher.js';
import type { Ending } from '../routing/endings.js';
import { FORMATS } from '../routing/format.js';
import type { JsonObject } from '../routing/primitive.js';
import type { Route, Router } from '../routing/router.js';
import { Sample, type SampleEncoder } from '../routing/sample.js';
import type { Rows, Store } from '../store/store.js';
import { expiryOf, ResourceLeases } from './leases.js';
import { NotificationChannel, type Schedule } from './notification-channel.js';
import type { Quotas } from './quotas.js';
import { restoreTree, type Resting } from './tree-restore.js';
import { sampleForm } from './sample-form.js';
import { StateFeed } from './state-feed.js';
import { TreeStore } from './tree-store.js';

export type Node = ResourceNode<Sample>;

/** What has to happen elsewhere when resources come and go. A refusal undoes the creation. */
export interface ResourceEvents {
  created(node: Node): Refusal | undefined;
  /** Its attributes have been replaced. */
  updated(node: Node): void;
  /** It was a row, and is live again with all below it; when any of it had last been changed, UTC microseconds. */
  activated(node: Node, changedUs: number): void;
  /** The source of a container reports at another rate now. */
  rated(contentInstances: Node): void;
  /** Somebody has created it, where there is no `before`, or replaced its attributes; not told of what a restart puts back. */
  written(node: Node, before: Node['attributes'] | undefined, by: Creator): void;
  /**
   * @param ending RESOURCE_DELETED, or LEASE_EXPIRED where nobody asked for it
   * @param by who deleted it, or what it stood below; undefined for the broker itself
   */
  removed(node: Node, ending: Ending, by: Creator | undefined): void;
}

export interface ResourcesOptions {
  readonly router: Router;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly schedule: Schedule;
  readonly leases: Wheel['leases'];
  readonly store: Store;
  readonly quotas: Quotas;
  readonly encoder: SampleEncoder;
  /** Of what resources have become. */
  readonly stateEncoder: SampleEncoder;
  readonly longPollHoldMs: number;
  /** Whether somebody, or a subscriber, may know of a resource. */
  readonly mayKnow: (originator: string, node: Node) => boolean;
  readonly shows: (delivery: Delivery, node: Node) => boolean;
}

export class Resources {
  readonly tree: ResourceTree<Sample>;
  readonly kept: TreeStore;
  /** By contentInstances, and by any other resource that is subscribed to. */
  private readonly routes = new Map<Node, Route>();
  private readonly channels = new Map<Node, NotificationChannel>();
  private readonly leases: ResourceLeases;
  /** What an earlier run made for its sources, until they ask for it. */
  private made: Node[] = [];
  private events: ResourceEvents = NOBODY;

  constructor(private readonly options: ResourcesOptions) {
    const { random, clock, store, encoder } = options;
    this.tree = new ResourceTree<Sample>({ random, nowUs: clock.wallUs(), values: sampleForm(encoder, clock) });
    this.tree.onActivated = (node) => this.activated(node);
    this.kept = new TreeStore(this.tree, store, clock);
    const granted = options.leases<Node>((node) => {
      node.lease = undefined;
      this.remove(node, 'LEASE_EXPIRED');
    });
    this.leases = new ResourceLeases(this.tree, clock, options.schedule, granted);
  }

  /** Puts the tree back as an earlier run left it, and opens what lives on it; what has expired meanwhile goes. */
  restore(resources: Rows, instances: Rows, resting: Resting): void {
    const unsettled = restoreTree(this.tree, resources, instances, {
      ...this.options,
      resting,
      reopen: (nodes) => this.reopen(nodes),
      filled: (contentInstances) => this.kept.keep(contentInstances, true),
    });
    this.kept.put(this.tree.root);
    this.reopen(unsettled);
  }

  private reopen(nodes: readonly Node[]): void {
    for (const node of nodes) this.open(node);
    for (const node of nodes) if (node.creator.kind === 'internal' && node.creator.source) this.made.push(node);
    for (const node of nodes) {
      const untilUs = expiryOf(node);
      if (untilUs !== undefined && untilUs <= this.options.clock.wallUs() && !node.isRemoved)
        this.remove(node, 'LEASE_EXPIRED');
    }
    for (const node of nodes) {
      const refusal = node.isRemoved ? undefined : this.events.created(node);
      if (!refusal) continue;
      this.options.log.warn({ resource: node.reference, detail: refusal.detail }, 'not restored');
      this.remove(node);
    }
  }

  listen(events: ResourceEvents): void {
    this.events = events;
  }

  /**
   * Of a contentInstances, its samples; of any other subscribable resource, what it becomes. Opened when it is first asked for:
   * of a million resources most are idle.
   */
  routeOf(node: Node): Route | undefined {
    const standing = this.routes.get(node);
    if (standing || !node.row.isSubscribable || node.isRemoved) return standing;
    const { router } = this.options;
    const container = node.history && node.parent;
    const route = container
      ? router.open(container.reference, numberOf(container, 'reportingRate') ?? 0)
      : router.open(node.reference, 0);
    route.latest = node.history?.latest?.value;
    if (!container) route.feeder = new StateFeed(node, route, { ...this.options, encoder: this.options.stateEncoder });
    this.routes.set(node, route);
    return route;
  }

  /** The Observe value of what is read; undefined for what nobody has subscribed to. */
  sequenceOf(node: Node): number | undefined {
    return node.history ? this.routeOf(node)?.sequence : this.routes.get(node)?.sequence;
  }

  private changed(node: Node | undefined): void {
    const feeder = node && this.routes.get(node)?.feeder;
    if (feeder instanceof StateFeed) feeder.changed();
  }

  allRoutes(): Iterable<Route> {
    return this.routes.values();
  }

  /** What an earlier run made on behalf of `maker`, by what of it each is for. */
  takeMade(maker: Node): ReadonlyMap<string, Node> {
    const prefix = `${maker.reference} `;
    const taken = new Map<string, Node>();
    this.made = this.made.filter((node) => {
      const source = node.creator.kind === 'internal' ? (node.creator.source ?? '') : '';
      if (!source.startsWith(prefix)) return true;
      if (!node.isRemoved) taken.set(source.slice(prefix.length), node);
      return false;
    });
    return taken;
  }

  channelOf(node: Node): NotificationChannel | undefined {
    return this.channels.get(node);
  }

  create(collection: Node, document: JsonObject, creator: Creator): Written<Sample> | Refusal {
    const full = this.options.quotas.refusalOf(collection, creator);
    if (full) return full;
    const written = this.tree.create(collection, document, this.actOf(creator));
    if (isRefusal(written)) return written;
    const { node } = written;
    this.open(node);
    const refusal = this.events.created(node);
    if (refusal) {
      this.remove(node);
      return refusal;
    }
    this.kept.put(node);
    this.changed(collection);
    this.changed(collection.showing);
    this.events.written(node, undefined, creator);
    return written;
  }

  /** Shows what lasts as long as something else and is never stored; nobody is told. */
  show(collection: Node, type: TypeName, attributes: ReadonlyMap<string, Json>, creator: Creator): Node {
    const node = this.tree.show(collection, type, attributes, { nowUs: this.options.clock.wallUs(), creator });
    this.kept.exempt(node);
    return node;
  }

  /** Writes a resource or one attribute of it anew; what follows from it with it: lease, rate, the end of a group that gives itself up. */
  update(target: FoundTarget, document: JsonObject, creator: Creator): Written<Sample> | Refusal {
    const declared = creator.kind === 'internal' ? document : keepDeclared(target, document);
    if (isRefusal(declared)) return declared;
    const act = this.actOf(creator);
    const { attributes } = target.node;
    const written =
      target.kind === 'attribute'
        ? this.tree.updateAttribute(target, declared, act)
        : this.tree.update(target.node, declared, act);
    if (isRefusal(written)) {
      if ('isAbandoned' in written) this.remove(target.node, 'RESOURCE_DELETED', creator);
      return written;
    }
    this.updated(written.node);
    this.events.written(written.node, attributes, creator);
    return written;
  }

  private actOf(creator: Creator): Act {
    const { clock, mayKnow } = this.options;
    return {
      nowUs: clock.wallUs(),
      creator,
      mayKnow: (node: Node) => creator.kind === 'internal' || mayKnow(creator.id, node),
    };
  }

  private updated(node: Node): void {
    this.leases.begin(node);
    this.kept.put(node);
    const contentInstances = node.child('contentInstances');
    if (contentInstances) this.kept.keep(contentInstances);
    const route = contentInstances && this.routes.get(contentInstances);
    if (route) this.rate(contentInstances, route, numberOf(node, 'reportingRate') ?? 0);
    this.events.updated(node);
    this.changed(node);
    this.changed(node.parent?.showing);
  }

  /** Samples per second of a container's source, 0 for none declared; subscribers are moved to the grid of the new rate. */
  rate(contentInstances: Node, route: Route, sourceRate: number): void {
    if (route.sourceRate === sourceRate) return;
    route.sourceRate = sourceRate;
    this.events.rated(contentInstances);
  }

  /** @param by whoever asked for it; undefined: the broker itself */
  remove(node: Node, ending: Ending = 'RESOURCE_DELETED', by?: Creator): void {
    for (const each of this.tree.remove(node, this.options.clock.wallUs())) this.close(each, ending, by);
    this.changed(node.parent);
    this.changed(node.parent?.showing);
  }

  /** Stores a sample as its container's latest; told why where it cannot be. */
  append(
    contentInstances: Node,
    sample: Sample,
    sizeBytes: number,
    attributes?: ReadonlyMap<string, string>,
    creator?: string,
  ): Refusal | undefined {
    const createdUs = this.options.clock.wallUs();
    const { measuredUs, id } = sample;
    const record = new InstanceRecord(sample, measuredUs, createdUs, sizeBytes, id, attributes, creator);
    const refusal = contentInstances.history?.append(record);
    if (!refusal) this.kept.append(contentInstances, record);
    return refusal;
  }

  /** Stores a document of the broker's own as a contentInstance, and publishes it. */
  tell(contentInstances: Node, id: string, document: JsonObject): void {
    const { clock, encoder } = this.options;
    // Memory of its own: a Buffer's would be of a block that many share, and keep it from being freed for as long as this is kept.
    const bytes = new TextEncoder().encode(JSON.stringify(document));
    const content = { kind: 'stored', mediaType: FORMATS.json.mediaType, bytes } as const;
    const sample = new Sample(content, clock.wallUs(), clock.monotonicUs(), 0, encoder, id);
    if (!this.append(contentInstances, sample, bytes.length)) this.publish(contentInstances, sample);
  }

  /** Tells those who have subscribed. A route is opened where its source declares a rate: by that, what comes twice or late is counted. */
  publish(contentInstances: Node, sample: Sample): void {
    const { router } = this.options;
    const isRated = contentInstances.parent?.attributes.has('reportingRate') ?? false;
    const route = isRated ? this.routeOf(contentInstances) : this.routes.get(contentInstances);
    if (route) router.publish(route, sample);
    else router.unheard();
  }

  /** Ends every lease and channel: the broker stops. */
  closeAll(): void {
    this.leases.endAll();
    for (const channel of this.channels.values()) channel.close('SHUTDOWN');
  }

  /** Whether something is open that knows this resource by its node, beside its actor. */
  isHeld(node: Node): boolean {
    const { creator, attributes } = node;
    const route = this.routes.get(node);
    return (
      (route !== undefined && (route.groups.length > 0 || route.watch !== undefined || route.feeder !== undefined)) ||
      this.channels.has(node) ||
      this.leases.isNearEnd(node) ||
      // Made for a stream or for the broker itself, which go on with it.
      creator.kind === 'internal' ||
      isStream(attributes.get('aPoC'))
    );
  }

  /**
   * Lets a resource become a row that nothing holds.
   *
   * @param nodes itself and all below it
   */
  passivate(node: Node, nodes: readonly Node[]): boolean {
    const minute = this.leases.wakeOf(nodes);
    if (!this.tree.passivate(node, minute)) return false;
    for (const each of nodes) {
      this.closeRoute(each);
      this.leases.end(each);
    }
    if (minute !== undefined) this.leases.wakeAt(minute);
    return true;
  }

  private activated(unit: Node): void {
    let changedUs = 0;
    for (const node of withBelow(unit)) {
      if (node.history) this.kept.keep(node, true);
      this.leases.begin(node);
      changedUs = Math.max(changedUs, node.modifiedUs);
    }
    this.events.activated(unit, changedUs);
  }

  private closeRoute(node: Node): void {
    const route = this.routes.get(node);
    if (route) this.options.router.close(route);
    this.routes.delete(node);
  }

  private open(node: Node): void {
    this.options.quotas.created(node);
    const { schedule, longPollHoldMs } = this.options;
    if (node.type === 'notificationChannel') {
      const abandon = (): void => {
        this.remove(node);
      };
      this.channels.set(node, new NotificationChannel(schedule, longPollHoldMs, abandon));
    }
    this.leases.begin(node);
  }

  private close(node: Node, ending: Ending, by: Creator | undefined): void {
    this.events.removed(node, ending, by);
    this.options.quotas.removed(node);
    this.kept.drop(node);
    this.leases.end(node);
    this.channels.get(node)?.close(ending);
    this.channels.delete(node);
    this.closeRoute(node);
  }
}

const isStream = (contact: Json | undefined): boolean => typeof contact === 'string' && contact.startsWith('c37118+');

const NOBODY: ResourceEvents = {
  created: () => undefined,
  updated: () => {},
  activated: () => {},
  written: () => {},
  rated: () => {},
  removed: () => {},
};

export function numberOf(node: Node, name: string): number | undefined {
  const value = node.attributes.get(name);
  return typeof value === 'number' ? value : undefined;
}

/**
 * The reporting rate of a container that a PMU stream fills is the stream's own: an UPDATE may repeat it or leave it out, and
 * the grid that subscribers are decimated on stays.
 */
function keepDeclared(target: FoundTarget, document: JsonObject): JsonObject | Refusal {
  const { node } = target;
  const rate = numberOf(node, 'reportingRate');
  if (rate === undefined || node.creator.kind !== 'internal') return document;
  const body = target.kind === 'attribute' ? document : document[node.type];
  if (!isObject(body)) return document;
  const isMeant = target.kind !== 'attribute' || target.name === 'reportingRate';
  if (isMeant && body.reportingRate !== undefined && body.reportingRate !== rate) {
    return refuse('STATUS_BAD_REQUEST', `container.reportingRate is what the source reports, ${rate}; leave it out.`);
  }
  return target.kind === 'attribute' ? document : { ...document, [node.type]: { ...body, reportingRate: rate } };
}
