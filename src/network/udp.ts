/**
 * The UDP sockets of the system.
 *
 *     queue | batch.open ──> Batch ── flush, serve ──> sendmmsg, or dgram (sending.ts)
 *     dgram ──> datagram ── second one of this turn? ──> recvmmsg takes the rest (mmsg-in.ts)
 *
 * Descriptors are our own, adopted by dgram: one socket, read and written by both.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { systemClock } from '../clock.js';
import { Destination } from './batch.js';
import type { Room } from './columns.js';
import { loadLibc, systemError, type Libc } from './libc.js';
import { MmsgReceiver } from './mmsg-in.js';
import type { Descriptor } from './mmsg.js';
import { Sending } from './sending.js';
import { familyOf, nameBytes, nameOf } from './socket-name.js';
import { addressKey, NO_PORT, type Address, type UdpSocket, type UdpUse } from './udp-socket.js';

/** Asked for; what was granted depends on net.core.rmem_max. A pause of the collector must not cost datagrams. */
const BUFFER_BYTES = 4 * 1024 * 1024;
/** Calls of recvmmsg for one socket in a turn. */
const MOST_DRAINS = 4;
const SOCK_DGRAM_CLOEXEC_NONBLOCK = 2 | 0o2000000 | 0o4000;
const SOL_SOCKET = 1;
const SO_MEMINFO = 55;
/** Words of SO_MEMINFO, and the one that counts what found no room in the receive buffer. */
const MEMINFO_WORDS = 9;
const MEMINFO_DROPS = 8;
const EINVAL = 22;

const ROOM: Readonly<Record<UdpUse, Room>> = {
  few: { datagrams: 256, pages: 4 },
  // A burst of 1,000 samples to 6 subscribers each, and some.
  many: { datagrams: 8192, pages: 64 },
  listening: { datagrams: 1, pages: 1 },
};

/**
 * Rejects with the system's error.
 *
 * @param libc null: dgram alone, which any platform has
 */
export async function bindUdp(
  at: Address,
  use: UdpUse = 'few',
  libc = use === 'few' ? null : nativeCalls(),
): Promise<UdpSocket> {
  const isIpv6 = at.host.includes(':');
  const socket = createSocket({
    type: isIpv6 ? 'udp6' : 'udp4',
    // Addresses are numeric: answering at once spares a trip through the resolver's thread pool per datagram.
    lookup: (host, _options, done) => done(null, host, isIpv6 ? 6 : 4),
  });
  const descriptor = libc === null ? undefined : { libc, fd: descriptorOf(libc, isIpv6, at), isIpv6 };
  await new Promise<void>((bound, failed) => {
    socket.once('error', failed);
    socket.once('listening', () => {
      socket.off('error', failed);
      bound();
    });
    if (descriptor) socket.bind({ fd: descriptor.fd });
    else socket.bind(at.port, at.host);
  });
  socket.setRecvBufferSize(BUFFER_BYTES);
  socket.setSendBufferSize(BUFFER_BYTES);
  return systemSocket(socket, ROOM[use], descriptor);
}

/** The system calls for many datagrams, where there are any. */
function nativeCalls(): Libc | null {
  const libc = loadLibc();
  return typeof libc === 'string' ? null : libc;
}

function descriptorOf(libc: Libc, isIpv6: boolean, at: Address): number {
  const fd = libc.socket(familyOf(isIpv6), SOCK_DGRAM_CLOEXEC_NONBLOCK, 0);
  if (fd < 0) throw systemError('socket', libc.errno(), addressKey(at));
  const name = nameOf(libc, isIpv6, at);
  if (name && libc.bind(fd, new Uint8Array(name.buffer), nameBytes(isIpv6)) === 0) return fd;
  const error = systemError('bind', name ? libc.errno() : EINVAL, addressKey(at));
  libc.close(fd);
  throw error;
}

function systemSocket(socket: Socket, room: Room, descriptor: Descriptor | undefined): UdpSocket {
  const { address, port } = socket.address();
  let fail: (error: Error) => void = () => {};
  socket.on('error', (error) => fail(error));
  const sending = new Sending(socket, room, descriptor, (error) => fail(error));
  const { batch } = sending;
  return {
    local: { host: address, port },
    batch,
    queue: (datagram, to) => batch.add(datagram, new Destination(to)),
    flush: (most) => sending.flush(most),
    serve: (to, isUrgent) => sending.serve(to, isUrgent),
    onDatagram: (receive) =>
      void socket.on(
        'message',
        receiverOf(descriptor, receive, () => !sending.isClosed),
      ),
    onError: (listener) => void (fail = listener),
    figures: () => ({
      sendDrops: sending.drops,
      receiveDrops: descriptor && !sending.isClosed ? receiveDropsOf(descriptor) : undefined,
      trains: sending.trains,
      aside: sending.aside,
    }),
    close() {
      socket.removeAllListeners('message');
      sending.close();
    },
  };
}

/** One for all sockets: what it takes it hands over before it returns. */
let receiver: MmsgReceiver | undefined;

/** Names of IPv6 peers may have a zone, which only libuv spells: there it hands over everything itself. */
function receiverOf(
  descriptor: Descriptor | undefined,
  receive: (datagram: Buffer, from: Address) => void,
  isOpen: () => boolean,
): (datagram: Buffer, from: RemoteInfo) => void {
  const plain = (datagram: Buffer, from: RemoteInfo): void => {
    if (from.port !== NO_PORT) receive(datagram, { host: from.address, port: from.port });
  };
  if (!descriptor || descriptor.isIpv6) return plain;
  const { libc, fd } = descriptor;
  const rest = (receiver ??= new MmsgReceiver(libc));
  /** From libuv in this turn. */
  let heard = 0;
  const turnEnded = (): void => {
    heard = 0;
  };
  return (datagram, from) => {
    plain(datagram, from);
    if (heard++ === 0) systemClock.atTurnEnd(turnEnded);
    // What comes faster than it is handled waits in the kernel, and what was taken goes out first.
    else if (heard <= 1 + MOST_DRAINS) rest.drain(fd, receive, isOpen);
  };
}

function receiveDropsOf({ libc, fd }: Descriptor): number | undefined {
  const words = new Uint32Array(MEMINFO_WORDS);
  const length = Uint32Array.of(words.byteLength);
  const outcome = libc.getsockopt(
    fd,
    SOL_SOCKET,
    SO_MEMINFO,
    new Uint8Array(words.buffer),
    new Uint8Array(length.buffer),
  );
  return outcome === 0 ? words[MEMINFO_DROPS] : undefined;
}
