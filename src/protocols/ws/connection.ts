/**
 * One socket: frames in, frames out. It carries one session of the site, which outlives it when it breaks.
 *
 *     open ──> hello, or any other frame ──> session ──> frames ──> closed: the session ends
 *       │        └─ resume: the former one                  └────> broken, or its heart-beats are lost: it waits
 *       └─ a minute of silence: closed
 *
 * What is malformed is answered with a sentence and does no harm to what else is open; a peer that sends nothing else is
 * closed in the end.
 */
import type { Cancel } from '../../clock.js';
import { isRefusal, refuse, type Refusal } from '../../errors.js';
import type { Ending } from '../../routing/endings.js';
import { answer, parsePath, refused, type Request, type Response } from '../../routing/primitive.js';
import { RESUME_WITHIN_S, type Peer, type Session } from '../../routing/site.js';
import { Departure } from '../departure.js';
import type { Claim, Identity } from '../identity.js';
import { WS_CLOSE, type WsReceiver, type WsSocket } from '../transport/transport.js';
import type { WsBinding } from './binding.js';
import type { Frame, FrameCodec, FrameFault, HelloFrame, RequestFrame, SubscribeFrame } from './frames.js';
import { COMMAND_HEARTBEAT_MS, HEARTBEAT_MS, heartbeatWithin, type Heartbeat } from './heartbeats.js';
import { Introduction } from './introduction.js';
import type { LastNotification } from './last-notification.js';
import { WsSession, type Carrier } from './session.js';
import { Subscribing } from './subscribing.js';
import { requestOf, responseOf } from './translate.js';
import { Wire } from './wire.js';

/** A socket that has sent nothing belongs to nobody. Long enough for a person at a keyboard. */
const SILENCE_MS = 60_000;
/** Requests of one peer that may be under way; more are refused with 503. */
const MAX_REQUESTS = 64;
/** When to try again after that, seconds. */
const RETRY_AFTER_S = 1;
/** Messages that are no frames after which a peer is taken to speak something else. */
const MAX_FAULTS = 32;

/** A peer that ends the connection on purpose says so; everything else is a break [RFC6455-7.4.1]. */
const ENDING_OF_CLOSE: Readonly<Record<number, Ending>> = {
  [WS_CLOSE.normal]: 'PEER_CLOSED',
  [WS_CLOSE.goingAway]: 'PEER_CLOSED',
  [WS_CLOSE.noStatus]: 'PEER_CLOSED',
  // Ours: the transport closes all its sockets when it stops.
  [WS_CLOSE.serviceRestart]: 'SHUTDOWN',
};

export class Connection implements WsReceiver, Carrier {
  readonly wire: Wire;
  private readonly introduction: Introduction;
  private readonly departure = new Departure();
  private readonly cancelSilence: Cancel;
  private heartbeat: Heartbeat | undefined;
  private session: WsSession | undefined;
  private underWay = 0;
  /** What a peer has said before it closed the connection comes after it is closed, and is heard. */
  private isClosed = false;
  private faults = 0;
  /** Why it broke, as far as is known. */
  private cause: Ending = 'CONNECTION_LOST';
  private readonly subscribing: Subscribing;

  constructor(
    private readonly binding: WsBinding,
    socket: WsSocket,
    private readonly codec: FrameCodec,
    private readonly last: LastNotification,
    claim: Claim,
  ) {
    this.introduction = new Introduction(binding.identify, claim);
    const { clock, log } = binding.surroundings;
    this.wire = new Wire(socket, codec, log);
    this.subscribing = new Subscribing(this.wire);
    this.cancelSilence = clock.after(SILENCE_MS, () => this.wire.close('IDLE_TIMEOUT'));
  }

  message(bytes: Buffer, isBinary: boolean): void {
    this.cancelSilence();
    this.heartbeat?.heard();
    if (isBinary !== this.codec.isBinary) {
      const kind = this.codec.isBinary ? 'binary' : 'text';
      return this.wire.socket.close(WS_CLOSE.unsupportedData, `${this.codec.subprotocol} takes ${kind} messages`);
    }
    const frame = this.codec.decode(bytes);
    if (isRefusal(frame)) return this.fault(frame);
    if (!this.introduction.isUnderWay) return this.hear(frame);
    const tooEarly = this.introduction.hold(frame);
    if (tooEarly) this.give(tooEarly);
  }

  private hear(frame: Frame): void {
    if (this.isClosed) return;
    if (this.session && frame.t !== 'hello') return this.take(frame, this.session);
    if (this.session)
      return this.give(refuse('STATUS_BAD_REQUEST', '"hello" is the first frame of a socket, and comes once.'));
    if (frame.t === 'hello') return this.introduce(frame, (identity) => this.hello(frame, identity));
    const silent: HelloFrame = { t: 'hello', attach: [] };
    this.introduce(silent, (identity) => {
      const session = this.open(silent, identity, false);
      if (isRefusal(session)) this.give(session);
      else this.take(frame, session);
    });
  }

  private introduce(hello: HelloFrame, welcome: (identity: Identity) => void): void {
    this.introduction.begin(
      hello,
      (identity) => {
        if (!this.wire.isOpen) return;
        if (isRefusal(identity)) this.give(identity);
        else welcome(identity);
      },
      (frame) => this.hear(frame),
      (error) => {
        this.binding.surroundings.log.error({ err: error }, 'ws: a hello failed by a fault of the broker');
        this.wire.close('CRASHED');
      },
    );
  }

