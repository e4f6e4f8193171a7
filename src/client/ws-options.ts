/** How a WebSocket client is opened, and what it tells of its connection. */
import type { MessageFrame, Subprotocol } from '../protocols/ws/frames.js';
import type { Random } from '../random.js';
import type { JsonObject } from '../routing/primitive.js';
import type { ClientOptions } from './client.js';
import type { GridcastError } from './error.js';

export type ReliableKind = MessageFrame['kind'];
export type ReliableListener = (kind: ReliableKind, body: JsonObject) => void;

/** What becomes of the connection. */
export type ConnectionState =
  /** `isResumed`: the session goes on; else it is a new one, and what was subscribed has been subscribed again. */
  | { readonly state: 'connected'; readonly isResumed: boolean }
  | { readonly state: 'reconnecting' | 'closed'; readonly reason: GridcastError };
export type ConnectionListener = (state: ConnectionState) => void;

export interface WsClientOptions extends ClientOptions {
  /** `gridcast.v1+json` can be read along; `gridcast.v1` is protobuf, and smaller. Default: JSON. */
  readonly subprotocol?: Subprotocol;
  /** Paths of the applications whose device this session is. */
  readonly attach?: readonly string[];
  /** Hears the reliable lane from the first message on; see `hear`. */
  readonly received?: ReliableListener;
  /**
   * Whether a connection that breaks is made again, until the client is closed or the broker refuses it: subscriptions go
   * on and what was told is told again; requests under way fail as `unreachable`. Default: no.
   */
  readonly reconnect?: boolean;
  /** How often the broker shall show and ask for a sign of life. Default: the broker's, 100 ms for devices, 1 s for others. */
  readonly heartbeatMs?: number;
  readonly random?: Random;
}
