/**
 * What a client can do, the same over HTTP, CoAP and WebSocket.
 *
 *     open(uri) ──> request(...)  one exchange ─────────────────> ClientResponse, or a GridcastError
 *               └─> observe(to)   for await (const notification of ...)      break or abort ends the subscription
 *
 * `to` is a path below the broker's root, query included, or a whole URI; only its path and query count.
 */
import type { Clock } from '../clock.js';
import type { Status } from '../errors.js';
import type { BindingName, Json, JsonObject } from '../routing/primitive.js';
import type { LatencyClass, Method } from '../routing/terms.js';

export interface ClientRequest {
  readonly op: 'create' | 'retrieve' | 'update' | 'delete';
  readonly to: string;
  /** Media type wanted; default: the binding's. */
  readonly accept?: string;
  /** A representation, or bytes of any media type. */
  readonly body?: JsonObject | RequestBody;
  readonly signal?: AbortSignal;
  /** Default 10 s. */
  readonly timeoutMs?: number;
}

export interface RequestBody {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/** A success; refusals are thrown. */
export interface ClientResponse {
  readonly status: Status;
  /** Absent together with a body. */
  readonly mediaType?: string;
  readonly bytes: Uint8Array;
  /** Path of what was created. */
  readonly location?: string;
}

export interface ObserveTerms {
  /** Samples per second; must divide the source's reporting rate. Default: the container's. */
  readonly rate?: number;
  /** Media type wanted; default: the binding's. */
  readonly accept?: string;
  readonly class?: LatencyClass;
  /** Only what says something new: conditional parameters, as a query spells them: `c.gt=50.2&field=frequency`. */
  readonly conditions?: string;
  /** What is made of the samples between one of the rate and the next. */
  readonly method?: Method;
  /** How long a notification may wait for others to come with it, milliseconds. Over WebSocket alone: elsewhere each comes by itself. */
  readonly batchMs?: number;
  /**
   * Of a path with `*`: told over WebSocket of each resource that matches, when its samples begin to come and when they end; over HTTP
   * when they end, over CoAP of none.
   */
  readonly routed?: (change: RouteChange) => void;
  /** Ends the subscription; the iteration then throws the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface RouteChange {
  /** Of the container. */
  readonly path: string;
  readonly isOpen: boolean;
  /** Why no more samples come, or none can. */
  readonly reason?: string;
}

/** One sample. The first is the first of its cadence after subscribing; `request` reads what is there now. */
export interface Notification {
  /** Instant of measurement, UTC microseconds since the epoch; absent where neither the notification nor its content tells. */
  readonly timeUs?: number;
  readonly mediaType: string;
  readonly body: Uint8Array;
  /**
   * Samples of the asked cadence lost since the one before: told by the broker over HTTP and WebSocket; over CoAP messages
   * that did not arrive. Samples that this iteration was too slow to take are added.
   */
  readonly missed: number;
  /** Rising per resource (CoAP) or per subscription (WebSocket). */
  readonly sequence?: number;
  /** Of a subscription to a path with `*`: path of the container that it is of. */
  readonly from?: string;
}

export interface Client {
  readonly binding: Exclude<BindingName, 'c37118'>;
  request(request: ClientRequest): Promise<ClientResponse>;
  /** Subscribes at the first step of the iteration. Throws a GridcastError when refused, or ended from the other side. */
  observe(to: string, terms?: ObserveTerms): AsyncIterableIterator<Notification>;
  /** Ends what is open. */
  close(): Promise<void>;
}

/** PEM texts: whose signature the broker's certificate must bear (default: the platform's), and a certificate of one's own. */
export interface TlsFiles {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** How to open a client, beyond where. */
export interface ClientOptions {
  /** Who asks; default `anonymous`. */
  readonly originator?: string;
  /** An API key or a JWT. Over CoAP it is posted when the client is opened, and travels in clear. */
  readonly token?: string;
  /** For https:// and wss://. */
  readonly tls?: TlsFiles;
  readonly clock?: Clock;
  /** For opening a connection. Default 10 s. */
  readonly timeoutMs?: number;
}

export const DEFAULT_TIMEOUT_MS = 10_000;
/** For the word that ends something: nobody waits long for a broker that is gone. */
export const FAREWELL_MS = 2_000;

/** The bytes of a request's body, a representation written as JSON. */
export function bytesOf(body: JsonObject | RequestBody): RequestBody {
  return isRequestBody(body) ? body : { mediaType: 'application/json', bytes: Buffer.from(JSON.stringify(body)) };
}

const isRequestBody = (body: JsonObject | RequestBody): body is RequestBody =>
  (body as RequestBody).bytes instanceof Uint8Array;

export const textOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');

/** The JSON of a body; `undefined` if it is none. */
export function jsonOf(bytes: Uint8Array): Json | undefined {
  try {
    return JSON.parse(textOf(bytes)) as Json;
  } catch {
    return undefined;
  }
}

/** A member of a JSON object, one after the other: `member(json, 'notify', 'time')`. */
export const member = (json: Json | undefined, ...names: readonly string[]): Json | undefined =>
  names.reduce<Json | undefined>(
    (value, name) =>
      typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject)[name] : undefined,
    json,
  );
