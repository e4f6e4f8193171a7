/**
 * The one server under HTTP and WebSocket: a port that answers requests and opens sockets, whichever library carries it.
 *
 *     request ──> HttpHandler ──> HttpAnswer, now or later           throw, reject, nothing: 500
 *     upgrade ──> UpgradeHandler ──> HttpAnswer (refused)
 *                       └──────────> WsAccept ──> open(WsSocket) ──> WsReceiver: message*, drain*, pong*, close
 *
 * Two implementations keep it: uws.ts and node.ts, held to the same suite. Where the two cannot agree, what stands here
 * is the weaker promise:
 * - an oversize message ends the socket with 1009, or without a close frame (the peer sees 1006); so does bad UTF-8 in
 *   a text message, with 1007 or 1006;
 * - `idleTimeoutMs` is kept in steps of 4 s, from 8 s up, or exactly;
 * - a request head is taken up to 4 KiB, and may be taken beyond;
 * - the peer is known by its numeric address, without its port.
 */
import type { Cancel } from '../../clock.js';
import type { Address } from '../../network.js';
import type { Refusal } from '../../errors.js';
import type { Credentials } from './tls.js';

export type TransportName = 'uws' | 'node';

export interface Transport {
  readonly name: TransportName;
  /** Port 0 takes any free one. Rejects when the address cannot be listened on. */
  listen(at: Address, handlers: Handlers): Promise<Listener>;
}

/** A transport that speaks TLS as well. */
export interface SecureTransport extends Transport {
  /** @param tls absent: in clear */
  listen(at: Address, handlers: Handlers, tls?: Credentials): Promise<Listener>;
}

export interface Handlers {
  readonly request: HttpHandler;
  readonly upgrade: UpgradeHandler;
}

export interface Listener {
  readonly address: Address;
  /**
   * Stops accepting, closes every socket with 1012, gives exchanges that are under way `graceMs` to be answered, and ends
   * all connections. Further calls wait for the first.
   */
  close(graceMs?: number): Promise<void>;
}

/** The head of a request, HTTP's or an upgrade's. */
export interface RequestHead {
  /** In capitals. */
  readonly method: string;
  /** As sent: not decoded, not normalised, without the query. */
  readonly path: string;
  /** As sent, without the `?`; empty when there is none. */
  readonly query: string;
  /** The peer's numeric address. */
  readonly remote: string;
  /** The name in the client certificate that the peer has proved to hold. */
  readonly certified?: string | undefined;
  /** @param name in lower case. Fields that came several times are one list, separated by commas. */
  header(name: string): string | undefined;
}

export interface HttpRequest extends RequestHead {
  /** Calls `run` once when the peer goes before it is answered, now if it has gone. */
  onGone(run: () => void): Cancel;
  /** The whole body; empty when there is none. Refused: larger than `maxBodyBytes` (413), or cut off by the peer. */
  body(): Promise<Uint8Array | Refusal>;
}

export interface HttpAnswer {
  readonly status: number;
  /** Names without Content-Length and the other fields of framing, which are the transport's. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** Answers a request. A promise may stay open as long as the answer takes: that is a held long poll. */
export type HttpHandler = (request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>;

export interface UpgradeRequest extends RequestHead {
  /** What the peer offers in Sec-WebSocket-Protocol, in its order of preference. */
  readonly protocols: readonly string[];
}

/** An upgrade that is taken: with one of the subprotocols that were offered, or none. */
export interface WsAccept {
  readonly protocol?: string;
  /** The socket is open; what it returns hears of all that follows. */
  open(socket: WsSocket): WsReceiver;
}

export type UpgradeHandler = (request: UpgradeRequest) => WsAccept | HttpAnswer;

/** A receiver that throws has its socket closed with 1011. */
export interface WsReceiver {
  /** One whole message; the bytes belong to the receiver. Text has been checked to be UTF-8. */
  message(bytes: Buffer, isBinary: boolean): void;
  /** There is room again: called after a `send` that was not `sent`, and perhaps more often. */
  drain(): void;
  /** The peer has answered a ping, or pinged. */
  pong(): void;
  /** Once, whoever closed; nothing is called afterwards. 1006: no close frame came. */
  close(code: number, reason: string): void;
}

/** `queued`: kept, and sent when the peer takes it. `dropped`: over `maxBackpressureBytes` already, or closed. */
export type SendResult = 'sent' | 'queued' | 'dropped';

export interface WsSocket {
  readonly remote: string;
  /** The chosen subprotocol; empty for none. */
  readonly protocol: string;
  readonly isOpen: boolean;
  /** What waits in memory because the peer does not take it. */
  readonly bufferedBytes: number;
  /** Sends one message. Its bytes are the caller's again when this returns. */
  send(message: string | Uint8Array, isBinary: boolean): SendResult;
  /** Runs `write` and hands the system all that it sends at once. */
  cork(write: () => void): void;
  /** Asks for a sign of life; every WebSocket peer answers by itself. */
  ping(): void;
  /** Sends a close frame behind what waits. The receiver's `close` is called before this returns. */
  close(code: number, reason: string): void;
  /** Cuts the connection off without a word, for a peer that hears none; `close` is called, with 1006, before this returns. */
  terminate(): void;
}

export interface TransportLimits {
  /** Largest WebSocket message taken. */
  readonly maxPayloadBytes: number;
  /** Largest HTTP body taken. */
  readonly maxBodyBytes: number;
  /** What may wait for one slow peer before its messages are dropped; the message that crosses it is still kept. */
  readonly maxBackpressureBytes: number;
  /** A socket is pinged when idle; one that stays silent this long is ended as 1006. */
  readonly idleTimeoutMs: number;
  /** WebSockets open at once from one address; more are refused with 429. Absent: as many as come. */
  readonly maxSocketsPerAddress?: number;
}

export const DEFAULT_LIMITS: TransportLimits = {
  maxPayloadBytes: 64 * 1024,
  // A contentInstance has at most 1,024,000 bytes [resources: limits], sent as they are.
  maxBodyBytes: 1024 * 1024,
  // The reliable lane's 1 MiB and, before it, what measurements may pile up.
  maxBackpressureBytes: 2 * 1024 * 1024,
  idleTimeoutMs: 60_000,
};

/** A request head must be complete within this; uWebSockets.js has it built in, so the other keeps it too. */
export const HEAD_TIMEOUT_MS = 10_000;

/** Close codes of RFC 6455 section 7.4.1 and the IANA registry. */
export const WS_CLOSE = {
  normal: 1000,
  goingAway: 1001,
  unsupportedData: 1003,
  /** A close frame without a code. */
  noStatus: 1005,
  noCloseFrame: 1006,
  badText: 1007,
  policyViolation: 1008,
  tooBig: 1009,
  internalError: 1011,
  serviceRestart: 1012,
  tryAgainLater: 1013,
} as const;
