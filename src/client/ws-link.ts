/** One socket to a broker, from its opening to its end: frames both ways, and whether the broker is still there. */
import WebSocket from 'ws';
import type { Clock } from '../clock.js';
import { isRefusal } from '../errors.js';
import type { Frame, FrameCodec } from '../protocols/ws/frames.js';
import { ENDINGS, type Ending } from '../routing/endings.js';
import type { TlsFiles } from './client.js';
import { GridcastError, reasonOf } from './error.js';
import { Silence } from './silence.js';

/** Until the broker has said how often it pings: an idle socket well within this. */
const SILENCE_MS = 90_000;
const INTERVALS_TO_LOSS = 3;
/** For the other side to answer a close. */
const CLOSE_PATIENCE_MS = 1_000;
/** The broker does not go on with this peer [RFC6455-7.4.1]. */
const POLICY_VIOLATION = 1008;

/** Whoever speaks over it. */
export interface LinkOwner {
  opened(link: Link): void;
  received(frame: Frame, link: Link): void;
  /** Once. Final: another socket would fare no better. */
  over(reason: GridcastError, isFinal: boolean, link: Link): void;
}

export class Link {
  /** What the broker complained of last: the reason for a close that follows. */
  complaint: GridcastError | undefined;
  private readonly socket: WebSocket;
  private readonly silence: Silence;
  private failure: unknown;
  private isOver = false;

  constructor(
    uri: string,
    private readonly where: string,
    private readonly codec: FrameCodec,
    private readonly clock: Clock,
    private readonly owner: LinkOwner,
    tls: TlsFiles = {},
  ) {
    this.silence = new Silence(clock, (limitMs) =>
      this.fail('unreachable', `Nothing was heard from ${where} for ${limitMs} ms.`),
    );
    this.silence.watch(SILENCE_MS);
    this.socket = new WebSocket(uri, codec.subprotocol, { perMessageDeflate: false, ...tls });
    this.socket.on('open', () => owner.opened(this));
    this.socket.on('message', (message: Buffer) => this.receive(message));
    this.socket.on('ping', () => this.silence.heard());
    this.socket.on('error', (error) => (this.failure = error));
    this.socket.on('close', (code, reason) => this.closed(code, reason.toString()));
  }

  send(frame: Frame): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(this.codec.encode(frame));
  }

  /** The broker pings so often: three missed, and it is gone. */
  beat(heartbeatMs: number): void {
    this.silence.watch(INTERVALS_TO_LOSS * heartbeatMs);
  }

  /** Says goodbye. */
  close(): void {
    this.silence.stop();
    this.socket.close(1000);
    const cancel = this.clock.after(CLOSE_PATIENCE_MS, () => this.socket.terminate());
    this.socket.on('close', cancel);
  }

  /** Ends it without a word. */
  fail(kind: 'unreachable' | 'protocol' | 'timed-out', why: string): void {
    this.finish(new GridcastError(kind, why), kind === 'protocol');
    this.socket.terminate();
  }

  private receive(message: Buffer): void {
    if (this.isOver) return;
    this.silence.heard();
    const frame = this.codec.decode(message);
    if (isRefusal(frame)) this.fail('protocol', `${this.where} sent what is no frame: ${frame.detail}`);
    else this.owner.received(frame, this);
  }

  private closed(code: number, reason: string): void {
    const why = this.failure === undefined ? closeReason(code, reason) : `${reasonOf(this.failure)}.`;
    const lost = new GridcastError('unreachable', `The connection to ${this.where} is over: ${why}`);
    const isFinal = code === POLICY_VIOLATION || reason === ('REPLACED' satisfies Ending);
    const { complaint } = this;
    this.finish(complaint ?? lost, isFinal && complaint?.status !== 'STATUS_SERVICE_UNAVAILABLE');
  }

  private finish(reason: GridcastError, isFinal: boolean): void {
    if (this.isOver) return;
    this.isOver = true;
    this.silence.stop();
    this.owner.over(reason, isFinal, this);
  }
}

/** A broker closes with the name of an ending; its sentence is for people. */
const closeReason = (code: number, reason: string): string =>
  Object.hasOwn(ENDINGS, reason)
    ? ENDINGS[reason as Ending].sentence
    : `close code ${code}${reason === '' ? '' : ` ${reason}`}.`;
