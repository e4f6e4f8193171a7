/**
 * The WebSocket client: requests, several subscriptions and the reliable lane on one session, which outlives its connection
 * where `reconnect` is asked for.
 *
 *     hello ──> welcome ──> req id ──> res id      sub id ──> res id, ntf sub=id, ntf ...      unsub sub=id ──> res
 *        ^                  msg seq <──> ack seq   both ways: each is acknowledged, and one that comes twice is heard once
 *        │ 50 ms, 100 ms, ... 5 s                                           │ broken
 *        └── reconnecting: requests under way have failed; all else goes on <┘
 */
import { systemClock, type Cancel, type Clock } from '../clock.js';
import {
  FRAME_CODECS,
  WS_PATH,
  type Frame,
  type FrameCodec,
  type ResponseFrame,
  type WelcomeFrame,
} from '../protocols/ws/frames.js';
import { systemRandom } from '../random.js';
import type { JsonObject } from '../routing/primitive.js';
import { BackOff } from './back-off.js';
import {
  bytesOf,
  DEFAULT_TIMEOUT_MS,
  FAREWELL_MS,
  type Client,
  type ClientRequest,
  type ClientResponse,
  type Notification,
  type ObserveTerms,
} from './client.js';
import { deadline } from './deadline.js';
import { GridcastError } from './error.js';
import { iterate } from './inbox.js';
import { refusalOf } from './refusal.js';
import { authority, pathAndQuery, resolve, type Target } from './target.js';
import { WsLane } from './ws-lane.js';
import { Link, type LinkOwner } from './ws-link.js';
import { WsSubscription } from './ws-subscription.js';
import type {
  ConnectionListener,
  ConnectionState,
  ReliableKind,
  ReliableListener,
  WsClientOptions,
} from './ws-options.js';

/** Waits for the answer with its number, or for a connection. */
interface Waiting<Result> {
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export class WsClient implements Client {
  readonly binding = 'ws';
  /** Resolves to the reason when it is over for good, whoever ended it. */
  readonly closed: Promise<GridcastError>;
  /** Whether it lives on when its connection breaks. */
  readonly reconnects: boolean;
  private readonly where: string;
  private readonly clock: Clock;
  private readonly codec: FrameCodec;
  private readonly lane: WsLane;
  private readonly backOff: BackOff;
  private readonly listeners = new Set<ReliableListener>();
  private readonly watchers = new Set<ConnectionListener>();
  private readonly answers = new Map<number, Waiting<ResponseFrame>>();
  private readonly subscriptions = new Map<number, WsSubscription>();
  /** For a session to stand. */
  private readonly waiting = new Set<Waiting<void>>();
  private lastId = 0;
  private link: Link | undefined;
  private session: string | undefined;
  private isConnected = false;
  private cancelAttempt: Cancel = () => {};
  /** Why it ends; it is over when its socket is. */
  private ending: GridcastError | undefined;
  private isOver = false;
  private tellClosed: (reason: GridcastError) => void = () => {};

  private constructor(
    private readonly base: Target,
    private readonly options: WsClientOptions,
  ) {
    const { clock = systemClock, random = systemRandom, subprotocol = 'gridcast.v1+json', reconnect = false } = options;
    this.where = authority(base);
    this.clock = clock;
    this.codec = FRAME_CODECS[subprotocol];
    this.reconnects = reconnect;
    this.backOff = new BackOff(random);
    this.lane = new WsLane((frame) => this.isConnected && this.link?.send(frame), clock);
    if (options.received) this.hear(options.received);
    this.closed = new Promise((told) => (this.tellClosed = told));
  }

  /** Connects and says hello. Throws `unreachable` or `timed-out`; `refused` where the broker does not take the hello. */
  static async open(base: Target, options: WsClientOptions = {}): Promise<WsClient> {
    const client = new WsClient(base, options);
    client.dial();
    await client.connected();
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
    const { signal, routed, class: latencyClass, ...rest } = terms;
    return iterate(async (inbox) => {
      const asked = { to: this.path(to), ...rest, ...(latencyClass !== undefined && { class: latencyClass }) };
      const subscription = new WsSubscription(inbox, asked, routed);
      await this.subscribe(subscription, signal);
      return async () => {
        subscription.hasLeft = true;
        // What ended it may have been the other side, and then there is nobody to tell.
        if (this.subscriptions.delete(subscription.id) && this.isConnected) await this.unsubscribe(subscription.id);
      };
    }, signal);
  }

  /** Hears the messages of the reliable lane; each is acknowledged when all listeners have returned. Returns what stops it. */
  hear(listener: ReliableListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Is told what becomes of the connection. Returns what stops it. */
  watch(listener: ConnectionListener): () => void {
    this.watchers.add(listener);
    return () => this.watchers.delete(listener);
  }

  /**
   * Says something on the reliable lane; resolves when the broker has acknowledged it. Throws when the client is over before:
   * without `reconnect` that is when the connection breaks.
   */
  tell(kind: ReliableKind, body: JsonObject): Promise<void> {
    return this.ending ? Promise.reject(this.ending) : this.lane.tell(kind, body);
  }

  async close(): Promise<void> {
    this.end(new GridcastError('closed', 'This client has been closed.'));
    await this.closed;
  }

  /** One exchange of a frame with an id for the `res` that bears it. Refusals are thrown. */
  private async ask(
    frameOf: (id: number) => Frame,
    timeoutMs = DEFAULT_TIMEOUT_MS,
    signal?: AbortSignal,
  ): Promise<ResponseFrame> {
    signal?.throwIfAborted();
    const limit = deadline(this.clock, timeoutMs, `${this.where} did not answer`, signal);
    let id = 0;
    try {
      while (!this.isConnected) await this.connected(limit.signal);
      const answer = await new Promise<ResponseFrame>((resolve, reject) => {
        limit.signal.addEventListener('abort', () => reject(limit.signal.reason));
        id = ++this.lastId;
        this.answers.set(id, { resolve, reject });
        this.link?.send(frameOf(id));
      });
      if (answer.code >= 400)
        throw refusalOf(answer.status, answer.payload?.mediaType, answer.payload?.bytes ?? new Uint8Array());
      return answer;
    } finally {
      limit.cancel();
      this.answers.delete(id);
    }
  }

  /** Resolves when a session stands. */
  private connected(signal?: AbortSignal): Promise<void> {
    if (this.ending) return Promise.reject(this.ending);
    if (this.isConnected) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const waiting = { resolve, reject };
      this.waiting.add(waiting);
      signal?.addEventListener('abort', () => {
        this.waiting.delete(waiting);
        reject(signal.reason as Error);
      });
    });
  }

