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
import { isRefusal, refuse, type Refusal } from '../errors.js';
import type { Behaviour, Cell, CellKind } from '../kernel/cell.js';
import { createLifecycle, setup, type Dispose } from '../kernel/lifecycle.js';
import type { Delivery, Port, ReliableWay } from '../routing/delivery.js';
import type { Ending } from '../routing/endings.js';
import { direct } from '../resources/filter.js';
import { readWord } from '../routing/command.js';
import { answer, isSuccess, refused, type JsonObject, type Request, type Response } from '../routing/primitive.js';
import type { Dispatcher } from '../routing/dispatcher.js';
import {
  RESUME_WITHIN_S,
  type Peer,
  type ReliableKind,
  type ReliablePort,
  type Session,
  type Subscribed,
} from '../routing/site.js';
import type { Terms } from '../routing/terms.js';
import { patternOf, type PatternSubscription, type RouteSink } from '../routing/pattern.js';
import type { Alarms } from './alarms.js';
import type { Commands } from './commands.js';
import type { Schedule } from './notification-channel.js';
import { PatternRoutes } from './pattern-routes.js';
import type { Patterns } from './patterns.js';
import { ReliableLane, type LaneMessage } from './reliable-lane.js';
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
  | { readonly type: 'CONGESTED' | 'RELIEVED' | 'DETACHED' }
  | { readonly type: 'RESUMED'; readonly isCongested: boolean }
  | Dispose;

const endpointMachine = setup({
  types: { events: {} as EndpointEvent },
  guards: { isCongested: ({ event }) => event.type === 'RESUMED' && event.isCongested },
}).createMachine({
  id: 'endpoint',
  initial: 'connected',
  on: { DISPOSE: '.closed' },
  states: {
    connected: { on: { CONGESTED: 'congested', DETACHED: 'detached' } },
    congested: { on: { RELIEVED: 'connected', DETACHED: 'detached' } },
    detached: { on: { RESUMED: [{ guard: 'isCongested', target: 'congested' }, { target: 'connected' }] } },
    closed: { type: 'final' },
  },
});

export interface EndpointOptions {
  readonly peer: Peer;
  readonly port: Port | ReliablePort;
  readonly dispatcher: Dispatcher;
  readonly subscriptions: Subscriptions;
  /** Where they are seen as resources. */
  readonly shown: SubscriptionResources;
  readonly quotas: Quotas;
  readonly patterns: Patterns;
  readonly schedule: Schedule;
  /** Its peer is away, or back. */
  readonly onDetached: (isDetached: boolean) => void;
  /** The endpoint is over: it leaves the population and every register. */
  readonly onClosed: (ending: Ending) => void;
}

export function endpointKind(options: EndpointOptions): CellKind<EndpointMessage> {
  return {
    start: (cell) => new EndpointBehaviour(cell, options),
    undelivered(message, fault) {
      if (message.type === 'SUBSCRIBE' || message.type === 'SUBSCRIBE_PATTERN') message.reply(refused(FAULTS[fault]));
    },
  };
}

class EndpointBehaviour implements Behaviour<EndpointMessage> {
  /** Those that stand: one that anybody ends leaves by itself. */
  private readonly deliveries = new Set<Delivery>();
  private readonly patterns = new Set<PatternRoutes>();
  private readonly lane: ReliableLane;
  private readonly way: ReliableWay = (body, acknowledged) =>
    this.cell.tell({ type: 'SEND', message: { kind: 'alarm', body, acknowledged } });
  private readonly lifecycle;
  private ending: Ending = 'CRASHED';
  private cancelWindow: Cancel = () => {};

  constructor(
    private readonly cell: Cell<EndpointMessage>,
    private readonly options: EndpointOptions,
  ) {
    this.lifecycle = createLifecycle(endpointMachine, undefined, (state, before) => this.changed(state, before));
    this.lane = new ReliableLane(
      {
        transmit: (seq, kind, body) => isReliable(options.port) && options.port.sendReliable(seq, kind, body),
        congested: (isCongested) => this.lifecycle.send({ type: isCongested ? 'CONGESTED' : 'RELIEVED' }),
        overrun: () => cell.tell({ type: 'CLOSE', ending: 'SLOW_CONSUMER' }),
      },
      options.schedule,
    );
    cell.own(() => this.dispose());
  }

