/**
 * Block-wise transfers of the server side [RFC7959].
 *
 *     Block1   PUT 0/more ──> 2.31   PUT 1/more ──> 2.31   PUT 2/last ──> handled once, with the whole body
 *     Block2   GET ──> handled once, block 0 of a frozen representation   GET 1, 2, ... ──> served from it
 *
 * A transfer is known by its endpoint and the options that make up the cache key (Request-Tag among them): tokens change
 * from block to block. Every block of one representation carries the same ETag, so that a client notices a change.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../../clock.js';
import { coapCode } from '../../errors.js';
import type { Timers } from './confirmable.js';
import type { Exchange, Reply } from './exchange.js';
import { CODE, isSuccessCode, type Message } from './message.js';
import { encodeTail, firstOf, isNoCacheKey, OPTION, option, uintOf, uintOption, type Option } from './options.js';
import { LARGEST_PAYLOAD_BYTES, PARAMETERS } from './parameters.js';
import type { Peer } from './peer.js';
import { Shelf, type ShelfLimits } from './shelf.js';

/** A block option's value: number, more to come, size exponent (2^(4 + exponent) bytes). */
export interface Block {
  readonly number: number;
  readonly isMore: boolean;
  readonly exponent: number;
}

const RESERVED_EXPONENT = 7;
export const LARGEST_EXPONENT = 6;
export const blockBytes = (exponent: number): number => 2 ** (exponent + 4);

export function blockOf(value: Uint8Array): Block {
  const bits = uintOf(value);
  return { number: bits >>> 4, isMore: (bits & 8) !== 0, exponent: bits & 7 };
}

export const blockOption = (number: number, block: Block): Option =>
  option(number, block.number * 16 + (block.isMore ? 8 : 0) + block.exponent);

/** An entity tag of the bytes themselves, for representations that come without one. */
export const tagOf = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest().subarray(0, 8);

/** Largest request body put together here. */
export const LARGEST_BODY_BYTES = 64 * 1024;
const AGE_MS = PARAMETERS.standard.exchangeLifetimeMs;
const ASSEMBLY_LIMITS: ShelfLimits = { perPeer: 4, inAll: 256, bytes: 4 * 1024 * 1024, ageMs: AGE_MS };
const FROZEN_LIMITS: ShelfLimits = { perPeer: 8, inAll: 1024, bytes: 8 * 1024 * 1024, ageMs: AGE_MS };
/** When a new transfer may be tried again after all places were taken, seconds. */
const RETRY_AFTER_S = 10;

/** A body coming in: what arrived, in order, and how much. */
interface Assembly {
  readonly parts: Uint8Array[];
  bytes: number;
}

/** An answer that is read block by block. */
export type Representation = Required<Reply>;

/** Takes the whole request, answers once. */
export type Handle = (request: Message, respond: (reply: Reply) => void) => void;

export class Blockwise {
  private readonly assemblies: Shelf<Assembly>;
  private readonly frozen: Shelf<Representation>;

  constructor(clock: Clock, timers: Timers) {
    this.assemblies = new Shelf(clock, timers, ASSEMBLY_LIMITS);
    this.frozen = new Shelf(clock, timers, FROZEN_LIMITS);
  }

  /** Transfers under way and representations kept, for metrics and for tests that prove nothing is left. */
  get open(): { readonly assemblies: number; readonly frozen: number } {
    return { assemblies: this.assemblies.size, frozen: this.frozen.size };
  }

  close(): void {
    this.assemblies.clear();
    this.frozen.clear();
  }

  /** What an observer was told the first block of takes the place of what it read before: the newest is what it goes on with. */
  keep(peer: Peer, cacheKey: string, representation: Representation): void {
    this.frozen.putAnyway(shelfKey(peer, cacheKey), peer.key, representation, representation.payload.length);
  }

  /** Answers what belongs to a transfer under way; whole requests reach `handle`. */
  serve(exchange: Exchange, handle: Handle): void {
    const { request } = exchange;
    const in1 = blockIn(request, OPTION.block1);
    const in2 = blockIn(request, OPTION.block2);
    if (in1?.exponent === RESERVED_EXPONENT || in2?.exponent === RESERVED_EXPONENT) {
      return exchange.respond(
        fault(coapCode(4, 0), 'A block size exponent of 7 is reserved; 0 to 6 are 16 to 1024 bytes.'),
      );
    }
    // Asked for where it is needed: a sample that is published needs none.
    const frozenKey = (): string => shelfKey(exchange.peer, cacheKeyOf(request));
    // A FETCH that comes with its body again asks for itself, whatever another one left here.
    const isWholeFetch = request.code === CODE.fetch && request.payload.length > 0;
    if (in2 && in2.number > 0 && !in1 && !isWholeFetch) {
      const kept = this.frozen.get(frozenKey());
      if (kept) return exchange.respond(cut(kept, in2));
      if (request.code !== CODE.get)
        return exchange.respond(
          fault(coapCode(4, 8), 'The answer that this block belongs to is not kept any more; start again.'),
        );
    }
    const payload = in1 ? this.assemble(exchange, in1) : request.payload;
    if (!payload) return;
    const wanted = in2 ?? { number: 0, isMore: false, exponent: LARGEST_EXPONENT };
    handle({ ...request, payload }, (reply) => {
      if (!in1 && !in2 && reply.payload === undefined) return exchange.respond(reply);
      const { code, options = [], payload: whole = NOTHING } = reply;
      // [RFC7959-2.9.1] the answer to the last block names that block.
      const echo = in1 ? [blockOption(OPTION.block1, { ...in1, isMore: false })] : [];
      const respond = (answer: Reply): void =>
        exchange.respond({ ...answer, options: [...(answer.options ?? []), ...echo] });
      const isWhole = whole.length <= blockBytes(wanted.exponent) && !in2;
      if (isWhole || !isSuccessCode(code))
        return respond({ code, options, payload: whole.subarray(0, LARGEST_PAYLOAD_BYTES) });
      const tagged = firstOf(options, OPTION.etag) ? options : [...options, option(OPTION.etag, tagOf(whole))];
      const asksSize = uintOption(request.options, OPTION.size2) !== undefined;
      const representation = {
        code,
        options: asksSize ? [...tagged, option(OPTION.size2, whole.length)] : tagged,
        payload: Uint8Array.from(whole),
      };
      if (whole.length > blockBytes(wanted.exponent)) {
        // Its further blocks are no notifications [RFC7959-3.4].
        const further = representation.options.filter(({ number }) => number !== OPTION.observe);
        this.frozen.putAnyway(frozenKey(), exchange.peer.key, { ...representation, options: further }, whole.length);
      }
      respond(cut(representation, wanted));
    });
  }

