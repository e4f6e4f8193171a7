/**
 * The transport on uWebSockets.js, the faster of the two. Its rules, each of them measured:
 * - a request lives on the stack of its handler: all of it is copied before anything is awaited;
 * - body chunks and messages are neutered when the callback returns: copied too;
 * - a response after its abort and a socket after its close throw: both are guarded by a flag;
 * - a handler that throws aborts the process: handlers are called by Service only.
 */
import { createRequire } from 'node:module';
import { STATUS_CODES } from 'node:http';
import type { Clock } from '../../clock.js';
import type { Refusal } from '../../errors.js';
import type { Log } from '../../log.js';
import { addressKey, type Address } from '../../network.js';
import {
  CUT_OFF,
  GuardedSocket,
  hasNoBody,
  isAccept,
  offeredProtocols,
  ServedRequest,
  Service,
  tooLarge,
} from './service.js';
import type { Handlers, HttpAnswer, Listener, SendResult, Transport, TransportLimits, WsAccept } from './transport.js';
import type { UwsListenToken, UwsModule, UwsRequest, UwsResponse, UwsSocket } from './uws-types.js';

/** Loads the native file. Throws where there is none for this platform and Node version. */
export function loadUws(): UwsModule {
  return createRequire(import.meta.url)('uWebSockets.js') as UwsModule;
}

/** What uWebSockets.js keeps with a socket. */
interface SocketState {
  readonly accept: WsAccept;
  socket?: Socket;
}

export function uwsTransport(uws: UwsModule, limits: TransportLimits, log: Log, clock: Clock): Transport {
  return { name: 'uws', listen };

  async function listen(at: Address, handlers: Handlers): Promise<Listener> {
    const service = new Service(handlers, limits, log, clock);
    const app = uws.App();
    app.any('/*', (response, request) => {
      const exchange = new Exchange(response, request, service);
      void service.answer(exchange).then((answer) => exchange.write(answer));
    });
    app.ws<SocketState>('/*', {
      compression: 0,
      maxPayloadLength: limits.maxPayloadBytes,
      maxBackpressure: limits.maxBackpressureBytes,
      closeOnBackpressureLimit: false,
      idleTimeout: idleTimeoutS(limits.idleTimeoutMs),
      sendPingsAutomatically: true,
      upgrade(response, request, context) {
        const exchange = new Exchange(response, request, service);
        const protocols = offeredProtocols(exchange.header('sec-websocket-protocol'));
        const decision = service.decide(Object.assign(exchange, { protocols }));
        if (!isAccept(decision)) {
          exchange.write(decision);
          return;
        }
        const state: SocketState = { accept: decision };
        const key = request.getHeader('sec-websocket-key');
        response.upgrade(state, key, decision.protocol ?? '', request.getHeader('sec-websocket-extensions'), context);
      },
      open(native) {
        const state = native.getUserData();
        state.socket = new Socket(service, native, state.accept.protocol ?? '');
        state.socket.onOpen(state.accept);
      },
      message: (native, message, isBinary) => native.getUserData().socket?.onMessage(copyOf(message), isBinary),
      ping: (native) => native.getUserData().socket?.onPong(),
      pong: (native) => native.getUserData().socket?.onPong(),
      drain: (native) => native.getUserData().socket?.onDrain(),
      close: (native, code, reason) => native.getUserData().socket?.onClose(code, textOf(reason)),
    });
    const token = await new Promise<UwsListenToken>((listening, failed) => {
      app.listen(at.host, at.port, uws.LIBUS_LISTEN_EXCLUSIVE_PORT, (given) => {
        if (given) return listening(given);
        app.close();
        failed(
          new Error(`cannot listen on ${addressKey(at)}: the port is taken or the address is not of this machine`),
        );
      });
    });
    // A second us_listen_socket_close would read freed memory.
    let closing: Promise<void> | undefined;
    return {
      address: { host: at.host, port: uws.us_socket_local_port(token) },
      close: (graceMs = 0) => (closing ??= end(graceMs)),
    };

    async function end(graceMs: number): Promise<void> {
      uws.us_listen_socket_close(token);
      await service.drain(graceMs);
      // Connections kept alive would hold the process.
      app.close();
    }
  }
}

