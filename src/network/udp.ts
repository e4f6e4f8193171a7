/**
 * The UDP sockets of the system.
 *
 *     queue | batch.open ──> Batch ── flush ──> sendmmsg with trains (mmsg.ts) ── refused? ──> dgram, which waits for room
 *                              │         └────> dgram: without koffi, or while something waits there
 *                              └── serve, much and nothing urgent ──> the same on a thread of libuv's pool, one order at a time
 *     dgram ──> datagram ── second one of this turn? ──> recvmmsg takes the rest (mmsg-in.ts)
 *
 * Descriptors are our own, adopted by dgram: one socket, read and written by both.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { systemClock } from '../clock.js';
import { Batch, Destination } from './batch.js';
import { Columns, type Room } from './columns.js';
import { loadLibc, systemError, type Libc } from './libc.js';
import { MmsgReceiver } from './mmsg-in.js';
import { MmsgSender, type Descriptor } from './mmsg.js';
import { familyOf, nameBytes, nameOf } from './socket-name.js';
import { addressKey, type Address, type UdpSocket, type UdpUse } from './udp-socket.js';

/** Asked for; what was granted depends on net.core.rmem_max. A pause of the collector must not cost datagrams. */
const BUFFER_BYTES = 4 * 1024 * 1024;
/** Datagrams that take so long to send, 60 to 200 us, that it pays to do so on another thread: an order to it costs both some 12 us. */
const MUCH = 64;
/** After something urgent: whoever waits for that may need the core that the other thread would take. */
const ALONE_FOR_US = 1_000_000;
/** An order that takes longer stands behind jobs of a stalled disk in libuv's pool: what waits for it goes past it then. */
const PATIENCE_US = 20_000;
/** Calls of recvmmsg for one socket in a turn. */
const MOST_DRAINS = 4;
/** What may wait in libuv for a congested interface; what comes then is dropped and counted. */
const MOST_WAITING_BYTES = 4 * 1024 * 1024;
const SOCK_DGRAM_CLOEXEC_NONBLOCK = 2 | 0o2000000 | 0o4000;
const SOL_SOCKET = 1;
const SO_MEMINFO = 55;
/** Words of SO_MEMINFO, and the one that counts what found no room in the receive buffer. */
const MEMINFO_WORDS = 9;
const MEMINFO_DROPS = 8;
const EINVAL = 22;
/** Nothing can be sent there, though a datagram may say that it is from there. */
const NO_PORT = 0;

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
  let isClosed = false;
  let sendDrops = 0;
  let fail: (error: Error) => void = () => {};
  socket.on('error', (error) => fail(error));
  const sent = (error: Error | null): void => {
    if (error && !isClosed) fail(error);
  };
  const sendOne = (datagram: Uint8Array, to: Address): void => {
    if (to.port === NO_PORT || socket.getSendQueueSize() > MOST_WAITING_BYTES) sendDrops++;
    else socket.send(datagram, to.port, to.host, sent);
  };
  const makeSender = (): MmsgSender | undefined =>
    descriptor && new MmsgSender(descriptor, room, (datagram, { address: to }) => sendOne(datagram, to));
  let sender = makeSender();
  /** While that has columns of its own to send, another one does what it did; made when first needed. */
  let spare: MmsgSender | undefined;
  /** Since when another thread has an order in hand; undefined: it has none. */
  let orderedUs: number | undefined;
  let aside = 0;
  let urgentUs = -Infinity;
  const batch = new Batch(sender?.columns ?? new Columns(room), () => send(batch.atOnce));
  /** What waits there must not be overtaken. */
  const isCongested = (): boolean => socket.getSendQueueCount() > 0;
  const send = (most?: number): void => {
    if (batch.count === 0) return;
    if (isClosed) batch.forget();
    else if (!sender || isCongested()) batch.drain(sendOne, most);
    else {
      sender.send(batch, most);
      batch.forget(most);
    }
  };
  const isOrderAwaited = (): boolean => orderedUs !== undefined && systemClock.monotonicUs() - orderedUs < PATIENCE_US;
  const mayOrder = (): boolean =>
    !isClosed &&
    orderedUs === undefined &&
    batch.count >= MUCH &&
    !isCongested() &&
    systemClock.monotonicUs() - urgentUs >= ALONE_FOR_US;
  const order = (): void => {
    const other = (spare ??= makeSender());
    if (!sender || !other) return send();
    sender.sendAside(batch, () => {
      orderedUs = undefined;
      if (isClosed) socket.close();
      else sendRest();
    });
    aside++;
    orderedUs = systemClock.monotonicUs();
    batch.trade(other.columns);
    [sender, spare] = [other, sender];
  };
  /** What has come while an order was awaited; others have their turns in between. */
  const sendRest = (): void => {
    if (batch.count === 0 || orderedUs !== undefined) return;
    if (mayOrder()) return order();
    send(batch.atOnce);
    if (batch.count > 0) systemClock.atTurnEnd(sendRest);
  };
  return {
    local: { host: address, port },
    batch,
    flush(most) {
      // What waits for a peer goes behind what is on its way to it.
      if (!isOrderAwaited() || !batch.isAnyInHand(most)) send(most);
    },
    serve(to, isUrgent) {
      if (!batch.bringForward(to)) return;
      if (isUrgent) {
        // Alone where an order is awaited, which it may overtake: nothing urgent is in one.
        urgentUs = systemClock.monotonicUs();
        send(isOrderAwaited() ? 1 : batch.atOnce);
      } else if (mayOrder()) order();
      else if (!isOrderAwaited()) send(batch.atOnce);
    },
    queue: (datagram, to) => batch.add(datagram, new Destination(to)),
    onDatagram: (receive) =>
      void socket.on(
        'message',
        receiverOf(descriptor, receive, () => !isClosed),
      ),
    onError: (listener) => void (fail = listener),
    figures: () => ({
      sendDrops,
      receiveDrops: descriptor && !isClosed ? receiveDropsOf(descriptor) : undefined,
      trains: (sender?.trains ?? 0) + (spare?.trains ?? 0),
      aside,
    }),
    close() {
      if (isClosed) return;
      // The descriptor is the other thread's until its order is done.
      if (orderedUs !== undefined) send();
      isClosed = true;
      socket.removeAllListeners('message');
      if (orderedUs === undefined) socket.close();
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
