/**
 * All clients that observe, and how one becomes an observer.
 *
 *     GET Observe 0 ──> session of this endpoint ──> subscribe ──> ids suffice? ──> relation; answer with Observe
 *                                                        └─ refused   └─ no ──> answer without Observe, counted
 */
import type { Log } from '../../log.js';
import { isRefusal } from '../../errors.js';
import type { Ending } from '../../routing/endings.js';
import { answer, refused, type Request, type Response } from '../../routing/primitive.js';
import { isPattern } from '../../routing/pattern.js';
import type { Session, Site } from '../../routing/site.js';
import type { Terms } from '../../routing/terms.js';
import type { Blockwise } from './blocks.js';
import type { Endpoint } from './endpoint.js';
import { LastTail } from './last-tail.js';
import { tokenKey } from './message.js';
import { ObserverPort, rateOf, type Registration } from './observe.js';
import { PatternRelation } from './pattern-relation.js';
import type { Peer, PeerFigures } from './peer.js';

/** What a registration came to: without a relation the answer bears no Observe. */
export interface Registered {
  readonly response: Response;
  readonly relation?: Registration;
  /** Lets notifications go; called when the answer is on its way. */
  readonly open: () => void;
}

/** A registration on its way. */
interface Attempt {
  readonly port: ObserverPort;
  readonly session: Session;
  /** As a key of maps. */
  readonly token: string;
  readonly exponent: number;
  /** To be asked once, when the broker has answered: nothing has taken its place meanwhile. */
  readonly isCurrent: () => boolean;
}

/** A row of `gridcast top`. */
export interface ObserverFigures extends PeerFigures {
  readonly relations: number;
  readonly isPaused: boolean;
}

export class Observers {
  readonly lastTail = new LastTail();
  /** Relations that ended, by reason. */
  readonly endings = new Map<Ending, number>();
  /** Registrations answered without Observe because the message ids of the endpoint pair would not suffice. */
  refusedForIds = 0;
  private readonly ports = new Map<Peer, ObserverPort>();
  private lastTicket = 0;

  constructor(
    readonly endpoint: Endpoint,
    private readonly site: Site,
    private readonly log: Log,
    /** Keeps what was told in a first block, until the client has read the rest [RFC7959-3.4]. */
    readonly keepLong: Blockwise['keep'],
  ) {
    endpoint.onReset((peer, id) => this.ports.get(peer)?.reset(id));
  }

  /**
   * Registers (client endpoint, token) for `request.to`; the same key again replaces [RFC7641-4.1].
   *
   * @param exponent of the largest block the client takes
   */
  async register(peer: Peer, token: Uint8Array, exponent: number, request: Request, terms: Terms): Promise<Registered> {
    const port = this.portOf(peer);
    const session = this.sessionOf(port, request.originator);
    if (isRefusal(session)) {
      this.closeIfIdle(port);
      return { response: refused(session), open: () => {} };
    }
    const key = tokenKey(token);
    const ticket = ++this.lastTicket;
    port.registering.set(key, ticket);
    const isCurrent = (): boolean => port.registering.get(key) === ticket && port.registering.delete(key);
    const attempt = { port, session, token: key, exponent, isCurrent };
    return isPattern(request.to)
      ? this.registerPattern(attempt, request, terms)
      : this.registerOne(attempt, request, terms);
  }

  private async registerPattern(
    { port, session, token, exponent, isCurrent }: Attempt,
    request: Request,
    terms: Terms,
  ): Promise<Registered> {
    const relation = new PatternRelation(token, exponent, (ended, why) => port.endRelation(ended, why));
    const pattern = await session.subscribePattern(request, terms, relation);
    const isWanted = isCurrent();
    const isRefused = 'status' in pattern;
    if (isRefused || !isWanted || !this.isAfforded(port, token, 0)) {
      if (!isRefused) pattern.end();
      this.closeIfIdle(port);
      return { response: isRefused ? pattern : answer('STATUS_OK'), open: () => {} };
    }
    relation.subscription = pattern;
    port.addPattern(relation);
    return { response: answer('STATUS_OK'), relation, open: () => pattern.open() };
  }

