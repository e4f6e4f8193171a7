/**
 * The broker: the one place that sees all sides and hands each what it needs.
 *
 *     bindings ──Site──> dispatcher ──> resource actors ──> tree
 *         │                                  │
 *         └──Session──> endpoint actors ──> subscription actors ──> router <── PMU streams
 *
 *     broker             rest_for_one, 3 in 60 s; beyond: exit code 70
 *     ├ resources        population
 *     ├ subscriptions    population
 *     ├ commands         population
 *     ├ alarms           population
 *     ├ canary
 *     ├ endpoints        population, temporary
 *     ├ sources          population
 *     └ listeners        one_for_one, 5 in 10 s: http and ws, coap, c37118 out; last up, first down
 */
import { publicationOf, type PublicationsOptions } from './actors/publications.js';
import { actorOf, FAULTS, isContent, resourceKind, type ResourceMessage } from './actors/resource.js';
import { Access } from './actors/access.js';
import { acceptAlarm } from './actors/alarm-requests.js';
import { AlarmRules } from './actors/alarm-rules.js';
import { Alarms } from './actors/alarms.js';
import { Canary } from './actors/canary.js';
import { Archives } from './actors/archives.js';
import { audited, AuditFeed } from './actors/audit-feed.js';
import { Commands } from './actors/commands.js';
import { MembersContent } from './actors/members-content.js';
import { findOutgoing } from './actors/outgoing-streams.js';
import { OwnAlarms } from './actors/own-alarms.js';
import { Patterns } from './actors/patterns.js';
import { Passivation, type PassivationLimits } from './actors/passivation.js';
import { openOwnApplication } from './actors/own-application.js';
import { rowFor } from './actors/row-contents.js';
import { Quotas } from './actors/quotas.js';
import { Resources } from './actors/resources.js';
import { Retargeting } from './actors/retargeting.js';
import { Sessions } from './actors/sessions.js';
import type { SnapshotOptions } from './actors/group-snapshot.js';
import { Snapshots } from './actors/snapshots.js';
import { Sources } from './sources.js';
import { SubscriptionResources } from './actors/subscription-resources.js';
import { Subscriptions } from './actors/subscriptions.js';
import type { Clock } from './clock.js';
import type { Config } from './config.js';
import { Population } from './kernel/population.js';
import { Supervisor, type Branch, type Supervised } from './kernel/supervisor.js';
import { Wheel } from './kernel/wheel.js';
import type { Log } from './log.js';
import { openMetrics, type Metrics } from './metrics.js';
import { resourceEvents } from './resource-events.js';
import type { Network } from './network.js';
import { idSeries, randomId, type Random } from './random.js';
import { couriers, forwarders } from './couriers.js';
import { sampleEncoder, stateEncoder } from './protocols/sample-encoder.js';
import { concentratorOf } from './protocols/c37118/concentrate.js';
import { measurementReader } from './protocols/c37118/stored.js';
import { measuredTimeOf } from './protocols/senml-reader.js';
import { snapshotSizes } from './protocols/snapshot-senml.js';
import { senmlPacks } from './protocols/senml-pack.js';
import { senmlValues } from './protocols/senml-values.js';
import { exposeFigures } from './figures.js';
import { discover } from './resources/discovery.js';
import { Dispatcher, type Ask } from './routing/dispatcher.js';
import { FORMATS } from './routing/format.js';
import { loopOf } from './routing/forward.js';
import type { OutgoingStream } from './routing/outgoing.js';
import { refused, type Request, type Response } from './routing/primitive.js';
import type { Publication } from './routing/publication.js';
import { Router } from './routing/router.js';
import type { Link, Peer, ReliablePort, Session, Site } from './routing/site.js';
import type { Port } from './routing/delivery.js';
import { isRefusal, type Refusal } from './errors.js';
import type { HistoryPlace } from './store/history-log.js';
import type { Store } from './store/store.js';

