/**
 * A socket as the way out of a session. When it breaks the port stays, without a way out, and is bound to the next one.
 *
 *     measurements   transmit ──> gathered ──> flush: one corked write a turn
 *                        ├─ batchMs: batch ──> when it is due: one message
 *                        └─ 64 KiB wait in memory: false, the delivery holds its newest until there is room
 *     reliable lane  sendReliable ──> at once; what is not acknowledged is the endpoint's to count, not ours
 *     answers        send ──> at once
 */
import type { Clock } from '../../clock.js';
import { Port, type Delivery } from '../../routing/delivery.js';
import type { Ending } from '../../routing/endings.js';
import type { JsonObject } from '../../routing/primitive.js';
import type { Sample } from '../../routing/sample.js';
import type { ReliableKind, ReliablePort } from '../../routing/site.js';
import { Batch } from './batch.js';
import type { Frame, FrameCodec } from './frames.js';
import { failed, Gathering } from './gathering.js';
import type { LastNotification } from './last-notification.js';
import { placeOf, Places } from './places.js';
import type { Wire } from './wire.js';

/**
 * Beyond this many bytes that a peer does not take, its measurements wait. The kernel holds megabytes before these: more of
 * ours would only make old what is delivered.
 */
const HIGH_WATER_BYTES = 64 * 1024;

export class WsPort extends Port implements ReliablePort {
  readonly places = new Places((frame) => this.send(frame));
  /** Called when the broker has ended the session, be its socket there or gone. */
  over: () => void = () => {};
  private readonly gathered = new Gathering();
  private readonly batch: Batch;

  constructor(
    private wire: Wire,
    private readonly last: LastNotification,
    clock: Clock,
  ) {
    super();
    this.batch = new Batch(clock, () => this.flush());
  }

  get codec(): FrameCodec {
    return this.wire.codec;
  }

  get isOpen(): boolean {
    return this.wire.isOpen;
  }

  /** The peer is back on another socket. */
  bind(wire: Wire): void {
    this.wire = wire;
  }

  /** Its account is closed next: what was counted goes now, or is counted as dropped. */
  remove(delivery: Delivery): void {
    if (!placeOf(delivery)) return;
    this.gathered.write(this.wire);
    this.sendBatch();
    this.places.forget(delivery);
  }

  send(frame: Frame): void {
    this.wire.send(frame);
  }

  sendReliable(seq: number, kind: ReliableKind, body: JsonObject): void {
    this.send({ t: 'msg', seq, kind, body });
  }

  close(ending: Ending): void {
    this.wire.close(ending);
    this.over();
  }

  end(delivery: Delivery, ending: Ending): void {
    const place = placeOf(delivery);
    if (!place) return;
    this.remove(delivery);
    this.places.tellEnd(place, ending);
  }

  override release(delivery: Delivery): void {
    this.remove(delivery);
    super.release(delivery);
  }

  override drain(): void {
    this.flush();
  }

  override flush(): void {
    do {
      this.gathered.write(this.wire);
      if (this.batch.isDue && this.wire.isOpen) this.sendBatch();
      if (!this.hasRoom) return;
      // What was held because this very turn brought so much can go after all.
      super.drain();
    } while (!this.gathered.isEmpty);
  }

  protected transmit(delivery: Delivery, sample: Sample, body: Uint8Array): boolean {
    const place = placeOf(delivery);
    if (!place || !this.hasRoom) return false;
    const notification = this.last.of(sample, delivery.format, body);
    const { batchMs } = delivery.terms;
    if (batchMs === undefined) this.gathered.add(notification, delivery);
    else {
      const message = notification.to(place.sub, place.route, delivery.missed);
      this.batch.add(Buffer.from(message), delivery, batchMs);
    }
    return true;
  }

  private get hasRoom(): boolean {
    return (
      this.wire.isOpen && this.wire.socket.bufferedBytes + this.gathered.bytes + this.batch.bytes < HIGH_WATER_BYTES
    );
  }

  private sendBatch(): void {
    if (this.batch.bytes === 0) return;
    const { frame, deliveries } = this.batch.take(this.codec);
    this.wire.flush();
    if (!this.wire.isOpen || this.wire.socket.send(frame, this.codec.isBinary) === 'dropped')
      deliveries.forEach(failed);
  }
}
