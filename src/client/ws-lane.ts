/**
 * The client's half of the reliable lane, both ways, across connections and sessions.
 *
 *     tell ──> seq ──> kept ──> sent ──> ack: done              the session is resumed: what is above `heard` goes again
 *       │                         └─ refused for now: again after a second
 *       └─ the session is another: all that is kept gets new numbers, in order, and goes again
 *     msg seq ──> above the last one heard: to the listeners    ──> ack, always: the one before may have been lost
 */
import type { Cancel, Clock } from '../clock.js';
import type { Frame, MessageFrame } from '../protocols/ws/frames.js';
import type { JsonObject } from '../routing/primitive.js';
import { GridcastError } from './error.js';

/** A broker whose store is in trouble is not asked more often. */
const AGAIN_MS = 1_000;
/** What may wait for a broker that is away: as many as it keeps for us. */
const MAX_KEPT = 1024;

interface Kept {
  readonly kind: MessageFrame['kind'];
  readonly body: JsonObject;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

export class WsLane {
  private kept = new Map<number, Kept>();
  private lastSeq = 0;
  private heardSeq = 0;
  private cancelAgain: Cancel | undefined;

  /** @param say sends a frame; nothing happens while no session stands */
  constructor(
    private readonly say: (frame: Frame) => void,
    private readonly clock: Clock,
  ) {}

  tell(kind: MessageFrame['kind'], body: JsonObject): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.kept.size >= MAX_KEPT) {
        reject(new GridcastError('unreachable', `${MAX_KEPT} messages wait for the broker, which is the limit.`));
        return;
      }
      const seq = ++this.lastSeq;
      this.kept.set(seq, { kind, body, resolve, reject });
      this.say({ t: 'msg', seq, kind, body });
    });
  }

  acknowledged(upTo: number): void {
    for (const [seq, { resolve }] of this.kept) {
      if (seq > upTo) return;
      this.kept.delete(seq);
      resolve();
    }
  }

  /** The broker could not take one of ours now, nor what came after it. */
  refusedForNow(): void {
    this.cancelAgain ??= this.clock.after(AGAIN_MS, () => this.sayAgain());
  }

  /** @returns whether it is heard for the first time */
  hears({ seq }: MessageFrame): boolean {
    if (seq <= this.heardSeq) return false;
    this.heardSeq = seq;
    return true;
  }

  acknowledge(): void {
    this.say({ t: 'ack', seq: this.heardSeq });
  }

  /** The same session on another connection. */
  resume(heard: number): void {
    this.acknowledged(heard);
    this.sayAgain();
  }

  /** Another session: nothing of ours has been heard in it, nor of its words by us. */
  renew(): void {
    const kept = [...this.kept.values()];
    this.heardSeq = 0;
    this.lastSeq = kept.length;
    this.kept = new Map(kept.map((one, index) => [index + 1, one]));
    this.sayAgain();
  }

  end(reason: unknown): void {
    this.cancelAgain?.();
    for (const { reject } of this.kept.values()) reject(reason);
    this.kept.clear();
  }

  private sayAgain(): void {
    this.cancelAgain?.();
    this.cancelAgain = undefined;
    for (const [seq, { kind, body }] of this.kept) this.say({ t: 'msg', seq, kind, body });
  }
}
