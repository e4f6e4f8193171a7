/** A port that remembers what it was given and can be told to refuse, and samples to give it. */
import type { ContentFormat } from '../../src/routing/format.js';
import { FORMATS } from '../../src/routing/format.js';
import { Delivery, MODE, Port } from '../../src/routing/delivery.js';
import type { Ending } from '../../src/routing/endings.js';
import { Sample, type SampleEncoder } from '../../src/routing/sample.js';
import type { Terms } from '../../src/routing/terms.js';

export class RecordingPort extends Port {
  isCongested = false;
  readonly sent: { delivery: Delivery; sample: Sample; body: Uint8Array; missed: number }[] = [];
  readonly ended: { delivery: Delivery; ending: Ending }[] = [];
  flushes = 0;

  get times(): number[] {
    return this.sent.map(({ sample }) => sample.measuredUs);
  }
  override flush(): void {
    this.flushes++;
  }
  override end(delivery: Delivery, ending: Ending): void {
    this.ended.push({ delivery, ending });
  }
  protected override transmit(delivery: Delivery, sample: Sample, body: Uint8Array): boolean {
    if (this.isCongested) return false;
    this.sent.push({ delivery, sample, body, missed: delivery.missed });
    return true;
  }
}

/** Encodes stored octets alone, and counts how often. */
export class CountingEncoder implements SampleEncoder {
  encodings = 0;
  encode(sample: Sample, _projection: unknown, format: ContentFormat): Uint8Array | undefined {
    this.encodings++;
    return sample.content.kind === 'stored' && format === FORMATS.octets ? sample.content.bytes : undefined;
  }
}

export function sampleAt(measuredUs: number, encoder: SampleEncoder = new CountingEncoder(), quality = 0): Sample {
  const content = {
    kind: 'stored',
    mediaType: FORMATS.octets.mediaType,
    bytes: Buffer.from(String(measuredUs)),
  } as const;
  return new Sample(content, measuredUs, 0, quality, encoder, String(measuredUs));
}

export function activeDelivery(port: Port, terms: Terms = {}, format: ContentFormat = FORMATS.octets): Delivery {
  const delivery = new Delivery(port, 'content', format, terms);
  delivery.mode = MODE.active;
  return delivery;
}
