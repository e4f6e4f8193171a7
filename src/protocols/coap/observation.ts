/**
 * The client's side of an observe relation [RFC7641-3].
 *
 *     GET Observe 0 ──> notification, notification, ...  ──> silence beyond Max-Age + 5..15 s ──> GET Observe 0, same token
 *                            │                                                                        │
 *                            └─ older than the last: counted, dropped                                 └─> goes on
 *
 * Ended by us with GET Observe 1, or by forgetting the token (the next notification is answered by a reset); ended by the
 * server with any answer that bears no Observe.
 */
import type { Cancel } from '../../clock.js';
import type { Address } from '../../network.js';
import {
  isFailure,
  optionsOf,
  understood,
  type CoapClient,
  type CoapRequest,
  type CoapResponse,
  type FailureReason,
} from './client.js';
import type { Confirmable } from './confirmable.js';
import { CODE, isSuccessCode, tokenKey, TYPE, type Message } from './message.js';
import { encodeTail, firstOf, OPTION, option, uintOf, uintOption } from './options.js';
import { DEFAULT_MAX_AGE_S } from './parameters.js';
import type { Peer } from './peer.js';

const NOTHING = new Uint8Array(0);
const TOKEN_BYTES = 2;
const REGISTER = 0;
const DEREGISTER = 1;
const US_PER_SECOND = 1_000_000;
/** [RFC7641-3.3.1] after Max-Age a client waits 5 to 15 s more, so that not all come at once. */
const REREGISTER_AFTER_MS = 5_000;
const REREGISTER_SPREAD_MS = 10_000;
const HALF_CIRCLE = 2 ** 23;
/** After this long any value is newer: the counter may have gone round. */
const ANY_IS_NEWER_AFTER_US = 128 * US_PER_SECOND;

/** Whether a notification with sequence `v2`, `elapsedUs` after that with `v1`, is the newer state [RFC7641-3.4]. */
export const isNewer = (v1: number, v2: number, elapsedUs: number): boolean =>
  (v1 < v2 && v2 - v1 < HALF_CIRCLE) || (v1 > v2 && v1 - v2 > HALF_CIRCLE) || elapsedUs > ANY_IS_NEWER_AFTER_US;

export interface Notification extends CoapResponse {
  /** The Observe value. */
  readonly sequence: number;
  readonly contentFormat: number | undefined;
  readonly isConfirmable: boolean;
}

/**
 * `cancelled`: by us. `not-observed`: the server answers without registering. `ended-by-server`: an answer without Observe after
 * notifications; both come with that answer. Else the registration failed.
 */
export type ObservationEnding = 'cancelled' | 'not-observed' | 'ended-by-server' | FailureReason;

export interface ObservationEvents {
  readonly notified: (notification: Notification) => void;
  /** Called once. */
  readonly ended: (ending: ObservationEnding, response: CoapResponse | undefined) => void;
  /** The instant of measurement in a payload, UTC microseconds: makes ages countable. */
  readonly measuredUs?: (notification: Notification) => number | undefined;
}

export class ObservationFigures {
  received = 0;
  confirmables = 0;
  /** Older than what was here already: not shown to the application. */
  stale = 0;
  reregistrations = 0;
  /** Notifications whose age is known; age is now minus the instant of measurement, microseconds. */
  aged = 0;
  ageSumUs = 0;
  ageMaxUs = 0;
}

export class Observation {
  readonly figures = new ObservationFigures();
  private readonly peer: Peer;
  private readonly token: Uint8Array;
  private state: 'registering' | 'observing' | 'cancelling' | 'ended' = 'registering';
  private sequence: number | undefined;
  private heardUs = 0;
  private maxAgeS = DEFAULT_MAX_AGE_S;
  private cancelSilence: Cancel = () => {};
  private confirmable: Confirmable | undefined;

  /** Registers at once. `request.isConfirmable` is the type of the registration; notifications choose their own. */
  constructor(
    private readonly client: CoapClient,
    to: Address,
    private readonly request: CoapRequest,
    private readonly events: ObservationEvents,
  ) {
    this.peer = client.endpoint.peer(to);
    this.token = client.endpoint.random.bytes(TOKEN_BYTES);
    while (this.peer.awaited.has(tokenKey(this.token))) this.token = client.endpoint.random.bytes(TOKEN_BYTES);
    this.peer.awaited.set(tokenKey(this.token), { responded: (message) => this.received(message) });
    this.heardUs = client.endpoint.clock.monotonicUs();
    this.ask(REGISTER);
    this.listen();
  }

  /** Messages this peer sent to our port that never came, all its relations and answers together. */
  get lost(): number {
    return this.peer.arrivals.lost;
  }

  /** Tells the server to stop; `ended` follows with its answer. */
  cancel(): void {
    if (this.state === 'ended' || this.state === 'cancelling') return;
    this.state = 'cancelling';
    this.confirmable?.settle('closed');
    this.ask(DEREGISTER);
  }

