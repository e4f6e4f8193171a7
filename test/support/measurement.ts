/** A measurement of "PMU 61" with whatever a test wants different, and arbitrary ones. */
import fc from 'fast-check';
import {
  encodeConfiguration,
  FORMAT,
  type Configuration,
  type PmuConfiguration,
} from '../../src/protocols/c37118/configuration.js';
import { blockOf, encodeData, layoutOf } from '../../src/protocols/c37118/data-frame.js';
import type { Measurement, PmuDescriptor } from '../../src/routing/measurement.js';

export const DESCRIPTOR: PmuDescriptor = {
  idCode: 61,
  streamId: 60,
  stationName: 'PMU1',
  nominalHz: 50,
  reportingRate: 50,
  phasors: [
    { name: 'VA', unit: 'V' },
    { name: 'I A', unit: 'A' },
  ],
  analogs: [{ name: 'load', kind: 'rms' }],
  digitals: Array.from({ length: 16 }, (_, point) => `point ${point}`),
  configurationCount: 3,
};

export const FRAME = Buffer.from('aa01', 'hex');

export function measurementOf(values: Partial<Measurement> = {}): Measurement {
  const made: Measurement = {
    descriptor: DESCRIPTOR,
    stat: 0x0800,
    timeQuality: 0,
    frequencyHz: 50.01,
    rocofHzPerS: -0.02,
    phasors: [
      { magnitude: Math.fround(100.077583), angle: Math.fround(-1.567345) },
      { magnitude: 12.5, angle: 0 },
    ],
    analogs: [-7.25],
    digitals: [0x8001],
    frame: () => FRAME,
    get frameBytes() {
      return made.frame().length;
    },
    writeFrame: (into, at) => into.set(made.frame(), at),
    configuration: () => FRAME,
    remade: (others, from, processing) =>
      measurementOf({
        ...made,
        ...others,
        stat: from.reduce((bits, { stat }) => bits | stat, made.stat) | DATA_MODIFIED,
        processing,
      }),
    ...values,
  };
  return made;
}
const DATA_MODIFIED = 0x0200;

/** As `measurementOf`, with the frame and configuration that say the same, in floats: it can be stored and read again. */
export function framedMeasurement(values: Partial<Measurement>): Measurement {
  const made = measurementOf(values);
  const { configuration, bytes } = wireOf(made.descriptor);
  const frame = (): Uint8Array => {
    const head = { version: 1, streamId: configuration.streamId, timeQuality: made.timeQuality, soc: 0, fraction: 0 };
    const blocks = configuration.pmus.map((pmu) => blockOf(made, pmu));
    return encodeData({ kind: 'data', ...head, blocks }, layoutOf(configuration));
  };
  return measurementOf({ frame, configuration: () => bytes, ...values });
}

const wires = new WeakMap<PmuDescriptor, { readonly configuration: Configuration; readonly bytes: Uint8Array }>();

function wireOf(descriptor: PmuDescriptor): { readonly configuration: Configuration; readonly bytes: Uint8Array } {
  const known = wires.get(descriptor);
  if (known) return known;
  const pmu: PmuConfiguration = {
    stationName: descriptor.stationName,
    idCode: descriptor.idCode,
    format: FORMAT.polar | FORMAT.phasorsFloat | FORMAT.analogsFloat | FORMAT.frequencyFloat,
    phasors: descriptor.phasors.map(({ name, unit }) => ({ name, unit: unit === 'A' ? 1 << 24 : 0 })),
    analogs: descriptor.analogs.map(({ name }) => ({ name, unit: 1 << 24 })),
    digitals: [{ names: descriptor.digitals, normalState: 0, validInputs: 0xffff }],
    nominalFrequency: 1,
    configurationCount: descriptor.configurationCount,
  };
  const head = { version: 1, soc: 0, fraction: 0, timeQuality: 0, timeBase: 1_000_000, timeBaseFlags: 0 };
  const configuration: Configuration = {
    ...{ kind: 'configuration2', ...head, streamId: descriptor.idCode },
    ...{ dataRate: descriptor.reportingRate, pmus: [pmu] },
  };
  const wire = { configuration, bytes: encodeConfiguration(configuration) };
  wires.set(descriptor, wire);
  return wire;
}

/** Values as the wire gives them: floats of either width, small integers, and the absent ones. */
const value = fc.oneof(fc.double(), fc.float(), fc.integer({ min: -70_000, max: 70_000 }), fc.constant(NaN));

/** Any number of channels, names as devices send them. */
export const anyMeasurement: fc.Arbitrary<Measurement> = fc
  .record({
    idCode: fc.integer({ min: 1, max: 65_534 }),
    phasorNames: fc.array(fc.string({ maxLength: 16 }), { maxLength: 12 }),
    analogNames: fc.array(fc.string({ maxLength: 16 }), { maxLength: 5 }),
    words: fc.nat(3),
  })
  .chain(({ idCode, phasorNames, analogNames, words }) => {
    const many = <Item>(item: fc.Arbitrary<Item>, count: number): fc.Arbitrary<Item[]> =>
      fc.array(item, { minLength: count, maxLength: count });
    const descriptor: PmuDescriptor = {
      ...DESCRIPTOR,
      idCode,
      phasors: phasorNames.map((name, index) => ({ name, unit: index % 2 === 0 ? 'V' : 'A' })),
      analogs: analogNames.map((name) => ({ name, kind: 'user' })),
      digitals: Array.from({ length: words * 16 }, (_, point) => `point ${point}`),
    };
    return fc.record({
      descriptor: fc.constant(descriptor),
      stat: fc.nat(0xffff),
      timeQuality: fc.nat(0xff),
      frequencyHz: value,
      rocofHzPerS: value,
      phasors: many(fc.record({ magnitude: value, angle: value }), phasorNames.length),
      analogs: many(value, analogNames.length),
      digitals: many(fc.nat(0xffff), words),
    });
  })
  .map(measurementOf);

/** From 1978-07, where SenML's absolute times begin, to 2106, where SOC ends: whole microseconds. */
export const anyTimeUs = fc
  .tuple(fc.integer({ min: 2 ** 28, max: 2 ** 32 - 1 }), fc.nat(999_999))
  .map(([seconds, microseconds]) => seconds * 1_000_000 + microseconds);
