import fc from 'fast-check';
import { isRefusal } from '../../src/errors.js';
import { readSenml, absoluteUs, measuredTimeOf, type SenmlRecord } from '../../src/protocols/senml-reader.js';
import { writeSenmlCbor } from '../../src/protocols/senml-cbor.js';
import { writeSenmlJson } from '../../src/protocols/senml.js';
import { writeCbor } from '../../src/protocols/codec.js';
import type { Measurement } from '../../src/routing/measurement.js';
import { anyMeasurement, anyTimeUs, DESCRIPTOR, measurementOf } from '../support/measurement.js';

const JSON_TYPE = 'application/senml+json';
const CBOR_TYPE = 'application/senml+cbor';
const TIME_US = 1_387_808_155_020_001;

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

function records(mediaType: string, bytes: Uint8Array): readonly SenmlRecord[] {
  const read = readSenml(mediaType, bytes);
  if (isRefusal(read)) throw new Error(read.detail);
  return read;
}
const pack = (...items: unknown[]): Uint8Array => Buffer.from(JSON.stringify(items));
const refusalOf = (bytes: Uint8Array, mediaType = JSON_TYPE): string => {
  const read = readSenml(mediaType, bytes);
  return isRefusal(read) ? `${read.status}: ${read.detail}` : 'taken';
};

