/**
 * The endpoint actor: one connected peer. Its subscriptions, its reliable lane and the applications it speaks for end with it;
 * it is temporary, since a socket is never restarted: the peer comes again.
 *
 *     connected <── lane above / below three quarters ──> congested        DISPOSE ──> closed
 *         │ the connection broke                              │
 *         └──────────────────> detached <─────────────────────┘            30 s ──> closed (RESUME_EXPIRED)
 *                                  └── the peer is back: its lane is replayed, its subscriptions go on
 */
import type { Cancel } from '../clock.js';
import { isRefusal } from '../errors.js';
import type { Behaviour, Cell, CellKind, Fault } from '../kernel/cell.js';
import { lifecyclesOf, setup, type Dispose } from '../kernel/lifecycle.js';
import type { Delivery, Port, ReliableWay } from '../routing/delivery.js';
import type { Ending } from '../routing/endings.js';
import { direct } from '../resources/filter.js';
import { answer, isSuccess, refused, type JsonObject, type Request, type Response } from '../routing/primitive.js';
import type { Dispatcher } from '../routing/dispatcher.js';
import { RESUME_WITHIN_S, type Peer, type ReliableKind, type ReliablePort, type Subscribed } from '../routing/site.js';
import type { Terms } from '../routing/terms.js';
import { patternOf, type PatternSubscription, type RouteSink } from '../routing/pattern.js';
import type { Commands } from './commands.js';
import type { Schedule } from './notification-channel.js';
import { PatternRoutes } from './pattern-routes.js';
import type { Patterns } from './patterns.js';
import { ReliableLane, type LaneMessage, type LaneOwner } from './reliable-lane.js';
import { FAULTS } from './resource.js';
import { QUOTA_RETRY_S, type Quotas } from './quotas.js';
import type { Node } from './resources.js';
import type { SubscriptionResources } from './subscription-resources.js';
import type { Subscriptions, Wanted } from './subscriptions.js';

export type EndpointMessage =
  | {
      readonly type: 'SUBSCRIBE';
      readonly request: Request;
      readonly terms: Terms;
      readonly reply: (result: Subscribed | Response) => void;
    }
  | { readonly type: 'OPEN'; readonly delivery: Delivery }
  | {
      readonly type: 'SUBSCRIBE_PATTERN';
      readonly request: Request;
      readonly terms: Terms;
      readonly sink: RouteSink;
      readonly reply: (result: PatternSubscription | Response) => void;
    }
  | { readonly type: 'OPEN_PATTERN' | 'MATCH'; readonly routes: PatternRoutes; readonly container?: Node }
  | { readonly type: 'END_PATTERN'; readonly routes: PatternRoutes; readonly ending: Ending }
  | { readonly type: 'UNSUBSCRIBE'; readonly delivery: Delivery; readonly ending: Ending }
  | { readonly type: 'SEND'; readonly message: LaneMessage }
  | { readonly type: 'ACKNOWLEDGE'; readonly seq: number }
  | { readonly type: 'DETACH'; readonly cause: Ending; readonly isWanted: boolean }
  | { readonly type: 'RESUME' }
  | { readonly type: 'CLOSE'; readonly ending: Ending };

type EndpointEvent =
  { readonly type: 'CONGESTED' | 'RELIEVED' | 'DETACHED' | 'RESUMED' | 'RESUMED_CONGESTED' } | Dispose;

const endpointMachine = setup({ types: { events: {} as EndpointEvent } }).createMachine({
  id: 'endpoint',
  initial: 'connected',
  on: { DISPOSE: '.closed' },
  states: {
    connected: { on: { CONGESTED: 'congested', DETACHED: 'detached' } },
    congested: { on: { RELIEVED: 'connected', DETACHED: 'detached' } },
    detached: { on: { RESUMED: 'connected', RESUMED_CONGESTED: 'congested' } },
    closed: { type: 'final' },
  },
});
const endpointLifecycle = lifecyclesOf(endpointMachine);

export interface EndpointOptions {
  readonly dispatcher: Dispatcher;
  readonly subscriptions: Subscriptions;
  /** Where they are seen as resources. */
  readonly shown: SubscriptionResources;
  readonly quotas: Quotas;
  readonly patterns: Patterns;
  readonly schedule: Schedule;
  /** A peer is away, or back. */
  readonly onDetached: (endpoint: Connected, isDetached: boolean) => void;
  /** An endpoint is over: it leaves the population and every register. */
  readonly onClosed: (endpoint: Connected, ending: Ending) => void;
}

/** What an endpoint is, apart from its life. */
export class Connected implements CellKind<EndpointMessage> {
  /** Of what it begins with when it has been welcomed. */
  cancelStart: Cancel | undefined;

  /** @param options what all of them have in common */
  constructor(
    readonly options: EndpointOptions,
    readonly id: string,
    readonly peer: Peer,
    readonly port: Port | ReliablePort,
    readonly commands: Commands,
  ) {}

  start(cell: Cell<EndpointMessage>): Behaviour<EndpointMessage> {
    return new EndpointBehaviour(cell, this);
  }

