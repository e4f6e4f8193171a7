/**
 * The transport on node:http and ws: where uWebSockets.js does not load, and where client certificates must be read.
 * It survives handlers that throw by itself; what its defaults leave open (payloads of 100 MiB, compression, heads that
 * never end) is closed here.
 */
import { createServer, ServerResponse, type IncomingMessage } from 'node:http';
import { createServer as createSecureServer, Server as SecureServer } from 'node:https';
import type { Duplex } from 'node:stream';
import type { Socket as TcpSocket } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { every, type Clock } from '../../clock.js';
import type { Refusal } from '../../errors.js';
import type { Log } from '../../log.js';
import type { Address } from '../../network.js';
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
import {
  HEAD_TIMEOUT_MS,
  type Handlers,
  type HttpAnswer,
  type Listener,
  type SecureTransport,
  type SendResult,
  type TransportLimits,
} from './transport.js';
import { certifiedName, type Credentials } from './tls.js';

/** A body must be complete within this, however slowly it comes. */
const REQUEST_TIMEOUT_MS = 60_000;
/** How often node:http looks for heads and bodies that are late; its own 30 s would triple the head's 10. */
const TIMEOUT_CHECK_MS = 5_000;
const MAX_HEADERS = 100;
const MAX_HEAD_BYTES = 8 * 1024;
/** A peer that does not answer our close frame is cut off after this. */
const CLOSE_TIMEOUT_MS = 5_000;

export function nodeTransport(limits: TransportLimits, log: Log, clock: Clock): SecureTransport {
  return { name: 'node', listen };

  async function listen(at: Address, handlers: Handlers, tls?: Credentials): Promise<Listener> {
    const service = new Service(handlers, limits, log, clock);
    const options = {
      headersTimeout: HEAD_TIMEOUT_MS,
      keepAliveTimeout: HEAD_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
      maxHeaderSize: MAX_HEAD_BYTES,
      noDelay: true,
    };
    const server = tls ? createSecureServer({ ...options, ...tls.options }) : createServer(options);
    if (server instanceof SecureServer) tls?.attach(server, log);
    server.maxHeadersCount = MAX_HEADERS;
    let chosenProtocol: string | undefined;
    const upgrader = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: limits.maxPayloadBytes,
      perMessageDeflate: false,
      handleProtocols: () => chosenProtocol ?? false,
      // @ts-expect-error known to ws 8.23, not yet to its types
      closeTimeout: CLOSE_TIMEOUT_MS,
    });
    const sockets = new Set<Socket>();
    server.on('request', (message, response) => {
      const exchange = new Exchange(message, response, service);
      void service.answer(exchange).then((answer) => write(response, answer, service.isDraining));
    });
    server.on('upgrade', (message: IncomingMessage, stream: Duplex, head: Buffer) => {
      stream.on('error', () => stream.destroy());
      const exchange = new Exchange(message, undefined, service);
      const protocols = offeredProtocols(exchange.header('sec-websocket-protocol'));
      const decision = service.decide(Object.assign(exchange, { protocols }));
      if (!isAccept(decision)) return refuseUpgrade(message, stream, decision);
      chosenProtocol = decision.protocol;
      upgrader.handleUpgrade(message, stream, head, (native) => {
        const socket = new Socket(service, native, stream as TcpSocket, exchange.remote, limits);
        sockets.add(socket);
        native.on('close', () => sockets.delete(socket));
        socket.onOpen(decision);
      });
    });
    await new Promise<void>((listening, failed) => {
      server.once('error', failed);
      server.listen(at.port, at.host, () => {
        server.off('error', failed);
        listening();
      });
    });
    const stopBeat = every(clock, limits.idleTimeoutMs / BEATS_PER_TIMEOUT, () =>
      sockets.forEach((socket) => socket.beat()),
    );
    const bound = server.address();
    if (bound === null || typeof bound === 'string') throw new Error('an HTTP listener without an address');
    let closing: Promise<void> | undefined;
    return {
      address: { host: bound.address, port: bound.port },
      close: (graceMs = 0) => (closing ??= end(graceMs)),
    };

    async function end(graceMs: number): Promise<void> {
      stopBeat();
      const closed = new Promise<void>((done) => server.close(() => done()));
      await service.drain(graceMs);
      server.closeAllConnections();
      sockets.forEach((socket) => socket.abandon());
      await closed;
    }
  }
}

