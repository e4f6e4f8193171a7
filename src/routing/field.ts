/** One number of a stream's samples, by name: what rules and conditions look at. Nothing else of a sample is looked into. */
import type { PmuDescriptor } from './measurement.js';
import { readerOf, type NumberReader } from './records.js';
import type { Sample } from './sample.js';

/**
 * Reads a number by its name out of stored content, true as 1 and false as 0; NaN where there is none. Without a name: the one that
 * the content is, or the first of its pack.
 */
export type ValueReader = (mediaType: string, bytes: Uint8Array, field: string) => number;

/** Of a PMU that is asked for no other. */
const DEFAULT_RECORD = 'frequency';

export class Field {
  /** Its differences go round: from 3.1 to -3.1 it is a small step. */
  readonly isAngle: boolean;
  private descriptor: PmuDescriptor | undefined;
  private reader: NumberReader | undefined;

  /** @param name empty: a PMU's frequency, or the one number that there is */
  constructor(
    private readonly name: string,
    private readonly valueOf: ValueReader,
  ) {
    this.isAngle = name.endsWith('/angle');
  }

  /** NaN where the sample has no such number. */
  read({ content }: Sample): number {
    if (content.kind === 'stored') return this.valueOf(content.mediaType, content.bytes, this.name);
    if (content.kind === 'snapshot') return NaN;
    const { measurement } = content;
    const { descriptor } = measurement;
    if (descriptor !== this.descriptor) {
      // Looked up once per configuration.
      this.descriptor = descriptor;
      this.reader = readerOf(descriptor, this.name === '' ? DEFAULT_RECORD : this.name);
    }
    return this.reader === undefined ? NaN : this.reader(measurement);
  }
}
