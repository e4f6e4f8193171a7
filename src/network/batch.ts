/**
 * Datagrams of one socket that wait for the end of the turn.
 *
 *     open(destination, head bytes, tail) ──> columns ── flush ──> trains per destination (mmsg.ts), or one by one (dgram)
 *                  │                                   head | tail
 *                  └──> the caller writes the head into `bytes`; a tail that many datagrams share is copied once
 *
 * Nothing is allocated per datagram. What does not fit makes `onFull` empty the batch first.
 */
import type { Address } from './udp-socket.js';

/** What may wait at once; beyond, it is sent within the turn. */
export interface Room {
  readonly datagrams: number;
  /** At least the longest datagram. */
  readonly bytes: number;
}
const NONE = -1;
const NOTHING = new Uint8Array(0);

/** Where datagrams go, and which of them wait; of one socket. */
export class Destination {
  first = NONE;
  last = NONE;
  /** As the system spells it, made by the socket at the first sending; null where it can not. */
  name: Uint32Array | null | undefined;
  /** False once the system has refused a train to it. */
  takesTrains = true;

  constructor(readonly address: Address) {}
}

export class Batch {
  /** By index of a datagram: where its parts lie in `bytes`, and the next one to the same destination or a negative number. */
  readonly headAt: Int32Array;
  readonly headBytes: Int32Array;
  readonly tailAt: Int32Array;
  readonly tailBytes: Int32Array;
  readonly next: Int32Array;
  /** Those that something waits for, in order of their first; `waiting` of them. An array that is emptied would have to grow anew. */
  readonly destinations: Destination[] = [];
  waiting = 0;
  count = 0;
  private used = 0;
  private lastTail: Uint8Array | undefined;
  private lastTailAt = 0;

  /** @param onFull sends all that waits, and has it forgotten; @param bytes where datagrams lie */
  constructor(
    readonly room: Room,
    private readonly onFull: () => void,
    readonly bytes: Uint8Array = new Uint8Array(room.bytes),
  ) {
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
    if (this.count === this.room.datagrams || this.used + headBytes + tail.length > this.bytes.length) this.onFull();
    const index = this.count++;
    if (tail !== this.lastTail) {
      this.bytes.set(tail, this.used);
      this.lastTail = tail;
      this.lastTailAt = this.used;
      this.used += tail.length;
    }
    const at = this.used;
    this.used += headBytes;
    this.headAt[index] = at;
    this.headBytes[index] = headBytes;
    this.tailAt[index] = this.lastTailAt;
    this.tailBytes[index] = tail.length;
    this.next[index] = NONE;
    if (to.last < 0) {
      to.first = index;
      this.destinations[this.waiting++] = to;
    } else this.next[to.last] = index;
    to.last = index;
    return at;
  }

  /** Puts a destination before all others. False: nothing waits for it. */
  bringForward(to: Destination): boolean {
    if (to.first < 0) return false;
    const at = this.destinations[0] === to ? 0 : this.destinations.indexOf(to);
    if (at > 0) this.destinations.unshift(...this.destinations.splice(at, 1));
    return true;
  }

  /** How many destinations, at least one, so many datagrams wait for. */
  destinationsOf(datagrams: number): number {
    let [count, left] = [0, datagrams];
    while (left > 0 && count < this.waiting) {
      for (let index = this.destinations[count]?.first ?? NONE; index >= 0; index = this.next[index] ?? NONE) left--;
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
    for (const { first, address } of this.destinations.slice(0, Math.min(most, this.waiting)))
      for (let index = first; index >= 0; index = this.next[index] ?? NONE) send(this.copyOf(index), address);
    this.forget(most);
  }

  /** Forgets what waits for the first `most` destinations. */
  forget(most = Infinity): void {
    const gone = Math.min(most, this.waiting);
    for (let n = 0; n < gone; n++) {
      const destination = this.destinations[n];
      if (destination) destination.first = destination.last = NONE;
    }
    this.waiting -= gone;
    if (this.waiting > 0) {
      this.destinations.splice(0, gone);
      return;
    }
    this.count = 0;
    this.used = 0;
    this.lastTail = undefined;
  }
}
