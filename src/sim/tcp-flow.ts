/**
 * One direction of one TCP connection, put together again from captured segments: in order, each byte once, gaps left out
 * when the capture has no more to offer (the reader of frames finds its feet again by itself).
 *
 *     segment ──> older than `next`? its new part only ──> emit, then whatever was waiting for it
 *             └─> ahead of `next`? waits
 */

interface Segment {
  readonly sequence: number;
  readonly payload: Uint8Array;
}

/** A segment this many others overtook was missed by the capture, not by the receiver. */
const MOST_WAITING = 64;

export class TcpFlow {
  private next: number | undefined;
  private waiting: Segment[] = [];

  constructor(private readonly emit: (bytes: Uint8Array) => void) {}

  /** A SYN: the sequence number that is followed by the first byte. */
  begin(sequence: number): void {
    this.next = (sequence + 1) >>> 0;
    this.waiting = [];
  }

  push(sequence: number, payload: Uint8Array): void {
    if (payload.length === 0) return;
    this.next ??= sequence;
    this.waiting.push({ sequence, payload });
    this.settle();
    if (this.waiting.length > MOST_WAITING) this.skipGap();
  }

  /** Nothing more will come: what waits behind gaps is emitted without them. */
  end(): void {
    while (this.waiting.length > 0) this.skipGap();
  }

  private settle(): void {
    for (let ready = this.takeReady(); ready; ready = this.takeReady()) {
      const fresh = ready.payload.subarray(-this.ahead(ready));
      if (fresh.length === 0) continue;
      this.next = (ready.sequence + ready.payload.length) >>> 0;
      this.emit(fresh);
    }
  }

  private takeReady(): Segment | undefined {
    const index = this.waiting.findIndex((segment) => this.ahead(segment) <= 0);
    return index < 0 ? undefined : this.waiting.splice(index, 1)[0];
  }

  private skipGap(): void {
    const [first] = this.waiting.toSorted((a, b) => this.ahead(a) - this.ahead(b));
    this.next = first?.sequence;
    this.settle();
  }

  /** How many bytes lie between what was emitted and this segment; sequence numbers wrap. */
  private ahead({ sequence }: Segment): number {
    return (sequence - (this.next ?? sequence)) | 0;
  }
}
