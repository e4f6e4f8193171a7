/**
 * Many datagrams with one system call.
 *
 *     Batch ──> per destination a train of equal sizes, the last one may be shorter ──> UDP_SEGMENT ──┐
 *           └─> what is alone ────────────────────────────────────────────────────────────────────────┴──> sendmmsg
 *
 * The kernel's way through a datagram is 3.3 us, the call 0.3: a train goes that way once for up to 64. Layouts of Linux on
 * 64-bit little-endian machines: mmsghdr 64 bytes {name 0, namelen 8, iov 16, iovlen 24, control 32, controllen 40, flags 48,
 * length 56}, iovec 16 {base, length}. Pointers are written once; a flush writes lengths, offsets and names.
 */
import type { Batch, Destination } from './batch.js';
import { bytesOf, Columns, type Room } from './columns.js';
import { arena, type Libc } from './libc.js';
import { nameBytes, nameOf } from './socket-name.js';

const MESSAGE_WORDS = 16;
const IOV_LOW = 4;
const IOV_HIGH = 5;
const IOV_COUNT = 6;
const CONTROL_LOW = 8;
const CONTROL_LENGTH = 10;
const IOVEC_WORDS = 4;
const WORD_BYTES = 4;
/** A cmsghdr and a 16-bit value, padded. */
const CONTROL_BYTES = 24;
const CONTROL_USED = 18;
const CONTROL_VALUE = 8;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const MSG_DONTWAIT = 0x40;
/** UIO_MAXIOV: of messages per call. */
const MOST_AT_ONCE = 1024;
/** UDP_MAX_SEGMENTS. */
const MOST_SEGMENTS = 64;
/** Of a whole train: what an IPv4 datagram can hold. */
const MOST_TRAIN_BYTES = 65_507;
const EINTR = 4;
const NAME_WORDS = nameBytes(true) / WORD_BYTES;

export interface Descriptor {
  readonly libc: Libc;
  readonly fd: number;
  readonly isIpv6: boolean;
}

/** Sends what waits in a batch through one descriptor, where it lies in these columns. */
export class MmsgSender {
  readonly columns: Columns;
  /** Messages of two and more datagrams. */
  trains = 0;
  private readonly libc: Libc;
  private readonly fd: number;
  private readonly isIpv6: boolean;
  private readonly nameWords: number;
  private readonly messages: Uint32Array;
  private readonly messageBytes: Uint8Array;
  private readonly iovecs: Uint32Array;
  private readonly iovecsLow: number;
  private readonly names: Uint32Array;
  private readonly controls: Uint16Array;
  private readonly bytesLow: number;
  /** By message: where it goes, and its first datagram. */
  private readonly destinations: (Destination | undefined)[] = [];
  private readonly firsts: Int32Array;
  private count = 0;
  private parts = 0;

  /** @param refused called for a datagram that the system did not take */
  constructor(
    { libc, fd, isIpv6 }: Descriptor,
    room: Room,
    private readonly refused: (datagram: Uint8Array, to: Destination) => void,
  ) {
    this.libc = libc;
    this.fd = fd;
    this.isIpv6 = isIpv6;
    this.columns = new Columns(room, arena(libc, bytesOf(room)).bytes);
    this.nameWords = nameBytes(isIpv6) / WORD_BYTES;
    const { datagrams } = room;
    const messages = arena(libc, datagrams * MESSAGE_WORDS * WORD_BYTES);
    const iovecs = arena(libc, 2 * datagrams * IOVEC_WORDS * WORD_BYTES);
    const names = arena(libc, datagrams * nameBytes(true));
    const controls = arena(libc, datagrams * CONTROL_BYTES);
    this.messageBytes = messages.bytes;
    this.messages = new Uint32Array(messages.bytes.buffer);
    this.iovecs = new Uint32Array(iovecs.bytes.buffer);
    this.iovecsLow = iovecs.low;
    this.names = new Uint32Array(names.bytes.buffer);
    this.controls = new Uint16Array(controls.bytes.buffer);
    this.firsts = new Int32Array(datagrams);
    const bytesAt = libc.addressOf(this.columns.bytes);
    this.bytesLow = bytesAt % 2 ** 32;
    for (let n = 0; n < datagrams; n++) {
      const at = n * MESSAGE_WORDS;
      this.messages.set([names.low + n * nameBytes(true), names.high, nameBytes(isIpv6)], at);
      this.messages[at + IOV_HIGH] = iovecs.high;
      this.messages.set([controls.low + n * CONTROL_BYTES, controls.high], at + CONTROL_LOW);
      new Uint32Array(controls.bytes.buffer, n * CONTROL_BYTES, 4).set([CONTROL_USED, 0, SOL_UDP, UDP_SEGMENT]);
    }
    for (let n = 0; n < 2 * datagrams; n++) this.iovecs[n * IOVEC_WORDS + 1] = Math.floor(bytesAt / 2 ** 32);
  }

