/** The part of uWebSockets.js 20.51 that is used; the package brings no types of its own. */

export interface UwsModule {
  App(): UwsApp;
  us_listen_socket_close(token: UwsListenToken): void;
  us_socket_local_port(token: UwsListenToken): number;
  /** Without it a second process may listen on the same port (SO_REUSEPORT). */
  readonly LIBUS_LISTEN_EXCLUSIVE_PORT: number;
}

/** An opaque pointer. */
export type UwsListenToken = object;
/** An opaque pointer. */
export type UwsUpgradeContext = object;

export interface UwsApp {
  any(pattern: string, handler: (response: UwsResponse, request: UwsRequest) => void): UwsApp;
  ws<State>(pattern: string, behaviour: UwsBehaviour<State>): UwsApp;
  listen(host: string, port: number, options: number, listening: (token: UwsListenToken | false) => void): UwsApp;
  /** Closes the listen socket and every connection. */
  close(): UwsApp;
}

/** On the stack of the handler: gone when it returns or awaits. */
export interface UwsRequest {
  /** In lower case. */
  getMethod(): string;
  getUrl(): string;
  getQuery(): string | undefined;
  /** The empty string when absent. */
  getHeader(name: string): string;
  forEach(field: (name: string, value: string) => void): void;
}

/** Throws on every call after it was answered or aborted. */
export interface UwsResponse {
  writeStatus(line: string): UwsResponse;
  writeHeader(name: string, value: string): UwsResponse;
  end(body: string | Uint8Array, closeConnection: boolean): UwsResponse;
  /** Sends no Content-Length. With the length that it takes as argument, the connection would wait for such a body for ever. */
  endWithoutBody(): UwsResponse;
  onAborted(run: () => void): UwsResponse;
  /** `chunk` is neutered when the callback returns. */
  onData(take: (chunk: ArrayBuffer, isLast: boolean) => void): UwsResponse;
  getRemoteAddressAsText(): ArrayBuffer;
  cork(write: () => void): UwsResponse;
  upgrade(state: unknown, key: string, protocol: string, extensions: string, context: UwsUpgradeContext): void;
}

/** Throws on every call after it was closed. */
export interface UwsSocket<State> {
  getUserData(): State;
  /** 1: sent, 0: queued, 2: dropped. */
  send(message: string | Uint8Array, isBinary: boolean, compress: boolean): number;
  cork(write: () => void): void;
  getBufferedAmount(): number;
  ping(): number;
  /** Ends the connection without a close frame. */
  close(): void;
  end(code: number, reason: string): void;
  getRemoteAddressAsText(): ArrayBuffer;
}

export interface UwsBehaviour<State> {
  /** 0: no compression is negotiated. */
  compression: number;
  maxPayloadLength: number;
  maxBackpressure: number;
  closeOnBackpressureLimit: boolean;
  /** Seconds; 0, or 8 to 960 in steps of 4. */
  idleTimeout: number;
  sendPingsAutomatically: boolean;
  upgrade(response: UwsResponse, request: UwsRequest, context: UwsUpgradeContext): void;
  open(socket: UwsSocket<State>): void;
  message(socket: UwsSocket<State>, message: ArrayBuffer, isBinary: boolean): void;
  drain(socket: UwsSocket<State>): void;
  ping(socket: UwsSocket<State>): void;
  pong(socket: UwsSocket<State>): void;
  close(socket: UwsSocket<State>, code: number, reason: ArrayBuffer): void;
}
