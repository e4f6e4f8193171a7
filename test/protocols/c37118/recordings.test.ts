import { decode, encode } from '../../../src/protocols/c37118/codec.js';
import { nominalHz, type Configuration } from '../../../src/protocols/c37118/configuration.js';
import { crcCcitt } from '../../../src/protocols/c37118/crc.js';
import {
  blockOf,
  encodeData,
  layoutOf,
  type DataFrame,
  type StreamLayout,
} from '../../../src/protocols/c37118/data-frame.js';
import { viewOf } from '../../../src/protocols/c37118/frame.js';
import { FrameMeasurement, streamOf } from '../../../src/protocols/c37118/measurement.js';
import { dataError, pmuTimeQuality, STAT, triggerReason, unlockedTime } from '../../../src/protocols/c37118/stat.js';
import { slotOf, slotTag, tagUs } from '../../../src/protocols/c37118/time.js';
import type { Measurement } from '../../../src/routing/measurement.js';
import {
  CAPTURES,
  describeRecorded,
  fromHex,
  golden,
  recordedFrames,
  zeekRows,
  type AnnexD,
  type Capture,
  type Vector,
  type WireSample,
} from './recordings.js';

function configurationOf(bytes: Uint8Array): Configuration {
  const frame = decode(bytes);
  if (frame.kind !== 'configuration1' && frame.kind !== 'configuration2') throw new Error(`a ${frame.kind} frame`);
  return frame;
}

function dataOf(bytes: Uint8Array, layout: StreamLayout): DataFrame {
  const frame = decode(bytes, () => layout);
  if (frame.kind !== 'data') throw new Error(`a ${frame.kind} frame`);
  return frame;
}

/** All of a data frame as the broker sees it. */
function measurementsOf(bytes: Uint8Array, configuration: Configuration): Measurement[] {
  const { layout, pmus } = streamOf(configuration);
  const { timeQuality } = dataOf(bytes, layout);
  return pmus.map((pmu) => new FrameMeasurement(viewOf(bytes), timeQuality, layout, pmu));
}

const reencoded = (bytes: Buffer, layout?: StreamLayout): Buffer => {
  const frame = decode(bytes, () => layout);
  if (frame.kind === 'malformed') throw new Error(frame.detail);
  // Without a layout a data frame is malformed.
  return Buffer.from(frame.kind === 'data' ? encodeData(frame, layout!) : encode(frame));
};

describeRecorded('recorded sessions', () => {
  test.each(CAPTURES)('%s: every frame is read and written again byte by byte', (capture) => {
    const layouts = new Map<number, StreamLayout>();
    const kinds = { DATA: 'data', CFG2: 'configuration2', CMD: 'command', HDR: 'header' };
    const frames = recordedFrames(capture);
    for (const { type, bytes } of frames) {
      const frame = decode(bytes, (streamId) => layouts.get(streamId));
      if (frame.kind === 'malformed') throw new Error(frame.detail);
      expect(frame.kind).toBe(kinds[type]);
      if (frame.kind === 'configuration2') layouts.set(frame.streamId, layoutOf(frame));
      expect(reencoded(bytes, layouts.get(frame.streamId)).equals(bytes)).toBe(true);
    }
    expect(frames.length).toBeGreaterThan(250);
  });

  test.each([
    ['1PMU_TCP', 'C37.118_1PMU_TCP', 252],
    ['1PMU_UDP', 'C37.118_1PMU_UDP', 356],
  ] as const)('%s: all data frames equal the independent decode to its printed digits', (session, capture, count) => {
    const { data, configuration } = sessionOf(capture);
    const layout = layoutOf(configuration);
    // The independent decode is sorted by text: both sides are compared as sorted lists.
    const printed = zeekRows(session).map(({ rectangular, polar, deviationMHz, rocof, digitals, stat }) =>
      JSON.stringify([rectangular, polar, deviationMHz, rocof, digitals, stat]),
    );
    const isPolar = (configuration.pmus[0]!.format & 1) !== 0;
    const none = configuration.pmus[0]!.phasors.map(() => [0, 0]);
    const ours = data.map((bytes) => {
      const block = dataOf(bytes, layout).blocks[0]!;
      const pairs = block.phasors.map((pair) => pair.map(sixDecimals));
      const words = [block.frequency, block.rocof, block.digitals, statText(block.stat)];
      return JSON.stringify(isPolar ? [none, pairs, ...words] : [pairs, none, ...words]);
    });
    expect(ours).toHaveLength(count);
    expect(ours.sort()).toEqual(printed.sort());
  });

  test.each(CAPTURES)('%s: our measurements, written as data frames, are the same values', (capture) => {
    const { data, configuration } = sessionOf(capture);
    const [pmu] = configuration.pmus;
    const layout = layoutOf(configuration);
    for (const bytes of data) {
      const [measurement] = measurementsOf(bytes, configuration);
      const written = encodeData({ ...dataOf(bytes, layout), blocks: [blockOf(measurement!, pmu!)] }, layout);
      // A rectangular phasor goes through magnitude and angle: equal to the last digit of a 32-bit float, not to the bit.
      if ((pmu!.format & 1) !== 0) expect(Buffer.from(written).equals(bytes)).toBe(true);
      else expectPhasors(measurementsOf(written, configuration)[0], polar(measurement));
    }
  });

  test('every tag of 50/s and 60/s lies on its slot, within a third of a microsecond at worst', () => {
    for (const capture of CAPTURES) {
      const { data, configuration } = sessionOf(capture);
      const { timeBase, dataRate } = configuration;
      for (const bytes of data) {
        const tag = dataOf(bytes, layoutOf(configuration));
        const exactUs = tagUs(slotTag(slotOf(tag, timeBase, dataRate), timeBase, dataRate), timeBase);
        expect(Math.abs(exactUs - tagUs(tag, timeBase))).toBeLessThanOrEqual(1);
      }
    }
  });
});

