/**
 * The network, injected like time: UDP and TCP as the protocols need them, so that a test can stand in for either.
 * The HTTP/WebSocket server has its own seam (protocols/transport), because one library is both.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { bindUdp } from './network/udp.js';
import { addressKey, type Address, type UdpSocket, type UdpUse } from './network/udp-socket.js';

export { addressKey, type Address, type UdpFigures, type UdpSocket, type UdpUse } from './network/udp-socket.js';

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
  bindUdp(at: Address, use?: UdpUse): Promise<UdpSocket>;
  connectTcp(to: Address, timeoutMs: number): Promise<TcpConnection>;
  listenTcp(at: Address, accept: (connection: TcpConnection) => void): Promise<TcpListener>;
}

export const systemNetwork: Network = { bindUdp, connectTcp, listenTcp };

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
