/**
 * A sample in a history: as it stands in the row of a passive container, which is bytes that somebody stored, and nothing that is made
 * of them; and a PMU's measurement as it lies packed in its ring.
 */
import type { Clock } from '../clock.js';
import type { Kind } from '../resources/ring.js';
import type { RowReader, RowWriter } from '../resources/row-bytes.js';
import type { ValueForm } from '../resources/passive-history.js';
import type { PackedForm } from '../routing/measurement.js';
import { Sample, type SampleEncoder } from '../routing/sample.js';

export function sampleForm(encoder: SampleEncoder, clock: Pick<Clock, 'monotonicUs'>): ValueForm<Sample> {
  const kinds = new WeakMap<PackedForm, Kind<Sample>>();
  return {
    write({ content, quality }: Sample, row: RowWriter): boolean {
      if (content.kind !== 'stored') return false;
      row.whole(quality);
      row.word(content.mediaType);
      row.blob(content.bytes);
      return true;
    },
    read(row: RowReader, measuredUs: number, name: string | undefined): Sample {
      const quality = row.whole();
      const mediaType = row.word() ?? '';
      const bytes = row.blob();
      // As after a restart it has arrived now: a subscriber is not told at once of what has been quiet for long.
      return new Sample({ kind: 'stored', mediaType, bytes }, measuredUs, clock.monotonicUs(), quality, encoder, name);
    },
    kindOf(sample: Sample): Kind<Sample> | undefined {
      const form = formOf(sample);
      if (!form) return undefined;
      let kind = kinds.get(form);
      if (!kind) kinds.set(form, (kind = new PackedSample(form, encoder)));
      return kind;
    },
  };
}

function formOf({ content, id, publisher }: Sample): PackedForm | undefined {
  if (id !== undefined || publisher !== undefined) return undefined;
  return content.kind === 'measurement' ? content.measurement.packed : undefined;
}

const QUALITY_AT = 8;
const MEASUREMENT_AT = 9;

/** When it arrived │ quality │ measurement. Its sequence is not kept: that was its publication's. */
class PackedSample implements Kind<Sample> {
  readonly bytes: number;

  constructor(
    private readonly form: PackedForm,
    private readonly encoder: SampleEncoder,
  ) {
    this.bytes = MEASUREMENT_AT + form.bytes;
  }

  isOf(sample: Sample): boolean {
    return formOf(sample) === this.form;
  }

  write({ content, arrivedUs, quality }: Sample, into: Buffer, at: number): void {
    if (content.kind !== 'measurement') throw new TypeError(`a packed sample is a measurement, not ${content.kind}`);
    into.writeDoubleLE(arrivedUs, at);
    into[at + QUALITY_AT] = quality;
    content.measurement.pack?.(into, at + MEASUREMENT_AT);
  }

  read(from: Buffer, at: number, measuredUs: number): Sample {
    const content = { kind: 'measurement', measurement: this.form.read(from, at + MEASUREMENT_AT) } as const;
    const quality = from[at + QUALITY_AT]!; // within the slot
    return new Sample(content, measuredUs, from.readDoubleLE(at), quality, this.encoder);
  }
}