describeRecorded('golden vectors', () => {
  test('CRC of the standard check strings', () => {
    const { crc } = golden<AnnexD>('annexD');
    for (const vector of crc) expect(crcCcitt(Buffer.from(vector.ascii)).toString(16).toUpperCase()).toBe(vector.crc);
    expect(crc).toHaveLength(4);
  });

  test('the worked examples of annex D', () => {
    const vectors = new Map(golden<AnnexD>('annexD').annexD.map((vector) => [vector.name.split(' ')[0], vector]));
    const bytesOf = (name: string): Buffer => fromHex(vectors.get(name)?.hex ?? '');
    const expected = vectors.get('cfg2')!.expect;
    const configuration = configurationOf(bytesOf('cfg2'));
    expect(configuration).toMatchObject({
      streamId: expected.idcode,
      soc: expected.soc,
      fraction: expected.fracsec,
      timeBase: expected.time_base,
      dataRate: expected.data_rate,
      timeQuality: 0x56,
    });
    const pmu = configuration.pmus[0]!;
    const channels = [...pmu.phasors, ...pmu.analogs];
    expect([...channels.map(({ name }) => name), ...pmu.digitals.flatMap(({ names }) => names)]).toEqual(
      expected.pmus[0]!.names,
    );
    expect(channels.map(({ unit }) => unit)).toEqual([...expected.pmus[0]!.phu, ...expected.pmus[0]!.anu]);
    expect([pmu.stationName, pmu.idCode, pmu.format, nominalHz(pmu), pmu.configurationCount]).toEqual([
      'Station A',
      7734,
      4,
      60,
      22,
    ]);

    const wanted = vectors.get('data')!.expect;
    const data = dataOf(bytesOf('data'), layoutOf(configuration));
    expect(data.blocks[0]?.phasors).toEqual(wanted.phasors_raw);
    expect(tagUs(data, configuration.timeBase)).toBe(Date.UTC(2006, 5, 6, 8) * 1000 + 16817);
    const measurement = measurementsOf(bytesOf('data'), configuration)[0]!;
    expectPhasors(measurement, wanted.phasors_scaled_polar);
    expect([measurement.frequencyHz, measurement.rocofHzPerS]).toEqual([62.5, 0]);
    expect([measurement.analogs, measurement.digitals]).toEqual([[100, 1000, 10000], [0x3c12]]);

    expect(decode(bytesOf('command_on'))).toMatchObject({
      kind: 'command',
      code: 2,
      fraction: 770_000,
      timeQuality: 15,
    });
    expect(decode(bytesOf('header'))).toMatchObject({ kind: 'header', text: "Hello I'm Header Frame." });
    const two = layoutOf(configurationOf(bytesOf('cfg2_two_pmus')));
    expect(dataOf(bytesOf('data_two_pmus'), two).blocks).toHaveLength(2);
    for (const { name, hex } of vectors.values()) {
      const layout = layoutOf(name.startsWith('data_two') ? two.configuration : configuration);
      expect(reencoded(fromHex(hex), layout).toString('hex')).toBe(hex);
    }
  });

  test('the samples off the wire, with their decoded values', () => {
    const layouts = new Map<string, Configuration>();
    const samples = golden<WireSample[]>('wire-samples');
    for (const { pcap, type, hex, decoded } of samples) {
      const bytes = fromHex(hex);
      const key = `${pcap} ${bytes.readUInt16BE(4)}`;
      if (type === 'CFG2') {
        const configuration = configurationOf(bytes);
        layouts.set(key, configuration);
        expect([configuration.timeBase, configuration.dataRate]).toEqual([decoded.time_base, decoded.rate]);
        configuration.pmus.forEach((pmu, index) => {
          const { stn, id, fmt, ph, an, dg, fnom, cfgcnt } = decoded.pmus[index]!;
          const counts = [pmu.phasors, pmu.analogs, pmu.digitals].map(({ length }) => length);
          expect([pmu.stationName, pmu.idCode, pmu.format, ...counts]).toEqual([stn, id, fmt, ph, an, dg]);
          expect([nominalHz(pmu), pmu.configurationCount]).toEqual([fnom, cfgcnt]);
        });
      } else if (type === 'DATA') {
        const configuration = layouts.get(key)!;
        expect(tagUs(dataOf(bytes, layoutOf(configuration)), configuration.timeBase)).toBeCloseTo(
          decoded.time * 1e6,
          -1,
        );
        measurementsOf(bytes, configuration).forEach((measurement, index) => {
          const { stat, phasors_polar: phasors, freq_hz: hz, rocof, digital } = decoded.pmus[index]!;
          expect(measurement.stat).toBe(Number(stat));
          expectPhasors(measurement, phasors);
          expect(measurement.frequencyHz).toBeCloseTo(hz, 4);
          expect(measurement.rocofHzPerS).toBeCloseTo(rocof, 4);
          expect(measurement.digitals).toEqual(digital);
        });
      } else if (type === 'CMD') {
        expect(decode(bytes)).toMatchObject({ kind: 'command', code: decoded.cmd, streamId: decoded.idcode });
      } else {
        expect(decode(bytes)).toMatchObject({ kind: 'header', text: decoded.text });
      }
    }
    expect(samples).toHaveLength(32);
  });

  describe('constructed: the formats no capture covers', () => {
    const bytesOf = (name: string): Buffer =>
      fromHex(golden<Vector[]>('constructed').find((vector) => vector.name === name)?.hex ?? '');

    test('16-bit polar: the magnitude is unsigned', () => {
      const configuration = configurationOf(bytesOf('cfg2_int_polar_50hz'));
      const measurement = measurementsOf(bytesOf('data_int_polar'), configuration)[0]!;
      expect(measurement.phasors[0]?.magnitude).toBeCloseTo(228885.5, 1);
      expect(measurement.phasors[1]).toEqual({ magnitude: expect.closeTo(732.4, 1) as number, angle: 3.1416 });
      expect(measurement.frequencyHz).toBe(49.875);
      expect(measurement.rocofHzPerS).toBe(-0.37);
      expect(measurement.analogs).toEqual([-1234]);
    });

    test('absent values are NaN, and not implausible', () => {
      const configuration = configurationOf(bytesOf('cfg2_int_polar_50hz'));
      const measurement = measurementsOf(bytesOf('data_int_polar_absent'), configuration)[0]!;
      expect(dataError(measurement.stat)).toBe('test');
      expect(measurement.phasors[0]).toEqual({ magnitude: NaN, angle: NaN });
      expect([measurement.frequencyHz, measurement.rocofHzPerS, ...measurement.analogs]).toEqual([NaN, NaN, NaN]);
      expect((measurement as FrameMeasurement).isPlausible).toBe(true);
      const two = configurationOf(bytesOf('cfg2_two_pmus_mixed_formats'));
      for (const absent of measurementsOf(bytesOf('data_two_pmus_both_absent'), two)) {
        expect(absent.phasors).toEqual([{ magnitude: NaN, angle: NaN }]);
        expect([absent.frequencyHz, absent.rocofHzPerS]).toEqual([NaN, NaN]);
      }
    });

    test('two PMUs of different formats in one frame', () => {
      const configuration = configurationOf(bytesOf('cfg2_two_pmus_mixed_formats'));
      expect(configuration.timeQuality).toBe(0x25);
      const [one, two] = measurementsOf(bytesOf('data_two_pmus_mixed'), configuration);
      expect(one?.frequencyHz).toBe(62.5);
      expect(one?.rocofHzPerS).toBe(-0.12);
      expect(one?.digitals).toEqual([0x3c12, 0x00f0]);
      expectPhasors(one, [[Math.hypot(66998.26586, 116052.2025), Math.atan2(-116052.2025, -66998.26586)]]);
      expect([two?.frequencyHz, two?.rocofHzPerS, two?.analogs]).toEqual([59.875, -0.25, [42.5]]);
      const stat = two?.stat ?? 0;
      expect([stat & STAT.unsynchronised, stat & STAT.trigger, stat & STAT.configurationChange]).not.toContain(0);
      expect([pmuTimeQuality(stat), unlockedTime(stat), triggerReason(stat)]).toEqual([1, 3, 1]);
    });

    test('CFG-1 is read like CFG-2, and DATA_RATE -5 is one frame in five seconds', () => {
      const one = configurationOf(bytesOf('cfg1_two_pmus'));
      expect(one.kind).toBe('configuration1');
      expect(one.pmus).toEqual(configurationOf(bytesOf('cfg2_two_pmus_mixed_formats')).pmus);
      expect(streamOf(configurationOf(bytesOf('cfg2_one_frame_per_5s'))).pmus[0]?.descriptor.reportingRate).toBe(0.2);
    });

    test('CFG-3: names in UTF-8, scales, place and filter', () => {
      expect(decode(bytesOf('cfg3_single'))).toMatchObject({
        kind: 'configuration3',
        version: 2,
        streamId: 300,
        timeBase: 1_000_000,
        dataRate: 50,
        pmus: [
          {
            stationName: 'Subestación Ñ',
            globalId: Buffer.from(Array.from({ length: 16 }, (_, index) => index)),
            phasors: [
              { name: 'V pos seq', modification: 0x0010, type: 1, scale: Math.fround(9.15527), angle: 0 },
              { name: 'I phase B', modification: 0x0200, type: 13, angle: Math.fround(Math.PI / 6) },
            ],
            analogs: [{ name: 'P', scale: 0.5, offset: -10 }],
            latitude: Math.fround(41.27),
            elevationM: 12.5,
            serviceClass: 'M',
            windowUs: 83_333,
            groupDelayUs: 41_667,
            nominalFrequency: 1,
            configurationCount: 3,
          },
        ],
      });
    });

    test('every command; all come out as they went in', () => {
      const codes = ['off', 'on', 'hdr', 'cfg1', 'cfg2', 'cfg3'];
      codes.forEach((name, index) => expect(decode(bytesOf(`cmd_${name}`))).toMatchObject({ code: index + 1 }));
      expect(decode(bytesOf('cmd_extended'))).toMatchObject({ code: 8, extension: Buffer.from([1, 2, 3, 4]) });
      for (const { name, hex } of golden<Vector[]>('constructed')) {
        if (!name.startsWith('data')) expect(reencoded(fromHex(hex)).toString('hex')).toBe(hex);
      }
      for (const [cfg, data] of [
        ['cfg2_int_polar_50hz', 'data_int_polar'],
        ['cfg2_int_polar_50hz', 'data_int_polar_absent'],
        ['cfg2_two_pmus_mixed_formats', 'data_two_pmus_mixed'],
        ['cfg2_two_pmus_mixed_formats', 'data_two_pmus_both_absent'],
      ] as const) {
        expect(reencoded(bytesOf(data), layoutOf(configurationOf(bytesOf(cfg)))).equals(bytesOf(data))).toBe(true);
      }
    });
  });
});

