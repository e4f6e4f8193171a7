/** The whole way from a recorded frame to what subscribers read, against what an independent decoder printed of it. */
import { isRefusal } from '../../src/errors.js';
import { decode } from '../../src/protocols/c37118/codec.js';
import { viewOf } from '../../src/protocols/c37118/frame.js';
import { FrameMeasurement, streamOf } from '../../src/protocols/c37118/measurement.js';
import { readSampleProto, writeSampleProto } from '../../src/protocols/sample-message.js';
import { readSenml } from '../../src/protocols/senml-reader.js';
import { writeSenmlCbor } from '../../src/protocols/senml-cbor.js';
import { writeSenmlJson } from '../../src/protocols/senml.js';
import type { Measurement } from '../../src/routing/measurement.js';
import { describeRecorded, recordedFrames, zeekRows } from './c37118/recordings.js';

const TIME_US = 1_387_808_155_020_000;

function recordedMeasurements(): Measurement[] {
  const frames = recordedFrames('C37.118_1PMU_UDP');
  const configuration = decode(frames.find(({ type }) => type === 'CFG2')?.bytes ?? Buffer.alloc(0));
  if (configuration.kind !== 'configuration2') throw new Error(`a ${configuration.kind} frame`);
  const { layout, pmus } = streamOf(configuration);
  return frames
    .filter(({ type }) => type === 'DATA')
    .flatMap(({ bytes }) => pmus.map((pmu) => new FrameMeasurement(viewOf(bytes), 0, layout, pmu)));
}

/** Magnitudes and angles by phasor, frequency, digital words: the columns both sides have. */
type Row = readonly (readonly number[])[];

function senmlRow(mediaType: string, bytes: Uint8Array): Row {
  const records = readSenml(mediaType, bytes);
  if (isRefusal(records)) throw new Error(records.detail);
  const of = (end: RegExp): number[] => records.filter(({ name }) => end.test(name)).map(({ value }) => Number(value));
  return [of(/\/magnitude$/), of(/\/angle$/), of(/\/frequency$/), of(/digital\/\d+$/)];
}

function protoRow(bytes: Uint8Array): Row {
  const message = readSampleProto(bytes);
  if (isRefusal(message)) throw new Error(message.detail);
  return [message.magnitudes, message.angles, [message.frequencyHz], message.digitals];
}

const printed = (rows: readonly Row[]): string[] =>
  rows.map((row) => row.map((values) => values.map((value) => value.toFixed(6)).join()).join(' | ')).sort();

describeRecorded('the values delivered of a recorded session', () => {
  const expected = zeekRows('1PMU_UDP').map(({ polar, deviationMHz, digitals }): Row => {
    return [
      polar.map(([magnitude]) => magnitude),
      polar.map(([, angle]) => angle),
      [50 + deviationMHz / 1000],
      digitals,
    ];
  });

  test.each([
    ['SenML+JSON', (m: Measurement) => senmlRow('application/senml+json', writeSenmlJson(m, TIME_US))],
    ['SenML+CBOR', (m: Measurement) => senmlRow('application/senml+cbor', writeSenmlCbor(m, TIME_US))],
    ['protobuf', (m: Measurement) => protoRow(writeSampleProto(m, TIME_US))],
  ])('as %s are those of Zeek, to all six decimals it prints, in all 356 frames', (_, rowOf) => {
    const delivered = printed(recordedMeasurements().map(rowOf));
    expect(delivered).toHaveLength(356);
    expect(delivered).toEqual(printed(expected));
  });
});
