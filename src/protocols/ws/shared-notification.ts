/**
 * What the notifications of one sample in one format have in common: one buffer, whose tail is written once. The head of a
 * subscriber is written before it when its message goes, and overwritten by the next one's: to send allocates nothing.
 *
 *     free ..... │ head: of one subscriber │ tail: of all │
 *                └─────── its message ────────────────────┘
 *
 * All is written from the end to the front, because lengths stand before what they measure.
 */

/** Writes what is one subscriber's own, so that it ends at `end`. @returns where it begins */
export type WriteHead = (bytes: Uint8Array, end: number, sub: number, route: number, missed: number) => number;

export class SharedNotification {
  private message: Uint8Array | undefined;
  private sub = -1;
  private route = -1;
  private missed = -1;

  /**
   * @param bytes long enough for any head before the tail, which reaches from `tailAt` to the end
   */
  constructor(
    private readonly bytes: Uint8Array,
    private readonly tailAt: number,
    private readonly writeHead: WriteHead,
  ) {}

  /** Bytes of its tail: of a message all but a few. */
  get length(): number {
    return this.bytes.length - this.tailAt;
  }

  /**
   * A whole `ntf` message, which stands until the next call.
   *
   * @param route 0 for none
   */
  to(sub: number, route: number, missed: number): Uint8Array {
    if (this.message && sub === this.sub && route === this.route && missed === this.missed) return this.message;
    this.sub = sub;
    this.route = route;
    this.missed = missed;
    const at = this.writeHead(this.bytes, this.tailAt, sub, route, missed);
    const { buffer, byteOffset, length } = this.bytes;
    // Heads of one length begin at one place.
    if (this.message?.byteOffset !== byteOffset + at)
      this.message = new Uint8Array(buffer, byteOffset + at, length - at);
    return this.message;
  }
}