/** Seconds; from the paper's protection class up to what only a lost clock explains. */
const AGE_BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export interface Surroundings {
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly log: Log;
  readonly store: Store;
  /** Where containers keep their history on disk; undefined: nowhere. */
  readonly history?: HistoryPlace;
  /** When idle resources become rows, where that is to be seen with few of them. */
  readonly passivation?: PassivationLimits;
}

/** A listener, made when the site it serves stands. */
export type ListenerOf = (broker: Broker) => Supervised;

export class Broker implements Site {
  readonly metrics: Metrics = openMetrics();
  readonly wheel: Wheel;
  readonly router: Router;
  readonly quotas: Quotas;
  readonly resources: Resources;
  readonly access: Access;
  readonly subscriptions: Subscriptions;
  readonly patterns: Patterns;
  readonly shown: SubscriptionResources;
  readonly sessions: Sessions;
  readonly snapshots: Snapshots;
  readonly commands: Commands;
  readonly alarms: Alarms;
  private readonly ownAlarms: OwnAlarms;
  readonly rules: AlarmRules;
  readonly sources: Sources;
  readonly archives: Archives;
  readonly population: Population<ResourceMessage>;
  readonly passivation: Passivation;
  private readonly publishing: PublicationsOptions;
  readonly dispatcher: Dispatcher;
  private readonly kind: ReturnType<typeof resourceKind>;
  private readonly supervisor: Supervisor;
  private isReady = false;
  /** What it calls itself to those it sends requests on to. */
  private readonly self: string;

