/**
 * One socket: frames in, frames out, one session of the site.
 *
 *     open ──> hello, or any other frame ──> connect ──> session ──> frames until the close
 *       └─ a minute of silence: closed
 *
 * What is malformed is answered with a sentence and does no harm to what else is open; a peer that sends nothing else is
 * closed in the end.
 */
import type { Cancel } from '../../clock.js';
import { isRefusal, refuse, type Refusal } from '../../errors.js';
import type { Delivery } from '../../routing/delivery.js';
import type { Ending } from '../../routing/endings.js';
import { answer, isSuccess, parsePath, refused, type Request, type Response } from '../../routing/primitive.js';
import type { Session } from '../../routing/site.js';
import type { Claim } from '../identity.js';
import { WS_CLOSE, type WsReceiver, type WsSocket } from '../transport/transport.js';
import type { WsBinding } from './binding.js';
import type {
  Frame,
  FrameCodec,
  FrameFault,
  HelloFrame,
  MessageFrame,
  RequestFrame,
  SubscribeFrame,
  UnsubscribeFrame,
} from './frames.js';
import type { LastNotification } from './last-notification.js';
import { WsPort } from './port.js';
import { requestOf, responseOf, termsOf } from './translate.js';

/** A socket that has sent nothing belongs to nobody. Long enough for a person at a keyboard. */
const SILENCE_MS = 60_000;
/** Requests of one peer that may be under way; more are refused with 503. */
const MAX_REQUESTS = 64;
/** When to try again after that, seconds. */
const RETRY_AFTER_S = 1;
/** Messages that are no frames after which a peer is taken to speak something else. */
const MAX_FAULTS = 32;

export class Connection implements WsReceiver {
  private readonly port: WsPort;
  private readonly gone = new AbortController();
  private readonly cancelSilence: Cancel;
  private session: Session | undefined;
  private originator = 'anonymous';
  private underWay = 0;
  private faults = 0;
  /** Ids of `sub` frames that are not answered yet. */
  private readonly subscribing = new Set<number>();
  /** The peer's words on the lane are heard one after the other, so that an acknowledgement speaks for all before it. */
  private heard: Promise<void> = Promise.resolve();

  constructor(
    private readonly binding: WsBinding,
    private readonly socket: WsSocket,
    private readonly codec: FrameCodec,
    last: LastNotification,
    private readonly claim: Claim,
  ) {
    const { clock, log } = binding.surroundings;
    this.port = new WsPort(socket, codec, last, log);
    this.cancelSilence = clock.after(SILENCE_MS, () => this.end('IDLE_TIMEOUT'));
  }

  end(ending: Ending): void {
    this.port.close(ending);
  }

  message(bytes: Buffer, isBinary: boolean): void {
    this.cancelSilence();
    if (isBinary !== this.codec.isBinary) {
      const kind = this.codec.isBinary ? 'binary' : 'text';
      return this.socket.close(WS_CLOSE.unsupportedData, `${this.codec.subprotocol} takes ${kind} messages`);
    }
    const frame = this.codec.decode(bytes);
    if (isRefusal(frame)) return this.fault(frame);
    if (frame.t === 'hello') return this.hello(frame);
    const session = this.session ?? this.connect({ t: 'hello', attach: [] });
    if (session) this.take(frame, session);
  }

  drain(): void {
    this.port.drain();
  }

  close(code: number): void {
    this.cancelSilence();
    this.gone.abort();
    if (!this.session) return;
    this.binding.closed(this.session.id);
    this.session.close(this.port.closedFor ?? (code === WS_CLOSE.serviceRestart ? 'SHUTDOWN' : 'PEER_CLOSED'));
  }

  private hello(frame: HelloFrame): void {
    if (this.session)
      return this.give(refuse('STATUS_BAD_REQUEST', '"hello" is the first frame of a socket, and comes once.'));
    const former = frame.resume === undefined ? undefined : this.binding.connection(frame.resume);
    const session = this.connect(frame);
    if (!session) return;
    // What a broken connection left behind: only its own originator may end it.
    if (former?.originator === this.originator) former.end('REPLACED');
    // Subscriptions are asked for anew; commands that were not answered come again by themselves.
    this.port.send({ t: 'welcome', session: session.id, resumed: false });
  }

  private connect({ originator: name, token, attach: paths }: HelloFrame): Session | undefined {
    const claim = {
      ...this.claim,
      ...(name !== undefined && { originator: name }),
      ...(token !== undefined && { token }),
    };
    const originator = this.binding.identify(claim);
    if (isRefusal(originator)) {
      this.give(originator);
      return;
    }
    const attach: (readonly string[])[] = [];
    for (const path of paths.map(parsePath)) {
      if (isRefusal(path)) {
        this.give(path);
        return;
      }
      attach.push(path);
    }
    const session = this.binding.site.connect(
      { binding: 'ws', address: this.socket.remote, originator, attach },
      this.port,
    );
    if (isRefusal(session)) {
      this.give(session);
      return;
    }
    this.session = session;
    this.originator = originator;
    this.binding.opened(session.id, this);
    return session;
  }