  /** Sends what waits for the first `most` destinations; the caller has it forgotten. */
  send(batch: Batch, most = Infinity): void {
    this.gatherAll(batch, most);
    this.submit(0);
  }

  /** Sends all that waits on another thread. @param done it has gone, or was refused: until then neither columns nor descriptor may be touched */
  sendAside(batch: Batch, done: () => void): void {
    this.gatherAll(batch, Infinity);
    this.submitAside(0, done);
    this.take(true);
  }

  private gatherAll(batch: Batch, most: number): void {
    for (let [to, left] = [batch.foremost, most]; to && left > 0; [to, left] = [to.after, left - 1]) this.gather(to);
  }

  /** Writes the messages of one destination. */
  private gather(to: Destination): void {
    const { columns } = this;
    const { next } = columns;
    if (to.name === undefined) to.name = nameOf(this.libc, this.isIpv6, to.address) ?? null;
    for (let index = to.first; index >= 0;) {
      if (to.name === null) {
        this.refused(columns.copyOf(index), to);
        index = next[index] ?? -1;
        continue;
      }
      const size = columns.sizeOf(index);
      const first = index;
      const firstPart = this.parts;
      let bytes = 0;
      let segments = 0;
      let part = size;
      do {
        this.write(index);
        bytes += part;
        segments++;
        index = next[index] ?? -1;
        // A shorter one ends the train.
        if (index < 0 || part < size || segments === MOST_SEGMENTS || !to.takesTrains) break;
        part = columns.sizeOf(index);
      } while (part <= size && bytes + part <= MOST_TRAIN_BYTES);
      this.address(to, to.name, first, firstPart, segments > 1 ? size : 0);
    }
  }

  /** The two parts of one datagram. */
  private write(index: number): void {
    const { columns, iovecs } = this;
    const at = this.parts * IOVEC_WORDS;
    iovecs[at] = this.bytesLow + (columns.headAt[index] ?? 0);
    iovecs[at + 2] = columns.headBytes[index] ?? 0;
    iovecs[at + 4] = this.bytesLow + (columns.tailAt[index] ?? 0);
    iovecs[at + 6] = columns.tailBytes[index] ?? 0;
    this.parts += 2;
  }

  private address(to: Destination, name: Uint32Array, first: number, firstPart: number, segment: number): void {
    const { messages, names } = this;
    const n = this.count++;
    const at = n * MESSAGE_WORDS;
    const nameAt = n * NAME_WORDS;
    for (let word = 0; word < this.nameWords; word++) names[nameAt + word] = name[word] ?? 0;
    messages[at + IOV_LOW] = this.iovecsLow + firstPart * IOVEC_WORDS * WORD_BYTES;
    messages[at + IOV_COUNT] = this.parts - firstPart;
    messages[at + CONTROL_LENGTH] = segment === 0 ? 0 : CONTROL_BYTES;
    if (segment > 0) {
      this.trains++;
      this.controls[(n * CONTROL_BYTES) / 2 + CONTROL_VALUE] = segment;
    }
    this.destinations[n] = to;
    this.firsts[n] = first;
  }

  /** @param start messages that have gone already */
  private submit(start: number): void {
    for (let from = start; from < this.count;) {
      const sent = this.libc.sendmmsg(this.fd, this.messagesFrom(from), this.atOnce(from), MSG_DONTWAIT);
      if (sent > 0) from += sent;
      // An error is that of the first message; whether the next ones fare better the next call tells.
      else if (this.libc.errno() !== EINTR) this.giveBack(from++);
    }
    this.count = 0;
    this.parts = 0;
  }

  private submitAside(from: number, done: () => void): void {
    const wanted = this.atOnce(from);
    this.libc.sendmmsgAside(this.fd, this.messagesFrom(from), wanted, MSG_DONTWAIT, (sent) => {
      const next = from + Math.max(0, sent);
      if (sent === wanted && next < this.count) return this.submitAside(next, done);
      this.take(false);
      this.submit(next);
      done();
    });
  }

  private take(isInHand: boolean): void {
    for (let n = 0; n < this.count; n++) this.destinations[n]!.isInHand = isInHand; // one for each message
  }

  private messagesFrom(from: number): Uint8Array {
    return from === 0 ? this.messageBytes : this.messageBytes.subarray(from * MESSAGE_WORDS * WORD_BYTES);
  }

  private atOnce(from: number): number {
    return Math.min(this.count - from, MOST_AT_ONCE);
  }

  private giveBack(message: number): void {
    const to = this.destinations[message];
    if (!to) return;
    const parts = this.messages[message * MESSAGE_WORDS + IOV_COUNT] ?? 0;
    // A way whose packets must not be that large, or a device that does not cut trains.
    if (parts > 2) to.takesTrains = false;
    let index = this.firsts[message] ?? -1;
    for (let n = 0; n < parts / 2; n++) {
      this.refused(this.columns.copyOf(index), to);
      index = this.columns.next[index] ?? -1;
    }
  }
}
