/**
 * One request received and its answer [RFC7252-5.2].
 *
 *     CON ──> answered within 50 ms ──> ACK with the response (piggybacked)
 *      └────> not yet ──> empty ACK ──> later: CON with the response (separate), its own id, the same token
 *     NON ──> NON with its own id, the same token
 */
import type { Cancel } from '../../clock.js';
import type { Outgoing } from './confirmable.js';
import type { Handled } from './dedup.js';
import { CODE, compose, encodeEmpty, TYPE, type Message } from './message.js';
import { encodeTail, OPTION, uintOption, type Option } from './options.js';
import { SEPARATE_AFTER_MS } from './parameters.js';
import type { Peer } from './peer.js';
import type { Timers } from './confirmable.js';

export interface Reply {
  readonly code: number;
  readonly options?: readonly Option[];
  readonly payload?: Uint8Array;
}

/** The ways out that an exchange needs of the message layer. */
export interface Answering {
  readonly timers: Timers;
  send(peer: Peer, datagram: Uint8Array): void;
  sendNon(peer: Peer, code: number, token: Uint8Array, tail: Uint8Array): number | undefined;
  confirm(peer: Peer, outgoing: Outgoing): void;
}

const NOTHING = new Uint8Array(0);

export class Exchange {
  private state: 'open' | 'acknowledged' | 'answered' = 'open';
  private cancelAcknowledgement: Cancel = () => {};

  /** @param request with known options only */
  constructor(
    readonly peer: Peer,
    readonly request: Message,
    private readonly layer: Answering,
    private readonly handled: Handled,
  ) {}

  /** Answers; later calls are void. */
  respond({ code, options = [], payload = NOTHING }: Reply): void {
    const { peer, request, layer } = this;
    if (this.state === 'answered') return;
    const isAcknowledged = this.state === 'acknowledged';
    this.state = 'answered';
    this.cancelAcknowledgement();
    if (isUnwanted(request, code)) {
      if (request.type === TYPE.confirmable && !isAcknowledged)
        this.reply(encodeEmpty(TYPE.acknowledgement, request.id));
      return;
    }
    const tail = encodeTail(options, payload);
    if (request.type === TYPE.nonConfirmable) layer.sendNon(peer, code, request.token, tail);
    else if (isAcknowledged) layer.confirm(peer, { code, token: request.token, tail, settled: () => {} });
    else this.reply(compose(TYPE.acknowledgement, code, request.id, request.token, tail));
  }

  /** Called when the handler has returned: a client of a slow one must not send its request again. */
  awaitAnswer(): void {
    if (this.state !== 'open' || this.request.type !== TYPE.confirmable) return;
    this.cancelAcknowledgement = this.layer.timers.after(SEPARATE_AFTER_MS, () => this.acknowledge());
  }

  /** The empty acknowledgement; the response will be separate. */
  acknowledge(): void {
    if (this.state !== 'open' || this.request.type !== TYPE.confirmable) return;
    this.state = 'acknowledged';
    this.cancelAcknowledgement();
    this.reply(encodeEmpty(TYPE.acknowledgement, this.request.id));
  }

  private reply(datagram: Buffer): void {
    this.peer.recent.answered(this.handled, datagram);
    this.layer.send(this.peer, datagram);
  }
}

/** The client named the classes of answers it does without [RFC7967]; 2.31 is part of the transfer, not an answer. */
export function isUnwanted(request: Message, code: number): boolean {
  const unwanted = uintOption(request.options, OPTION.noResponse) ?? 0;
  return code !== CODE.continue && (unwanted & (1 << ((code >>> 5) - 1))) !== 0;
}