  receive(message: EndpointMessage): void {
    switch (message.type) {
      case 'SUBSCRIBE':
        this.subscribe(message.request, message.terms, message.reply);
        return;
      case 'OPEN':
        this.options.subscriptions.open(message.delivery);
        if (this.lifecycle.state !== 'connected') this.options.subscriptions.suspend(message.delivery);
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
        this.patterns.delete(message.routes);
        message.routes.end(message.ending);
        return;
      case 'UNSUBSCRIBE':
        this.options.subscriptions.end(message.delivery, message.ending);
        return;
      case 'SEND':
        this.lane.send(message.message);
        return;
      case 'ACKNOWLEDGE':
        this.lane.acknowledge(message.seq);
        return;
      case 'DETACH':
        if (message.isWanted || !this.lane.isEmpty || this.deliveries.size > 0)
          this.lifecycle.send({ type: 'DETACHED' });
        else this.close(message.cause);
        return;
      case 'RESUME':
        if (this.lifecycle.state !== 'detached') return;
        // What must not be lost goes before the measurements.
        this.lane.replay();
        this.lifecycle.send({ type: 'RESUMED', isCongested: this.lane.isHigh });
        return;
      case 'CLOSE':
        this.close(message.ending);
    }
  }

  private changed(state: string, before: string): void {
    if (state === 'closed') return;
    this.suspendMeasurements(state !== 'connected');
    if (state === 'detached') {
      this.lane.hold();
      this.cancelWindow = this.options.schedule(RESUME_WITHIN_S * 1000, () =>
        this.cell.tell({ type: 'CLOSE', ending: 'RESUME_EXPIRED' }),
      );
      this.options.onDetached(true);
    } else if (before === 'detached') {
      this.cancelWindow();
      this.options.onDetached(false);
    }
  }

  private close(ending: Ending): void {
    const { port, onClosed } = this.options;
    this.ending = ending;
    onClosed(ending);
    // Harmless where the peer has closed it.
    if (isReliable(port)) port.close(ending);
  }