describe('a measurement as SenML', () => {
  test('is written with the base fields in the first record, units of the registry and no ROCOF unit', () => {
    expect(text(writeSenmlJson(measurementOf(), TIME_US))).toBe(
      '[{"bn":"pmu-61/","bt":1387808155.020001,"n":"stat","v":2048},{"n":"time-quality","v":0},' +
        '{"n":"frequency","u":"Hz","v":50.01},{"n":"rocof","v":-0.02},' +
        '{"n":"VA/magnitude","u":"V","v":100.07758331298828},{"n":"VA/angle","u":"rad","v":-1.5673450231552124},' +
        '{"n":"I_A/magnitude","u":"A","v":12.5},{"n":"I_A/angle","u":"rad","v":0},' +
        '{"n":"load/value","v":-7.25},{"n":"digital/0","v":32769}]',
    );
  });

  test('leaves out what is absent, and keeps what is zero', () => {
    const measurement = measurementOf({
      frequencyHz: NaN,
      rocofHzPerS: 0,
      phasors: [
        { magnitude: Infinity, angle: NaN },
        { magnitude: 0, angle: 0 },
      ],
    });
    const names = records(JSON_TYPE, writeSenmlJson(measurement, TIME_US)).map(({ name }) =>
      name.slice('pmu-61/'.length),
    );
    expect(names).toEqual(['stat', 'time-quality', 'rocof', 'I_A/magnitude', 'I_A/angle', 'load/value', 'digital/0']);
  });

  test('gives channels without a name, or with one that is taken, a name of their own', () => {
    const phasors = ['', ' VA ', 'VA', 'V/A', 'ä"\\'].map((name) => ({ name, unit: 'V' }) as const);
    const descriptor = { ...DESCRIPTOR, phasors, analogs: [], digitals: [] };
    const measurement = measurementOf({
      descriptor,
      phasors: phasors.map(() => ({ magnitude: 1, angle: NaN })),
      analogs: [],
      digitals: [],
    });
    const names = records(JSON_TYPE, writeSenmlJson(measurement, TIME_US)).map(({ name }) => name);
    expect(names.slice(4)).toEqual(['phasor-1', 'VA', 'VA-3', 'V_A', '_'].map((name) => `pmu-61/${name}/magnitude`));
  });

  test('of a device whose clock stands in 1970 has no time, because SenML would take it for a span from now', () => {
    for (const [type, bytes] of [
      [JSON_TYPE, writeSenmlJson(measurementOf(), 17_000_000)],
      [CBOR_TYPE, writeSenmlCbor(measurementOf(), 17_000_000)],
    ] as const) {
      expect(records(type, bytes)[0]).toEqual({ name: 'pmu-61/stat', value: 2048, time: 0 });
      expect(measuredTimeOf(type, bytes)).toBeUndefined();
    }
  });

  test('is the same in JSON and CBOR: every name, unit, time to the microsecond and value to the last bit', () => {
    fc.assert(
      fc.property(anyMeasurement, anyTimeUs, (measurement, timeUs) => {
        const json = records(JSON_TYPE, writeSenmlJson(measurement, timeUs));
        const cbor = records(CBOR_TYPE, writeSenmlCbor(measurement, timeUs));
        expect(cbor).toEqual(json);
        expect(json.map(({ value }) => value)).toEqual(presentValues(measurement));
        expect(new Set(json.map(({ name }) => name)).size).toBe(json.length);
        expect(json.map(absoluteUs)).toEqual(json.map(() => timeUs));
      }),
    );
  });

  test('is as long in CBOR as the one before whose numbers have its widths, and each has bytes of its own', () => {
    const volts = [0, 1.5, 60, 230.25, 1.1, 65_536, 2 ** 40].map((magnitude) =>
      measurementOf({ phasors: [measurementOf().phasors[0]!, { magnitude, angle: 0.5 }] }),
    );
    const packs = volts.map((measurement) => writeSenmlCbor(measurement, TIME_US));
    const lengths = packs.map(({ length }) => length - packs[0]!.length);
    // 1.1 is no float32.
    expect(lengths).toEqual([0, 0, 0, 0, 4, 0, 0]);
    expect(packs.map((pack) => records(CBOR_TYPE, pack).map(({ value }) => value))).toEqual(volts.map(presentValues));
    // A time that fits a float32 is as wide as any.
    expect(writeSenmlCbor(volts[0]!, 1_387_808_128_000_000)).toHaveLength(packs[0]!.length);
  });

  test('names what was done to it on its way, after its values', () => {
    const processing = { method: 'fir', inputRate: 30, outputRate: 5, groupDelayS: 0.8 };
    const measurement = measurementOf({ processing });
    const named = records(JSON_TYPE, writeSenmlJson(measurement, TIME_US));
    expect(named.slice(-4)).toEqual([
      { name: 'pmu-61/method', value: 'fir', time: named[0]?.time },
      { name: 'pmu-61/input-rate', value: 30, time: named[0]?.time },
      { name: 'pmu-61/output-rate', value: 5, time: named[0]?.time },
      { name: 'pmu-61/group-delay', unit: 's', value: 0.8, time: named[0]?.time },
    ]);
    expect(named.slice(0, -4)).toEqual(records(JSON_TYPE, writeSenmlJson(measurementOf(), TIME_US)));
    expect(records(CBOR_TYPE, writeSenmlCbor(measurement, TIME_US))).toEqual(named);
  });

  test('needs a longer array head with 256 records', () => {
    const count = 130;
    const phasors = Array.from({ length: count }, (_, index) => ({ name: `P${index}`, unit: 'V' }) as const);
    const measurement = measurementOf({
      descriptor: { ...DESCRIPTOR, phasors },
      phasors: phasors.map((_, index) => ({ magnitude: index / 3, angle: index })),
    });
    const cbor = records(CBOR_TYPE, writeSenmlCbor(measurement, TIME_US));
    expect(cbor).toHaveLength(4 + 2 * count + 2);
    expect(cbor).toEqual(records(JSON_TYPE, writeSenmlJson(measurement, TIME_US)));
  });
});

/** `-0` is written as 0: there is no other way in JSON. */
function presentValues({
  stat,
  timeQuality,
  frequencyHz,
  rocofHzPerS,
  phasors,
  analogs,
  digitals,
}: Measurement): number[] {
  const pairs = phasors.flatMap(({ magnitude, angle }) => [magnitude, angle]);
  return [stat, timeQuality, frequencyHz, rocofHzPerS, ...pairs, ...analogs, ...digitals]
    .filter(Number.isFinite)
    .map((value) => value + 0);
}