function write(response: ServerResponse, { status, headers = {}, body = '' }: HttpAnswer, isLast: boolean): void {
  if (response.destroyed || response.writableEnded) return;
  if (isLast) response.shouldKeepAlive = false;
  if (hasNoBody(status)) return void response.writeHead(status, headers).end();
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) }).end(body);
}

function refuseUpgrade(message: IncomingMessage, stream: Duplex, answer: HttpAnswer): void {
  const response = new ServerResponse(message);
  response.assignSocket(stream as TcpSocket);
  response.once('finish', () => stream.end());
  write(response, answer, true);
}

class Exchange extends ServedRequest {
  readonly certified: string | undefined;
  private whole: Promise<Uint8Array | Refusal> | undefined;

  constructor(
    private readonly message: IncomingMessage,
    response: ServerResponse | undefined,
    private readonly service: Service,
  ) {
    const url = message.url ?? '/';
    const mark = url.indexOf('?');
    const [path, query] = mark < 0 ? [url, ''] : [url.slice(0, mark), url.slice(mark + 1)];
    super(message.method ?? '', path, query);
    this.certified = certifiedName(message.socket);
    response?.once('close', () => {
      if (!response.writableFinished) this.abort();
    });
  }

  get remote(): string {
    return this.message.socket.remoteAddress ?? '';
  }

  header(name: string): string | undefined {
    const value = this.message.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  body(): Promise<Uint8Array | Refusal> {
    return (this.whole ??= this.collect());
  }

  private collect(): Promise<Uint8Array | Refusal> {
    const { message } = this;
    const limit = this.service.limits.maxBodyBytes;
    return new Promise((done) => {
      let chunks: Buffer[] = [];
      let length = 0;
      message.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length <= limit) chunks.push(chunk);
        else {
          chunks = [];
          done(tooLarge(limit));
        }
      });
      message.once('end', () => done(Buffer.concat(chunks)));
      message.once('close', () => done(CUT_OFF));
      if (Number(message.headers['content-length']) > limit) done(tooLarge(limit));
    });
  }
}

/** A socket is pinged at each beat, and is over at the second in a row without a word from it. */
const BEATS_PER_TIMEOUT = 2;

class Socket extends GuardedSocket {
  private silentBeats = 0;
  private owesDrain = false;

  constructor(
    service: Service,
    private readonly native: WebSocket,
    private readonly tcp: TcpSocket,
    remote: string,
    private readonly limits: TransportLimits,
  ) {
    super(service, remote, native.protocol);
    native.on('message', (bytes: Buffer, isBinary) => {
      this.silentBeats = 0;
      this.onMessage(bytes, isBinary);
    });
    for (const sign of ['ping', 'pong'] as const) {
      native.on(sign, () => {
        this.silentBeats = 0;
        this.onPong();
      });
    }
    native.on('close', (code, reason) => this.onClose(code, reason.toString()));
    // What went wrong shows in the close code, which follows.
    native.on('error', () => {});
  }

  get bufferedBytes(): number {
    return this.native.bufferedAmount;
  }

  beat(): void {
    if (this.silentBeats++ >= BEATS_PER_TIMEOUT) return this.abandon();
    this.ping();
  }

  /** Also one that has been closed, whose peer does not answer the close. */
  abandon(): void {
    this.native.terminate();
  }

  protected write(message: string | Uint8Array, isBinary: boolean): SendResult {
    const isFull = this.bufferedBytes > this.limits.maxBackpressureBytes;
    // What the system does not take at once is kept by reference.
    const kept = typeof message === 'string' ? message : Buffer.from(message);
    if (!isFull) this.native.send(kept, { binary: isBinary, compress: false }, this.onWritten);
    if (this.bufferedBytes === 0) return 'sent';
    this.owesDrain = true;
    return isFull ? 'dropped' : 'queued';
  }

  protected corked(write: () => void): void {
    this.tcp.cork();
    try {
      write();
    } finally {
      this.tcp.uncork();
    }
  }

  protected sendPing(): void {
    this.native.ping();
  }

  protected end(code: number, reason: string): void {
    this.native.close(code, reason);
  }

  protected cutOff(): void {
    this.abandon();
  }

  private readonly onWritten = (): void => {
    if (!this.owesDrain || this.bufferedBytes > 0) return;
    this.owesDrain = false;
    this.onDrain();
  };
}
