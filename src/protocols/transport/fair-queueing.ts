/**
 * Fair queueing of what peers say [RFC970]: of each connection a share a turn, so that nobody waits behind the thousand messages
 * that another one has sent at once.
 *
 *     message ──> within its flow's share of this turn ──> heard at once
 *                     └─ beyond it: its flow's queue ── turn end ──> one of each flow in rotation, PER_TURN in all ──> heard
 *
 * Nothing is dropped, and a flow keeps its order: where its queue is full the oldest is heard at once, as if there were none.
 */
import type { Clock } from '../../clock.js';

/** Of one flow. Who commands, and who obeys, says less: an alarm is 10 us, so ten devices that flood take 1.6 ms a turn. */
const SHARE = 16;
/** Of what waits: faster than the intake of alarms takes them (64), so that they wait there, where the urgent ones go first. */
const PER_TURN = 160;
/** Of one flow's queue, with what each message takes beside its bytes. */
const QUEUE_BYTES = 1024 * 1024;
const MESSAGE_BYTES = 256;

export class FairQueueing {
  /** Flows with a queue, the next one first. */
  private readonly waiting = new Set<Flow>();
  private isArmed = false;
  /** The present one. */
  turn = 0;

  constructor(private readonly clock: Pick<Clock, 'atTurnEnd'>) {}

  /** @param flow has said something in this turn, or has something that waits */
  said(flow: Flow): void {
    if (flow.isWaiting) this.waiting.add(flow);
    if (this.isArmed) return;
    this.isArmed = true;
    this.clock.atTurnEnd(() => this.endTurn());
  }

  private endTurn(): void {
    this.isArmed = false;
    this.turn++;
    let left = PER_TURN;
    for (const flow of this.waiting) {
      if (left-- === 0) break;
      this.waiting.delete(flow);
      flow.next();
      // At the end of the set: the others come first.
      if (flow.isWaiting) this.said(flow);
    }
    const [first] = this.waiting;
    if (first) this.said(first);
  }
}

interface Message {
  readonly bytes: Buffer;
  readonly isBinary: boolean;
}

/** The messages of one connection. */
export class Flow {
  private readonly queue: Message[] = [];
  private queuedBytes = 0;
  private turn = -1;
  private heard = 0;

  constructor(
    private readonly queueing: FairQueueing,
    private readonly hear: (bytes: Buffer, isBinary: boolean) => void,
  ) {}

  get isWaiting(): boolean {
    return this.queue.length > 0;
  }

  put(bytes: Buffer, isBinary: boolean): void {
    const { queueing } = this;
    if (this.turn !== queueing.turn) [this.turn, this.heard] = [queueing.turn, 0];
    if (!this.isWaiting && this.heard < SHARE) {
      this.heard++;
      queueing.said(this);
      return this.hear(bytes, isBinary);
    }
    this.queue.push({ bytes, isBinary });
    this.queuedBytes += bytes.length + MESSAGE_BYTES;
    queueing.said(this);
    while (this.queuedBytes > QUEUE_BYTES) this.next();
  }

  /** The oldest that waits is heard now. */
  next(): void {
    const message = this.queue.shift();
    if (!message) return;
    this.queuedBytes -= message.bytes.length + MESSAGE_BYTES;
    this.hear(message.bytes, message.isBinary);
  }

  /** No more will come: all that waits is heard now. */
  end(): void {
    while (this.isWaiting) this.next();
  }
}
