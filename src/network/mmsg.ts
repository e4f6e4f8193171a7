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
const MOST_MESSAGES = 1024;
/** UDP_MAX_SEGMENTS. */
const MOST_SEGMENTS = 64;
/** Of a whole train: what an IPv4 datagram can hold. */
const MOST_TRAIN_BYTES = 65_507;
const EINTR = 4;
const NAME_WORDS = nameBytes(true) / WORD_BYTES;

/** Sends what waits in one batch through one descriptor. */
export class MmsgSender {
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
  private readonly batchLow: number;
  /** By message of the call: where it goes, and its first datagram. */
  private readonly destinations: (Destination | undefined)[] = Array.from({ length: MOST_MESSAGES }, () => undefined);
  private readonly firsts = new Int32Array(MOST_MESSAGES);
  private count = 0;
  private parts = 0;

  /** @param refused called for a datagram that the system did not take */
  constructor(
    { libc, fd, isIpv6 }: { readonly libc: Libc; readonly fd: number; readonly isIpv6: boolean },
    private readonly batch: Batch,
    private readonly refused: (index: number, to: Destination) => void,
  ) {
    this.libc = libc;
    this.fd = fd;
    this.isIpv6 = isIpv6;
    this.nameWords = nameBytes(isIpv6) / WORD_BYTES;
    const messages = arena(libc, MOST_MESSAGES * MESSAGE_WORDS * WORD_BYTES);
    const iovecs = arena(libc, 2 * batch.room.datagrams * IOVEC_WORDS * WORD_BYTES);
    const names = arena(libc, MOST_MESSAGES * nameBytes(true));
    const controls = arena(libc, MOST_MESSAGES * CONTROL_BYTES);
    this.messageBytes = messages.bytes;
    this.messages = new Uint32Array(messages.bytes.buffer);
    this.iovecs = new Uint32Array(iovecs.bytes.buffer);
    this.iovecsLow = iovecs.low;
    this.names = new Uint32Array(names.bytes.buffer);
    this.controls = new Uint16Array(controls.bytes.buffer);
    const batchAt = libc.addressOf(batch.bytes);
    this.batchLow = batchAt % 2 ** 32;
    for (let n = 0; n < MOST_MESSAGES; n++) {
      const at = n * MESSAGE_WORDS;
      this.messages.set([names.low + n * nameBytes(true), names.high, nameBytes(isIpv6)], at);
      this.messages[at + IOV_HIGH] = iovecs.high;
      this.messages.set([controls.low + n * CONTROL_BYTES, controls.high], at + CONTROL_LOW);
      new Uint32Array(controls.bytes.buffer, n * CONTROL_BYTES, 4).set([CONTROL_USED, 0, SOL_UDP, UDP_SEGMENT]);
    }
    for (let n = 0; n < 2 * batch.room.datagrams; n++) this.iovecs[n * IOVEC_WORDS + 1] = Math.floor(batchAt / 2 ** 32);
  }

  /** Sends what waits for the first `most` destinations; the caller has it forgotten. */
  send(most = Infinity): void {
    for (let [to, left] = [this.batch.foremost, most]; to && left > 0; [to, left] = [to.after, left - 1])
      this.gather(to);
    this.submit();
  }

  /** Writes the messages of one destination. */
  private gather(to: Destination): void {
    const { batch } = this;
    const { next } = batch;
    if (to.name === undefined) to.name = nameOf(this.libc, this.isIpv6, to.address) ?? null;
    for (let index = to.first; index >= 0;) {
      if (to.name === null) {
        this.refused(index, to);
        index = next[index] ?? -1;
        continue;
      }
      if (this.count === MOST_MESSAGES) this.submit();
      const size = batch.sizeOf(index);
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
        part = batch.sizeOf(index);
      } while (part <= size && bytes + part <= MOST_TRAIN_BYTES);
      this.address(to, to.name, first, firstPart, segments > 1 ? size : 0);
    }
  }

  /** The two parts of one datagram. */
  private write(index: number): void {
    const { batch, iovecs } = this;
    const at = this.parts * IOVEC_WORDS;
    iovecs[at] = this.batchLow + (batch.headAt[index] ?? 0);
    iovecs[at + 2] = batch.headBytes[index] ?? 0;
    iovecs[at + 4] = this.batchLow + (batch.tailAt[index] ?? 0);
    iovecs[at + 6] = batch.tailBytes[index] ?? 0;
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

  private submit(): void {
    const { count } = this;
    for (let from = 0; from < count;) {
      const messages = from === 0 ? this.messageBytes : this.messageBytes.subarray(from * MESSAGE_WORDS * WORD_BYTES);
      const sent = this.libc.sendmmsg(this.fd, messages, count - from, MSG_DONTWAIT);
      if (sent > 0) from += sent;
      // An error is that of the first message; whether the next ones fare better the next call tells.
      else if (this.libc.errno() !== EINTR) this.giveBack(from++);
    }
    this.count = 0;
    this.parts = 0;
  }

  private giveBack(message: number): void {
    const to = this.destinations[message];
    if (!to) return;
    const parts = this.messages[message * MESSAGE_WORDS + IOV_COUNT] ?? 0;
    // A way whose packets must not be that large, or a device that does not cut trains.
    if (parts > 2) to.takesTrains = false;
    let index = this.firsts[message] ?? -1;
    for (let n = 0; n < parts / 2; n++) {
      this.refused(index, to);
      index = this.batch.next[index] ?? -1;
    }
  }
}
