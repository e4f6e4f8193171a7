/** One socket that speaks frames: what is said on it, and why it was closed from our side. */
import type { Log } from '../../log.js';
import type { Ending } from '../../routing/endings.js';
import { WS_CLOSE, type SendResult, type WsSocket } from '../transport/transport.js';
import type { Frame, FrameCodec } from './frames.js';

const CLOSE_CODES: Partial<Record<Ending, number>> = {
  SLOW_CONSUMER: WS_CLOSE.tryAgainLater,
  PROTOCOL_ERROR: WS_CLOSE.policyViolation,
  IDLE_TIMEOUT: WS_CLOSE.policyViolation,
  TOKEN_EXPIRED: WS_CLOSE.policyViolation,
  PERMISSION_DENIED: WS_CLOSE.policyViolation,
  CRASHED: WS_CLOSE.internalError,
  SHUTDOWN: WS_CLOSE.serviceRestart,
};

export class Wire {
  /** Why it was closed from our side. */
  closedFor: Ending | undefined;
  private readonly waiting: (string | Uint8Array)[] = [];

  constructor(
    readonly socket: WsSocket,
    readonly codec: FrameCodec,
    private readonly log: Log,
  ) {}

  get isOpen(): boolean {
    return this.socket.isOpen;
  }

  /**
   * Everything but measurements: it goes when what is being done now is done, in one write with what else that says, or the peer
   * is given up, because it must not be lost. One fsync answers hundreds of alarms; each a write of its own was half their cost.
   */
  send(frame: Frame): void {
    if (this.isOpen && this.waiting.push(this.codec.encode(frame)) === 1) queueMicrotask(() => this.flush());
  }

  /** What waits goes now: before measurements, which are written apart, overtake it. */
  flush(): void {
    // Called for each subscriber of each turn: nothing is made where nothing waits.
    if (this.waiting.length === 0) return;
    const frames = this.waiting.splice(0);
    if (!this.isOpen) return;
    const results: SendResult[] = [];
    this.socket.cork(() => {
      for (const frame of frames) results.push(this.socket.send(frame, this.codec.isBinary));
    });
    if (results.includes('dropped')) this.close('SLOW_CONSUMER');
  }

  close(ending: Ending): void {
    this.flush();
    if (!this.isOpen) return;
    this.closedFor = ending;
    this.log.debug({ remote: this.socket.remote, ending }, 'ws: closing');
    this.socket.close(CLOSE_CODES[ending] ?? WS_CLOSE.normal, ending);
  }
}
