/** A WebSocket client that speaks frames, and takes in everything it is sent. */
import { once } from 'node:events';
import { WebSocket, type ClientOptions } from 'ws';
import { FRAME_CODECS, type Frame, type Subprotocol } from '../../src/protocols/ws/frames.js';

export class FramePeer {
  readonly closed: Promise<{ code: number; reason: string }>;
  private readonly frames: Frame[] = [];
  private wake: () => void = () => {};

  constructor(
    readonly socket: WebSocket,
    private readonly subprotocol: Subprotocol,
  ) {
    this.closed = new Promise((done) =>
      socket.on('close', (code, reason) => done({ code, reason: reason.toString() })),
    );
    socket.on('message', (bytes: Buffer) => {
      const frame = FRAME_CODECS[subprotocol].decode(bytes);
      if ('detail' in frame) throw new Error(frame.detail);
      this.frames.push(frame);
      this.wake();
    });
  }

  /** Resolves when the socket is open. */
  static async open(uri: string, subprotocol: Subprotocol, options: ClientOptions = {}): Promise<FramePeer> {
    const socket = new WebSocket(uri, [subprotocol], options);
    const peer = new FramePeer(socket, subprotocol);
    await once(socket, 'open');
    return peer;
  }

  send(...frames: Frame[]): void {
    for (const frame of frames) this.socket.send(FRAME_CODECS[this.subprotocol].encode(frame));
  }

  async next(): Promise<Frame> {
    for (;;) {
      const frame = this.frames.shift();
      if (frame) return frame;
      await new Promise<void>((arrived) => (this.wake = arrived));
    }
  }
}

/** All frames up to the acknowledgement of `seq`, without those before it: words that one turn settles have one for all. */
export async function untilAcknowledged(peer: FramePeer, seq: number): Promise<Frame[]> {
  const frames: Frame[] = [];
  for (;;) {
    const frame = await peer.next();
    if (frame.t !== 'ack') frames.push(frame);
    else if (frame.seq === seq) return frames;
  }
}
