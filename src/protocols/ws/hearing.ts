/**
 * The peer's half of the reliable lane: what it says is heard in its order, each once, and acknowledged when its meaning has
 * been taken, not when its bytes have come.
 *
 *     msg seq ──> session.receive ──> all before it settled: taken, or refused for good ──> turn end: one ack for all of these
 *                                                  └── not now ──> error with its seq, no ack: it and all after it come again
 *
 * They are received as they come: were each to wait for the one before, a device would have one word per fsync, and its urgent
 * alarm would stand behind all that it had said before. The store keeps the order of words, and the intake of alarms that of each
 * alarm's reports; alarms of other conditions may change places, the most urgent first.
 *
 * An acknowledgement speaks for all before it: one is enough for all that one fsync has settled, and nothing after one that was
 * refused for now is acknowledged before it.
 */
import type { Clock } from '../../clock.js';
import type { Refusal } from '../../errors.js';
import type { Log } from '../../log.js';
import type { JsonObject } from '../../routing/primitive.js';
import type { ReliableKind, Session } from '../../routing/site.js';
import type { Frame, MessageFrame } from './frames.js';

/** One that is being taken. */
interface Word {
  readonly seq: number;
  /** Undefined while it is. */
  outcome: { readonly refusal: Refusal | undefined } | undefined;
}

export class Hearing {
  /** The highest `seq` that has been settled: acknowledged, or about to be. */
  heard = 0;
  /** The highest that has arrived: what comes again while it is being taken is not heard twice. */
  private arrived = 0;
  /** The one that was refused for now: none after it is taken before it comes again. */
  private awaited = Infinity;
  /** In their order. What was under way when one was refused for now comes again; its first coming settles nothing. */
  private underWay: Word[] = [];
  private isAckDue = false;

  constructor(
    private readonly session: Pick<Session, 'receive'>,
    private readonly say: (frame: Frame) => void,
    private readonly surroundings: { readonly clock: Pick<Clock, 'atTurnEnd'>; readonly log: Log },
  ) {}

  get hasHeard(): boolean {
    return this.arrived > 0;
  }

  take({ seq, kind, body }: MessageFrame): void {
    if (seq > this.awaited) return;
    if (seq > this.arrived) {
      this.awaited = Infinity;
      this.arrived = seq;
      const word: Word = { seq, outcome: undefined };
      this.underWay.push(word);
      const settle = (refusal: Refusal | undefined): void => {
        word.outcome = { refusal };
        this.settle();
      };
      this.receive(kind, body).then(settle, (error: unknown) => {
        const { log } = this.surroundings;
        log.error({ err: error, kind }, 'ws: a message of the lane failed by a fault of the broker');
        settle({ status: 'STATUS_INTERNAL_SERVER_ERROR', detail: 'A fault of the broker; it is logged.' });
      });
    } else if (seq <= this.heard) {
      // Its acknowledgement was lost.
      this.acknowledge();
    }
  }

  private receive(kind: ReliableKind, body: JsonObject): Promise<Refusal | undefined> {
    try {
      return this.session.receive(kind, body);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  private settle(): void {
    for (let first = this.underWay[0]; first?.outcome; first = this.underWay[0]) {
      const { seq, outcome } = first;
      const { refusal } = outcome;
      if (refusal) this.say({ t: 'error', status: refusal.status, reason: refusal.detail, seq });
      if (refusal?.status === 'STATUS_SERVICE_UNAVAILABLE') {
        this.arrived = this.heard;
        this.awaited = seq;
        this.underWay = [];
        return;
      }
      // Refused or not, it has arrived: sent again it would be refused again.
      this.underWay.shift();
      this.heard = seq;
      this.acknowledge();
    }
  }

  private acknowledge(): void {
    if (this.isAckDue) return;
    this.isAckDue = true;
    this.surroundings.clock.atTurnEnd(() => {
      this.isAckDue = false;
      this.say({ t: 'ack', seq: this.heard });
    });
  }
}
