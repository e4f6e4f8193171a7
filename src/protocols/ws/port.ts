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
import type { Status } from '../../errors.js';
import { Port, type Delivery } from '../../routing/delivery.js';
import { ENDINGS, type Ending } from '../../routing/endings.js';
import type { PatternSubscription, RouteSink } from '../../routing/pattern.js';
import { pathText, type JsonObject } from '../../routing/primitive.js';
import type { Sample } from '../../routing/sample.js';
import type { ReliableKind, ReliablePort } from '../../routing/site.js';
import { Batch } from './batch.js';
import type { Frame, FrameCodec } from './frames.js';
import { failed, Gathering, placeOf, type Place } from './gathering.js';
import type { LastNotification } from './last-notification.js';
import type { Wire } from './wire.js';

/**
 * Beyond this many bytes that a peer does not take, its measurements wait. The kernel holds megabytes before these: more of
 * ours would only make old what is delivered.
 */
const HIGH_WATER_BYTES = 64 * 1024;

export class WsPort extends Port implements ReliablePort {
  /** Deliveries by the ids that the peer gave them. */
  private readonly subscriptions = new Map<number, Delivery>();
  /** Those of the routes of patterns. */
  private readonly routed = new Set<Delivery>();
  private readonly patterns = new Map<number, PatternSubscription>();
  private lastRoute = 0;
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

  /** Ids of the subscriptions that stand. */
  get subs(): number[] {
    return [...this.subscriptions.keys(), ...this.patterns.keys()];
  }

  isTaken(id: number): boolean {
    return this.subscriptions.has(id) || this.patterns.has(id);
  }

  /** The peer is back on another socket. */
  bind(wire: Wire): void {
    this.wire = wire;
  }

  add(id: number, delivery: Delivery): void {
    this.subscriptions.set(id, delivery);
    delivery.mark = { sub: id, route: 0, path: '' } satisfies Place;
  }

  addPattern(id: number, pattern: PatternSubscription): void {
    this.patterns.set(id, pattern);
  }

  pattern(id: number): PatternSubscription | undefined {
    return this.patterns.get(id);
  }

  removePattern(id: number): void {
    this.patterns.delete(id);
  }

  /** What the peer is told of the routes of a pattern. */
  sinkOf(sub: number): RouteSink {
    return {
      opened: (delivery, container) => {
        delivery.mark = { sub, route: ++this.lastRoute, path: pathText(container) } satisfies Place;
        this.routed.add(delivery);
        this.tellRoute(delivery);
      },
      refused: (container, { status, detail: reason }) =>
        this.send({ t: 'route', sub, path: pathText(container), status, reason }),
      ended: (ending) => {
        this.removePattern(sub);
        this.send({ t: 'end', sub, ...wordOf(ending) });
      },
    };
  }

  /** The peer is back, and may have missed which routes came and went. */
  tellRoutes(): void {
    for (const delivery of this.routed) this.tellRoute(delivery);
  }

  private tellRoute(delivery: Delivery): void {
    const place = placeOf(delivery);
    if (place) this.send({ t: 'route', ...place, format: delivery.format.mediaType });
  }

  delivery(id: number): Delivery | undefined {
    return this.subscriptions.get(id);
  }

  /** Its account is closed next: what was counted goes now, or is counted as dropped. */
  remove(delivery: Delivery): void {
    const place = placeOf(delivery);
    if (!place) return;
    this.gathered.write(this.wire);
    this.sendBatch();
    delivery.mark = undefined;
    if (place.route === 0) this.subscriptions.delete(place.sub);
    else this.routed.delete(delivery);
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
    const { sub, route, path } = place;
    if (route === 0) this.send({ t: 'end', sub, ...wordOf(ending) });
    else this.send({ t: 'route', sub, route, path, ...wordOf(ending) });
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

/** Why it is over, for whom it is over. */
function wordOf(ending: Ending): { readonly ending: Ending; readonly reason: string; readonly status?: Status } {
  const row = ENDINGS[ending];
  return { ending, reason: row.sentence, ...('status' in row && { status: row.status }) };
}
