/**
 * The last notification of one subprotocol. Groups are walked one after the other, so the subscribers of one sample and
 * format ask for the same tail in a row; those of them that gave their subscription the same id, and missed as much, get the
 * very same bytes.
 */
import type { Delivery } from '../../routing/delivery.js';
import type { Sample } from '../../routing/sample.js';
import type { FrameCodec } from './frames.js';

export class LastNotification {
  private sample: Sample | undefined;
  private sequence = -1;
  private body: Uint8Array | undefined;
  private tail: Uint8Array = new Uint8Array(0);
  private sub = -1;
  private route = -1;
  private missed = -1;
  private message: Buffer = Buffer.alloc(0);

  constructor(private readonly codec: FrameCodec) {}

  of(sub: number, route: number, { missed, format }: Delivery, sample: Sample, body: Uint8Array): Buffer {
    if (sample !== this.sample || sample.sequence !== this.sequence || body !== this.body) {
      this.sample = sample;
      this.sequence = sample.sequence;
      this.body = body;
      const isFromOutside = sample.content.kind === 'stored';
      this.tail = this.codec.tail(sample.sequence, sample.measuredUs, format.mediaType, body, isFromOutside);
    } else if (sub === this.sub && route === this.route && missed === this.missed) {
      return this.message;
    }
    this.sub = sub;
    this.route = route;
    this.missed = missed;
    return (this.message = this.codec.notification(sub, route, missed, this.tail));
  }
}
