/**
 * The half of a listener that does not depend on the library: handlers are called here and nowhere else, so that a
 * throw, a rejection or silence is answered and logged. In uWebSockets.js any of them would abort the process or hang
 * the request for ever.
 */
import type { Cancel, Clock } from '../../clock.js';
import { refuse, type Refusal } from '../../errors.js';
import type { Log } from '../../log.js';
import { Departure } from '../departure.js';
import { FairQueueing, Flow } from './fair-queueing.js';
import {
  WS_CLOSE,
  type Handlers,
  type HttpAnswer,
  type HttpRequest,
  type SendResult,
  type TransportLimits,
  type UpgradeRequest,
  type WsAccept,
  type WsReceiver,
  type WsSocket,
} from './transport.js';

const plainText = (status: number, text: string): HttpAnswer => ({
  status,
  headers: { 'content-type': 'text/plain; charset=utf-8' },
  body: `${text}\n`,
});
const FAULT = plainText(500, 'A fault of the broker; it is logged.');

export const isAccept = (decision: WsAccept | HttpAnswer): decision is WsAccept => 'open' in decision;

export const tooLarge = (limitBytes: number): Refusal =>
  refuse('STATUS_TOO_LARGE', `The body is larger than the ${limitBytes} bytes that are taken.`);
export const CUT_OFF = refuse('STATUS_REQUEST_INCOMPLETE', 'The connection ended before the body was complete.');

export class Service {
  private readonly sockets = new Set<GuardedSocket>();
  private readonly socketsByAddress = new Map<string, number>();
  private exchanges = 0;
  private allAnswered: () => void = () => {};
  /** Set by `drain`: answers carry Connection: close from now on. */
  isDraining = false;
  readonly queueing: FairQueueing;

  constructor(
    private readonly handlers: Handlers,
    readonly limits: TransportLimits,
    readonly log: Log,
    private readonly clock: Clock,
  ) {
    this.queueing = new FairQueueing(clock);
  }

  /** What to answer; never rejects, and what it gives can be written as it is. */
  async answer(request: HttpRequest): Promise<HttpAnswer> {
    this.exchanges++;
    try {
      const answer = await this.handlers.request(request);
      const fault = faultOf(answer);
      if (!fault) return answer;
      this.log.error(
        { method: request.method, path: request.path, fault },
        'an HTTP handler gave no answer that can be sent',
      );
    } catch (error) {
      this.log.error({ method: request.method, path: request.path, err: error }, 'an HTTP handler failed');
    } finally {
      if (--this.exchanges === 0) this.allAnswered();
    }
    return FAULT;
  }

  /** Whether a socket is opened; never throws. */
  decide(request: UpgradeRequest): WsAccept | HttpAnswer {
    const { maxSocketsPerAddress } = this.limits;
    if (maxSocketsPerAddress !== undefined && this.openFrom(request.remote) >= maxSocketsPerAddress) {
      return plainText(429, `${request.remote} has ${maxSocketsPerAddress} sockets open, which is the limit.`);
    }
    try {
      const decision = this.handlers.upgrade(request);
      if (isAccept(decision)) return decision;
      const fault = faultOf(decision);
      if (!fault) return decision;
      this.log.error({ path: request.path, fault }, 'an upgrade handler gave no answer that can be sent');
    } catch (error) {
      this.log.error({ path: request.path, err: error }, 'an upgrade handler failed');
    }
    return FAULT;
  }

  opened(socket: GuardedSocket): void {
    this.sockets.add(socket);
    this.socketsByAddress.set(socket.remote, this.openFrom(socket.remote) + 1);
  }

  closed(socket: GuardedSocket): void {
    this.sockets.delete(socket);
    const left = this.openFrom(socket.remote) - 1;
    if (left > 0) this.socketsByAddress.set(socket.remote, left);
    else this.socketsByAddress.delete(socket.remote);
  }

  /** Closes all sockets and waits until every exchange is answered, `graceMs` at most. */
  async drain(graceMs: number): Promise<void> {
    this.isDraining = true;
    for (const socket of this.sockets) socket.close(WS_CLOSE.serviceRestart, 'the broker is stopping');
    if (this.exchanges === 0) return;
    await new Promise<void>((done) => {
      const cancel = this.clock.after(graceMs, done);
      this.allAnswered = () => {
        cancel();
        done();
      };
    });
  }

  private openFrom(remote: string): number {
    return this.socketsByAddress.get(remote) ?? 0;
  }
}

/** The half of a request that does not depend on the library. */
export abstract class ServedRequest implements HttpRequest {
  private readonly departure = new Departure();

  constructor(
    readonly method: string,
    readonly path: string,
    readonly query: string,
  ) {}

