/** A sample as it stands in the row of a passive container: bytes that somebody stored, and nothing that is made of them. */
import type { Clock } from '../clock.js';
import type { RowReader, RowWriter } from '../resources/row-bytes.js';
import type { ValueForm } from '../resources/passive-form.js';
import { Sample, type SampleEncoder } from '../routing/sample.js';

export const sampleForm = (encoder: SampleEncoder, clock: Pick<Clock, 'monotonicUs'>): ValueForm<Sample> => ({
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
});
