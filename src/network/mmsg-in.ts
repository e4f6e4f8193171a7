/**
 * What else waits at a socket, taken with one system call.
 *
 *     libuv hands over one datagram at a time, each with a buffer of its own ──> the second one of a turn: recvmmsg takes the rest
 *
 * A datagram alone costs nothing more than before; of a burst each costs a quarter.
 */
import { NO_PORT, type Address } from './udp-socket.js';
import { arena, type Libc } from './libc.js';
import { nameBytes, Senders } from './socket-name.js';

const MESSAGE_WORDS = 16;
const NAME_LENGTH = 2;
const IOV_LOW = 4;
const LENGTH = 14;
const WORD_BYTES = 4;
const IOVEC_WORDS = 4;
const MSG_DONTWAIT = 0x40;
/** Other sockets and timers wait meanwhile. */
const MOST_MESSAGES = 64;
/** Of UDP. Pages that no datagram reaches are never touched. */
const SLOT_BYTES = 65_536;

export class MmsgReceiver {
  private readonly senders = new Senders();
  private readonly messages: Uint32Array;
  private readonly messageBytes: Uint8Array;
  private readonly names: Uint8Array;
  private readonly slots: Buffer;
  /** By slot: what was handed over of it last. Datagrams of one length, the usual case, are one object. */
  private readonly datagrams: (Buffer | undefined)[] = [];
  /** Held: the messages point to them. */
  private readonly iovecs: Uint32Array;

  constructor(private readonly libc: Libc) {
    const messages = arena(libc, MOST_MESSAGES * MESSAGE_WORDS * WORD_BYTES);
    const iovecs = arena(libc, MOST_MESSAGES * IOVEC_WORDS * WORD_BYTES);
    const names = arena(libc, MOST_MESSAGES * nameBytes(false));
    const slots = arena(libc, MOST_MESSAGES * SLOT_BYTES);
    this.messageBytes = messages.bytes;
    this.messages = new Uint32Array(messages.bytes.buffer);
    this.names = names.bytes;
    this.slots = Buffer.from(slots.bytes.buffer);
    this.iovecs = new Uint32Array(iovecs.bytes.buffer);
    for (let n = 0; n < MOST_MESSAGES; n++) {
      this.iovecs.set([slots.low + n * SLOT_BYTES, slots.high, SLOT_BYTES], n * IOVEC_WORDS);
      this.messages.set([names.low + n * nameBytes(false), names.high, nameBytes(false), 0], n * MESSAGE_WORDS);
      this.messages.set([iovecs.low + n * IOVEC_WORDS * WORD_BYTES, iovecs.high, 1], n * MESSAGE_WORDS + IOV_LOW);
    }
  }

  /** Hands over what waits at a socket, up to 64. Stops where `isWanted` says so: the socket was closed meanwhile. */
  drain(fd: number, receive: (datagram: Buffer, from: Address) => void, isWanted: () => boolean): void {
    if (!isWanted()) return;
    const count = this.libc.recvmmsg(fd, this.messageBytes, MOST_MESSAGES, MSG_DONTWAIT, null);
    for (let n = 0; n < count && isWanted(); n++) this.handOver(n, receive);
  }

  private handOver(n: number, receive: (datagram: Buffer, from: Address) => void): void {
    const at = n * MESSAGE_WORDS;
    const length = this.messages[at + LENGTH] ?? 0;
    // The kernel has written how long the name was.
    this.messages[at + NAME_LENGTH] = nameBytes(false);
    const from = this.senders.read(this.names, n * nameBytes(false));
    let datagram = this.datagrams[n];
    if (datagram?.length !== length) {
      datagram = this.slots.subarray(n * SLOT_BYTES, n * SLOT_BYTES + length);
      this.datagrams[n] = datagram;
    }
    if (from.port !== NO_PORT) receive(datagram, from);
  }
}
