/**
 * The tail of the last notification: options and payload, all of a datagram but type, id and token. Groups are walked one
 * after the other, so the observers of one sample and format ask for the same tail in a row.
 */
import type { Sample } from '../../routing/sample.js';
import { blockBytes, blockOption, tagOf } from './blocks.js';
import { maxAgeOption, type Relation } from './observe.js';
import { encodeTail, OPTION, option } from './options.js';

export class LastTail {
  private sample: Sample | undefined;
  private sequence = -1;
  private body: Uint8Array | undefined;
  private maxAgeS = 0;
  private exponent = 0;
  private tail: Buffer = Buffer.alloc(0);

  of(sample: Sample, body: Uint8Array, { delivery, maxAgeS, exponent }: Relation): Buffer {
    const isSame = sample === this.sample && sample.sequence === this.sequence && body === this.body;
    if (isSame && maxAgeS === this.maxAgeS && exponent === this.exponent) return this.tail;
    this.sample = sample;
    this.sequence = sample.sequence;
    this.body = body;
    this.maxAgeS = maxAgeS;
    this.exponent = exponent;
    const size = blockBytes(exponent);
    const isLong = body.length > size;
    const options = [
      option(OPTION.observe, sequenceBytes(sample.sequence)),
      option(OPTION.contentFormat, delivery.format.coap),
      ...maxAgeOption(maxAgeS),
      ...(isLong
        ? [option(OPTION.etag, tagOf(body)), blockOption(OPTION.block2, { number: 0, isMore: true, exponent })]
        : []),
    ];
    return (this.tail = encodeTail(options, isLong ? body.subarray(0, size) : body));
  }
}

/**
 * Always of three bytes: equal samples make equal datagrams, and only those travel together. Whoever reads a number must expect
 * zeros before it [RFC7252-3.2].
 */
const sequenceBytes = (sequence: number): Uint8Array => Uint8Array.of(sequence >>> 16, sequence >>> 8, sequence);