  private subscribe(asked: Request, terms: Terms, reply: (result: Subscribed | Response) => void): void {
    const { dispatcher, subscriptions, shown, quotas, port, peer } = this.options;
    const request = direct(asked);
    if (isRefusal(request)) return reply(refused(request));
    const target = dispatcher.find(request, 'subscription');
    if (!('kind' in target)) return reply(target);
    const { originator } = request;
    const collection = target.node.child('subscriptions');
    const full = collection && quotas.refusalOf(collection, { kind: 'originator', id: originator });
    if (full) return reply(refused(full, { retryAfterS: QUOTA_RETRY_S }));
    let withdraw = (): void => {};
    const delivery = subscriptions.subscribe(target, wantedBy(request, terms), port, (ended) => {
      this.deliveries.delete(ended);
      withdraw();
    });
    if (isRefusal(delivery)) return reply(refused(delivery));
    this.deliveries.add(delivery);
    withdraw = shown.relate(target, delivery, peer);
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

  private subscribePattern(request: Request, terms: Terms, sink: RouteSink): PatternSubscription | Response {
    const pattern = patternOf(request.to);
    if (isRefusal(pattern)) return refused(pattern);
    const { patterns, quotas, port, peer, dispatcher } = this.options;
    const { cell } = this;
    const anchor = patterns.anchorOf(pattern);
    const collection = anchor?.child('subscriptions');
    const full = collection && quotas.refusalOf(collection, { kind: 'originator', id: request.originator });
    if (full) return refused(full, { retryAfterS: QUOTA_RETRY_S });
    const routes: PatternRoutes = new PatternRoutes({
      ...this.options,
      pattern,
      wanted: wantedBy(request, terms),
      sink,
      find: (to) => {
        const target = dispatcher.find({ ...request, to }, 'subscription');
        return 'kind' in target ? target : undefined;
      },
      opened: (delivery) => {
        this.deliveries.add(delivery);
        if (isReliable(port)) delivery.way = this.way;
        if (this.lifecycle.state !== 'connected') this.options.subscriptions.suspend(delivery);
      },
      over: (delivery) => this.deliveries.delete(delivery),
      listen: () => patterns.listen(pattern, (container) => cell.tell({ type: 'MATCH', routes, container })),
      show: () =>
        this.options.shown.relatePattern(anchor, pattern, terms, peer, (ending) => {
          sink.ended(ending);
          cell.tell({ type: 'END_PATTERN', routes, ending });
        }),
    });
    this.patterns.add(routes);
    return {
      open: () => cell.tell({ type: 'OPEN_PATTERN', routes }),
      end: () => cell.tell({ type: 'END_PATTERN', routes, ending: 'UNSUBSCRIBED' }),
    };
  }

  private suspendMeasurements(isSuspended: boolean): void {
    for (const delivery of this.deliveries) this.options.subscriptions[isSuspended ? 'suspend' : 'resume'](delivery);
  }

  private dispose(): void {
    this.cancelWindow();
    this.lane.dispose();
    this.lifecycle.dispose();
    const { subscriptions, port } = this.options;
    const hasCrashed = this.ending === 'CRASHED';
    for (const routes of this.patterns) {
      if (hasCrashed && !isReliable(port)) routes.endAndTell(this.ending);
      else routes.end(this.ending);
    }
    for (const delivery of [...this.deliveries]) {
      // A connection says it once, when it is closed; where there is none each observer would wait for ever.
      if (hasCrashed && !isReliable(port)) port.end(delivery, this.ending);
      subscriptions.end(delivery, this.ending);
    }
    if (!hasCrashed) return;
    this.options.onClosed('CRASHED');
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

/** What a binding holds of an endpoint: messages to its actor, and words straight to those they are for. */
export class EndpointSession implements Session {
  constructor(
    readonly id: string,
    private readonly cell: Cell<EndpointMessage>,
    private readonly peer: Peer,
    private readonly dispatcher: Dispatcher,
    private readonly commands: Commands,
    private readonly alarms: Alarms,
    private readonly lost: (cause: Ending) => void,
  ) {}

  readonly request = (request: Request): Promise<Response> => this.dispatcher.dispatch(request, this.id);

  subscribe(request: Request, terms: Terms): Promise<Subscribed | Response> {
    return new Promise((reply) => this.cell.tell({ type: 'SUBSCRIBE', request, terms, reply }));
  }

  open(delivery: Delivery): void {
    this.cell.tell({ type: 'OPEN', delivery });
  }

  subscribePattern(request: Request, terms: Terms, sink: RouteSink): Promise<PatternSubscription | Response> {
    return new Promise((reply) => this.cell.tell({ type: 'SUBSCRIBE_PATTERN', request, terms, sink, reply }));
  }

  unsubscribe(delivery: Delivery, ending: Ending): void {
    this.cell.tell({ type: 'UNSUBSCRIBE', delivery, ending });
  }

  acknowledge(seq: number): void {
    this.cell.tell({ type: 'ACKNOWLEDGE', seq });
  }

  receive(kind: ReliableKind, body: JsonObject): Promise<Refusal | undefined> {
    return kind === 'alarm' ? this.alarms.word(this.peer, body) : Promise.resolve(this.hear(kind, body));
  }

  close(ending: Ending): void {
    this.cell.tell({ type: 'CLOSE', ending });
  }

  detach(cause: Ending, isWanted: boolean): void {
    this.lost(cause);
    this.cell.tell({ type: 'DETACH', cause, isWanted });
  }

  resume(): void {
    this.cell.tell({ type: 'RESUME' });
  }

  private hear(kind: ReliableKind, body: JsonObject): Refusal | Promise<Refusal | undefined> {
    if (kind !== 'outcome') {
      return refuse(
        'STATUS_NOT_IMPLEMENTED',
        `A ${kind} is created in the tree, not sent on the reliable lane; a device sends "outcome" and "alarm".`,
      );
    }
    const word = readWord(body);
    return isRefusal(word) ? word : this.commands.word(this.peer, word);
  }
}
