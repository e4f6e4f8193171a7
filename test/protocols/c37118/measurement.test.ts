import fc from 'fast-check';
import { decode } from '../../../src/protocols/c37118/codec.js';
import type { Configuration } from '../../../src/protocols/c37118/configuration.js';
import { layoutOf } from '../../../src/protocols/c37118/data-frame.js';
import { readHead, seal, viewOf } from '../../../src/protocols/c37118/frame.js';
import { FrameMeasurement, streamOf } from '../../../src/protocols/c37118/measurement.js';
import { worstStat } from '../../../src/protocols/c37118/stat.js';
import { slotOf, slotTag, tagUs, usTag } from '../../../src/protocols/c37118/time.js';
import { QUALITY } from '../../../src/routing/sample.js';
import { frameAt, pmu, stream, type FrameOptions } from './stream.js';

const US = 1_700_000_000_020_000;

function measurements(configuration: Configuration, options: FrameOptions = {}): FrameMeasurement[] {
  const bytes = frameAt(configuration, US, options);
  const { layout, pmus } = streamOf(configuration);
  return pmus.map((one) => new FrameMeasurement(viewOf(bytes), readHead(viewOf(bytes)).timeQuality, layout, one));
}
const measurement = (options: FrameOptions): FrameMeasurement => measurements(stream(), options)[0]!;

/** Its frame out of the midst of other bytes, which must stay as they are; CHK is as told and made good. */
function writtenAt(at: number, one: FrameMeasurement, check = 0): Buffer {
  const around = Buffer.alloc(at + one.frameBytes + at, 0x55);
  one.writeFrame(around, at);
  const end = at + one.frameBytes;
  expect([around.subarray(0, at), around.subarray(end)]).toEqual([Buffer.alloc(at, 0x55), Buffer.alloc(at, 0x55)]);
  const frame = around.subarray(at, end);
  expect(frame.readUInt16BE(frame.length - 2)).toBe(check);
  seal(frame);
  return frame;
}

