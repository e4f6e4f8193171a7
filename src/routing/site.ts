/**
 * What a binding is given of the broker, and all it knows of it. A binding translates; behind this interface it is decided.
 *
 *     datagram, frame, exchange ──> binding ──> Site.request ──────────────> Response
 *                                     └───────> Site.connect ──> Session ──> subscribe: Delivery ──> the binding's Port
 */
import type { Refusal } from '../errors.js';
import type { Delivery, Port } from './delivery.js';
import type { Ending } from './endings.js';
import type { PatternSubscription, RouteSink } from './pattern.js';
import type { BindingName, JsonObject, ReliableKind, Request, Response } from './primitive.js';
import type { Publication } from './publication.js';
import type { Terms } from './terms.js';

export type { ReliableKind } from './primitive.js';

/** A port that has a reliable lane besides its measurements; so far only WebSocket's. */
export interface ReliablePort extends Port {
  /** Sends one message of the lane. `seq` rises by one per session, from 1. */
  sendReliable(seq: number, kind: ReliableKind, body: JsonObject): void;
  /** Ends the connection from the broker's side; one that is gone already will not be resumed. */
  close(ending: Ending): void;
}

/**
 * What is said on the lane. A function is asked each time it goes out, because what it says ages, as the time that a command
 * has left; `undefined`: it is not to go any more.
 */
export type ReliableBody = JsonObject | (() => JsonObject | undefined);

/** How long a session waits for a peer whose connection broke: a reboot of a modem, a fail-over of a network. */
export const RESUME_WITHIN_S = 30;

export interface Peer {
  readonly binding: BindingName;
  /** Host and port, for people. */
  readonly address: string;
  readonly originator: string;
  /** Applications whose device this session is: their commands go to it. */
  readonly attach: readonly (readonly string[])[];
}

export interface Subscribed {
  readonly delivery: Delivery;
  /** The state at this moment; the delivery goes on from there. */
  readonly response: Response;
}

/** One connected endpoint, an actor in the supervision tree. */
export interface Session {
  readonly id: string;
  request(request: Request): Promise<Response>;
  /**
   * Subscribes the endpoint to `request.to` (op retrieve). The delivery starts in mode `opening`: the binding calls `open`
   * when its answer is on the way, so that no notification overtakes it. A Response alone is a refusal.
   */
  subscribe(request: Request, terms: Terms): Promise<Subscribed | Response>;
  open(delivery: Delivery): void;
  /** Subscribes the endpoint to every resource that `request.to`, a path with `*`, matches now or later. A Response is a refusal. */
  subscribePattern(request: Request, terms: Terms, sink: RouteSink): Promise<PatternSubscription | Response>;
  /** The peer, or the binding on its behalf, ends one delivery. */
  unsubscribe(delivery: Delivery, ending: Ending): void;
  /** The peer acknowledged the reliable lane up to and including `seq`. */
  acknowledge(seq: number): void;
  /** A message of the peer on the reliable lane: a device's words on its commands. A refusal is told to the peer. */
  receive(kind: ReliableKind, body: JsonObject): Promise<Refusal | undefined>;
  /** The connection is over; everything of the session ends with it. */
  close(ending: Ending): void;
  /**
   * The connection broke: what is unacknowledged and subscribed waits RESUME_WITHIN_S for the peer, then ends. A session
   * with nothing to wait for ends at once, unless it `isWanted` all the same.
   */
  detach(cause: Ending, isWanted: boolean): void;
  /** The peer is back, and its port has a way out: what it has not acknowledged goes again, and its subscriptions go on. */
  resume(): void;
}

/** One line of `/.well-known/core` [RFC6690]. */
export interface Link {
  readonly path: readonly string[];
  readonly resourceType?: string;
  readonly interfaceDescription?: string;
  readonly contentFormats: readonly number[];
  readonly isObservable: boolean;
  readonly size?: number;
}

export interface Site {
  request(request: Request): Promise<Response>;
  /** Refused when a path to attach names no application, or the originator may not speak for it. */
  connect(peer: Peer, port: Port | ReliablePort): Session | Refusal;
  /** What this originator may discover. */
  discover(originator: string): Iterable<Link>;
  /** The way for more of what such a request has just created with success; undefined where there is none. */
  publication?(request: Request): Publication | undefined;
}
