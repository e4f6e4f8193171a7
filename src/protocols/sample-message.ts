/** A PMU's measurement as the protobuf message gridcast.v1.Sample (proto/sample.proto). */
import type { Refusal } from '../errors.js';
import type { Measurement, Processing } from '../routing/measurement.js';
import { messageCodec } from './protobuf.js';

/** By position; names and units are those of the descriptor with this `configurationCount`. NaN: absent. */
export interface SampleMessage {
  /** UTC, microseconds since the epoch. */
  readonly measuredUs: number;
  readonly idCode: number;
  readonly configurationCount: number;
  readonly stat: number;
  readonly timeQuality: number;
  readonly frequencyHz: number;
  readonly rocofHzPerS: number;
  /** V or A, RMS; as long as `angles`. */
  readonly magnitudes: readonly number[];
  /** Radians. */
  readonly angles: readonly number[];
  readonly analogs: readonly number[];
  readonly digitals: readonly number[];
  /** Null: it is as it was sent. */
  readonly processing: Processing | null;
}

const codec = messageCodec<SampleMessage>('sample.proto', 'gridcast.v1.Sample');

export function writeSampleProto(measurement: Measurement, measuredUs: number): Uint8Array {
  const { descriptor, stat, timeQuality, frequencyHz, rocofHzPerS, phasors, analogs, digitals, processing } =
    measurement;
  const { idCode, configurationCount } = descriptor;
  const magnitudes = phasors.map(({ magnitude }) => magnitude);
  const angles = phasors.map(({ angle }) => angle);
  return codec.encode({
    measuredUs,
    idCode,
    configurationCount,
    stat,
    timeQuality,
    frequencyHz,
    rocofHzPerS,
    magnitudes,
    angles,
    analogs,
    digitals,
    processing: processing ?? null,
  });
}

/** Refused with 400 what is no such message. */
export const readSampleProto = (bytes: Uint8Array): SampleMessage | Refusal => codec.decode(bytes);