  constructor(
    readonly config: Config,
    readonly surroundings: Surroundings,
    listeners: readonly ListenerOf[],
  ) {
    const { clock, random, log } = surroundings;
    this.self = `gridcast-${randomId(random)}`;
    this.wheel = new Wheel(clock, (error) => log.error({ err: error }, 'a deadline failed'));
    const { schedule, leases } = this.wheel;
    const observeAge = this.metrics.histogram(
      'gridcast_delivery_age_seconds',
      'Now minus measured time, sampled',
      ['class'],
      AGE_BUCKETS_S,
    );
    this.router = new Router(
      clock,
      config.lagS * 1e6,
      (latencyClass, ageS) => observeAge({ class: latencyClass }, ageS),
      (port, delivery, error) =>
        delivery ? this.subscriptions.failed(delivery, error) : this.sessions.failed(port, error),
    );
    const store = audited(surroundings.store, (events) => feed.tell(events));
    const shared = { clock, random, log, schedule, leases, router: this.router, store };
    this.quotas = new Quotas(config, () => this.subscriptions.population.size);
    this.resources = new Resources({
      ...shared,
      quotas: this.quotas,
      encoder: sampleEncoder,
      stateEncoder,
      longPollHoldMs: config.longPollHoldS * 1000,
      mayKnow: (originator, node) => this.access.shows(originator, node),
      shows: (delivery, node) => this.subscriptions.shows(delivery, node),
    });
    const feed = new AuditFeed({ resources: this.resources, clock });
    this.access = new Access({
      ...shared,
      resources: this.resources,
      isEnforced: config.rights === 'enforced',
      administrators: config.administrators,
      recheck: () => {
        this.subscriptions.recheck();
        this.sessions.recheck();
        this.snapshots.recheck();
      },
    });
    const { authorise } = this.access;
    this.dispatcher = new Dispatcher(this.resources.tree, clock, authorise, (ask) => this.handOn(ask), {
      rowFor: (request) => rowFor(request, this),
      take: (ask) => this.kind.take(ask),
    });
    const mayRead: SnapshotOptions['mayRead'] = (originator, node) => this.access.may(originator, 'READ', node);
    this.snapshots = new Snapshots(
      { ...shared, resources: this.resources, encoder: sampleEncoder, sizes: snapshotSizes, concentratorOf, mayRead },
      (route, ending) => this.subscriptions.endAll(route, ending),
    );
    this.subscriptions = new Subscriptions({
      ...shared,
      resources: this.resources,
      access: this.access,
      contents: { valueOf: senmlValues(), packs: senmlPacks },
      snapshotRoute: ({ node, rest }) => this.snapshots.routeOf(node, rest),
    });
    const ways = forwarders({ ...surroundings, self: this.self });
    this.patterns = new Patterns(this.resources);
    this.shown = new SubscriptionResources({
      ...shared,
      subscriptions: this.subscriptions,
      patterns: this.patterns,
      resources: this.resources,
      access: this.access,
      couriers: couriers(ways),
    });
    this.ownAlarms = new OwnAlarms(() => this.alarms, schedule);
    this.alarms = new Alarms({
      ...shared,
      resources: this.resources,
      encoder: sampleEncoder,
      onFull: () => this.ownAlarms.flood(),
    });
    this.rules = new AlarmRules({ ...shared, resources: this.resources, alarms: this.alarms, valueOf: senmlValues() });
    surroundings.store.onTrouble((trouble) => this.ownAlarms.storeTrouble(trouble));
    this.sessions = new Sessions({
      ...shared,
      ended: (endpoint) => this.ownAlarms.endpointEnded(endpoint),
      dispatcher: this.dispatcher,
      subscriptions: this.subscriptions,
      shown: this.shown,
      quotas: this.quotas,
      patterns: this.patterns,
      resources: this.resources,
      access: this.access,
    });
    const observeCommand = this.metrics.histogram(
      'gridcast_command_seconds',
      'From the acceptance of a command to its outcome',
      ['state'],
      AGE_BUCKETS_S,
    );
    this.commands = new Commands({
      ...shared,
      resources: this.resources,
      lanes: this.sessions,
      onOver: (state, seconds) => observeCommand({ state }, seconds),
    });
    this.commands.onExecutedLate = ({ application, command }) =>
      this.ownAlarms.executedLate(application, command.commandId);
    this.kind = resourceKind({
      ...shared,
      resources: this.resources,
      encoder: sampleEncoder,
      measuredTimeOf,
      command: this.commands.accept,
      snapshot: (request, group, rest) => this.snapshots.read(request, group, rest),
      alarm: (ask, contentInstances, body) => acceptAlarm(this.alarms, ask, contentInstances, body),
      membersContent: new MembersContent({ resources: this.resources, dispatch: (request) => this.request(request) }),
      retargeting: new Retargeting(ways),
      shows: (originator, node) => this.access.shows(originator, node),
    });
    this.archives = new Archives({
      ...shared,
      encoder: sampleEncoder,
      place: surroundings.history,
      readMeasurement: measurementReader(),
    });
    this.population = new Population({ name: 'resources', kind: () => this.kind, clock, random, log });
    this.sources = new Sources({
      ...shared,
      ...surroundings,
      config,
      encoder: sampleEncoder,
      resources: this.resources,
      population: this.population,
      stateChanged: (application, state) => this.ownAlarms.sourceState(application, state),
    });
    this.passivation = new Passivation({
      ...shared,
      resources: this.resources,
      isBusy: (node) => !(this.population.get(node.reference)?.isIdle ?? true),
      end: (node) => this.population.end(node.reference),
      ...surroundings.passivation,
    });
    this.publishing = {
      ...shared,
      newId: idSeries(random),
      encoder: sampleEncoder,
      measuredTimeOf,
      generation: () => this.access.rights.generation,
      actorOf: (container) => this.population.activate(container.reference),
      used: (container) => this.passivation.used(container),
    };
    this.resources.listen(resourceEvents(this));
    exposeFigures(this);
    this.supervisor = new Supervisor(
      'broker',
      'rest_for_one',
      { failures: 3, withinMs: 60_000 },
      [
        this.population,
        this.subscriptions.population,
        this.commands.population,
        this.alarms.population,
        new Canary(this.alarms, { clock, encoder: sampleEncoder }),
        this.sessions.population,
        this.sources.population,
        new Supervisor(
          'listeners',
          'one_for_one',
          { failures: 5, withinMs: 10_000 },
          listeners.map((make) => make(this)),
          clock,
          log,
        ),
      ],
      clock,
      log,
    );
  }

