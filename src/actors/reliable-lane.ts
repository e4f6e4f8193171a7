/**
 * The reliable lane of one session: commands, alarms and outcomes, in order, kept until the peer has acknowledged them.
 *
 *     send ──> seq ──> kept ──> port                 acknowledge(seq) ──> everything up to seq is let go
 *       above 75 % of 1,024 frames or 1 MiB: measurements are suspended; for more than 5 s, or full: SLOW_CONSUMER
 */
import type { Cancel } from '../clock.js';
import type { JsonObject } from '../routing/primitive.js';
import type { ReliableKind } from '../routing/site.js';
import type { Schedule } from './notification-channel.js';

const MAX_FRAMES = 1024;
const MAX_BYTES = 1024 * 1024;
const HIGH_WATER = 0.75;
/** How long a peer may stay above the high water before it is given up. */
const PATIENCE_MS = 5_000;

export interface LaneOwner {
  transmit(seq: number, kind: ReliableKind, body: JsonObject): void;
  /** The lane has filled to three quarters, or is below them again. */
  congested(isCongested: boolean): void;
  /** The peer does not take what it must not lose. */
  overrun(): void;
}

interface Kept {
  readonly seq: number;
  readonly bytes: number;
  readonly acknowledged: (() => void) | undefined;
}

export class ReliableLane {
  private readonly kept: Kept[] = [];
  private bytes = 0;
  private lastSeq = 0;
  private cancelPatience: Cancel | undefined;

  constructor(
    private readonly owner: LaneOwner,
    private readonly schedule: Schedule,
  ) {}

  /**
   * @param acknowledged called when the peer has it
   * @returns false: the lane is full, the session is being ended, and nothing was sent
   */
  send(kind: ReliableKind, body: JsonObject, acknowledged?: () => void): boolean {
    const bytes = JSON.stringify(body).length;
    if (this.kept.length >= MAX_FRAMES || this.bytes + bytes > MAX_BYTES) {
      this.owner.overrun();
      return false;
    }
    const seq = ++this.lastSeq;
    this.kept.push({ seq, bytes, acknowledged });
    this.bytes += bytes;
    this.owner.transmit(seq, kind, body);
    this.weigh();
    return true;
  }

  /** The peer has everything up to and including `seq`. */
  acknowledge(seq: number): void {
    const count = this.kept.findIndex((kept) => kept.seq > seq);
    const gone = this.kept.splice(0, count < 0 ? this.kept.length : count);
    for (const { bytes } of gone) this.bytes -= bytes;
    this.weigh();
    for (const { acknowledged } of gone) acknowledged?.();
  }

  dispose(): void {
    this.cancelPatience?.();
    this.cancelPatience = undefined;
  }

  private weigh(): void {
    const isHigh = this.kept.length > MAX_FRAMES * HIGH_WATER || this.bytes > MAX_BYTES * HIGH_WATER;
    if (isHigh === (this.cancelPatience !== undefined)) return;
    if (isHigh) this.cancelPatience = this.schedule(PATIENCE_MS, () => this.owner.overrun());
    else this.dispose();
    this.owner.congested(isHigh);
  }
}
