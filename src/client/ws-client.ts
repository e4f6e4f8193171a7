/**
 * The WebSocket client: requests, several subscriptions and the reliable lane on one socket.
 *
 *     hello ──> welcome
 *     req id ──> res id        sub id ──> res id, ntf sub=id, ntf ...        unsub sub=id ──> res
 *     msg seq <──> ack seq     both ways: each is acknowledged, and one that comes twice is heard once
 */
import WebSocket from 'ws';
import { systemClock, type Cancel, type Clock } from '../clock.js';
import { isRefusal } from '../errors.js';
import {
  FRAME_CODECS,
  WS_PATH,
  type Frame,
  type FrameCodec,
  type MessageFrame,
  type NotificationFrame,
  type ResponseFrame,
  type Subprotocol,
} from '../protocols/ws/frames.js';
import { ENDINGS, type Ending } from '../routing/endings.js';
import type { JsonObject } from '../routing/primitive.js';
import {
  bytesOf,
  DEFAULT_TIMEOUT_MS,
  FAREWELL_MS,
  type Client,
  type ClientOptions,
  type ClientRequest,
  type ClientResponse,
  type Notification,
  type ObserveTerms,
} from './client.js';
import { deadline } from './deadline.js';
import { GridcastError, reasonOf } from './error.js';
import { iterate, type Inbox } from './inbox.js';
import { refusalOf } from './refusal.js';
import { authority, pathAndQuery, resolve, type Target } from './target.js';

export type ReliableKind = MessageFrame['kind'];
export type ReliableListener = (kind: ReliableKind, body: JsonObject) => void;

export interface WsClientOptions extends ClientOptions {
  /** `gridcast.v1+json` can be read along; `gridcast.v1` is protobuf, and smaller. Default: JSON. */
  readonly subprotocol?: Subprotocol;
  /** Paths of the applications whose device this session is. */
  readonly attach?: readonly string[];
  /** Hears the reliable lane from the first message on; see `hear`. */
  readonly received?: ReliableListener;
}

/** The broker pings an idle socket well within this; one that is silent longer is dead, whatever TCP says. */
const SILENCE_MS = 90_000;
/** For the other side to answer a close. */
const CLOSE_PATIENCE_MS = 1_000;
const OCTETS = 'application/octet-stream';

interface Subscription {
  readonly inbox: Inbox<Notification>;
  mediaType: string;
}

