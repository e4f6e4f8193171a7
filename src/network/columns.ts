/** Where datagrams lie that wait or are on their way to the system: by place, both parts of each, head and tail, and the next one to the same peer. */

/** What may wait at once; beyond, it is sent within the turn. */
export interface Room {
  readonly datagrams: number;
  /** Of 64 KiB. */
  readonly pages: number;
}
export const PAGE_BITS = 16;
/** A datagram lies within one, and the longest there is, 65,507 bytes, leaves some of it. */
export const PAGE_BYTES = 1 << PAGE_BITS;

export const bytesOf = ({ pages }: Room): number => pages * PAGE_BYTES;

export class Columns {
  /** Offsets into `bytes`, and lengths. */
  readonly headAt: Int32Array;
  readonly headBytes: Int32Array;
  readonly tailAt: Int32Array;
  readonly tailBytes: Int32Array;
  /** A negative number: there is none. */
  readonly next: Int32Array;

  constructor(
    readonly room: Room,
    readonly bytes: Uint8Array = new Uint8Array(bytesOf(room)),
  ) {
    const column = (): Int32Array => new Int32Array(room.datagrams);
    this.headAt = column();
    this.headBytes = column();
    this.tailAt = column();
    this.tailBytes = column();
    this.next = column();
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
}