  private async registerOne(
    { port, session, token, exponent, isCurrent }: Attempt,
    request: Request,
    terms: Terms,
  ): Promise<Registered> {
    const outcome = await session.subscribe(request, terms);
    const isWanted = isCurrent();
    const unregistered = (response: Response): Registered => {
      if ('delivery' in outcome) session.unsubscribe(outcome.delivery, 'UNSUBSCRIBED');
      this.closeIfIdle(port);
      return { response, open: () => {} };
    };
    if (!('delivery' in outcome)) return unregistered(outcome);
    const { delivery, response } = outcome;
    if (!isWanted) return unregistered(response);
    if (!this.isAfforded(port, token, rateOf(delivery))) return unregistered(response);
    const relation = port.add(token, delivery, exponent);
    return {
      response,
      relation,
      open: () => session.open(delivery),
    };
  }

  /** Else it is counted and logged. @param rate of notifications a second; 0: a pattern's, not known before its members are */
  private isAfforded(port: ObserverPort, token: string, rate: number): boolean {
    if (port.hasNumberFor(token) && (rate === 0 || port.affords(token, rate))) return true;
    this.refusedForIds++;
    const { key, ids } = port.peer;
    const ofIds = { used: ids.used(this.endpoint.nowMs()), allowed: ids.allowed };
    this.log.warn({ peer: key, rate, ...ofIds }, 'coap: not registered, the message ids would not suffice');
    return false;
  }

  /** GET with Observe 1 [RFC7641-3.6]. Harmless where nothing is registered. */
  deregister(peer: Peer, token: Uint8Array): void {
    const port = this.ports.get(peer);
    if (!port) return;
    const key = tokenKey(token);
    port.registering.delete(key);
    port.remove(key, 'UNSUBSCRIBED');
    this.closeIfIdle(port);
  }

  /** Ends a port whose last relation is gone. */
  closeIfIdle(port: ObserverPort): void {
    if (port.relations.size === 0 && port.registering.size === 0) this.close(port, 'UNSUBSCRIBED');
  }

  close(port: ObserverPort, ending: Ending): void {
    // The peer may have registered anew since: a late outcome of the old port must not end the new one.
    if (this.ports.get(port.peer) !== port) return;
    this.ports.delete(port.peer);
    port.close(ending);
  }

  /** Ends what a peer observes, if anything. */
  endPeer(peer: Peer, ending: Ending): void {
    const port = this.ports.get(peer);
    if (port) this.close(port, ending);
  }

  closeAll(ending: Ending): void {
    for (const port of [...this.ports.values()]) this.close(port, ending);
  }

  countEnding(ending: Ending): void {
    this.endings.set(ending, (this.endings.get(ending) ?? 0) + 1);
  }

  get relationCount(): number {
    let count = 0;
    for (const port of this.ports.values()) count += port.relations.size;
    return count;
  }

  *figures(): Iterable<ObserverFigures> {
    const nowUs = this.endpoint.clock.monotonicUs();
    for (const { peer, relations, isPaused } of this.ports.values()) {
      yield { ...peer.figures(nowUs), relations: relations.size, isPaused };
    }
  }

  /** The port towards a peer, made at the first registration. */
  private portOf(peer: Peer): ObserverPort {
    let port = this.ports.get(peer);
    if (!port) this.ports.set(peer, (port = new ObserverPort(this, peer)));
    return port;
  }

  private sessionOf(port: ObserverPort, originator: string): Session | ReturnType<Site['connect']> {
    if (port.session) return port.session;
    const session = this.site.connect({ binding: 'coap', address: port.peer.key, originator, attach: [] }, port);
    if (!isRefusal(session)) port.session = session;
    return session;
  }
}