  drain(): void {
    this.session?.port.drain();
  }

  pong(): void {
    this.heartbeat?.heard();
  }

  close(code: number): void {
    this.isClosed = true;
    this.cancelSilence();
    this.heartbeat?.stop();
    this.departure.begin();
    const ending = this.wire.closedFor ?? ENDING_OF_CLOSE[code];
    if (ending) this.session?.close(ending);
    else this.session?.drop(this.cause);
  }

  release(): void {
    this.session = undefined;
    this.wire.close('REPLACED');
  }

  private hello(frame: HelloFrame, identity: Identity): void {
    const session = this.open(frame, identity, true);
    if (isRefusal(session)) return this.give(session);
    const resumed = session.id === frame.resume;
    const usualMs = session.peer.attach.length > 0 ? COMMAND_HEARTBEAT_MS : HEARTBEAT_MS;
    const heartbeatMs = heartbeatWithin(frame.heartbeatMs ?? usualMs);
    this.heartbeat = this.binding.heartbeats.start(heartbeatMs, {
      ping: () => this.wire.socket.ping(),
      lost: () => {
        this.cause = 'HEARTBEAT_LOST';
        this.wire.socket.terminate();
      },
    });
    const { id, hearing, port } = session;
    const { heard } = hearing;
    this.wire.send({
      t: 'welcome',
      session: id,
      resumed,
      heartbeatMs,
      resumeWithinS: RESUME_WITHIN_S,
      heard,
      subs: port.places.subs,
    });
    if (!resumed) return;
    port.places.tellRoutes();
    session.site.resume();
  }

  /** The session that this socket carries from now on: the former one, or one of its own. */
  private open(frame: HelloFrame, identity: Identity, isResumable: boolean): WsSession | Refusal {
    const peer = this.peerOf(frame, identity);
    if (isRefusal(peer)) return peer;
    const { expiries } = this.binding;
    const former = frame.resume === undefined ? undefined : this.binding.session(frame.resume);
    if (former?.canBeCarriedBy(peer, this.wire)) {
      former.carry(this);
      expiries.hold(former, identity);
      return (this.session = former);
    }
    const session = WsSession.open(this.binding, peer, this, this.last, isResumable);
    if (isRefusal(session)) return session;
    expiries.hold(session, identity);
    // What cannot be gone on with is over: only its own originator may end it.
    if (former?.peer.originator === peer.originator) former.end('REPLACED');
    return (this.session = session);
  }

  private peerOf({ attach: paths }: HelloFrame, { originator }: Identity): Peer | Refusal {
    const attach: (readonly string[])[] = [];
    for (const path of paths.map(parsePath)) {
      if (isRefusal(path)) return path;
      attach.push(path);
    }
    return { binding: 'ws', address: this.wire.socket.remote, originator, attach };
  }

  /** Tells why and closes: there is nothing to go on with. */
  private give({ status, detail }: Refusal): void {
    this.wire.send({ t: 'error', status, reason: detail });
    this.wire.close('PROTOCOL_ERROR');
  }

  private take(frame: Exclude<Frame, HelloFrame>, session: WsSession): void {
    switch (frame.t) {
      case 'req':
        return this.answer(frame, session, (request) => this.request(frame, request, session.site));
      case 'sub':
        return this.answer(frame, session, (request) => this.subscribing.subscribe(frame, request, session));
      case 'unsub':
        return this.subscribing.unsubscribe(frame, session);
      case 'msg':
        return session.hearing.take(frame);
      case 'ack':
        return session.site.acknowledge(frame.seq);
      case 'ping':
        return this.wire.send({ ...frame, t: 'pong' });
      case 'pong':
        return;
      default:
        return this.fault(
          refuse('STATUS_BAD_REQUEST', `"${frame.t}" is a word of the broker; a client does not say it.`),
        );
    }
  }

  private fault({ status, detail, id }: FrameFault): void {
    this.binding.faults++;
    if (id === undefined) this.wire.send({ t: 'error', status, reason: detail });
    else this.wire.send(responseOf(id, refused({ status, detail }), []));
    if (++this.faults >= MAX_FAULTS) this.wire.close('PROTOCOL_ERROR');
  }

  /** Runs one request with its limits, and answers what goes wrong with it. */
  private answer(
    frame: RequestFrame | SubscribeFrame,
    session: WsSession,
    run: (request: Request) => Promise<void>,
  ): void {
    const tell = (response: Response): void => this.wire.send(responseOf(frame.id, response, []));
    if (this.underWay >= MAX_REQUESTS) {
      const detail = `${MAX_REQUESTS} requests of this socket are under way, which is the limit.`;
      return tell(answer('STATUS_SERVICE_UNAVAILABLE', { detail, retryAfterS: RETRY_AFTER_S }));
    }
    const { codec, binding } = this;
    const request = requestOf(frame, {
      originator: session.peer.originator,
      codec,
      requestId: binding.nextRequestId(),
      onGone: (run) => this.departure.onGone(run),
    });
    if (isRefusal(request)) return tell(refused(request));
    this.underWay++;
    run(request)
      .catch((error: unknown) => {
        binding.surroundings.log.error({ err: error, to: request.to }, 'ws: a request failed by a fault of the broker');
        tell(answer('STATUS_INTERNAL_SERVER_ERROR'));
      })
      .finally(() => this.underWay--);
  }

  private async request(frame: RequestFrame, request: Request, session: Session): Promise<void> {
    this.wire.send(responseOf(frame.id, await session.request(request), request.accept));
  }
}
