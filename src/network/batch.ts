/**
 * Datagrams of one socket that wait for the end of the turn.
 *
 *     open(destination, head bytes, tail) ──> columns ── flush ──> trains per destination (mmsg.ts), or one by one (dgram)
 *                  │                                   head | tail
 *                  └──> the caller writes the head into `bytes`; a tail that many datagrams share is copied once a page
 *
 * Nothing is allocated per datagram, and what has gone makes room at once: its places in the columns are the next to be taken, and
 * a page of bytes is free again when nothing in it waits. Where there is no room, `onFull` sends a part of what waits.
 */
import type { Address } from './udp-socket.js';

/** What may wait at once; beyond, it is sent within the turn. */
export interface Room {
  readonly datagrams: number;
  /** Of 64 KiB. */
  readonly pages: number;
}
const PAGE_BITS = 16;
/** A datagram lies within one, and the longest there is, 65,507 bytes, leaves some of it. */
const PAGE_BYTES = 1 << PAGE_BITS;
/** What leaves in one go where others may have to wait for it: 60 to 200 us. */
const DATAGRAMS_AT_ONCE = 64;
const NONE = -1;
const NOTHING = new Uint8Array(0);

/** Where datagrams go, and which of them wait; of one socket. */
export class Destination {
  first = NONE;
  last = NONE;
  /** Its neighbours among those that something waits for. */
  before: Destination | undefined;
  after: Destination | undefined;
  /** As the system spells it, made by the socket at the first sending; null where it can not. */
  name: Uint32Array | null | undefined;
  /** False once the system has refused a train to it. */
  takesTrains = true;

  constructor(readonly address: Address) {}
}

export const bytesOf = ({ pages }: Room): number => pages * PAGE_BYTES;

export class Batch {
  /** By place of a datagram: where its parts lie in `bytes`, and the next one to the same destination or a negative number. */
  readonly headAt: Int32Array;
  readonly headBytes: Int32Array;
  readonly tailAt: Int32Array;
  readonly tailBytes: Int32Array;
  readonly next: Int32Array;
  /** The first of those that something waits for; the others hang behind it, `waiting` altogether. */
  foremost: Destination | undefined;
  waiting = 0;
  /** Datagrams that wait. */
  count = 0;
  private hindmost: Destination | undefined;
  /** How many wait in each page. */
  private readonly inPage: Int32Array;
  /** Places from here on have not been taken since the batch was empty. */
  private untaken = 0;
  /** The one of the others that was given back last; the rest of them hang behind it by `next`. */
  private free = NONE;
  /** Of the page that is being filled. */
  private used = 0;
  private pageEnd = PAGE_BYTES;
  private lastTail: Uint8Array | undefined;
  private lastTailAt = 0;

  /** @param onFull sends what waits for `atOnce` destinations or more, and has it forgotten; @param bytes where datagrams lie */
  constructor(
    readonly room: Room,
    private readonly onFull: () => void,
    readonly bytes: Uint8Array = new Uint8Array(bytesOf(room)),
  ) {
    this.inPage = new Int32Array(room.pages);
    const column = (): Int32Array => new Int32Array(room.datagrams);
    this.headAt = column();
    this.headBytes = column();
    this.tailAt = column();
    this.tailBytes = column();
    this.next = column();
  }

  /** Takes a datagram; its bytes are copied. */
  add(datagram: Uint8Array, to: Destination): void {
    const at = this.open(to, datagram.length, NOTHING);
    this.bytes.set(datagram, at);
  }

  /**
   * Makes room for a datagram of `headBytes`, which the caller writes at the offset returned before anything else is opened, and
   * of `tail`. A tail that is handed over again must not have changed.
   */
  open(to: Destination, headBytes: number, tail: Uint8Array): number {
    const bytes = headBytes + tail.length;
    if (this.count === this.room.datagrams || this.used + bytes >= this.pageEnd) this.makeRoom(bytes);
    const index = this.free < 0 ? this.untaken++ : this.free;
    if (this.free >= 0) this.free = this.next[index] ?? NONE;
    this.count++;
    if (tail !== this.lastTail) {
      this.bytes.set(tail, this.used);
      this.lastTail = tail;
      this.lastTailAt = this.used;
      this.used += tail.length;
    }
    const at = this.used;
    this.used += headBytes;
    this.inPage[at >>> PAGE_BITS]!++; // there is a counter for each page
    this.headAt[index] = at;
    this.headBytes[index] = headBytes;
    this.tailAt[index] = this.lastTailAt;
    this.tailBytes[index] = tail.length;
    this.next[index] = NONE;
    if (to.last < 0) {
      to.first = index;
      this.append(to);
    } else this.next[to.last] = index;
    to.last = index;
    return at;
  }

