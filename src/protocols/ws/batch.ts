/**
 * Notifications that may wait a little and go as one message, for subscribers that asked for it (`batchMs`): a frame, and a wake-up
 * of the client, for many samples.
 *
 *     add ──> the first of a batch sets the time ── batchMs of whoever can wait least, or BATCH_BYTES ──> due ──> one `batch` frame
 */
import type { Cancel, Clock } from '../../clock.js';
import type { Delivery } from '../../routing/delivery.js';
import type { FrameCodec } from './frames.js';

/** A batch of so many bytes does not wait any more: a peer that takes one has not taken much at once. */
const BATCH_BYTES = 16 * 1024;

export class Batch {
  bytes = 0;
  private readonly messages: Uint8Array[] = [];
  private readonly deliveries: Delivery[] = [];
  private dueUs = Infinity;
  private cancel: Cancel | undefined;

  /** @param due called when the first has waited for as long as it may */
  constructor(
    private readonly clock: Clock,
    private readonly due: () => void,
  ) {}

  get isDue(): boolean {
    return this.bytes >= BATCH_BYTES || (this.bytes > 0 && this.clock.monotonicUs() >= this.dueUs);
  }

  add(message: Uint8Array, delivery: Delivery, batchMs: number): void {
    this.messages.push(message);
    this.deliveries.push(delivery);
    this.bytes += message.length;
    const dueUs = this.clock.monotonicUs() + batchMs * 1000;
    if (dueUs >= this.dueUs) return;
    this.dueUs = dueUs;
    this.cancel?.();
    this.cancel = this.clock.after(batchMs, () => {
      // Timers may fire a part of a millisecond before the clock says so, and nobody comes a second time.
      this.dueUs = -Infinity;
      this.due();
    });
  }

  /** Empties it. @returns the frame, and whose notifications are in it, one entry each */
  take(codec: FrameCodec): { readonly frame: Uint8Array; readonly deliveries: readonly Delivery[] } {
    const [only] = this.messages;
    const frame = only && this.messages.length === 1 ? only : codec.batch(this.messages);
    const deliveries = this.deliveries.splice(0);
    this.messages.length = 0;
    this.bytes = 0;
    this.dueUs = Infinity;
    this.cancel?.();
    this.cancel = undefined;
    return { frame, deliveries };
  }
}