  /** Stops without a word: the next notification meets a reset [RFC7641-3.6]. */
  forget(): void {
    this.end('cancelled');
  }

  private ask(observe: number): void {
    const { endpoint } = this.client;
    const tail = encodeTail([...optionsOf(this.request), option(OPTION.observe, observe)], NOTHING);
    if (this.request.isConfirmable === false && observe === REGISTER) {
      if (endpoint.sendNon(this.peer, this.request.code, this.token, tail) === undefined) this.end('out-of-ids');
      return;
    }
    this.confirmable = endpoint.confirm(this.peer, {
      code: this.request.code,
      token: this.token,
      tail,
      settled: (outcome, reply) => {
        if (outcome !== 'acknowledged') {
          // A registration given up for a cancellation is not a failure of the relation.
          if (outcome !== 'closed' || this.state !== 'cancelling' || observe === DEREGISTER) this.end(outcome);
        } else if (reply && reply.code !== CODE.empty && tokenKey(reply.token) === tokenKey(this.token)) {
          const message = understood(reply);
          if (isFailure(message)) this.end(message.failure);
          else this.received(message);
        }
      },
    });
  }

  private received(message: Message): void {
    if (this.state === 'ended') return;
    const observe = firstOf(message.options, OPTION.observe);
    if (observe === undefined || !isSuccessCode(message.code)) {
      if (this.state === 'cancelling') return this.end('cancelled', message);
      return this.end(this.state === 'registering' ? 'not-observed' : 'ended-by-server', message);
    }
    // A notification shows that a registration still being sent has arrived.
    if (this.state === 'registering') this.state = 'observing';
    if (this.state !== 'cancelling') this.confirmable?.settle('acknowledged');
    this.take(message, uintOf(observe));
  }

  private take(message: Message, sequence: number): void {
    const { clock } = this.client.endpoint;
    const nowUs = clock.monotonicUs();
    if (this.sequence !== undefined && !isNewer(this.sequence, sequence, nowUs - this.heardUs)) {
      this.figures.stale++;
      return;
    }
    this.sequence = sequence;
    this.heardUs = nowUs;
    const maxAgeS = uintOption(message.options, OPTION.maxAge) ?? DEFAULT_MAX_AGE_S;
    const isShorter = maxAgeS < this.maxAgeS;
    this.maxAgeS = maxAgeS;
    if (isShorter) this.listen();
    this.figures.received++;
    if (message.type === TYPE.confirmable) this.figures.confirmables++;
    const whole = firstOf(message.options, OPTION.block2) && this.client.collect(this.peer, this.request, message);
    if (whole) void whole.then((response) => isFailure(response) || this.tell(message, response, sequence));
    else this.tell(message, message, sequence);
  }

  private tell({ type }: Message, response: CoapResponse, sequence: number): void {
    if (this.state === 'ended') return;
    const { code, options, payload } = response;
    const contentFormat = uintOption(options, OPTION.contentFormat);
    const notification = { code, options, payload, sequence, contentFormat, isConfirmable: type === TYPE.confirmable };
    const measuredUs = this.events.measuredUs?.(notification);
    if (measuredUs !== undefined) {
      const ageUs = this.client.endpoint.clock.wallUs() - measuredUs;
      this.figures.aged++;
      this.figures.ageSumUs += ageUs;
      this.figures.ageMaxUs = Math.max(this.figures.ageMaxUs, ageUs);
    }
    this.events.notified(notification);
  }

  /** One timer, moved on when it finds that something came meanwhile: none per notification. */
  private listen(): void {
    this.cancelSilence();
    const { clock, timers, random } = this.client.endpoint;
    const patienceUs = (this.maxAgeS * 1000 + REREGISTER_AFTER_MS + random.below(REREGISTER_SPREAD_MS)) * 1000;
    const leftUs = this.heardUs + patienceUs - clock.monotonicUs();
    this.cancelSilence = timers.after(Math.max(0, leftUs) / 1000, () => {
      const silentUs = clock.monotonicUs() - this.heardUs;
      if (this.state === 'observing' && silentUs >= this.maxAgeS * US_PER_SECOND + REREGISTER_AFTER_MS * 1000) {
        this.figures.reregistrations++;
        this.heardUs = clock.monotonicUs();
        // The server may have forgotten us and count from the start again.
        this.sequence = undefined;
        this.ask(REGISTER);
      }
      this.listen();
    });
  }

  private end(ending: ObservationEnding, response?: CoapResponse): void {
    if (this.state === 'ended') return;
    this.state = 'ended';
    this.cancelSilence();
    this.peer.awaited.delete(tokenKey(this.token));
    this.confirmable?.settle('closed');
    this.events.ended(ending, response);
  }
}