  /** @param fatal called when restarting has not helped: the process should end with code 70 */
  async start(fatal: (error: unknown) => void): Promise<Refusal | undefined> {
    const rows = await this.surroundings.store.open();
    if (isRefusal(rows)) return rows;
    // Alarms before the tree: a container's rules go on from where their alarms stand.
    this.alarms.restore(rows.alarm);
    await this.archives.log?.open();
    this.resources.restore(rows.resource, rows.instance, this.passivation);
    this.archives.log?.settle();
    const unfit = openOwnApplication(this.resources);
    if (unfit) return unfit;
    await new Promise<unknown>((kept) => this.resources.kept.commit(kept));
    this.alarms.sweep();
    this.ownAlarms.start();
    this.commands.restore(rows.command);
    await this.supervisor.start(fatal);
    const refusal = this.sources.configure(this.config.pmu);
    this.isReady = refusal === undefined;
    return refusal;
  }

  async stop(): Promise<void> {
    this.isReady = false;
    this.passivation.stop();
    this.resources.closeAll();
    this.snapshots.closeAll();
    this.shown.stop();
    this.rules.dispose();
    this.access.stop();
    this.ownAlarms.stop();
    await this.supervisor.stop();
    await this.archives.log?.close();
    await this.surroundings.store.close();
  }

  /** Why the broker should not be given work; undefined when it is ready. */
  get unready(): string | undefined {
    return this.isReady ? this.surroundings.store.trouble?.detail : 'starting or stopping';
  }

  tree(): Branch {
    return this.supervisor.tree();
  }

  request(request: Request): Promise<Response> {
    const loop = loopOf(request, this.self);
    return loop ? Promise.resolve(refused(loop)) : this.dispatcher.dispatch(request);
  }

  publication(request: Request): Publication | undefined {
    const target = this.dispatcher.find(request);
    return 'kind' in target ? publicationOf(request, target, this.publishing) : undefined;
  }

  connect(peer: Peer, port: Port | ReliablePort): Session | Refusal {
    return this.sessions.connect(peer, port, this.commands, this.alarms);
  }

  *discover(originator: string): Iterable<Link> {
    for (const { path, type, isObservable, node } of discover(this.resources.tree.root)) {
      if (!this.access.shows(originator, node)) continue;
      const isContent = type === 'contentInstance' && path.at(-1) === 'content';
      // What can be observed so far is the latest of a container.
      yield {
        path,
        resourceType: isContent ? 'content' : type,
        contentFormats:
          isContent && node.history?.latest?.value.content.kind === 'measurement'
            ? MEASUREMENT_FORMATS
            : DOCUMENT_FORMATS,
        isObservable: isObservable && type === 'contentInstance',
      };
    }
  }

  /** Who is meant by an IDCODE that a concentrator asks for. */
  findStream(idCode: number): OutgoingStream | undefined {
    return this.snapshots.findOutgoing(idCode) ?? findOutgoing(this.resources, idCode);
  }

  private handOn(ask: Ask): void {
    const node = actorOf(ask.target);
    if (isContent(ask)) this.passivation.takes(node);
    else this.passivation.used(node);
    // What a request removes meanwhile has no actor to ask.
    const cell = this.population.activate(node.reference);
    if (cell.state === 'stopped') ask.reply(refused(FAULTS.down));
    else cell.tell(ask);
  }
}

const DOCUMENT_FORMATS = [FORMATS.json.coap, FORMATS.cbor.coap];
const { senmlCbor, senmlJson, protobuf, c37118 } = FORMATS;
const MEASUREMENT_FORMATS = [senmlCbor, senmlJson, protobuf, c37118].map(({ coap }) => coap);