  undelivered(message: EndpointMessage, fault: Fault): void {
    if (message.type === 'SUBSCRIBE' || message.type === 'SUBSCRIBE_PATTERN') message.reply(refused(FAULTS[fault]));
  }
}

class EndpointBehaviour implements Behaviour<EndpointMessage>, LaneOwner {
  /** Those that stand, and what shows each in the tree: one that anybody ends leaves by itself. */
  private readonly deliveries = new Map<Delivery, Node | undefined>();
  // Made when first needed: most endpoints have neither, and of many thousand each counts.
  private patterns: Set<PatternRoutes> | undefined;
  private ownLane: ReliableLane | undefined;
  private ownWay: ReliableWay | undefined;
  private readonly lifecycle = endpointLifecycle();
  private ending: Ending = 'CRASHED';
  private cancelWindow: Cancel | undefined;

  constructor(
    private readonly cell: Cell<EndpointMessage>,
    private readonly endpoint: Connected,
  ) {
    cell.own(() => this.dispose());
  }

  receive(message: EndpointMessage): void {
    switch (message.type) {
      case 'SUBSCRIBE':
        this.subscribe(message.request, message.terms, message.reply);
        return;
      case 'OPEN':
        this.endpoint.options.subscriptions.open(message.delivery);
        if (this.lifecycle.state !== 'connected') this.endpoint.options.subscriptions.suspend(message.delivery);
        return;
      case 'SUBSCRIBE_PATTERN':
        message.reply(this.subscribePattern(message.request, message.terms, message.sink));
        return;
      case 'OPEN_PATTERN':
        message.routes.open();
        return;
      case 'MATCH':
        if (message.container) message.routes.match(message.container);
        return;
      case 'END_PATTERN':
        this.patterns?.delete(message.routes);
        message.routes.end(message.ending);
        return;
      case 'UNSUBSCRIBE':
        this.endpoint.options.subscriptions.end(message.delivery, message.ending);
        return;
      case 'SEND':
        this.lane.send(message.message);
        return;
      case 'ACKNOWLEDGE':
        this.ownLane?.acknowledge(message.seq);
        return;
      case 'DETACH':
        if (message.isWanted || this.ownLane?.isEmpty === false || this.deliveries.size > 0) this.move('DETACHED');
        else this.close(message.cause);
        return;
      case 'RESUME':
        if (this.lifecycle.state !== 'detached') return;
        // What must not be lost goes before the measurements.
        this.lane.replay();
        this.move(this.lane.isHigh ? 'RESUMED_CONGESTED' : 'RESUMED');
        return;
      case 'CLOSE':
        this.close(message.ending);
    }
  }

  transmit(seq: number, kind: ReliableKind, body: JsonObject): void {
    const { port } = this.endpoint;
    if (isReliable(port)) port.sendReliable(seq, kind, body);
  }

  congested(isCongested: boolean): void {
    this.move(isCongested ? 'CONGESTED' : 'RELIEVED');
  }

  overrun(): void {
    this.cell.tell({ type: 'CLOSE', ending: 'SLOW_CONSUMER' });
  }

  private get lane(): ReliableLane {
    return (this.ownLane ??= new ReliableLane(this, this.endpoint.options.schedule));
  }

  private get way(): ReliableWay {
    return (this.ownWay ??= (body, acknowledged) =>
      this.cell.tell({ type: 'SEND', message: { kind: 'alarm', body, acknowledged } }));
  }

  private move(type: Exclude<EndpointEvent, Dispose>['type']): void {
    const before = this.lifecycle.state;
    this.lifecycle.send({ type });
    const { state } = this.lifecycle;
    if (state !== before) this.changed(state, before);
  }

  private changed(state: string, before: string): void {
    const { endpoint } = this;
    const { schedule, onDetached } = endpoint.options;
    this.suspendMeasurements(state !== 'connected');
    if (state === 'detached') {
      this.lane.hold();
      this.cancelWindow = schedule(RESUME_WITHIN_S * 1000, () =>
        this.cell.tell({ type: 'CLOSE', ending: 'RESUME_EXPIRED' }),
      );
      onDetached(endpoint, true);
    } else if (before === 'detached') {
      this.cancelWindow?.();
      onDetached(endpoint, false);
    }
  }

  private close(ending: Ending): void {
    const { port, options } = this.endpoint;
    this.ending = ending;
    options.onClosed(this.endpoint, ending);
    // Harmless where the peer has closed it.
    if (isReliable(port)) port.close(ending);
  }