  /** Subscribes, however many connections that takes. */
  private async subscribe(subscription: WsSubscription, signal?: AbortSignal): Promise<void> {
    for (;;) {
      await this.connected(signal);
      try {
        const { format } = await this.ask((id) => {
          subscription.id = id;
          // Notifications may follow the answer within the same packet.
          this.subscriptions.set(id, subscription);
          return { t: 'sub', id, ...subscription.terms };
        });
        if (format !== undefined) subscription.mediaType = format;
        return;
      } catch (error) {
        this.subscriptions.delete(subscription.id);
        if (!this.isPassing(error)) throw error;
      }
    }
  }

  private async subscribeAgain(subscription: WsSubscription): Promise<void> {
    subscription.renew();
    try {
      await this.subscribe(subscription);
      if (!subscription.hasLeft || !this.subscriptions.delete(subscription.id)) return;
      await this.unsubscribe(subscription.id);
    } catch (error) {
      subscription.inbox.fail(error);
    }
  }

  private async unsubscribe(sub: number): Promise<void> {
    await this.ask((id) => ({ t: 'unsub', id, sub }), FAREWELL_MS).catch(() => undefined);
  }

  /** Whether it is over with the connection alone, and another one will come. */
  isPassing(error: unknown): boolean {
    return this.reconnects && !this.ending && error instanceof GridcastError && error.kind === 'unreachable';
  }