describe('FrameMeasurement', () => {
  test('reads engineering units out of any format', () => {
    for (let format = 0; format < 16; format++) {
      const [read] = measurements(stream([pmu(61, { format })]));
      expect(read?.frequencyHz).toBeCloseTo(50.012, 5);
      expect(read?.rocofHzPerS).toBeCloseTo(0.01, 6);
      expect(read?.phasors[0]?.magnitude).toBeCloseTo(230, 1);
      expect(read?.phasors[0]?.angle).toBeCloseTo(0.5, 4);
      expect(read?.phasors[1]?.angle).toBeCloseTo(-0.25, 2);
    }
  });

  test('describes its PMU', () => {
    const word = { names: Array.from({ length: 16 }, (_, bit) => `B${bit}\0`), normalState: 0, validInputs: 1 };
    const [one] = measurements(stream([pmu(61, { analogs: [{ name: 'Temp', unit: 65 << 24 }], digitals: [word] })]));
    expect(one?.descriptor).toMatchObject({
      idCode: 61,
      streamId: 60,
      stationName: 'Station 61',
      nominalHz: 50,
      reportingRate: 50,
      phasors: [
        { name: 'VA', unit: 'V' },
        { name: 'IA', unit: 'A' },
      ],
      analogs: [{ name: 'Temp', kind: 'user' }],
    });
    expect(one?.descriptor.digitals.slice(0, 2)).toEqual(['B0', 'B1']);
  });

  test('one PMU of several comes out as a frame of its own that its own configuration decodes', () => {
    const several = measurements(stream([pmu(61), pmu(62, { format: 15 }), pmu(63, { format: 1, phasors: [] })]));
    for (const one of several) {
      const configuration = decode(one.configuration());
      if (configuration.kind !== 'configuration2') throw new Error(configuration.kind);
      expect(configuration.pmus).toHaveLength(1);
      const layout = layoutOf(configuration);
      const frame = decode(one.frame(), (streamId) => (streamId === one.descriptor.idCode ? layout : undefined));
      expect(frame).toMatchObject({ kind: 'data', streamId: one.descriptor.idCode, soc: 1_700_000_000 });
      expect(writtenAt(3, one)).toEqual(Buffer.from(one.frame()));
      const again = new FrameMeasurement(viewOf(one.frame()), 0, layout, streamOf(configuration).pmus[0]!);
      expect([again.phasors, again.frequencyHz, again.rocofHzPerS]).toEqual([
        one.phasors,
        one.frequencyHz,
        one.rocofHzPerS,
      ]);
    }
  });

  test('the only PMU of a stream keeps the frame as it came', () => {
    const alone = measurement({});
    expect(Buffer.from(alone.frame())).toEqual(Buffer.from(frameAt(stream(), US)));
    const whole = Buffer.from(alone.frame());
    expect(writtenAt(3, alone, whole.readUInt16BE(whole.length - 2))).toEqual(whole);
    expect(decode(alone.configuration())).toMatchObject({ streamId: 60 });
  });

  test.each<[string, FrameOptions, number]>([
    ['good', {}, 0],
    ['STAT bit 13', { stat: 0x2000 }, QUALITY.unsynchronised],
    ['a time quality other than locked', { timeQuality: 5 }, QUALITY.unsynchronised],
    ['a leap second pending alone', { timeQuality: 0x10 }, 0],
    ['STAT bits 15-14', { stat: 0x8000 }, QUALITY.dataInvalid],
    ['STAT bit 12', { stat: 0x1000 }, QUALITY.byArrival],
    ['more than 5 Hz off nominal', { frequencyHz: 55.1 }, QUALITY.dataInvalid],
    ['no voltage at all', { volts: 0 }, QUALITY.dataInvalid],
  ])('quality: %s', (_, options, quality) => {
    expect(measurement(options).quality).toBe(quality);
  });

  test('comes back from its packed form as it was, alone in its stream', () => {
    const shown = (one: FrameMeasurement): unknown => {
      const { descriptor, stat, timeQuality, quality, phasors, analogs, digitals } = one;
      const numbers = new Float64Array(32);
      const count = one.writeNumbers(numbers);
      const bytes = [Buffer.from(one.frame()), Buffer.from(one.configuration())];
      return { descriptor, stat, timeQuality, quality, phasors, analogs, digitals, numbers, count, bytes };
    };
    const word = { names: Array.from({ length: 16 }, (_, bit) => `B${bit}`), normalState: 0, validInputs: 1 };
    for (let format = 0; format < 16; format++) {
      const rich = pmu(62, { format, analogs: [{ name: 'Temp', unit: 1 }], digitals: [word] });
      for (const configuration of [stream([pmu(61, { format })]), stream([pmu(61), rich, pmu(63, { phasors: [] })])]) {
        for (const one of measurements(configuration, { stat: 0x2030, timeQuality: 5 })) {
          const packed = one.packed!;
          const bytes = Buffer.alloc(7 + packed.bytes + 1, 0xee);
          one.pack(bytes, 7);
          expect([bytes[6], bytes[7 + packed.bytes]]).toEqual([0xee, 0xee]);
          const again = packed.read(bytes, 7) as FrameMeasurement;
          bytes.fill(0);
          expect(shown(again)).toEqual(shown(one));
          expect(again.descriptor).toBe(one.descriptor);
          expect(again.packed).toBe(packed);
        }
      }
    }
  });

  test('made anew has its own head, the new values as its FORMAT says them, and says that it was modified', () => {
    const processing = { method: 'fir', inputRate: 50, outputRate: 5, groupDelayS: 0.5 };
    const values = {
      frequencyHz: 50.123,
      rocofHzPerS: -0.25,
      phasors: [
        { magnitude: 231.25, angle: -1.25 },
        { magnitude: 4.5, angle: 3 },
      ],
      analogs: [],
      digitals: [],
    };
    for (let format = 0; format < 16; format++) {
      const configuration = stream([pmu(61, { format }), pmu(62)]);
      const [middle] = measurements(configuration);
      const [unlocked] = measurements(configuration, { stat: 0x2030, timeQuality: 5 });
      const made = middle!.remade(values, [middle!, unlocked!], processing);
      expect([made.stat, made.timeQuality, made.processing, made.packed]).toEqual([0x2230, 5, processing, undefined]);
      expect(made.descriptor).toBe(middle?.descriptor);
      expect(made.frequencyHz).toBeCloseTo(50.123, 3);
      expect(made.rocofHzPerS).toBeCloseTo(-0.25, 6);
      expect(made.phasors[0]?.magnitude).toBeCloseTo(231.25, 1);
      expect(made.phasors[0]?.angle).toBeCloseTo(-1.25, 3);
      const own = decode(made.configuration());
      if (own.kind !== 'configuration2') throw new Error(own.kind);
      const frame = decode(made.frame(), () => layoutOf(own));
      expect(frame).toMatchObject({ kind: 'data', streamId: 61, blocks: [{ stat: 0x2230 }] });
      const head = readHead(viewOf(made.frame()));
      expect(tagUs(head, configuration.timeBase)).toBe(US);
      expect(made.frame()).toHaveLength(middle!.frame().length);
    }
  });

  test('STAT of several is the worst that any of them says', () => {
    expect(worstStat([0, 0x2010, 0x4081, 0x0043])).toBe(0x6090);
    // The reason of the last trigger alone.
    expect(worstStat([0x0805, 0x0003, 0x0801, 0x0007])).toBe(0x0801);
    expect(worstStat([0x8000, 0x4000])).toBe(0x8000);
    fc.assert(
      fc.property(fc.array(fc.nat(0xffff), { minLength: 1 }), fc.nat(0xffff), (stats, another) => {
        const worst = worstStat(stats);
        expect(worstStat([worst, ...stats])).toBe(worst);
        expect(worstStat([...stats, another]) & 0xfff0).toBe(worstStat([another, ...stats]) & 0xfff0);
      }),
    );
  });

  test('a dead PMU that says STAT 0 and a wrapped 65.536 Hz has no frequency', () => {
    const bytes = frameAt(stream(), US, { volts: 0 });
    viewOf(bytes).setInt16(14 + 2 + 8, 15536);
    const { layout, pmus } = streamOf(stream());
    expect(new FrameMeasurement(viewOf(bytes), 0, layout, pmus[0]!).frequencyHz).toBeNaN();
    expect(measurement({ volts: 0 }).frequencyHz).toBeNaN();
    expect(measurement({ frequencyHz: 54.9 }).frequencyHz).toBeCloseTo(54.9, 3);
  });
});

