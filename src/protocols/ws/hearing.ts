/**
 * The peer's half of the reliable lane: what it says is heard in its order, each once, and acknowledged when its meaning has
 * been taken, not when its bytes have come.
 *
 *     msg seq ──> session.receive ──> all before it settled: taken, or refused for good ──> ack seq
 *                                                  └── not now ──> error with its seq, no ack: it and all after it come again
 *
 * They are received as they come: were each to wait for the one before, a device would have one word per fsync, and its urgent
 * alarm would stand behind all that it had said before. The store keeps the order of words, and the intake of alarms that of each
 * alarm's reports; alarms of other conditions may change places, the most urgent first.
 *
 * An acknowledgement speaks for all before it; so nothing after one that was refused for now is acknowledged before it.
 */
import type { Refusal } from '../../errors.js';
import type { Log } from '../../log.js';
import type { Session } from '../../routing/site.js';
import type { Frame, MessageFrame } from './frames.js';

export class Hearing {
  /** The highest `seq` that has been acknowledged. */
  heard = 0;
  /** The highest that has arrived: what comes again while it is being taken is not heard twice. */
  private arrived = 0;
  /** The one that was refused for now: none after it is taken before it comes again. */
  private awaited = Infinity;
  /** How often one was refused for now: what was under way then comes again, and its first coming settles nothing. */
  private era = 0;
  /** All that has arrived is settled. */
  private last: Promise<void> = Promise.resolve();

  constructor(
    private readonly session: Pick<Session, 'receive'>,
    private readonly say: (frame: Frame) => void,
    private readonly log: Log,
  ) {}

  get hasHeard(): boolean {
    return this.arrived > 0;
  }

  take(frame: MessageFrame): void {
    if (frame.seq > this.awaited) return;
    if (frame.seq > this.arrived) {
      this.awaited = Infinity;
      this.arrived = frame.seq;
      const { era } = this;
      const received = this.receive(frame);
      this.last = this.last.then(async () => this.settle(frame.seq, era, await received));
    } else if (frame.seq <= this.heard) {
      // Its acknowledgement was lost.
      this.say({ t: 'ack', seq: this.heard });
    }
  }

  private settle(seq: number, era: number, refusal: Refusal | undefined): void {
    // One before it was refused for now: the peer says both again.
    if (era !== this.era) return;
    if (refusal) this.say({ t: 'error', status: refusal.status, reason: refusal.detail, seq });
    if (refusal?.status === 'STATUS_SERVICE_UNAVAILABLE') {
      this.arrived = this.heard;
      this.awaited = seq;
      this.era++;
      return;
    }
    // Refused or not, it has arrived: sent again it would be refused again.
    this.heard = seq;
    this.say({ t: 'ack', seq });
  }

  private async receive({ kind, body }: MessageFrame): Promise<Refusal | undefined> {
    try {
      return await this.session.receive(kind, body);
    } catch (error) {
      this.log.error({ err: error, kind }, 'ws: a message of the lane failed by a fault of the broker');
      return { status: 'STATUS_INTERNAL_SERVER_ERROR', detail: 'A fault of the broker; it is logged.' };
    }
  }
}