class Exchange extends ServedRequest {
  private readonly headers = new Map<string, string>();
  private readonly whole: Promise<Uint8Array | Refusal> | undefined;
  private isOver = false;

  constructor(
    private readonly response: UwsResponse,
    request: UwsRequest,
    private readonly service: Service,
  ) {
    super(request.getMethod().toUpperCase(), request.getUrl(), request.getQuery() ?? '');
    request.forEach((name, value) => {
      const earlier = this.headers.get(name);
      this.headers.set(name, earlier === undefined ? value : `${earlier}, ${value}`);
    });
    if (this.headers.has('transfer-encoding') || (this.headers.get('content-length') ?? '0') !== '0')
      this.whole = this.collect();
    else response.onAborted(() => this.onAborted());
  }

  // Asked for where a socket is opened, and hardly ever else. After an abort there is no response to ask.
  get remote(): string {
    return this.isOver ? '' : textOf(this.response.getRemoteAddressAsText());
  }

  header(name: string): string | undefined {
    return this.headers.get(name);
  }

  async body(): Promise<Uint8Array | Refusal> {
    return this.whole ?? Buffer.alloc(0);
  }

  write({ status, headers = {}, body = '' }: HttpAnswer): void {
    if (this.isOver) return;
    this.isOver = true;
    const { response } = this;
    response.cork(() => {
      response.writeStatus(`${status} ${STATUS_CODES[status] ?? ''}`);
      for (const [name, value] of Object.entries(headers)) response.writeHeader(name, value);
      if (hasNoBody(status)) response.endWithoutBody();
      else if (this.method === 'HEAD')
        response.writeHeader('content-length', String(Buffer.byteLength(body))).endWithoutBody();
      else response.end(body, this.service.isDraining);
    });
  }

  /** Begins at once, because chunks that nobody takes are lost; what is over the limit is read and forgotten. */
  private collect(): Promise<Uint8Array | Refusal> {
    const limit = this.service.limits.maxBodyBytes;
    return new Promise((done) => {
      let chunks: Buffer[] = [];
      let length = 0;
      this.response.onAborted(() => {
        this.onAborted();
        done(CUT_OFF);
      });
      this.response.onData((chunk, isLast) => {
        length += chunk.byteLength;
        if (length <= limit) chunks.push(copyOf(chunk));
        else {
          chunks = [];
          done(tooLarge(limit));
        }
        if (isLast) done(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks));
      });
      if (Number(this.headers.get('content-length')) > limit) done(tooLarge(limit));
    });
  }

  private onAborted(): void {
    this.isOver = true;
    this.abort();
  }
}

class Socket extends GuardedSocket {
  /** False: the system has taken everything. */
  private mayWait = false;

  constructor(
    service: Service,
    private readonly native: UwsSocket<SocketState>,
    protocol: string,
  ) {
    super(service, textOf(native.getRemoteAddressAsText()), protocol);
  }

  // Asked for with each message, where to ask the library is a fifth of the cost of sending it.
  get bufferedBytes(): number {
    if (!this.mayWait || !this.isOpen) return 0;
    const bytes = this.native.getBufferedAmount();
    this.mayWait = bytes > 0;
    return bytes;
  }

  protected write(message: string | Uint8Array, isBinary: boolean): SendResult {
    const result = this.native.send(message, isBinary, false);
    if (result !== 1) this.mayWait = true;
    return result === 1 ? 'sent' : result === 0 ? 'queued' : 'dropped';
  }

  protected corked(write: () => void): void {
    this.native.cork(write);
    // What `send` said in there came before the write.
    this.mayWait = true;
  }

  protected sendPing(): void {
    this.native.ping();
  }

  protected end(code: number, reason: string): void {
    this.native.end(code, reason);
  }

  protected cutOff(): void {
    this.native.close();
  }
}

const copyOf = (bytes: ArrayBuffer): Buffer => Buffer.from(new Uint8Array(bytes));
const textOf = (bytes: ArrayBuffer): string => Buffer.from(bytes).toString();

/** The next step of 4 s that is allowed. */
const idleTimeoutS = (ms: number): number => Math.min(960, Math.max(8, Math.ceil(ms / 4000) * 4));
