/**
 * The last notification of one subprotocol. Groups are walked one after the other, so the subscribers of one sample and
 * format ask for the same one in a row.
 */
import type { ContentFormat } from '../../routing/format.js';
import type { Sample } from '../../routing/sample.js';
import type { FrameCodec } from './frames.js';
import type { SharedNotification } from './shared-notification.js';

export class LastNotification {
  private sample: Sample | undefined;
  private sequence = -1;
  private body: Uint8Array | undefined;
  private shared: SharedNotification | undefined;

  constructor(private readonly codec: FrameCodec) {}

  of(sample: Sample, { mediaType }: ContentFormat, body: Uint8Array): SharedNotification {
    if (this.shared && sample === this.sample && sample.sequence === this.sequence && body === this.body)
      return this.shared;
    this.sample = sample;
    this.sequence = sample.sequence;
    this.body = body;
    const isFromOutside = sample.content.kind === 'stored';
    return (this.shared = this.codec.share(sample.sequence, sample.measuredUs, mediaType, body, isFromOutside));
  }
}