  /** Adds one block; the whole body with the last. Otherwise it is answered here. */
  private assemble(exchange: Exchange, block: Block): Uint8Array | undefined {
    const { request, peer } = exchange;
    const { payload } = request;
    const size = blockBytes(block.exponent);
    const key = shelfKey(peer, `${request.code} ${keyOf(request.options, [])}`);
    const answer = (reply: Reply): undefined => {
      exchange.respond(reply);
    };
    const tooLarge = (): undefined =>
      answer({
        ...fault(coapCode(4, 13), `The body exceeds ${LARGEST_BODY_BYTES} bytes.`),
        options: [option(OPTION.size1, LARGEST_BODY_BYTES)],
      });
    if (payload.length > size || (block.isMore && payload.length !== size)) {
      answer(fault(coapCode(4, 0), `The block has ${payload.length} bytes where its option says ${size}.`));
      return;
    }
    const announced = uintOption(request.options, OPTION.size1) ?? 0;
    const offset = block.number * size;
    if (announced > LARGEST_BODY_BYTES || offset + payload.length > LARGEST_BODY_BYTES) {
      this.assemblies.remove(key);
      tooLarge();
      return;
    }
    if (block.number === 0 && !block.isMore) return payload;
    if (block.number === 0 && !this.assemblies.put(key, peer.key, { parts: [], bytes: 0 }, size)) {
      answer({
        ...fault(coapCode(5, 3), 'Too many bodies are being received.'),
        options: [option(OPTION.maxAge, RETRY_AFTER_S)],
      });
      return;
    }
    const assembly = this.assemblies.get(key);
    if (assembly?.bytes !== offset) {
      this.assemblies.remove(key);
      answer(fault(coapCode(4, 8), `Block ${block.number} does not follow what has come; start again at 0.`));
      return;
    }
    if (!this.assemblies.grow(key, offset + payload.length)) {
      this.assemblies.remove(key);
      tooLarge();
      return;
    }
    assembly.parts.push(payload);
    assembly.bytes += payload.length;
    if (block.isMore) {
      answer({ code: CODE.continue, options: [blockOption(OPTION.block1, block)] });
      return;
    }
    this.assemblies.remove(key);
    return Buffer.concat(assembly.parts);
  }
}

const NOTHING = new Uint8Array(0);

const fault = (code: number, sentence: string): Reply => ({ code, payload: Buffer.from(sentence) });

function blockIn(request: Message, number: number): Block | undefined {
  const value = firstOf(request.options, number);
  return value && blockOf(value);
}

/** One block of a representation, with the options of the whole. */
export function cut({ code, options, payload }: Representation, block: Block): Reply {
  const size = blockBytes(block.exponent);
  const offset = block.number * size;
  if (offset > 0 && offset >= payload.length) {
    return fault(
      coapCode(4, 0),
      `Block ${block.number} of ${size} bytes lies beyond the ${payload.length} bytes of the representation.`,
    );
  }
  const isMore = offset + size < payload.length;
  return {
    code,
    options: [...options, blockOption(OPTION.block2, { ...block, isMore })],
    payload: payload.subarray(offset, offset + size),
  };
}

/** Of a transfer: its endpoint, method and the options of the cache key [RFC7959-2.4]. */
const shelfKey = ({ key }: Peer, cacheKey: string): string => `${key} ${cacheKey}`;

/** The options of the cache key as bytes, those of the transfer itself left out [RFC9175-3.3]. */
const keyOf = (options: readonly Option[], alsoWithout: readonly number[]): string =>
  encodeTail(
    options.filter(
      ({ number }) => !isNoCacheKey(number) && !TRANSFER_OPTIONS.includes(number) && !alsoWithout.includes(number),
    ),
    NOTHING,
  ).toString('latin1');

/** By list, for the method it last came with: those of observers come again and again, and each relation keeps its own [option-memory]. */
const cacheKeys = new WeakMap<readonly Option[], { readonly code: number; readonly key: string }>();

/** What the answer to a request is known by: the requests for its further blocks have no body, so no format of one. */
export function cacheKeyOf({ code, options }: Pick<Message, 'code' | 'options'>): string {
  const known = cacheKeys.get(options);
  if (known?.code === code) return known.key;
  const key = `${code} ${keyOf(options, [OPTION.contentFormat])}`;
  cacheKeys.set(options, { code, key });
  return key;
}

const TRANSFER_OPTIONS: readonly number[] = [OPTION.block1, OPTION.block2, OPTION.observe];
