/**
 * One simulated WebSocket, as the broker's transport shows it and as a peer holds it. What TCP does is done: each way in
 * order, whole, late; or the connection breaks, and what was under way is lost.
 *
 *     peer ── send ──> [delay] ──> WsReceiver.message          WsSocket.send ──> [delay] ──> heard
 *     stall   nothing passes for a while, then all of it, in order; what the peer does not take is `bufferedBytes`
 *     cut     both ends hear of it, each at its own time; half-open: one of them much later
 */
import {
  DEFAULT_LIMITS,
  WS_CLOSE,
  type SendResult,
  type WsReceiver,
  type WsSocket,
} from '../../src/protocols/transport/transport.js';
import type { Life } from './timeline.js';
import type { Chance, World } from './world.js';

/** What the kernels of both ends take before anything waits in the sender. */
const KERNEL_BYTES = 32 * 1024;
/** One way, microseconds: a substation's network, now and then a bad minute of it. */
const DELAY_US = [200, 3_000] as const;
const BAD_DELAY_US = [20_000, 400_000] as const;

export interface LinkPeer {
  readonly life: Life;
  heard(message: Buffer): void;
  /** Once; 1006 where no close frame came. */
  closed(code: number, reason: string): void;
}

interface Way {
  /** TCP keeps the order. */
  lastUs: number;
  bytesUnderWay: number;
}

export class Link {
  private readonly inward: Way = { lastUs: 0, bytesUnderWay: 0 };
  private readonly outward: Way = { lastUs: 0, bytesUnderWay: 0 };
  private readonly socket: LinkSocket;
  private receiver: WsReceiver | undefined;
  private stalledUntilUs = 0;
  private isPeerOpen = true;
  private isBrokerOpen = true;
  isBad = false;

  constructor(
    private readonly world: World,
    private readonly chance: Chance,
    private readonly peer: LinkPeer,
    private readonly brokerLife: Life,
    accept: (socket: WsSocket) => WsReceiver,
  ) {
    this.socket = new LinkSocket(this);
    this.receiver = accept(this.socket);
  }

  get isOpen(): boolean {
    return this.isBrokerOpen;
  }

  /** Bytes that wait in the broker's memory because the peer does not take them. */
  get bufferedBytes(): number {
    return Math.max(0, this.outward.bytesUnderWay - KERNEL_BYTES);
  }

  /** Of the peer. */
  send(message: string | Uint8Array): void {
    if (!this.isPeerOpen) return;
    const bytes = Buffer.from(message);
    this.carry(this.inward, bytes.length, this.brokerLife, () => {
      if (this.isBrokerOpen) this.receiver?.message(bytes, false);
    });
  }

  /** The peer closes in order. */
  close(): void {
    if (!this.isPeerOpen) return;
    this.isPeerOpen = false;
    this.carry(this.inward, 0, this.brokerLife, () => this.endBroker(WS_CLOSE.normal, ''));
  }

  sendOutward(message: string | Uint8Array): SendResult {
    if (!this.isBrokerOpen || this.bufferedBytes > DEFAULT_LIMITS.maxBackpressureBytes) return 'dropped';
    const bytes = Buffer.from(message);
    const hadToWait = this.bufferedBytes > 0;
    this.carry(this.outward, bytes.length, this.peer.life, () => {
      if (this.isPeerOpen) this.peer.heard(bytes);
      if (hadToWait && this.isBrokerOpen && this.brokerLife.isAlive && this.bufferedBytes === 0) this.receiver?.drain();
    });
    return this.bufferedBytes > 0 ? 'queued' : 'sent';
  }

  closeOutward(code: number, reason: string): void {
    if (!this.isBrokerOpen) return;
    this.carry(this.outward, 0, this.peer.life, () => this.endPeer(code, reason));
    this.endBroker(code, reason);
  }

  /** Nothing passes either way for so long; then everything does. */
  stall(spanUs: number): void {
    this.stalledUntilUs = this.world.timeline.nowUs + spanUs;
  }

  /**
   * The connection is gone, and all that was under way.
   *
   * @param peerAfterUs when the peer hears of it
   * @param brokerAfterUs when the broker does: far later, where the link is half-open
   */
  cut(peerAfterUs: number, brokerAfterUs: number): void {
    const { timeline } = this.world;
    this.inward.lastUs = this.outward.lastUs = Infinity;
    timeline.after(peerAfterUs, () => this.endPeer(WS_CLOSE.noCloseFrame, ''), this.peer.life);
    timeline.after(brokerAfterUs, () => this.endBroker(WS_CLOSE.noCloseFrame, ''), this.brokerLife);
  }

  /** A sign of life is asked for: every WebSocket answers by itself. */
  ping(): void {
    const echo = (): void =>
      this.carry(this.inward, 0, this.brokerLife, () => this.isBrokerOpen && this.receiver?.pong());
    this.carry(this.outward, 0, this.peer.life, () => this.isPeerOpen && echo());
  }

  /** The broker cuts it off without a word. */
  terminate(): void {
    this.carry(this.outward, 0, this.peer.life, () => this.endPeer(WS_CLOSE.noCloseFrame, ''));
    this.endBroker(WS_CLOSE.noCloseFrame, '');
  }

  private endPeer(code: number, reason: string): void {
    if (!this.isPeerOpen) return;
    this.isPeerOpen = false;
    this.peer.closed(code, reason);
  }

  private endBroker(code: number, reason: string): void {
    if (!this.isBrokerOpen) return;
    this.isBrokerOpen = false;
    this.receiver?.close(code, reason);
  }

  private carry(way: Way, bytes: number, to: Life, arrive: () => void): void {
    if (way.lastUs === Infinity) return;
    const { timeline } = this.world;
    const [from, below] = this.isBad ? BAD_DELAY_US : DELAY_US;
    const start = Math.max(timeline.nowUs, this.stalledUntilUs);
    way.lastUs = Math.max(way.lastUs + 1, start + this.chance.between(from, below));
    way.bytesUnderWay += bytes;
    timeline.after(
      way.lastUs - timeline.nowUs,
      () => {
        // It was cut meanwhile.
        if (way.lastUs === Infinity) return;
        way.bytesUnderWay -= bytes;
        arrive();
      },
      to,
    );
  }
}

class LinkSocket implements WsSocket {
  readonly remote = 'simulated';
  readonly protocol = 'gridcast.v1+json';

  constructor(private readonly link: Link) {}

  get isOpen(): boolean {
    return this.link.isOpen;
  }
  get bufferedBytes(): number {
    return this.link.bufferedBytes;
  }
  send(message: string | Uint8Array): SendResult {
    return this.link.sendOutward(message);
  }
  cork(write: () => void): void {
    write();
  }
  ping(): void {
    this.link.ping();
  }
  terminate(): void {
    this.link.terminate();
  }
  close(code: number, reason: string): void {
    this.link.closeOutward(code, reason);
  }
}
