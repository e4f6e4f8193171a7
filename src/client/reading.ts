/** What stands in a sample's body, in whichever format it came: the instant of measurement and the records. */
import { isRefusal } from '../errors.js';
import { readSampleProto } from '../protocols/sample-message.js';
import { absoluteUs, readSenml, type SenmlRecord } from '../protocols/senml-reader.js';
import { bareMediaType, FORMATS } from '../routing/format.js';

export interface Reading {
  /** UTC microseconds since the epoch; absent where the content does not tell. */
  readonly timeUs?: number;
  /** Resolved SenML records: each stands for itself. */
  readonly records: readonly SenmlRecord[];
}

/** Reads SenML and protobuf samples; `undefined` for a body of any other format, or one that is broken. */
export function readSample(mediaType: string, body: Uint8Array): Reading | undefined {
  const type = bareMediaType(mediaType);
  if (type === FORMATS.protobuf.mediaType) return readProtobuf(body);
  if (type !== FORMATS.senmlJson.mediaType && type !== FORMATS.senmlCbor.mediaType) return undefined;
  const records = readSenml(type, body);
  if (isRefusal(records)) return undefined;
  const timeUs = records[0] && absoluteUs(records[0]);
  return { records, ...(timeUs !== undefined && { timeUs }) };
}

/** The instant of measurement alone. */
export const measuredUsOf = (mediaType: string, body: Uint8Array): number | undefined =>
  readSample(mediaType, body)?.timeUs;

/** The record whose name ends in `/frequency` or is it: Hz. */
export const frequencyOf = ({ records }: Reading): number | undefined => {
  const value = records.find(({ name }) => /(^|\/)frequency$/.test(name))?.value;
  return typeof value === 'number' ? value : undefined;
};

/** Protobuf has its channels by position, and their names in the PMU's descriptor: here they are numbered, from 1. */
function readProtobuf(body: Uint8Array): Reading | undefined {
  const sample = readSampleProto(body);
  if (isRefusal(sample)) return undefined;
  const { measuredUs, idCode, stat, timeQuality, frequencyHz, rocofHzPerS, magnitudes, angles, analogs, digitals } =
    sample;
  const named: [name: string, value: number, unit?: string][] = [
    ['stat', stat],
    ['time-quality', timeQuality],
    ['frequency', frequencyHz, 'Hz'],
    ['rocof', rocofHzPerS],
    ...magnitudes.flatMap((magnitude, index): [string, number, string?][] => [
      [`phasor-${index + 1}/magnitude`, magnitude],
      [`phasor-${index + 1}/angle`, angles[index] ?? NaN, 'rad'],
    ]),
    ...analogs.map((value, index): [string, number] => [`analog-${index + 1}/value`, value]),
    ...digitals.map((word, index): [string, number] => [`digital/${index}`, word]),
  ];
  return {
    timeUs: measuredUs,
    records: named
      .filter(([, value]) => Number.isFinite(value))
      .map(([name, value, unit]) => ({
        name: `pmu-${idCode}/${name}`,
        value,
        time: measuredUs / 1e6,
        ...(unit !== undefined && { unit }),
      })),
  };
}