  private subscribe(asked: Request, terms: Terms, reply: (result: Subscribed | Response) => void): void {
    const { port, peer, options } = this.endpoint;
    const { dispatcher, subscriptions, shown, quotas } = options;
    const request = direct(asked);
    if (isRefusal(request)) return reply(refused(request));
    const target = dispatcher.find(request, 'subscription');
    if (!('kind' in target)) return reply(target);
    const { originator } = request;
    const collection = target.node.child('subscriptions');
    const full = collection && quotas.refusalOf(collection, { kind: 'originator', id: originator });
    if (full) return reply(refused(full, { retryAfterS: QUOTA_RETRY_S }));
    const delivery = subscriptions.subscribe(target, wantedBy(request, terms), port, this.over);
    if (isRefusal(delivery)) return reply(refused(delivery));
    this.deliveries.set(delivery, shown.relate(target, delivery, peer));
    if (isReliable(port)) delivery.way = this.way;
    const { generation } = this.cell;
    const accept = [delivery.format.mediaType];
    const settle = (response: Response): void => {
      // The endpoint has ended meanwhile, and the delivery with it.
      if (this.cell.generation !== generation || !this.deliveries.has(delivery)) return reply(refused(FAULTS.down));
      // An empty container can be subscribed to, and one whose latest its filter does not mean: the first sample is still to come.
      const isToCome =
        response.status === 'STATUS_NOT_FOUND' || (response.status === 'STATUS_NOT_MODIFIED' && !request.ifNoneMatch);
      const state = isToCome ? answer('STATUS_OK') : response;
      if (isSuccess(state)) return reply({ delivery, response: state });
      subscriptions.end(delivery, 'UNSUBSCRIBED');
      reply(state);
    };
    const fail = (error: unknown): void => {
      reply(refused(FAULTS.crashed));
      this.cell.fail(error);
    };
    const reading = { ...request, ...(delivery.projection === 'content' && { accept }) };
    dispatcher.read(reading, target).then(settle, fail);
  }

  /** For all deliveries alike: a closure of one of them would hold on to its request and what that was answered. */
  private readonly over = (delivery: Delivery): void => {
    const shownAs = this.deliveries.get(delivery);
    this.deliveries.delete(delivery);
    if (shownAs) this.endpoint.options.shown.over(shownAs);
  };

  private subscribePattern(request: Request, terms: Terms, sink: RouteSink): PatternSubscription | Response {
    const pattern = patternOf(request.to);
    if (isRefusal(pattern)) return refused(pattern);
    const { port, peer, options } = this.endpoint;
    const { patterns, quotas, dispatcher, subscriptions, shown } = options;
    const { cell } = this;
    const anchor = patterns.anchorOf(pattern);
    const collection = anchor?.child('subscriptions');
    const full = collection && quotas.refusalOf(collection, { kind: 'originator', id: request.originator });
    if (full) return refused(full, { retryAfterS: QUOTA_RETRY_S });
    const routes: PatternRoutes = new PatternRoutes({
      patterns,
      subscriptions,
      port,
      pattern,
      wanted: wantedBy(request, terms),
      sink,
      find: (to) => {
        const target = dispatcher.find({ ...request, to }, 'subscription');
        return 'kind' in target ? target : undefined;
      },
      opened: (delivery) => {
        this.deliveries.set(delivery, undefined);
        if (isReliable(port)) delivery.way = this.way;
        if (this.lifecycle.state !== 'connected') subscriptions.suspend(delivery);
      },
      over: this.over,
      listen: () => patterns.listen(pattern, (container) => cell.tell({ type: 'MATCH', routes, container })),
      show: () =>
        shown.relatePattern(anchor, pattern, terms, peer, (ending) => {
          sink.ended(ending);
          cell.tell({ type: 'END_PATTERN', routes, ending });
        }),
    });
    (this.patterns ??= new Set()).add(routes);
    return {
      open: () => cell.tell({ type: 'OPEN_PATTERN', routes }),
      end: () => cell.tell({ type: 'END_PATTERN', routes, ending: 'UNSUBSCRIBED' }),
    };
  }

  private suspendMeasurements(isSuspended: boolean): void {
    const { subscriptions } = this.endpoint.options;
    for (const delivery of this.deliveries.keys()) subscriptions[isSuspended ? 'suspend' : 'resume'](delivery);
  }

  private dispose(): void {
    this.cancelWindow?.();
    this.ownLane?.dispose();
    this.lifecycle.dispose();
    const { port, options } = this.endpoint;
    const hasCrashed = this.ending === 'CRASHED';
    for (const routes of this.patterns ?? []) {
      if (hasCrashed && !isReliable(port)) routes.endAndTell(this.ending);
      else routes.end(this.ending);
    }
    for (const delivery of [...this.deliveries.keys()]) {
      // A connection says it once, when it is closed; where there is none each observer would wait for ever.
      if (hasCrashed && !isReliable(port)) port.end(delivery, this.ending);
      options.subscriptions.end(delivery, this.ending);
    }
    if (!hasCrashed) return;
    options.onClosed(this.endpoint, 'CRASHED');
    if (isReliable(port)) port.close('CRASHED');
  }
}

const wantedBy = (
  { originator, accept, defaultFormat: preferred, query: criteria }: Request,
  terms: Terms,
): Wanted => ({
  originator,
  terms,
  accept,
  preferred,
  criteria,
});

const isReliable = (port: Port | ReliablePort): port is ReliablePort => 'sendReliable' in port;
