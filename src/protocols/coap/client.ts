/**
 * The client side: requests and their answers, block-wise both ways, and publishing without waiting.
 *
 *     request ──> Block1 parts until all is sent ──> answer ──> Block2 parts until all is here ──> one response
 *
 * It works on an `Endpoint`, so one socket may serve and ask. Failures are values with a reason of a closed list.
 */
import type { Address } from '../../network.js';
import { blockBytes, blockOf, blockOption, LARGEST_EXPONENT, type Block } from './blocks.js';
import type { Confirmable, Outcome } from './confirmable.js';
import type { Endpoint } from './endpoint.js';
import { CODE, tokenKey, type Message } from './message.js';
import { encodeTail, firstOf, OPTION, option, screen, type Option } from './options.js';
import type { Peer } from './peer.js';

export interface CoapRequest {
  /** A method of `CODE`. */
  readonly code: number;
  readonly path: readonly string[];
  /** Each `name=value`. */
  readonly query?: readonly string[];
  readonly accept?: number;
  readonly contentFormat?: number;
  readonly payload?: Uint8Array;
  /** Beyond those above: If-Match, ETag, No-Response, ... */
  readonly options?: readonly Option[];
  /** Default true. */
  readonly isConfirmable?: boolean;
}

export interface Patience {
  /** For the whole of a block-wise exchange; default: an exchange's lifetime. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Largest block asked for and sent, 0..6 for 16..1024 bytes. */
  readonly blockExponent?: number;
}

export interface CoapResponse {
  readonly code: number;
  readonly options: readonly Option[];
  /** Whole, whatever the number of blocks. */
  readonly payload: Uint8Array;
}

/** `aborted`: by its signal. `changed`: the representation changed between two blocks. `bad-option`: one not understood. */
export type FailureReason = Exclude<Outcome, 'acknowledged'> | 'aborted' | 'changed' | 'bad-option';
export interface CoapFailure {
  readonly failure: FailureReason;
}
export const isFailure = (result: CoapResponse | Message | CoapFailure): result is CoapFailure => 'failure' in result;

const TOKEN_BYTES = 4;
/** [RFC7967] no 2.xx, no 4.xx, no 5.xx. */
const NO_RESPONSE_AT_ALL = 26;
/** A representation longer than this is not collected: 1,024 blocks of 1 KiB. */
const MOST_BLOCKS = 1024;
const NOTHING = new Uint8Array(0);

export class CoapClient {
  constructor(readonly endpoint: Endpoint) {}

  /** Asks and waits for the whole answer. Resolves with any response code; a failure says why there is none. */
  async request(to: Address, request: CoapRequest, patience: Patience = {}): Promise<CoapResponse | CoapFailure> {
    const peer = this.endpoint.peer(to);
    const deadline = this.deadline(patience);
    try {
      const first = await this.upload(peer, request, patience, deadline.signal);
      return isFailure(first) ? first : await this.collect(peer, request, first, deadline.signal);
    } finally {
      deadline.cancel();
    }
  }

  /**
   * Sends a non-confirmable request and waits for nothing: a publisher's way. The server is asked for silence [RFC7967].
   * False: the message-id budget towards this peer is spent.
   */
  publish(to: Address, request: CoapRequest): boolean {
    const options = [...optionsOf(request), option(OPTION.noResponse, NO_RESPONSE_AT_ALL)];
    const tail = encodeTail(options, request.payload ?? NOTHING);
    return this.endpoint.sendNon(this.endpoint.peer(to), request.code, NOTHING, tail) !== undefined;
  }

  /**
   * The rest of a response whose first block is here: all of it, or why not.
   * The blocks are asked for by the same request without its payload and without Observe [RFC7959-2.6].
   */
  async collect(
    peer: Peer,
    request: CoapRequest,
    first: CoapResponse,
    signal?: AbortSignal,
  ): Promise<CoapResponse | CoapFailure> {
    let block = blockOption2(first);
    if (!block?.isMore) return first;
    const etag = firstOf(first.options, OPTION.etag);
    const parts = [first.payload];
    let bytes = first.payload.length;
    for (let rounds = 0; block.isMore && rounds < MOST_BLOCKS; rounds++) {
      const { exponent }: Block = block;
      const next = { number: bytes / blockBytes(exponent), isMore: false, exponent };
      const { payload: _sent, contentFormat: _format, ...rest } = request;
      const part = await this.ask(peer, rest, [blockOption(OPTION.block2, next)], signal);
      if (isFailure(part)) return part;
      block = blockOption2(part);
      if (part.code !== first.code || !block || !sameTag(etag, firstOf(part.options, OPTION.etag)))
        return { failure: 'changed' };
      parts.push(part.payload);
      bytes += part.payload.length;
    }
    return { ...first, payload: Buffer.concat(parts) };
  }