  abstract readonly remote: string;
  abstract header(name: string): string | undefined;
  abstract body(): Promise<Uint8Array | Refusal>;

  onGone(run: () => void): Cancel {
    return this.departure.onGone(run);
  }

  protected abort(): void {
    this.departure.begin();
  }
}

/** The half of a socket that does not depend on the library, which calls the methods named `on...`. */
export abstract class GuardedSocket implements WsSocket {
  isOpen = true;
  /** By us. */
  private isEnded = false;
  private receiver: WsReceiver | undefined;
  private closedWith = { code: WS_CLOSE.noCloseFrame as number, reason: '' };
  private readonly flow: Flow;

  constructor(
    private readonly service: Service,
    readonly remote: string,
    readonly protocol: string,
  ) {
    this.flow = new Flow(service.queueing, (bytes, isBinary) =>
      this.guard(() => this.receiver?.message(bytes, isBinary)),
    );
  }

  abstract readonly bufferedBytes: number;
  protected abstract write(message: string | Uint8Array, isBinary: boolean): SendResult;
  protected abstract corked(write: () => void): void;
  protected abstract sendPing(): void;
  /** Sends a close frame; may call `onClose` while it does. */
  protected abstract end(code: number, reason: string): void;
  /** Ends the connection without one; may call `onClose` while it does. */
  protected abstract cutOff(): void;

  send(message: string | Uint8Array, isBinary: boolean): SendResult {
    return this.isOpen ? this.write(message, isBinary) : 'dropped';
  }

  cork(write: () => void): void {
    if (this.isOpen) this.corked(write);
    else write();
  }

  close(code: number, reason: string): void {
    if (!this.isOpen) return;
    this.isEnded = true;
    this.end(code, reason);
    this.onClose(code, reason);
  }

  ping(): void {
    if (this.isOpen) this.sendPing();
  }

  terminate(): void {
    if (!this.isOpen) return;
    this.isEnded = true;
    this.cutOff();
    this.onClose(WS_CLOSE.noCloseFrame, '');
  }

  onOpen(accept: WsAccept): void {
    this.service.opened(this);
    this.guard(() => (this.receiver = accept.open(this)));
    // Closed while it was being opened: the receiver did not exist yet.
    if (!this.isOpen) this.tellClose();
  }

  onMessage(bytes: Buffer, isBinary: boolean): void {
    if (this.isOpen) this.flow.put(bytes, isBinary);
  }

  onDrain(): void {
    if (this.isOpen) this.guard(() => this.receiver?.drain());
  }

  onPong(): void {
    if (this.isOpen) this.guard(() => this.receiver?.pong());
  }

  onClose(code: number, reason: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.closedWith = { code, reason };
    this.service.closed(this);
    // What the peer has said before it left; where we have ended the connection there is nobody to hear it any more.
    if (!this.isEnded) this.flow.end();
    this.tellClose();
  }

  private tellClose(): void {
    const { receiver, closedWith } = this;
    this.receiver = undefined;
    this.guard(() => receiver?.close(closedWith.code, closedWith.reason));
  }

  private guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.service.log.error({ remote: this.remote, err: error }, 'a WebSocket receiver failed');
      this.close(WS_CLOSE.internalError, 'a fault of the broker');
    }
  }
}

const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** No CR, LF or NUL: they would begin another field, or another answer [RFC9110-5.5]. */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const FRAMING_FIELDS: readonly string[] = ['content-length', 'transfer-encoding', 'connection'];

/** Names that have been looked at: handlers have few. */
const goodNames = new Set<string>();
const MOST_NAMES = 100;

function isFieldName(name: string): boolean {
  if (goodNames.has(name)) return true;
  if (!FIELD_NAME.test(name) || FRAMING_FIELDS.includes(name.toLowerCase())) return false;
  if (goodNames.size < MOST_NAMES) goodNames.add(name);
  return true;
}

/** Why an answer cannot be sent; it is a bug of the handler. */
function faultOf(answer: HttpAnswer | undefined): string | undefined {
  if (!answer) return 'no answer';
  const { status, headers = {} } = answer;
  if (!Number.isInteger(status) || status < 200 || status > 599) return `status ${status}`;
  for (const name in headers) {
    if (!isFieldName(name)) return `field name ${JSON.stringify(name)}`;
    const value = headers[name] ?? '';
    if (!FIELD_VALUE.test(value)) return `value ${JSON.stringify(value)} of field ${name}`;
  }
  return undefined;
}

/** Statuses whose answers have no body and no Content-Length [RFC9110-8.6]. */
export const hasNoBody = (status: number): boolean => status === 204 || status === 304;

/** The names in a Sec-WebSocket-Protocol field. */
export const offeredProtocols = (field: string | undefined): readonly string[] =>
  (field ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
