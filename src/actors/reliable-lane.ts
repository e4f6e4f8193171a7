/**
 * The reliable lane of one session: commands, alarms and outcomes, in order, kept until the peer has acknowledged them.
 *
 *     send ──> seq ──> kept ──> port                 acknowledge(seq) ──> everything up to seq is let go
 *       above 75 % of 1,024 frames or 1 MiB: measurements are suspended; for more than 5 s, or full: SLOW_CONSUMER
 *       the oldest is the same at two looks, 15 s apart: SLOW_CONSUMER, however little is kept
 *     hold ──> kept alone: the peer is away          replay ──> all that is kept goes again, in order, under its seq
 */
import type { Cancel } from '../clock.js';
import type { JsonObject } from '../routing/primitive.js';
import type { ReliableBody, ReliableKind } from '../routing/site.js';
import type { Schedule } from './notification-channel.js';

const MAX_FRAMES = 1024;
const MAX_BYTES = 1024 * 1024;
const HIGH_WATER = 0.75;
/** How long a peer may stay above the high water before it is given up. */
const PATIENCE_MS = 5_000;
/**
 * A peer may answer every heart-beat and take nothing: its screen hangs, its reader is stuck. Feeders of a lane wait for its
 * acknowledgements, so it would never fill. Longer than any pause of a peer that lives; looks are cheaper than a timer for each message.
 */
const LOOK_MS = 15_000;

export interface LaneOwner {
  transmit(seq: number, kind: ReliableKind, body: JsonObject): void;
  /** The lane has filled to three quarters, or is below them again. */
  congested(isCongested: boolean): void;
  /** The peer does not take what it must not lose. */
  overrun(): void;
}

/** A message on its way to the lane. */
export interface LaneMessage {
  readonly kind: ReliableKind;
  readonly body: ReliableBody;
  /** Called once the peer has it; never where the lane ends before: then it is the sender's to send elsewhere. */
  readonly acknowledged?: (() => void) | undefined;
}

interface Kept extends LaneMessage {
  readonly seq: number;
  readonly bytes: number;
}

export class ReliableLane {
  private kept: Kept[] = [];
  private bytes = 0;
  private lastSeq = 0;
  private isHeld = false;
  private cancelPatience: Cancel | undefined;
  private cancelLook: Cancel | undefined;

  constructor(
    private readonly owner: LaneOwner,
    private readonly schedule: Schedule,
  ) {}

  get isEmpty(): boolean {
    return this.kept.length === 0;
  }

  get isHigh(): boolean {
    return this.kept.length > MAX_FRAMES * HIGH_WATER || this.bytes > MAX_BYTES * HIGH_WATER;
  }

  /** A full lane ends the session, and nothing is sent. */
  send(message: LaneMessage): void {
    const body = bodyOf(message);
    if (body === undefined) return;
    const bytes = JSON.stringify(body).length;
    if (this.kept.length >= MAX_FRAMES || this.bytes + bytes > MAX_BYTES) return this.owner.overrun();
    const seq = ++this.lastSeq;
    this.kept.push({ ...message, seq, bytes });
    this.bytes += bytes;
    if (!this.isHeld) this.owner.transmit(seq, message.kind, body);
    this.weigh();
    this.watch();
  }

  /** The peer has everything up to and including `seq`. */
  acknowledge(seq: number): void {
    for (let first = this.kept[0]; first !== undefined && first.seq <= seq; first = this.kept[0]) {
      this.kept.shift();
      this.bytes -= first.bytes;
      first.acknowledged?.();
    }
    this.weigh();
  }

  /** The peer is away: what is sent now is only kept. It has no chance to acknowledge, so nothing is held against it. */
  hold(): void {
    this.isHeld = true;
    this.dispose();
  }

  /** The peer is back. */
  replay(): void {
    this.isHeld = false;
    this.kept = this.kept.filter((one) => {
      const body = bodyOf(one);
      if (body === undefined) this.bytes -= one.bytes;
      else this.owner.transmit(one.seq, one.kind, body);
      return body !== undefined;
    });
    this.weigh();
    this.watch();
  }

  dispose(): void {
    this.cancelPatience?.();
    this.cancelLook?.();
    this.cancelPatience = this.cancelLook = undefined;
  }

  /** Looks at the oldest message now and again, as long as there is one. */
  private watch(): void {
    const oldest = this.kept[0]?.seq;
    if (oldest === undefined || this.isHeld) return;
    this.cancelLook ??= this.schedule(LOOK_MS, () => {
      this.cancelLook = undefined;
      if (this.kept[0]?.seq === oldest) this.owner.overrun();
      else this.watch();
    });
  }

  private weigh(): void {
    const { isHigh } = this;
    if (this.isHeld || isHigh === (this.cancelPatience !== undefined)) return;
    if (isHigh) this.cancelPatience = this.schedule(PATIENCE_MS, () => this.owner.overrun());
    else {
      this.cancelPatience?.();
      this.cancelPatience = undefined;
    }
    this.owner.congested(isHigh);
  }
}

const bodyOf = ({ body }: LaneMessage): JsonObject | undefined => (typeof body === 'function' ? body() : body);
