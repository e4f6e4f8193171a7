/**
 * The network, injected like time: UDP and TCP as the protocols need them, so that a test can stand in for either.
 * The HTTP/WebSocket server has its own seam (protocols/transport), because one library is both.
 */
import { createSocket, type RemoteInfo } from 'node:dgram';
import { connect, createServer, type Server, type Socket } from 'node:net';

export interface Address {
  /** Numeric IPv4 or IPv6 address; names are resolved before they get here. */
  readonly host: string;
  readonly port: number;
}

export const addressKey = ({ host, port }: Address): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/** A UDP socket. Datagrams are queued while a turn of the event loop runs and leave together. */
export interface UdpSocket {
  readonly local: Address;
  /** Takes one datagram for sending. The bytes must not change until `flush` has returned. */
  queue(datagram: Uint8Array, to: Address): void;
  /** Sends what was queued. The one seam where faster system calls go. */
  flush(): void;
  /** Called for each datagram; `datagram` belongs to the receiver. */
  onDatagram(receive: (datagram: Buffer, from: Address) => void): void;
  onError(fail: (error: Error) => void): void;
  close(): void;
}

/** One TCP connection, no delay set: Nagle against delayed acknowledgements costs up to 75 ms a frame. */
export interface TcpConnection {
  readonly local: Address;
  readonly remote: Address;
  /** False when the kernel's buffer is full and the bytes are kept in memory until `onDrain`. */
  write(bytes: Uint8Array): boolean;
  onBytes(receive: (bytes: Buffer) => void): void;
  onDrain(go: () => void): void;
  /** Once, whoever ended it; `error` says why where it did not end in order. */
  onClose(closed: (error: Error | undefined) => void): void;
  close(): void;
}

export interface TcpListener {
  readonly local: Address;
  close(): Promise<void>;
}

export interface Network {
  /** Port 0 takes any free one. Rejects with the system's error, EADDRINUSE for one. */
  bindUdp(at: Address): Promise<UdpSocket>;
  connectTcp(to: Address, timeoutMs: number): Promise<TcpConnection>;
  listenTcp(at: Address, accept: (connection: TcpConnection) => void): Promise<TcpListener>;
}

/** Asked for; what was granted depends on net.core.rmem_max. A pause of the collector must not cost datagrams. */
const UDP_BUFFER_BYTES = 4 * 1024 * 1024;

export const systemNetwork: Network = { bindUdp, connectTcp, listenTcp };

async function bindUdp(at: Address): Promise<UdpSocket> {
  const family = at.host.includes(':') ? 6 : 4;
  const socket = createSocket({
    type: family === 6 ? 'udp6' : 'udp4',
    // Addresses are numeric: answering at once spares a trip through the resolver's thread pool per datagram.
    lookup: (host, _options, done) => done(null, host, family),
  });
  await new Promise<void>((bound, failed) => {
    socket.once('error', failed);
    socket.bind(at.port, at.host, () => {
      socket.off('error', failed);
      bound();
    });
  });
  socket.setRecvBufferSize(UDP_BUFFER_BYTES);
  socket.setSendBufferSize(UDP_BUFFER_BYTES);
  const { address, port } = socket.address();
  let waiting: { datagram: Uint8Array; to: Address }[] = [];
  let isClosed = false;
  let fail: (error: Error) => void = () => {};
  socket.on('error', (error) => fail(error));
  const sent = (error: Error | null): void => {
    if (error && !isClosed) fail(error);
  };
  return {
    local: { host: address, port },
    queue: (datagram, to) => void waiting.push({ datagram, to }),
    flush() {
      const leaving = waiting;
      waiting = [];
      if (isClosed) return;
      for (const { datagram, to } of leaving) socket.send(datagram, to.port, to.host, sent);
    },
    onDatagram: (receive) =>
      void socket.on('message', (datagram: Buffer, from: RemoteInfo) =>
        receive(datagram, { host: from.address, port: from.port }),
      ),
    onError: (listener) => void (fail = listener),
    close() {
      if (isClosed) return;
      isClosed = true;
      socket.close();
    },
  };
}

function connectTcp(to: Address, timeoutMs: number): Promise<TcpConnection> {
  return new Promise((connected, failed) => {
    const socket = connect({ host: to.host, port: to.port, noDelay: true, timeout: timeoutMs });
    const timedOut = (): void =>
      void socket.destroy(new Error(`no connection to ${addressKey(to)} within ${timeoutMs} ms`));
    socket.once('timeout', timedOut);
    socket.once('error', failed);
    socket.once('connect', () => {
      socket.off('error', failed);
      socket.off('timeout', timedOut);
      socket.setTimeout(0);
      connected(connectionOf(socket));
    });
  });
}

async function listenTcp(at: Address, accept: (connection: TcpConnection) => void): Promise<TcpListener> {
  const open = new Set<Socket>();
  const server: Server = createServer({ noDelay: true }, (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    accept(connectionOf(socket));
  });
  await new Promise<void>((listening, failed) => {
    server.once('error', failed);
    server.listen(at.port, at.host, () => {
      server.off('error', failed);
      listening();
    });
  });
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('a TCP listener without an address');
  return {
    local: { host: bound.address, port: bound.port },
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        for (const socket of open) socket.destroy();
      }),
  };
}

function connectionOf(socket: Socket): TcpConnection {
  let reason: Error | undefined;
  socket.on('error', (error) => (reason = error));
  return {
    local: { host: socket.localAddress ?? '', port: socket.localPort ?? 0 },
    remote: { host: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 },
    write: (bytes) => !socket.destroyed && socket.write(bytes),
    onBytes: (receive) => void socket.on('data', receive),
    onDrain: (go) => void socket.on('drain', go),
    onClose: (closed) => void socket.on('close', () => closed(reason)),
    close: () => void socket.destroy(),
  };
}
