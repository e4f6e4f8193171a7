/**
 * A socket as the way out of a session.
 *
 *     measurements   transmit ──> gathered ──> flush: one corked write a turn
 *                        └─ 64 KiB wait in memory: false, the delivery holds its newest until there is room
 *     reliable lane  sendReliable ──> at once; what is not acknowledged is the endpoint's to count, not ours
 *     answers        send ──> at once
 */
import type { Log } from '../../log.js';
import { Port, type Delivery } from '../../routing/delivery.js';
import { ENDINGS, type Ending } from '../../routing/endings.js';
import type { JsonObject } from '../../routing/primitive.js';
import type { Sample } from '../../routing/sample.js';
import type { ReliableKind, ReliablePort } from '../../routing/site.js';
import { WS_CLOSE, type WsSocket } from '../transport/transport.js';
import type { Frame, FrameCodec } from './frames.js';
import type { LastNotification } from './last-notification.js';

/**
 * Beyond this many bytes that a peer does not take, its measurements wait. The kernel holds megabytes before these: more of
 * ours would only make old what is delivered.
 */
const HIGH_WATER_BYTES = 64 * 1024;

const CLOSE_CODES: Partial<Record<Ending, number>> = {
  SLOW_CONSUMER: WS_CLOSE.tryAgainLater,
  PROTOCOL_ERROR: WS_CLOSE.policyViolation,
  IDLE_TIMEOUT: WS_CLOSE.policyViolation,
  CRASHED: WS_CLOSE.internalError,
  SHUTDOWN: WS_CLOSE.serviceRestart,
};

export class WsPort extends Port implements ReliablePort {
  /** Why it was closed from our side. */
  closedFor: Ending | undefined;
  /** Deliveries by the ids that the peer gave them. */
  private readonly subscriptions = new Map<number, Delivery>();
  private readonly ids = new Map<Delivery, number>();
  // Of this turn, one entry each per message: nothing is allocated per message.
  private readonly gathered: Uint8Array[] = [];
  private readonly gatheredOf: Delivery[] = [];
  private gatheredBytes = 0;

  constructor(
    private readonly socket: WsSocket,
    private readonly codec: FrameCodec,
    private readonly last: LastNotification,
    private readonly log: Log,
  ) {
    super();
  }

  add(id: number, delivery: Delivery): void {
    this.subscriptions.set(id, delivery);
    this.ids.set(delivery, id);
  }

  delivery(id: number): Delivery | undefined {
    return this.subscriptions.get(id);
  }

  remove(delivery: Delivery): void {
    const id = this.ids.get(delivery);
    if (id === undefined) return;
    this.ids.delete(delivery);
    this.subscriptions.delete(id);
  }

  /** Everything but measurements: it goes now, or the peer is given up, because it must not be lost. */
  send(frame: Frame): void {
    if (this.socket.isOpen && this.socket.send(this.codec.encode(frame), this.codec.isBinary) === 'dropped') {
      this.close('SLOW_CONSUMER');
    }
  }

  sendReliable(seq: number, kind: ReliableKind, body: JsonObject): void {
    this.send({ t: 'msg', seq, kind, body });
  }

  close(ending: Ending): void {
    if (!this.socket.isOpen) return;
    this.closedFor = ending;
    this.log.debug({ remote: this.socket.remote, ending }, 'ws: closing');
    this.socket.close(CLOSE_CODES[ending] ?? WS_CLOSE.normal, ending);
  }

  end(delivery: Delivery, ending: Ending): void {
    const sub = this.ids.get(delivery);
    if (sub === undefined) return;
    this.remove(delivery);
    const row = ENDINGS[ending];
    this.send({ t: 'end', sub, ending, reason: row.sentence, ...('status' in row && { status: row.status }) });
  }

  override release(delivery: Delivery): void {
    super.release(delivery);
    this.remove(delivery);
  }

  override drain(): void {
    this.flush();
  }

  override flush(): void {
    do {
      this.sendGathered();
      if (!this.hasRoom) return;
      // What was held because this very turn brought so much can go after all.
      super.drain();
    } while (this.gathered.length > 0);
  }

  protected transmit(delivery: Delivery, sample: Sample, body: Uint8Array): boolean {
    const sub = this.ids.get(delivery);
    if (sub === undefined || !this.hasRoom) return false;
    const message = this.last.of(sub, delivery, sample, body);
    this.gathered.push(message);
    this.gatheredOf.push(delivery);
    this.gatheredBytes += message.length;
    return true;
  }

  private get hasRoom(): boolean {
    return this.socket.isOpen && this.socket.bufferedBytes + this.gatheredBytes < HIGH_WATER_BYTES;
  }

  private sendGathered(): void {
    if (this.gathered.length === 0) return;
    this.socket.cork(this.writeGathered);
    this.gathered.length = 0;
    this.gatheredOf.length = 0;
    this.gatheredBytes = 0;
  }

  private readonly writeGathered = (): void => {
    for (let i = 0; i < this.gathered.length; i++) {
      // Both lists have one entry per message.
      if (this.socket.send(this.gathered[i]!, this.codec.isBinary) !== 'dropped') continue;
      // Closed since, or filled by answers: the account said delivered too soon.
      const delivery = this.gatheredOf[i]!; // as above
      delivery.delivered--;
      delivery.drop('send-failed');
    }
  };
}
