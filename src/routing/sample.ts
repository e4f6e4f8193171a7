/**
 * A sample: one new value of one container, on its way from its source to its subscribers.
 *
 *     source ──> Sample ──> resource actor (latest, ring)
 *                   └─────> router ──> groups ──> ports          body(format) is made once and shared by all of them
 *
 * It is the only thing the hot path carries, and no machine ever sees one.
 */
import type { ContentFormat, Projection } from './format.js';
import type { Measurement } from './measurement.js';
import type { SnapshotContent } from './snapshot-content.js';

/** Bits of `Sample.quality`. 0 is a good sample. */
export const QUALITY = {
  /** STAT bit 13 or a time quality other than locked: the tag is not to be trusted. */
  unsynchronised: 1,
  /** The tag lies outside the lag/lead window around the local clock; left out of age figures. */
  timeUnreasonable: 2,
  /** STAT bits 15-14 are not 00, or the values are implausible. */
  dataInvalid: 4,
  /** STAT bit 12: placed by arrival, not by its tag. */
  byArrival: 8,
} as const;

/** What a sample holds: a PMU's measurement, bytes that a publisher stored as they are, or one slot of a group. */
export type SampleContent =
  | { readonly kind: 'measurement'; readonly measurement: Measurement }
  | { readonly kind: 'stored'; readonly mediaType: string; readonly bytes: Uint8Array }
  | { readonly kind: 'snapshot'; readonly snapshot: SnapshotContent };

/** Writes samples in the formats that the protocols know; `undefined` where this sample has no such form. */
export interface SampleEncoder {
  encode(sample: Sample, projection: Projection, format: ContentFormat): Uint8Array | undefined;
}

const PROJECTIONS = 2;

/** A body that has been made. Of a sample there is mostly one: a list of one is 40 bytes, an array with room for all formats 300. */
interface Made {
  readonly index: number;
  /** Undefined: there is no such form. */
  readonly bytes: Uint8Array | undefined;
  readonly next: Made | undefined;
}

export class Sample {
  /** Of the resource; set by the router when published. 24 bits, rising: the Observe value [RFC7641-4.4]. */
  sequence = 0;
  private bodies: Made | undefined;

  /**
   * @param measuredUs UTC instant of measurement, microseconds since the epoch
   * @param arrivedUs monotonic clock when complete at our socket, microseconds
   * @param quality bits of QUALITY
   */
  constructor(
    readonly content: SampleContent,
    readonly measuredUs: number,
    readonly arrivedUs: number,
    readonly quality: number,
    private readonly encoder: SampleEncoder,
    /** Id of its contentInstance, given or generated; absent for a PMU frame, whose id is its time tag. */
    readonly id?: string,
    /** Who published it, where it came by a `Publication`. */
    readonly publisher?: string,
  ) {}

  /** The sample of the same instant with another content. */
  with(content: SampleContent, quality: number): Sample {
    return new Sample(content, this.measuredUs, this.arrivedUs, quality, this.encoder);
  }

  /** The body of this sample in one format, made at the first call and shared afterwards; `undefined` if it has no such form. */
  body(projection: Projection, format: ContentFormat): Uint8Array | undefined {
    const index = format.index * PROJECTIONS + (projection === 'content' ? 0 : 1);
    for (let made = this.bodies; made; made = made.next) if (made.index === index) return made.bytes;
    const bytes = this.encoder.encode(this, projection, format);
    this.bodies = { index, bytes, next: this.bodies };
    return bytes;
  }

  /** A newer one has come: it stays in its history for long, and hardly anybody asks for it again. */
  forgetBodies(): void {
    this.bodies = undefined;
  }
}