describe('a pack of a publisher', () => {
  test('is resolved: names joined, base time, value and sum added, the unit taken over', () => {
    const bytes = pack(
      { bn: 'meter-7/', bt: 1_276_020_000, bu: 'W', bv: 20, n: 'load', v: 3.5, t: 0.25 },
      { n: 'state', vs: 'on', u: 'x' },
      { bn: 'meter-8/', bt: 1_276_020_010, n: 'door', vb: true },
      { n: 'raw', vd: '_-8' },
      { n: 'energy', s: 4, bs: 2 },
    );
    expect(records(JSON_TYPE, bytes)).toEqual([
      { name: 'meter-7/load', unit: 'W', value: 23.5, time: 1_276_020_000.25 },
      { name: 'meter-7/state', unit: 'x', value: 'on', time: 1_276_020_000 },
      { name: 'meter-8/door', unit: 'W', value: true, time: 1_276_020_010 },
      { name: 'meter-8/raw', unit: 'W', value: Buffer.from([0xff, 0xef]), time: 1_276_020_010 },
      { name: 'meter-8/energy', unit: 'W', value: 20, sum: 6, time: 1_276_020_010 },
    ]);
  });

  test('tells its time to the microsecond, or none where the time is relative', () => {
    expect(measuredTimeOf(JSON_TYPE, pack({ n: 'a', v: 1, t: 1_700_000_000.033_333 }))).toBe(1_700_000_000_033_333);
    expect(measuredTimeOf(`${JSON_TYPE}; charset=utf-8`, pack({ bt: 1_700_000_000, n: 'a', v: 1, t: -0.5 }))).toBe(
      1_699_999_999_500_000,
    );
    expect(measuredTimeOf(JSON_TYPE, pack({ n: 'a', v: 1, t: -5 }))).toBeUndefined();
    expect(measuredTimeOf(JSON_TYPE, pack())).toBeUndefined();
    expect(measuredTimeOf('application/json', pack({ n: 'a', v: 1, t: 1_700_000_000 }))).toBeUndefined();
  });

  test.each([
    ['an object', Buffer.from('{}'), 'A SenML pack is an array of records.'],
    ['a number among the records', pack({ n: 'a', v: 1 }, 2), 'Record 2 of the SenML pack: it is not a map.'],
    ['a value of the wrong type', pack({ n: 'a', v: '1' }), '"v" must be a number'],
    ['a field that must be understood', pack({ n: 'a', v: 1, pos_: 1 }), 'the field "pos_" must be understood'],
    ['another version', pack({ bver: 11, n: 'a', v: 1 }), '"bver" is 11, and only 10 is known'],
    ['two values', pack({ n: 'a', v: 1, vs: 'one' }), 'v and vs exclude each other'],
    ['no value', pack({ n: 'a' }), 'one of v, vs, vb, vd and s is needed'],
    ['no name', pack({ v: 1 }), 'the name "" must begin with a letter or digit'],
    ['a name with a blank', pack({ bn: 'x ', n: 'a', v: 1 }), 'the name "x a" must begin'],
    ['broken JSON', Buffer.from('[{'), 'The body is not well-formed application/json'],
  ])('is refused with %s', (_, bytes, detail) => {
    expect(refusalOf(bytes)).toContain(`STATUS_BAD_REQUEST: `);
    expect(refusalOf(bytes)).toContain(detail);
  });

  test('is refused in CBOR with the same words', () => {
    expect(
      refusalOf(
        writeCbor([
          new Map<number, unknown>([
            [0, 'a'],
            [2, 'x'],
          ]),
        ]),
        CBOR_TYPE,
      ),
    ).toContain('"v" must be a number');
    expect(
      refusalOf(
        writeCbor([
          new Map<number, unknown>([
            [0, 'a'],
            [8, 7],
          ]),
        ]),
        CBOR_TYPE,
      ),
    ).toContain('"vd" must be a byte string');
    expect(refusalOf(Buffer.from('81a20061610261', 'hex'), CBOR_TYPE)).toContain('not well-formed application/cbor');
    expect(refusalOf(pack(), 'text/plain')).toContain('STATUS_UNSUPPORTED_MEDIA_TYPE');
  });

  test('of random or mutated bytes gives records or a refusal, nothing else', () => {
    const cbor = Buffer.from(writeSenmlCbor(measurementOf(), TIME_US));
    const mutated = fc
      .array(fc.tuple(fc.nat(cbor.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
      .map((changes) => {
        const bytes = Buffer.from(cbor);
        for (const [at, byte] of changes) bytes[at] = byte;
        return bytes;
      });
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array({ maxLength: 64 }), mutated),
        fc.constantFrom(JSON_TYPE, CBOR_TYPE),
        (bytes, type) => {
          const read = readSenml(type, bytes);
          expect(Array.isArray(read) || isRefusal(read)).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });
});
