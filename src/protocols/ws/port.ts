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
import type { LastNotification } from './last-notification.js';
import type { Wire } from './wire.js';

/**
 * Beyond this many bytes that a peer does not take, its measurements wait. The kernel holds megabytes before these: more of
 * ours would only make old what is delivered.
 */
const HIGH_WATER_BYTES = 64 * 1024;

/** How the peer knows a delivery: by the id of its subscription, and of one to a pattern by the route too. */
interface Place {
  readonly sub: number;
  /** 0: the subscription is to one resource. */
  readonly route: number;
  readonly path: string;
}

export class WsPort extends Port implements ReliablePort {
  /** Deliveries by the ids that the peer gave them. */
  private readonly subscriptions = new Map<number, Delivery>();
  private readonly places = new Map<Delivery, Place>();
  private readonly patterns = new Map<number, PatternSubscription>();
  private lastRoute = 0;
  /** Called when the broker has ended the session, be its socket there or gone. */
  over: () => void = () => {};
  // Of this turn, one entry each per message: nothing is allocated per message.
  private readonly gathered: Uint8Array[] = [];
  private readonly gatheredOf: Delivery[] = [];
  private gatheredBytes = 0;
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
    this.places.set(delivery, { sub: id, route: 0, path: '' });
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
        const place = { sub, route: ++this.lastRoute, path: pathText(container) };
        this.places.set(delivery, place);
        this.tellRoute(delivery, place);
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
    for (const [delivery, place] of this.places) if (place.route !== 0) this.tellRoute(delivery, place);
  }

  private tellRoute({ format }: Delivery, place: Place): void {
    this.send({ t: 'route', ...place, format: format.mediaType });
  }

  delivery(id: number): Delivery | undefined {
    return this.subscriptions.get(id);
  }

  remove(delivery: Delivery): void {
    const place = this.places.get(delivery);
    if (!place) return;
    this.places.delete(delivery);
    if (place.route === 0) this.subscriptions.delete(place.sub);
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
    const place = this.places.get(delivery);
    if (!place) return;
    this.sendBatch();
    this.remove(delivery);
    const { sub, route, path } = place;
    if (route === 0) this.send({ t: 'end', sub, ...wordOf(ending) });
    else this.send({ t: 'route', sub, route, path, ...wordOf(ending) });
  }

  override release(delivery: Delivery): void {
    // Its account is closed now: what was counted goes, or is counted as dropped.
    this.sendBatch();
    super.release(delivery);
    this.remove(delivery);
  }

  override drain(): void {
    this.flush();
  }

  override flush(): void {
    do {
      this.sendGathered();
      if (this.batch.isDue && this.wire.isOpen) this.sendBatch();
      if (!this.hasRoom) return;
      // What was held because this very turn brought so much can go after all.
      super.drain();
    } while (this.gathered.length > 0);
  }

  protected transmit(delivery: Delivery, sample: Sample, body: Uint8Array): boolean {
    const place = this.places.get(delivery);
    if (!place || !this.hasRoom) return false;
    const message = this.last.of(place.sub, place.route, delivery, sample, body);
    const { batchMs } = delivery.terms;
    if (batchMs !== undefined) {
      this.batch.add(message, delivery, batchMs);
      return true;
    }
    this.gathered.push(message);
    this.gatheredOf.push(delivery);
    this.gatheredBytes += message.length;
    return true;
  }

  private get hasRoom(): boolean {
    return (
      this.wire.isOpen && this.wire.socket.bufferedBytes + this.gatheredBytes + this.batch.bytes < HIGH_WATER_BYTES
    );
  }

  private sendGathered(): void {
    if (this.gathered.length === 0) return;
    this.wire.flush();
    this.wire.socket.cork(this.writeGathered);
    this.gathered.length = 0;
    this.gatheredOf.length = 0;
    this.gatheredBytes = 0;
  }

  private readonly writeGathered = (): void => {
    for (let i = 0; i < this.gathered.length; i++) {
      // Both lists have one entry per message.
      if (this.wire.socket.send(this.gathered[i]!, this.codec.isBinary) !== 'dropped') continue;
      failed(this.gatheredOf[i]!); // as above
    }
  };

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

/** Closed since, or filled by answers: the account said delivered too soon. */
function failed(delivery: Delivery): void {
  delivery.delivered--;
  delivery.drop('send-failed');
}