describe('time tags', () => {
  const rates = fc.constantFrom(1, 10, 12, 25, 30, 50, 60, 120);
  const timeBases = fc.constantFrom(0xff_ffff, 1_000_000, 65_536, 999_983);

  test('a slot gives a tag of that slot, and its instant gives it again', () => {
    fc.assert(
      fc.property(rates, timeBases, fc.nat(4_000_000_000), fc.nat(119), (rate, timeBase, soc, n) => {
        const slot = { soc, slot: n % rate };
        const tag = slotTag(slot, timeBase, rate);
        expect(slotOf(tag, timeBase, rate)).toEqual(slot);
        expect(slotOf(usTag(tagUs(tag, timeBase), timeBase), timeBase, rate)).toEqual(slot);
      }),
    );
  });

  test('microseconds come back from a tag whose ticks are as fine', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1_000_000, 0xff_ffff),
        fc.nat(4_000_000_000),
        fc.nat(999_999),
        (timeBase, soc, us) => {
          expect(tagUs(usTag(soc * 1e6 + us, timeBase), timeBase)).toBe(soc * 1e6 + us);
        },
      ),
    );
  });

  test('what rounds up to the next second is its slot 0', () => {
    expect(slotOf({ soc: 7, fraction: 999_999 }, 1_000_000, 50)).toEqual({ soc: 8, slot: 0 });
    expect(usTag(7_999_999, 1000)).toEqual({ soc: 8, fraction: 0 });
  });
});