  /** Puts a destination before all others. False: nothing waits for it. */
  bringForward(to: Destination): boolean {
    if (to.first < 0) return false;
    const { foremost } = this;
    if (!foremost || to === foremost) return true;
    this.takeOut(to);
    to.after = foremost;
    foremost.before = to;
    this.foremost = to;
    return true;
  }

  /** How many destinations, at least one, are served in one go where others may have to wait for it. */
  get atOnce(): number {
    let [count, left] = [0, DATAGRAMS_AT_ONCE];
    for (let to = this.foremost; to && left > 0; to = to.after) {
      for (let index = to.first; index >= 0; index = this.next[index] ?? NONE) left--;
      count++;
    }
    return count;
  }

  sizeOf(index: number): number {
    return (this.headBytes[index] ?? 0) + (this.tailBytes[index] ?? 0);
  }

  /** One datagram as bytes of its own. */
  copyOf(index: number): Uint8Array {
    const [head = 0, headBytes = 0] = [this.headAt[index], this.headBytes[index]];
    const [tail = 0, tailBytes = 0] = [this.tailAt[index], this.tailBytes[index]];
    const datagram = Buffer.allocUnsafe(headBytes + tailBytes);
    datagram.set(this.bytes.subarray(head, head + headBytes));
    datagram.set(this.bytes.subarray(tail, tail + tailBytes), headBytes);
    return datagram;
  }

  /** Hands out what waits for the first `most` destinations, each one's in the order it came, and forgets it. */
  drain(send: (datagram: Uint8Array, to: Address) => void, most = Infinity): void {
    for (let [to, left] = [this.foremost, most]; to && left > 0; [to, left] = [to.after, left - 1])
      for (let index = to.first; index >= 0; index = this.next[index] ?? NONE) send(this.copyOf(index), to.address);
    this.forget(most);
  }

  /** Forgets what waits for the first `most` destinations. */
  forget(most = Infinity): void {
    const isAll = most >= this.waiting;
    let to = this.foremost;
    for (let left = most; to && left > 0; left--) {
      const { after } = to;
      if (!isAll) this.release(to);
      to.first = to.last = NONE;
      to.before = to.after = undefined;
      this.waiting--;
      to = after;
    }
    this.foremost = to;
    if (to) to.before = undefined;
    else this.clear();
  }

  private append(to: Destination): void {
    to.before = this.hindmost;
    if (this.hindmost) this.hindmost.after = to;
    else this.foremost = to;
    this.hindmost = to;
    this.waiting++;
  }

  private takeOut(to: Destination): void {
    const { before, after } = to;
    if (before) before.after = after;
    else this.foremost = after;
    if (after) after.before = before;
    else this.hindmost = before;
    to.before = to.after = undefined;
  }

  /** Gives back what the datagrams to one destination take up. */
  private release({ first, last }: Destination): void {
    for (let index = first; index >= 0; index = this.next[index] ?? NONE) {
      this.inPage[(this.headAt[index] ?? 0) >>> PAGE_BITS]!--; // there is a counter for each page
      this.count--;
    }
    this.next[last] = this.free;
    this.free = first;
  }

  private clear(): void {
    this.hindmost = undefined;
    this.count = this.untaken = 0;
    this.free = NONE;
    this.inPage.fill(0);
    this.begin(0);
  }

  /** Fills a page from its beginning. */
  private begin(page: number): void {
    this.used = page * PAGE_BYTES;
    this.pageEnd = this.used + PAGE_BYTES;
    this.lastTail = undefined;
  }

  /** A place, and so many bytes in one page. */
  private makeRoom(bytes: number): void {
    if (bytes >= PAGE_BYTES) throw new RangeError(`a datagram of ${bytes} bytes; it must have less than ${PAGE_BYTES}`);
    for (;;) {
      if (this.count < this.room.datagrams) {
        if (this.used + bytes < this.pageEnd) return;
        const page = this.inPage.indexOf(0);
        if (page >= 0) return this.begin(page);
      }
      this.onFull();
    }
  }
}
