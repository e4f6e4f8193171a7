/**
 * The tail of the last notification: options and payload, all of a datagram but type, id and token. Groups are walked one
 * after the other, so the observers of one sample and format ask for the same tail in a row.
 */
import { STATUSES } from '../../errors.js';
import type { Sample } from '../../routing/sample.js';
import { blockBytes, blockOption, tagOf, type Representation } from './blocks.js';
import { maxAgeOption, type Relation } from './observe.js';
import { encodeTail, OPTION, option, PAYLOAD_MARKER, type Option } from './options.js';

export class LastTail {
  private sample: Sample | undefined;
  private sequence = -1;
  private body: Uint8Array | undefined;
  private maxAgeS = 0;
  private exponent = 0;
  private tail: Buffer = Buffer.alloc(0);
  /** What stands before the payload, by format and Max-Age, with 0 as Observe. */
  private readonly options = new Map<number, Buffer>();
  /** Of a body longer than a block: the representation whose further blocks are asked for. */
  long: Representation | undefined;

  of(sample: Sample, body: Uint8Array, { delivery, maxAgeS, exponent }: Relation): Buffer {
    const isSame = sample === this.sample && sample.sequence === this.sequence && body === this.body;
    if (isSame && maxAgeS === this.maxAgeS && exponent === this.exponent) return this.tail;
    this.sample = sample;
    this.sequence = sample.sequence;
    this.body = body;
    this.maxAgeS = maxAgeS;
    this.exponent = exponent;
    const { coap } = delivery.format;
    this.long = undefined;
    return (this.tail =
      body.length > blockBytes(exponent)
        ? this.longTail(sample.sequence, coap, body, maxAgeS, exponent)
        : this.shortTail(sample.sequence, coap, body, maxAgeS));
  }

  private shortTail(sequence: number, format: number, body: Uint8Array, maxAgeS: number): Buffer {
    const key = format * (LONGEST_MAX_AGE_S + 1) + maxAgeS;
    let options = this.options.get(key);
    if (!options) {
      if (this.options.size >= MOST_OPTIONS) this.options.clear();
      this.options.set(key, (options = encodeTail(optionsOf(0, format, maxAgeS), NOTHING)));
    }
    const tail = Buffer.allocUnsafe(options.length + (body.length === 0 ? 0 : 1 + body.length));
    tail.set(options);
    tail[OBSERVE_AT] = sequence >>> 16;
    tail[OBSERVE_AT + 1] = sequence >>> 8;
    tail[OBSERVE_AT + 2] = sequence;
    if (body.length > 0) {
      tail[options.length] = PAYLOAD_MARKER;
      tail.set(body, options.length + 1);
    }
    return tail;
  }

  private longTail(sequence: number, format: number, body: Uint8Array, maxAgeS: number, exponent: number): Buffer {
    const etag = option(OPTION.etag, tagOf(body));
    this.long = { code: STATUSES.STATUS_OK.coap, options: [etag, option(OPTION.contentFormat, format)], payload: body };
    const block = blockOption(OPTION.block2, { number: 0, isMore: true, exponent });
    return encodeTail([...optionsOf(sequence, format, maxAgeS), etag, block], body.subarray(0, blockBytes(exponent)));
  }
}

const NOTHING = new Uint8Array(0);
/** Formats are few, but subscribers choose the Max-Age. */
const MOST_OPTIONS = 256;
/** Of an option of at most four bytes. */
const LONGEST_MAX_AGE_S = 2 ** 32 - 1;
/** Observe is the first of the options, and its value stands behind one byte of head. */
const OBSERVE_AT = 1;

const optionsOf = (sequence: number, format: number, maxAgeS: number): readonly Option[] => [
  option(OPTION.observe, sequenceBytes(sequence)),
  option(OPTION.contentFormat, format),
  ...maxAgeOption(maxAgeS),
];

/**
 * Always of three bytes: equal samples make equal datagrams, and only those travel together. Whoever reads a number must expect
 * zeros before it [RFC7252-3.2].
 */
export const sequenceBytes = (sequence: number): Uint8Array => Uint8Array.of(sequence >>> 16, sequence >>> 8, sequence);
