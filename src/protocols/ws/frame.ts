/**
 * The frames of the WebSocket binding, whichever subprotocol spells them.
 *
 *     client                              server
 *     hello ─────────────────────────────> welcome           optional; first
 *     req, sub, unsub  id ───────────────> res  id
 *                                          ntf, end  sub      sub is the id of the `sub` frame
 *                                          batch              several ntf
 *                                          route     sub      a resource that a path with * matches
 *     msg  seq <─────────────────────────> ack  seq           the reliable lane, both ways
 *     ping <─────────────────────────────> pong
 *                                          error              what was no frame
 */
import type { Ending } from '../../routing/endings.js';
import type { Status } from '../../errors.js';
import type { JsonObject, Operation, ReliableKind } from '../../routing/primitive.js';
import type { LatencyClass, Method } from '../../routing/terms.js';

/** A body and its media type, parameters included. */
export interface Payload {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/** First on a socket, if at all: without it the peer is who its upgrade request said. */
export interface HelloFrame {
  readonly t: 'hello';
  readonly originator?: string;
  readonly token?: string;
  /** Paths of applications whose device this session is. */
  readonly attach: readonly string[];
  /** The session whose connection broke, to go on with. */
  readonly resume?: string;
  /** How often the broker should ask for a sign of life. */
  readonly heartbeatMs?: number;
}

export interface WelcomeFrame {
  readonly t: 'welcome';
  readonly session: string;
  /** Whether the subscriptions and the lane of the former session go on. */
  readonly resumed: boolean;
  /** How often the broker pings; who is silent for three of these is cut off, on either side. */
  readonly heartbeatMs?: number;
  /** How long the session waits for its peer when the connection breaks. */
  readonly resumeWithinS?: number;
  /** The highest `seq` of the client that has been acknowledged: what is above it is to be sent again. */
  readonly heard?: number;
  /** Ids of the subscriptions that go on: one that is not here has ended meanwhile. */
  readonly subs: readonly number[];
}

export interface RequestFrame {
  readonly t: 'req';
  readonly id: number;
  readonly op: Operation;
  /** A path, percent-encoded where needed, with its query. */
  readonly to: string;
  /** As HTTP's Accept. */
  readonly accept?: string;
  readonly payload?: Payload;
  readonly ifMatch: readonly string[];
  readonly ifNoneMatch: readonly string[];
}

/** Answers `req`, `sub` and `unsub`. */
export interface ResponseFrame {
  readonly t: 'res';
  readonly id: number;
  readonly status: Status;
  /** HTTP's number for the status. */
  readonly code: number;
  readonly payload?: Payload;
  readonly etag?: string;
  readonly location?: string;
  readonly allow: readonly string[];
  readonly retryAfterS?: number;
  /** To `sub`: the media type of its notifications. */
  readonly format?: string;
}

/** Its id names the subscription from now on. */
export interface SubscribeFrame {
  readonly t: 'sub';
  readonly id: number;
  readonly to: string;
  readonly accept?: string;
  /** Samples per second. */
  readonly rate?: number;
  readonly class?: LatencyClass;
  /** How long a notification may wait for others to go with it. */
  readonly batchMs?: number;
  /** Conditional parameters, as a query spells them: `c.gt=50.2&field=frequency`. */
  readonly conditions?: string;
  readonly method?: Method;
}

export interface NotificationFrame {
  readonly t: 'ntf';
  readonly sub: number;
  /** Of a subscription to a path with `*`: whose sample it is. */
  readonly route?: number;
  /** The sample's sequence number, 24 bits, rising. */
  readonly n: number;
  /** Samples of the asked cadence lost since the last notification. */
  readonly missed: number;
  /** Instant of measurement, microseconds since the epoch. */
  readonly timeUs: number;
  /** In the format that the answer to `sub` named. */
  readonly body: Uint8Array;
}

/**
 * Of a subscription to a path with `*`: a resource that matches. With `format` its samples come from now on, as `route`; with `ending`
 * no more do; with `status` alone it is not to be had in the terms of the subscription.
 */
export interface RouteFrame {
  readonly t: 'route';
  readonly sub: number;
  readonly route?: number;
  /** Of the container, percent-encoded where needed. */
  readonly path: string;
  readonly format?: string;
  readonly ending?: Ending;
  readonly status?: Status;
  /** A sentence. */
  readonly reason?: string;
}

/** Several notifications at once, to a client whose subscriptions asked for `batchMs`. */
export interface BatchFrame {
  readonly t: 'batch';
  /** In the order in which they were due. */
  readonly ntf: readonly NotificationFrame[];
}

export interface UnsubscribeFrame {
  readonly t: 'unsub';
  readonly id: number;
  readonly sub: number;
}

/** The broker has ended a subscription. */
export interface EndFrame {
  readonly t: 'end';
  readonly sub: number;
  readonly ending: Ending;
  readonly status?: Status;
  /** A sentence. */
  readonly reason: string;
}

/** Kept by the sender until acknowledged. `seq` rises by one, from 1, per session and direction. */
export interface MessageFrame {
  readonly t: 'msg';
  readonly seq: number;
  readonly kind: ReliableKind;
  readonly body: JsonObject;
}

/** All messages up to and including `seq` have arrived. */
export interface AcknowledgementFrame {
  readonly t: 'ack';
  readonly seq: number;
}

export interface PingFrame {
  readonly t: 'ping' | 'pong';
  readonly id?: number;
}

/** What came was no frame that could be answered otherwise, or was refused after all. */
export interface ErrorFrame {
  readonly t: 'error';
  readonly status: Status;
  /** A sentence. */
  readonly reason: string;
  readonly id?: number;
  /** Of the `msg` that was refused. STATUS_SERVICE_UNAVAILABLE: not now; it is not acknowledged, and to be sent again. */
  readonly seq?: number;
}

export type Frame =
  | HelloFrame
  | WelcomeFrame
  | RequestFrame
  | ResponseFrame
  | SubscribeFrame
  | NotificationFrame
  | BatchFrame
  | RouteFrame
  | UnsubscribeFrame
  | EndFrame
  | MessageFrame
  | AcknowledgementFrame
  | PingFrame
  | ErrorFrame;
export type FrameType = Frame['t'];
