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
import { PAGE_BITS, PAGE_BYTES, type Columns } from './columns.js';
import type { Address } from './udp-socket.js';

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
  /** Another thread is about to send to it. */
  isInHand = false;

  constructor(readonly address: Address) {}
}

export class Batch {
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

  /** @param onFull sends what waits for `atOnce` destinations or more, and has it forgotten */
  constructor(
    public columns: Columns,
    private readonly onFull: () => void,
  ) {
    this.inPage = new Int32Array(columns.room.pages);
  }

  get bytes(): Uint8Array {
    return this.columns.bytes;
  }

  /** Takes a datagram; its bytes are copied. */
  add(datagram: Uint8Array, to: Destination): void {
    const at = this.open(to, datagram.length, NOTHING);
    this.columns.bytes.set(datagram, at);
  }

  /**
   * Makes room for a datagram of `headBytes`, which the caller writes at the offset returned before anything else is opened, and
   * of `tail`. A tail that is handed over again must not have changed.
   */
  open(to: Destination, headBytes: number, tail: Uint8Array): number {
    const { columns } = this;
    const bytes = headBytes + tail.length;
    if (this.count === columns.room.datagrams || this.used + bytes >= this.pageEnd) this.makeRoom(bytes);
    const index = this.free < 0 ? this.untaken++ : this.free;
    if (this.free >= 0) this.free = columns.next[index] ?? NONE;
    this.count++;
    if (tail !== this.lastTail) {
      columns.bytes.set(tail, this.used);
      this.lastTail = tail;
      this.lastTailAt = this.used;
      this.used += tail.length;
    }
    const at = this.used;
    this.used += headBytes;
    this.inPage[at >>> PAGE_BITS]!++; // there is a counter for each page
    columns.headAt[index] = at;
    columns.headBytes[index] = headBytes;
    columns.tailAt[index] = this.lastTailAt;
    columns.tailBytes[index] = tail.length;
    columns.next[index] = NONE;
    if (to.last < 0) {
      to.first = index;
      this.append(to);
    } else columns.next[to.last] = index;
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

  /** Whether another thread is about to send to one of the first `most` destinations. */
  isAnyInHand(most = Infinity): boolean {
    for (let [to, left] = [this.foremost, most]; to && left > 0; [to, left] = [to.after, left - 1])
      if (to.isInHand) return true;
    return false;
  }

  /** How many destinations, at least one, are served in one go where others may have to wait for it. */
  get atOnce(): number {
    let [count, left] = [0, DATAGRAMS_AT_ONCE];
    for (let to = this.foremost; to && left > 0; to = to.after) {
      for (let index = to.first; index >= 0; index = this.columns.next[index] ?? NONE) left--;
      count++;
    }
    return count;
  }

  /** Hands out what waits for the first `most` destinations, each one's in the order it came, and forgets it. */
  drain(send: (datagram: Uint8Array, to: Address) => void, most = Infinity): void {
    const { columns } = this;
    for (let [to, left] = [this.foremost, most]; to && left > 0; [to, left] = [to.after, left - 1])
      for (let index = to.first; index >= 0; index = columns.next[index] ?? NONE)
        send(columns.copyOf(index), to.address);
    this.forget(most);
  }

  /** Leaves what waits to the caller, with the columns that it lies in, and goes on with others of the same room. */
  trade(columns: Columns): void {
    this.forget();
    this.columns = columns;
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
    const { headAt, next } = this.columns;
    for (let index = first; index >= 0; index = next[index] ?? NONE) {
      this.inPage[(headAt[index] ?? 0) >>> PAGE_BITS]!--; // there is a counter for each page
      this.count--;
    }
    next[last] = this.free;
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
      if (this.count < this.columns.room.datagrams) {
        if (this.used + bytes < this.pageEnd) return;
        const page = this.inPage.indexOf(0);
        if (page >= 0) return this.begin(page);
      }
      this.onFull();
    }
  }
}