  private dial(): void {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, originator, token, tls, attach = [], heartbeatMs } = this.options;
    const hello = {
      attach,
      ...(originator !== undefined && { originator }),
      ...(token !== undefined && { token }),
      ...(heartbeatMs !== undefined && { heartbeatMs }),
    };
    const { base, where, session } = this;
    const owner: LinkOwner = {
      opened: () => link.send({ t: 'hello', ...hello, ...(session !== undefined && { resume: session }) }),
      received: (frame) => this.receive(frame, link),
      over: (reason, isFinal) => this.broken(reason, isFinal),
    };
    const link = new Link(`${base.scheme}://${where}${WS_PATH}`, where, this.codec, this.clock, owner, tls);
    this.link = link;
    this.cancelAttempt = this.clock.after(timeoutMs, () =>
      link.fail('timed-out', `${where} did not open a WebSocket within ${timeoutMs} ms.`),
    );
  }

  private receive(frame: Frame, link: Link): void {
    switch (frame.t) {
      case 'welcome':
        return this.welcomed(frame, link);
      case 'res':
        return this.answers.get(frame.id)?.resolve(frame);
      case 'ntf':
        return this.subscriptions.get(frame.sub)?.take(frame);
      case 'batch':
        return frame.ntf.forEach((each) => this.subscriptions.get(each.sub)?.take(each));
      case 'route':
        return this.subscriptions.get(frame.sub)?.route(frame);
      case 'end':
        this.subscriptions.get(frame.sub)?.inbox.fail(new GridcastError('refused', frame.reason, frame.status));
        return void this.subscriptions.delete(frame.sub);
      case 'msg':
        // Acknowledged when it has been taken.
        if (this.lane.hears(frame)) for (const listener of this.listeners) listener(frame.kind, frame.body);
        return this.lane.acknowledge();
      case 'ack':
        return this.lane.acknowledged(frame.seq);
      case 'ping':
        return link.send({ ...frame, t: 'pong' });
      case 'error':
        return this.refused(new GridcastError('refused', frame.reason, frame.status), frame, link);
      case 'pong':
        return;
      case 'hello':
      case 'req':
      case 'sub':
      case 'unsub':
        return link.fail('protocol', `${this.where} sent a frame of a client: ${frame.t}`);
    }
  }

  private welcomed({ session, resumed, heartbeatMs, heard = 0, subs }: WelcomeFrame, link: Link): void {
    const isFirst = this.session === undefined;
    this.session = session;
    this.isConnected = true;
    this.cancelAttempt();
    this.backOff.reset();
    if (heartbeatMs !== undefined) link.beat(heartbeatMs);
    if (resumed) this.lane.resume(heard);
    else if (!isFirst) this.lane.renew();
    const goesOn = new Set(resumed ? subs : []);
    for (const [id, subscription] of this.subscriptions) {
      subscription.forgetRoutes();
      if (goesOn.delete(id)) continue;
      this.subscriptions.delete(id);
      void this.subscribeAgain(subscription);
    }
    for (const { resolve } of this.waiting) resolve();
    this.waiting.clear();
    // Asked for, or left, when the connection broke.
    for (const id of goesOn) void this.unsubscribe(id);
    this.inform({ state: 'connected', isResumed: resumed });
  }

  private refused(refusal: GridcastError, { id, seq }: { id?: number; seq?: number }, link: Link): void {
    if (id !== undefined) this.answers.get(id)?.reject(refusal);
    else if (seq === undefined) link.complaint = refusal;
    else if (refusal.status === 'STATUS_SERVICE_UNAVAILABLE') this.lane.refusedForNow();
  }

  /** The connection is over, or none came about. */
  private broken(reason: GridcastError, isFinal: boolean): void {
    this.cancelAttempt();
    this.isConnected = false;
    this.link = undefined;
    for (const { reject } of this.answers.values()) reject(reason);
    this.answers.clear();
    if (this.ending || isFinal || !this.reconnects || this.session === undefined) {
      this.end(reason);
      return;
    }
    this.inform({ state: 'reconnecting', reason });
    this.cancelAttempt = this.clock.after(this.backOff.nextMs(), () => this.dial());
  }

  /** Lets go of all who wait. The first reason counts. */
  private end(why: GridcastError): void {
    const isFirst = !this.ending;
    const reason = (this.ending ??= why);
    if (isFirst) {
      this.cancelAttempt();
      this.isConnected = false;
      for (const { reject } of [...this.answers.values(), ...this.waiting]) reject(reason);
      this.lane.end(reason);
      for (const { inbox } of this.subscriptions.values()) inbox.fail(reason);
      for (const map of [this.answers, this.waiting, this.subscriptions]) map.clear();
      this.link?.close();
    }
    if (this.link || this.isOver) return;
    this.isOver = true;
    this.tellClosed(reason);
    this.inform({ state: 'closed', reason });
  }

  private inform(state: ConnectionState): void {
    for (const watcher of [...this.watchers]) watcher(state);
  }

  private path(to: string): string {
    return pathAndQuery(resolve(this.base, to));
  }
}