/** Waits for the answer or acknowledgement with its number. */
interface Waiting<Result> {
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export class WsClient implements Client {
  readonly binding = 'ws';
  /** Resolves to the reason when the connection is over, whoever ended it. */
  readonly closed: Promise<GridcastError>;
  private readonly where: string;
  private readonly listeners = new Set<ReliableListener>();
  private readonly answers = new Map<number, Waiting<ResponseFrame>>();
  private readonly subscriptions = new Map<number, Subscription>();
  private readonly unacknowledged = new Map<number, Waiting<void>>();
  private lastId = 0;
  private lastSeq = 0;
  private heardSeq = 0;
  private heardUs: number;
  private cancelSilence: Cancel = () => {};
  private welcomed: () => void = () => {};
  /** What the broker complained of last: the best reason for a close that follows. */
  private complaint: GridcastError | undefined;
  private ending: GridcastError | undefined;

  private constructor(
    private readonly base: Target,
    private readonly socket: WebSocket,
    private readonly codec: FrameCodec,
    private readonly clock: Clock,
  ) {
    this.where = authority(base);
    this.heardUs = clock.monotonicUs();
    this.closed = new Promise((resolve) => {
      let failure: unknown;
      socket.on('error', (error) => (failure = error));
      socket.on('close', (code, reason) => {
        const why = failure === undefined ? closeReason(code, reason.toString()) : `${reasonOf(failure)}.`;
        resolve(this.end(new GridcastError('unreachable', `The connection to ${this.where} is over: ${why}`)));
      });
    });
    socket.on('message', (message: Buffer) => this.receive(message));
    socket.on('ping', () => (this.heardUs = clock.monotonicUs()));
    this.listenForSilence();
  }

  /** Connects and says hello. Throws `unreachable` or `timed-out`; `refused` where the broker does not take the hello. */
  static async open(base: Target, options: WsClientOptions = {}): Promise<WsClient> {
    const { clock = systemClock, subprotocol = 'gridcast.v1+json', timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    const { originator, token, attach = [], received } = options;
    const uri = `${base.scheme}://${authority(base)}${WS_PATH}`;
    const socket = new WebSocket(uri, subprotocol, { perMessageDeflate: false });
    const client = new WsClient(base, socket, FRAME_CODECS[subprotocol], clock);
    if (received) client.hear(received);
    const limit = deadline(clock, timeoutMs, `${authority(base)} did not open a WebSocket`);
    const hello = { ...(originator !== undefined && { originator }), ...(token !== undefined && { token }), attach };
    try {
      await new Promise<void>((resolve, reject) => {
        limit.signal.addEventListener('abort', () => reject(limit.signal.reason));
        void client.closed.then(reject);
        socket.on('open', () => client.send({ t: 'hello', ...hello }));
        client.welcomed = resolve;
      });
    } catch (error) {
      socket.terminate();
      throw error;
    } finally {
      limit.cancel();
    }
    return client;
  }

  async request({ op, to, accept, body, signal, timeoutMs }: ClientRequest): Promise<ClientResponse> {
    const frame = {
      op,
      to: this.path(to),
      ifMatch: [],
      ifNoneMatch: [],
      ...(accept !== undefined && { accept }),
      ...(body && { payload: bytesOf(body) }),
    };
    const { status, payload, location } = await this.ask((id) => ({ t: 'req', id, ...frame }), timeoutMs, signal);
    return {
      status,
      bytes: payload?.bytes ?? new Uint8Array(),
      ...(payload && { mediaType: payload.mediaType }),
      ...(location !== undefined && { location }),
    };
  }

  observe(to: string, terms: ObserveTerms = {}): AsyncIterableIterator<Notification> {
    const { rate, accept, class: latencyClass, signal } = terms;
    return iterate(async (inbox) => {
      const subscription: Subscription = { inbox, mediaType: OCTETS };
      let sub = 0;
      try {
        const { format } = await this.ask((id) => {
          // Notifications may follow the answer within the same packet.
          this.subscriptions.set((sub = id), subscription);
          return {
            t: 'sub',
            id,
            to: this.path(to),
            ...(rate !== undefined && { rate }),
            ...(accept !== undefined && { accept }),
            ...(latencyClass !== undefined && { class: latencyClass }),
          };
        });
        subscription.mediaType = format ?? OCTETS;
      } catch (error) {
        this.subscriptions.delete(sub);
        throw error;
      }
      return async () => {
        // What ended it may have been the other side, and then there is nobody to tell.
        if (this.subscriptions.delete(sub) && !this.ending)
          await this.ask((id) => ({ t: 'unsub', id, sub }), FAREWELL_MS).catch(() => undefined);
      };
    }, signal);
  }

  /** Hears the messages of the reliable lane; each is acknowledged when all listeners have returned. Returns what stops it. */
  hear(listener: ReliableListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Says something on the reliable lane; resolves when the broker has acknowledged it, throws when the connection is lost before. */
  tell(kind: ReliableKind, body: JsonObject): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.ending) {
        reject(this.ending);
        return;
      }
      const seq = ++this.lastSeq;
      this.unacknowledged.set(seq, { resolve, reject });
      this.send({ t: 'msg', seq, kind, body });
    });
  }

  async close(): Promise<void> {
    this.end(new GridcastError('closed', 'This client has been closed.'));
    this.socket.close();
    const cancel = this.clock.after(CLOSE_PATIENCE_MS, () => this.socket.terminate());
    await this.closed;
    cancel();
  }

  /** One exchange of a frame with an id for the `res` that bears it. Refusals are thrown. */
  private async ask(
    frameOf: (id: number) => Frame,
    timeoutMs = DEFAULT_TIMEOUT_MS,
    signal?: AbortSignal,
  ): Promise<ResponseFrame> {
    if (this.ending) throw this.ending;
    signal?.throwIfAborted();
    const id = ++this.lastId;
    const limit = deadline(this.clock, timeoutMs, `${this.where} did not answer`, signal);
    try {
      const answer = await new Promise<ResponseFrame>((resolve, reject) => {
        limit.signal.addEventListener('abort', () => reject(limit.signal.reason));
        this.answers.set(id, { resolve, reject });
        this.send(frameOf(id));
      });
      if (answer.code >= 400)
        throw refusalOf(answer.status, answer.payload?.mediaType, answer.payload?.bytes ?? new Uint8Array());
      return answer;
    } finally {
      limit.cancel();
      this.answers.delete(id);
    }
  }

  private send(frame: Frame): void {
    this.socket.send(this.codec.encode(frame));
  }

  private receive(message: Buffer): void {
    this.heardUs = this.clock.monotonicUs();
    const frame = this.codec.decode(message);
    if (isRefusal(frame)) return this.fail(`${this.where} sent what is no frame: ${frame.detail}`);
    switch (frame.t) {
      case 'welcome':
        return this.welcomed();
      case 'res':
        return this.answers.get(frame.id)?.resolve(frame);
      case 'ntf':
        return this.notified(frame);
      case 'end':
        this.subscriptions.get(frame.sub)?.inbox.fail(new GridcastError('refused', frame.reason, frame.status));
        return void this.subscriptions.delete(frame.sub);
      case 'msg':
        return this.heard(frame);
      case 'ack':
        for (const [seq, { resolve }] of this.unacknowledged) {
          if (seq > frame.seq) break;
          this.unacknowledged.delete(seq);
          resolve();
        }
        return;
      case 'ping':
        return this.send({ ...frame, t: 'pong' });
      case 'error':
        this.complaint = new GridcastError('refused', frame.reason, frame.status);
        return this.answers.get(frame.id ?? 0)?.reject(this.complaint);
      case 'pong':
        return;
      case 'hello':
      case 'req':
      case 'sub':
      case 'unsub':
        return this.fail(`${this.where} sent a frame of a client: ${frame.t}`);
    }
  }

  private notified({ sub, timeUs, body, missed, n }: NotificationFrame): void {
    const subscription = this.subscriptions.get(sub);
    subscription?.inbox.push({ timeUs, mediaType: subscription.mediaType, body, missed, sequence: n });
  }

  private heard({ seq, kind, body }: MessageFrame): void {
    if (seq > this.heardSeq) {
      this.heardSeq = seq;
      for (const listener of this.listeners) listener(kind, body);
    }
    this.send({ t: 'ack', seq: this.heardSeq });
  }

  private fail(why: string): void {
    this.end(new GridcastError('protocol', why));
    this.socket.terminate();
  }

  /** Lets go of all who wait. The first reason counts. */
  private end(why: GridcastError): GridcastError {
    if (this.ending) return this.ending;
    const ending = (this.ending = why.kind === 'unreachable' ? (this.complaint ?? why) : why);
    this.cancelSilence();
    for (const { reject } of [...this.answers.values(), ...this.unacknowledged.values()]) reject(ending);
    for (const { inbox } of this.subscriptions.values()) inbox.fail(ending);
    this.answers.clear();
    this.unacknowledged.clear();
    this.subscriptions.clear();
    return ending;
  }

  private listenForSilence(): void {
    this.cancelSilence = this.clock.after(SILENCE_MS, () => {
      if (this.clock.monotonicUs() - this.heardUs >= SILENCE_MS * 1000)
        this.fail(`Nothing was heard from ${this.where} for ${SILENCE_MS / 1000} s.`);
      else this.listenForSilence();
    });
  }

  private path(to: string): string {
    return pathAndQuery(resolve(this.base, to));
  }
}

/** A broker closes with the name of an ending; its sentence is for people. */
const closeReason = (code: number, reason: string): string =>
  Object.hasOwn(ENDINGS, reason)
    ? ENDINGS[reason as Ending].sentence
    : `close code ${code}${reason === '' ? '' : ` ${reason}`}.`;