/** The data frames of a capture's (first) stream, and its configuration. */
function sessionOf(capture: Capture): { data: Buffer[]; configuration: Configuration } {
  const frames = recordedFrames(capture);
  const configuration = configurationOf(frames.find(({ type }) => type === 'CFG2')!.bytes);
  const data = frames
    .filter(({ type, bytes }) => type === 'DATA' && bytes.readUInt16BE(4) === configuration.streamId)
    .map(({ bytes }) => bytes);
  return { data, configuration };
}

const polar = (measurement: Measurement | undefined): [number, number][] =>
  (measurement?.phasors ?? []).map(({ magnitude, angle }) => [magnitude, angle]);

function expectPhasors(measurement: Measurement | undefined, expected: [number, number][]): void {
  expect(measurement?.phasors).toHaveLength(expected.length);
  expected.forEach(([magnitude, angle], index) => {
    const phasor = measurement?.phasors[index];
    expect(Math.abs((phasor?.magnitude ?? 0) / magnitude - 1)).toBeLessThan(1e-6);
    expect(phasor?.angle).toBeCloseTo(angle, 6);
  });
}

/** Six decimals, a tie to the even digit, as C prints; a 32-bit float times 10^6 is exact in a double. */
function sixDecimals(value: number): number {
  const millionths = value * 1e6;
  const below = Math.floor(millionths);
  const isTie = millionths - below === 0.5;
  return (isTie ? below + Math.abs(below % 2) : Math.round(millionths)) / 1e6;
}

function statText(stat: number): string {
  const bit = (mask: number): string => (stat & mask ? 'T' : 'F');
  const words = [triggerReason(stat), unlockedTime(stat), pmuTimeQuality(stat)];
  const bits = [STAT.modified, STAT.configurationChange, STAT.trigger, STAT.byArrival, STAT.unsynchronised].map(bit);
  return [...words, ...bits, stat >> 14].join(' ');
}