  /** Tells why and closes: there is nothing to go on with. */
  private give({ status, detail }: Refusal): undefined {
    this.port.send({ t: 'error', status, reason: detail });
    this.end('PROTOCOL_ERROR');
    return undefined;
  }

  private take(frame: Exclude<Frame, HelloFrame>, session: Session): void {
    switch (frame.t) {
      case 'req':
        return this.answer(frame, (request) => this.request(frame, request, session));
      case 'sub':
        return this.answer(frame, (request) => this.subscribe(frame, request, session));
      case 'unsub':
        return this.unsubscribe(frame, session);
      case 'msg':
        this.heard = this.heard.then(() => this.hear(frame, session));
        return;
      case 'ack':
        return session.acknowledge(frame.seq);
      case 'ping':
        return this.port.send({ ...frame, t: 'pong' });
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
    if (id === undefined) this.port.send({ t: 'error', status, reason: detail });
    else this.port.send(responseOf(id, refused({ status, detail }), []));
    if (++this.faults >= MAX_FAULTS) this.end('PROTOCOL_ERROR');
  }

  /** Runs one request with its limits, and answers what goes wrong with it. */
  private answer(frame: RequestFrame | SubscribeFrame, run: (request: Request) => Promise<void>): void {
    const tell = (response: Response): void => this.port.send(responseOf(frame.id, response, []));
    if (this.underWay >= MAX_REQUESTS) {
      const detail = `${MAX_REQUESTS} requests of this socket are under way, which is the limit.`;
      return tell(answer('STATUS_SERVICE_UNAVAILABLE', { detail, retryAfterS: RETRY_AFTER_S }));
    }
    const { originator, codec, binding } = this;
    const request = requestOf(frame, {
      originator,
      codec,
      requestId: binding.nextRequestId(),
      signal: this.gone.signal,
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
    this.port.send(responseOf(frame.id, await session.request(request), request.accept));
  }

  private async subscribe(frame: SubscribeFrame, request: Request, session: Session): Promise<void> {
    const { id } = frame;
    const tell = (response: Response, format?: string): void =>
      this.port.send(responseOf(id, response, request.accept, format));
    const terms = termsOf(frame, request.query);
    if (isRefusal(terms)) {
      tell(refused(terms));
      return;
    }
    if (this.subscribing.has(id) || this.port.delivery(id)) {
      tell(refused(refuse('STATUS_CONFLICT', `The id ${id} names a subscription that is open; choose another.`)));
      return;
    }
    this.subscribing.add(id);
    try {
      const outcome = await session.subscribe(request, terms);
      if (!('delivery' in outcome)) {
        tell(outcome);
        return;
      }
      const { delivery, response } = outcome;
      if (!this.socket.isOpen || !isSuccess(response)) {
        session.unsubscribe(delivery, 'UNSUBSCRIBED');
        tell(response);
        return;
      }
      this.port.add(id, delivery);
      tell(response, delivery.format.mediaType);
      session.open(delivery);
    } finally {
      this.subscribing.delete(id);
    }
  }

  private unsubscribe({ id, sub }: UnsubscribeFrame, session: Session): void {
    const delivery: Delivery | undefined = this.port.delivery(sub);
    if (!delivery) {
      const detail = `No subscription ${sub} is open on this socket; "sub" is the id of the "sub" frame.`;
      return this.port.send(responseOf(id, refused(refuse('STATUS_NOT_FOUND', detail)), []));
    }
    this.port.remove(delivery);
    session.unsubscribe(delivery, 'UNSUBSCRIBED');
    this.port.send(responseOf(id, answer('STATUS_OK'), []));
  }

  private async hear({ seq, kind, body }: MessageFrame, session: Session): Promise<void> {
    try {
      const refusal = await session.receive(kind, body);
      if (refusal) this.port.send({ t: 'error', status: refusal.status, reason: refusal.detail });
    } catch (error) {
      const { log } = this.binding.surroundings;
      log.error({ err: error, kind }, 'ws: a message of the lane failed by a fault of the broker');
      this.port.send({
        t: 'error',
        status: 'STATUS_INTERNAL_SERVER_ERROR',
        reason: 'A fault of the broker; it is logged.',
      });
    }
    // Refused or not, it has arrived: sent again it would be refused again.
    this.port.send({ t: 'ack', seq });
  }
}
