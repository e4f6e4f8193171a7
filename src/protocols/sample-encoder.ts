/**
 * What a sample is written as, for every row of the table of formats. Called once per sample, projection and format, however
 * many subscribers there are: `Sample.body` keeps what comes out.
 */
import { InstanceRecord } from '../resources/history.js';
import { instanceFields, type InstanceContent } from '../resources/instance.js';
import { bareMediaType, FORMATS, type ContentFormat } from '../routing/format.js';
import type { JsonObject } from '../routing/primitive.js';
import type { Sample, SampleEncoder } from '../routing/sample.js';
import type { SnapshotContent } from '../routing/snapshot-content.js';
import { writeCbor } from './codec.js';
import { writeSampleProto } from './sample-message.js';
import { writeSenmlCbor } from './senml-cbor.js';
import { writeSenmlJson } from './senml.js';
import { writeSnapshotCbor, writeSnapshotJson } from './snapshot-senml.js';

export const sampleEncoder: SampleEncoder = {
  encode: (sample, projection, format) => (projection === 'content' ? contentBody : instanceBody)(sample, format),
};

/** What a resource has become, which is stored as JSON: as CBOR too. */
export const stateEncoder: SampleEncoder = {
  encode({ content }, _, format) {
    if (content.kind !== 'stored') return undefined;
    if (format === FORMATS.json) return content.bytes;
    return format === FORMATS.cbor
      ? writeCbor(JSON.parse(Buffer.from(content.bytes).toString()) as JsonObject)
      : undefined;
  },
};

function contentBody(sample: Sample, format: ContentFormat): Uint8Array | undefined {
  const { content, measuredUs } = sample;
  if (content.kind === 'stored') return isWrittenAs(content.mediaType, format) ? content.bytes : undefined;
  if (content.kind === 'snapshot') return snapshotBody(sample, content.snapshot, format);
  const { measurement } = content;
  switch (format) {
    case FORMATS.senmlJson:
      return writeSenmlJson(measurement, measuredUs);
    case FORMATS.senmlCbor:
      return writeSenmlCbor(measurement, measuredUs);
    // A `+json` or `+cbor` type is JSON or CBOR too: the same bytes, shared.
    case FORMATS.json:
      return sample.body('content', FORMATS.senmlJson);
    case FORMATS.cbor:
      return sample.body('content', FORMATS.senmlCbor);
    case FORMATS.protobuf:
      return writeSampleProto(measurement, measuredUs);
    case FORMATS.c37118:
      return measurement.frame();
    default:
      return undefined;
  }
}

function snapshotBody(
  { measuredUs }: Sample,
  snapshot: SnapshotContent,
  format: ContentFormat,
): Uint8Array | undefined {
  switch (format) {
    case FORMATS.senmlJson:
    case FORMATS.json:
      return writeSnapshotJson(snapshot, measuredUs);
    case FORMATS.senmlCbor:
    case FORMATS.cbor:
      return writeSnapshotCbor(snapshot, measuredUs);
    case FORMATS.c37118:
      return snapshot.framed?.frame();
    default:
      return undefined;
  }
}

/** A `+json` or `+cbor` type is JSON or CBOR to whoever knows no more of it [RFC6839-3]. */
function isWrittenAs(mediaType: string, { mediaType: wanted }: ContentFormat): boolean {
  const stored = bareMediaType(mediaType);
  return (
    stored === wanted ||
    (wanted === FORMATS.json.mediaType && stored.endsWith('+json')) ||
    (wanted === FORMATS.cbor.mediaType && stored.endsWith('+cbor'))
  );
}

function instanceBody(sample: Sample, format: ContentFormat): Uint8Array | undefined {
  switch (format) {
    case FORMATS.json:
      return Buffer.from(JSON.stringify(instanceDocument(sample)));
    case FORMATS.cbor:
      return writeCbor(instanceDocument(sample));
    default:
      return undefined;
  }
}

/** As a RETRIEVE of the contentInstance answers it, but that it was created when it was measured: it may not be stored yet. */
function instanceDocument(sample: Sample): JsonObject {
  const { id, measuredUs } = sample;
  const content = contentOf(sample);
  const record = new InstanceRecord(sample, measuredUs, measuredUs, content.bytes.length, id);
  return { contentInstance: instanceFields(record, content) };
}

/** The content inside an instance: a measurement is shown as SenML+JSON. */
function contentOf(sample: Sample): InstanceContent {
  if (sample.content.kind === 'stored') return sample.content;
  const bytes = sample.body('content', FORMATS.senmlJson);
  if (!bytes) throw new Error('a measurement without a SenML form'); // contentBody always has one
  return { mediaType: FORMATS.senmlJson.mediaType, bytes };
}
