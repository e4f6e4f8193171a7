/**
 * The tail of the last notification: options and payload, all of a datagram but type, id and token. Groups are walked one
 * after the other, so the observers of one sample and format ask for the same tail in a row.
 */
import { STATUSES } from '../../errors.js';
import type { Sample } from '../../routing/sample.js';
import { blockBytes, blockOption, tagOf, type Representation } from './blocks.js';
import { maxAgeOption, type Relation } from './observe.js';
import { encodeTail, OPTION, option } from './options.js';

export class LastTail {
  private sample: Sample | undefined;
  private sequence = -1;
  private body: Uint8Array | undefined;
  private maxAgeS = 0;
  private exponent = 0;
  private tail: Buffer = Buffer.alloc(0);
  /** Of a body longer than a block: the representation whose further blocks are asked for. */
  private long: Representation | undefined;

  of(sample: Sample, body: Uint8Array, relation: Relation): Buffer {
    const tail = this.tailOf(sample, body, relation);
    if (this.long) relation.keepsLong(this.long);
    return tail;
  }

  private tailOf(sample: Sample, body: Uint8Array, { delivery, maxAgeS, exponent }: Relation): Buffer {
    const isSame = sample === this.sample && sample.sequence === this.sequence && body === this.body;
    if (isSame && maxAgeS === this.maxAgeS && exponent === this.exponent) return this.tail;
    this.sample = sample;
    this.sequence = sample.sequence;
    this.body = body;
    this.maxAgeS = maxAgeS;
    this.exponent = exponent;
    const size = blockBytes(exponent);
    const isLong = body.length > size;
    const format = option(OPTION.contentFormat, delivery.format.coap);
    const etag = isLong ? [option(OPTION.etag, tagOf(body))] : [];
    this.long = isLong ? { code: STATUSES.STATUS_OK.coap, options: [...etag, format], payload: body } : undefined;
    const options = [
      option(OPTION.observe, sequenceBytes(sample.sequence)),
      format,
      ...maxAgeOption(maxAgeS),
      ...etag,
      ...(isLong ? [blockOption(OPTION.block2, { number: 0, isMore: true, exponent })] : []),
    ];
    return (this.tail = encodeTail(options, isLong ? body.subarray(0, size) : body));
  }
}

/**
 * Always of three bytes: equal samples make equal datagrams, and only those travel together. Whoever reads a number must expect
 * zeros before it [RFC7252-3.2].
 */
const sequenceBytes = (sequence: number): Uint8Array => Uint8Array.of(sequence >>> 16, sequence >>> 8, sequence);