  /** Sends the request, its body in blocks if it needs them; the answer to the last. */
  private async upload(
    peer: Peer,
    request: CoapRequest,
    { blockExponent }: Patience,
    signal: AbortSignal,
  ): Promise<Message | CoapFailure> {
    const payload = request.payload ?? NOTHING;
    let exponent = blockExponent ?? LARGEST_EXPONENT;
    const wanted =
      blockExponent === undefined ? [] : [blockOption(OPTION.block2, { number: 0, isMore: false, exponent })];
    if (payload.length <= blockBytes(exponent)) return this.ask(peer, request, wanted, signal);
    let sent = 0;
    for (;;) {
      const size = blockBytes(exponent);
      const isMore = sent + size < payload.length;
      const block = blockOption(OPTION.block1, { number: sent / size, isMore, exponent });
      const extra = sent === 0 ? [block, option(OPTION.size1, payload.length)] : isMore ? [block] : [block, ...wanted];
      const part = await this.ask(peer, { ...request, payload: payload.subarray(sent, sent + size) }, extra, signal);
      if (isFailure(part) || !isMore) return part;
      const asked = firstOf(part.options, OPTION.block1);
      if (part.code !== CODE.continue) return part;
      sent += size;
      // The server may want smaller blocks: a power of two, so what was sent stays a whole number of them.
      if (asked) exponent = Math.min(exponent, blockOf(asked).exponent);
    }
  }

  /** One exchange: a request and its response, piggybacked or separate. */
  private ask(
    peer: Peer,
    request: CoapRequest,
    extra: readonly Option[],
    signal?: AbortSignal,
  ): Promise<Message | CoapFailure> {
    const { endpoint } = this;
    const token = endpoint.random.bytes(TOKEN_BYTES);
    const key = tokenKey(token);
    return new Promise((resolve) => {
      const sent: { confirmable?: Confirmable } = {};
      const finish = (result: Message | CoapFailure): void => {
        peer.awaited.delete(key);
        signal?.removeEventListener('abort', abort);
        sent.confirmable?.settle('acknowledged');
        resolve(result);
      };
      const abort = (): void =>
        finish(signal?.reason === TIMED_OUT ? { failure: 'timed-out' } : { failure: 'aborted' });
      if (signal?.aborted) return abort();
      signal?.addEventListener('abort', abort);
      peer.awaited.set(key, { responded: finish });
      const tail = encodeTail([...optionsOf(request), ...extra], request.payload ?? NOTHING);
      if (request.isConfirmable === false) {
        if (endpoint.sendNon(peer, request.code, token, tail) === undefined) finish({ failure: 'out-of-ids' });
        return;
      }
      sent.confirmable = endpoint.confirm(peer, {
        code: request.code,
        token,
        tail,
        settled(outcome, reply) {
          if (outcome !== 'acknowledged') finish({ failure: outcome });
          else if (reply && reply.code !== CODE.empty && tokenKey(reply.token) === key) finish(understood(reply));
        },
      });
    });
  }

  /** One signal for the caller's abort and the time-out. */
  private deadline({ timeoutMs, signal }: Patience): { readonly signal: AbortSignal; cancel(): void } {
    const controller = new AbortController();
    const span = timeoutMs ?? this.endpoint.parameters.exchangeLifetimeMs;
    const cancelTimer = this.endpoint.timers.after(span, () => controller.abort(TIMED_OUT));
    const abort = (): void => controller.abort();
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort);
    return {
      signal: controller.signal,
      cancel() {
        cancelTimer();
        signal?.removeEventListener('abort', abort);
      },
    };
  }
}

const TIMED_OUT = 'timed-out';

/** A piggybacked response without what is not known here; one with a critical unknown is no response [RFC7252-5.4.1]. */
export function understood(message: Message): Message | CoapFailure {
  const { options, unknownCritical } = screen(message.options);
  return unknownCritical === undefined ? { ...message, options } : { failure: 'bad-option' };
}

/** The options that a request's own fields stand for. */
export function optionsOf({ path, query = [], accept, contentFormat, options = [] }: CoapRequest): readonly Option[] {
  return [
    ...path.map((segment) => option(OPTION.uriPath, segment)),
    ...(contentFormat === undefined ? [] : [option(OPTION.contentFormat, contentFormat)]),
    ...query.map((argument) => option(OPTION.uriQuery, argument)),
    ...(accept === undefined ? [] : [option(OPTION.accept, accept)]),
    ...options,
  ];
}

function blockOption2(response: CoapResponse): Block | undefined {
  const value = firstOf(response.options, OPTION.block2);
  return value && blockOf(value);
}

const sameTag = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a === undefined || b === undefined ? a === b : Buffer.compare(a, b) === 0;
