/** One socket that speaks frames: what is said on it, and why it was closed from our side. */
import type { Log } from '../../log.js';
import type { Ending } from '../../routing/endings.js';
import { WS_CLOSE, type WsSocket } from '../transport/transport.js';
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

  constructor(
    readonly socket: WsSocket,
    readonly codec: FrameCodec,
    private readonly log: Log,
  ) {}

  get isOpen(): boolean {
    return this.socket.isOpen;
  }

  /** Everything but measurements: it goes now, or the peer is given up, because it must not be lost. */
  send(frame: Frame): void {
    if (this.isOpen && this.socket.send(this.codec.encode(frame), this.codec.isBinary) === 'dropped') {
      this.close('SLOW_CONSUMER');
    }
  }

  close(ending: Ending): void {
    if (!this.isOpen) return;
    this.closedFor = ending;
    this.log.debug({ remote: this.socket.remote, ending }, 'ws: closing');
    this.socket.close(CLOSE_CODES[ending] ?? WS_CLOSE.normal, ending);
  }
}
