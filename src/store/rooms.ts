/**
 * Memory for what is written a thousand times a second and gone a second later: it is lent and comes back. Made anew it would outlive the
 * young generation, and what array buffers hold calls for a marking by and by.
 */

const LEAST_BYTES = 256;
/** What is larger is rare, and left to the collector. */
const MOST_BYTES = 32 * 1024;
/** Kept at most, of all sizes. */
const MOST_KEPT_BYTES = 8 * 1024 * 1024;

export class Rooms {
  /** By size, a power of two. */
  private readonly free = new Map<number, Buffer[]>();
  private kept = 0;

  /** At least so many bytes, with whatever is in them. */
  take(bytes: number): Buffer {
    if (bytes > MOST_BYTES) return Buffer.allocUnsafeSlow(bytes);
    const size = Math.max(LEAST_BYTES, 2 ** Math.ceil(Math.log2(bytes)));
    const room = this.free.get(size)?.pop();
    if (room) this.kept -= size;
    return room ?? Buffer.allocUnsafeSlow(size);
  }

  /** Nobody uses them any more. */
  give(room: Buffer): void {
    const size = room.length;
    if (size < LEAST_BYTES || size > MOST_BYTES || this.kept + size > MOST_KEPT_BYTES) return;
    const free = this.free.get(size);
    if (free) free.push(room);
    else this.free.set(size, [room]);
    this.kept += size;
  }
}
