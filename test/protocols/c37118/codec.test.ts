import fc from 'fast-check';
import { decode, encode, type Frame } from '../../../src/protocols/c37118/codec.js';
import { COMMANDS } from '../../../src/protocols/c37118/command.js';
import { reportingRate, type Configuration } from '../../../src/protocols/c37118/configuration.js';
import { configuration3Of } from '../../../src/protocols/c37118/configuration3.js';
import { crcBetween, crcCcitt, crcStep } from '../../../src/protocols/c37118/crc.js';
import { blockOf, encodeData, layoutOf } from '../../../src/protocols/c37118/data-frame.js';
import { seal, type Malformed } from '../../../src/protocols/c37118/frame.js';
import { commands, configurations, configurations3, dataFrames, headers } from './arbitrary.js';
import { fromHex } from './recordings.js';

const FAULTS = ['sync', 'size', 'type', 'version', 'crc', 'body', 'length', 'configuration'];
const COMMAND_ON = fromHex('aa41001200c86553f10000000000000280ed');

const faultOf = (frame: Frame | Malformed): string | undefined =>
  frame.kind === 'malformed' ? frame.fault : undefined;

/** The same bytes with another CHK that fits them. */
function resealed(bytes: Uint8Array, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes);
  change(copy);
  seal(copy);
  return copy;
}

const configurationWithData = configurations.chain((configuration) =>
  fc.record({ configuration: fc.constant(configuration), frame: dataFrames(configuration) }),
);

describe('C37.118 codec', () => {
  test('reads every configuration, command and header it writes as it was', () => {
    fc.assert(
      fc.property(fc.oneof(configurations, configurations3, commands, headers), (frame) => {
        const bytes = encode(frame);
        const decoded = decode(bytes);
        expect(decoded).toEqual(frame);
        if (decoded.kind !== 'malformed' && decoded.kind !== 'data') expect(encode(decoded)).toEqual(bytes);
      }),
    );
  });

  test('reads every data frame it writes as it was, in all 16 formats and any number of PMUs', () => {
    fc.assert(
      fc.property(configurationWithData, ({ configuration, frame }) => {
        const layout = layoutOf(configuration);
        expect(decode(encodeData(frame, layout), () => layout)).toEqual(frame);
      }),
    );
  });

  test('gives only its own error value for random bytes, with and without a good beginning and CHK', () => {
    const noise = fc.uint8Array({ maxLength: 300 });
    const disguised = fc.tuple(
      fc.constantFrom(0x01, 0x11, 0x21, 0x31, 0x41, 0x52),
      fc.uint8Array({ minLength: 16, maxLength: 300 }),
    );
    const layout = layoutOf(configuration50());
    fc.assert(
      fc.property(
        fc.oneof(
          noise,
          disguised.map(([second, bytes]) => disguise(second, bytes)),
        ),
        (bytes) => {
          const frame = decode(bytes, () => layout);
          if (frame.kind === 'malformed') expect(FAULTS).toContain(frame.fault);
          else
            expect(Buffer.from(frame.kind === 'data' ? encodeData(frame, layout) : encode(frame))).toHaveLength(
              bytes.length,
            );
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('gives only its own error value for a configuration with any bytes changed and a CHK that fits', () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(configurations, changes, (configuration, places) => {
        const bytes = resealed(encode(configuration), (copy) => {
          for (const [place, value] of places) copy[14 + (place % (copy.length - 16))] = value;
        });
        const frame = decode(bytes);
        if (frame.kind === 'malformed') expect(frame.fault).toBe('body');
        else expect(frame.kind === 'data' || Buffer.from(encode(frame)).equals(bytes)).toBe(true);
      }),
    );
  });

  test('gives only its own error value for a CFG-3 cut anywhere or with any byte changed', () => {
    fc.assert(
      fc.property(configurations3, fc.nat(), fc.nat(255), (configuration, place, value) => {
        const whole = encode(configuration);
        const changed = resealed(whole, (copy) => (copy[14 + (place % (copy.length - 16))] = value));
        const frame = decode(changed);
        if (frame.kind === 'malformed') expect(frame.fault).toBe('body');
        // Not byte by byte: the payload bits of a NaN do not come back.
        else expect(frame.kind === 'data' || encode(frame).length === whole.length).toBe(true);
        const size = 16 + (place % (whole.length - 16));
        const cut = Buffer.from(whole.subarray(0, size));
        cut.writeUInt16BE(size, 2);
        seal(cut);
        expect(decode(cut)).toMatchObject({ kind: 'malformed', fault: 'body' });
      }),
    );
  });

  test('says in a CFG-3 what a CFG-2 says, and unknown where that says nothing', () => {
    const [pmu] = configuration3Of(configuration50()).pmus;
    expect(pmu).toMatchObject({ stationName: 'Station A', idCode: 201, latitude: Infinity, configurationCount: 1 });
    expect(pmu?.phasors).toEqual([
      { name: 'VA', modification: 0, type: 0, user: 0, scale: expect.closeTo(9.15527, 5) as number, angle: 0 },
    ]);
    expect(pmu?.analogs).toEqual([{ name: 'AN1', scale: 1, offset: 0 }]);
    const floats = { ...configuration50(), pmus: [{ ...configuration50().pmus[0]!, format: 2 }] };
    expect(configuration3Of(floats).pmus[0]?.phasors[0]?.scale).toBe(1);
  });

  test('refuses a frame with any one or two bits turned', () => {
    const bits = COMMAND_ON.length * 8;
    const turn = (frame: Buffer, bit: number): void => void (frame[bit >> 3]! ^= 1 << (bit & 7));
    for (let one = 0; one < bits; one++) {
      for (let two = one; two < bits; two++) {
        const damaged = Buffer.from(COMMAND_ON);
        turn(damaged, one);
        if (two !== one) turn(damaged, two);
        expect(decode(damaged).kind).toBe('malformed');
      }
    }
  });

  test('names what is wrong with bytes that are no frame', () => {
    expect(faultOf(decode(COMMAND_ON.subarray(0, 15)))).toBe('size');
    expect(faultOf(decode(COMMAND_ON.subarray(0, 17)))).toBe('size');
    expect(faultOf(decode(resealed(COMMAND_ON, (copy) => (copy[0] = 0xab))))).toBe('sync');
    expect(faultOf(decode(resealed(COMMAND_ON, (copy) => (copy[1] = 0x61))))).toBe('type');
    expect(faultOf(decode(resealed(COMMAND_ON, (copy) => (copy[1] = 0x43))))).toBe('version');
    expect(faultOf(decode(resealed(COMMAND_ON, (copy) => (copy[1] = 0x83))))).toBe('version');
    expect(faultOf(decode(resealed(COMMAND_ON, (copy) => (copy[1] = 0x31))))).toBe('body');
    expect(faultOf(decode(resealed(COMMAND_ON, (copy) => (copy[1] = 0x01))))).toBe('configuration');
  });

  test('says that a data frame is not of the length its configuration makes', () => {
    const layout = layoutOf(configuration50());
    const frame = resealed(COMMAND_ON, (copy) => (copy[1] = 0x01));
    expect(decode(frame, () => layout)).toEqual({
      kind: 'malformed',
      fault: 'length',
      detail: `a data frame of 18 bytes; its configuration makes ${layout.frameBytes}`,
    });
  });

  test('masks the flags of TIME_BASE and refuses 0 for it and for DATA_RATE', () => {
    const bytes = encode(configuration50());
    const flagged = decode(resealed(bytes, (copy) => (copy[14] = 0xff)));
    expect(flagged).toMatchObject({ timeBase: 1_000_000, timeBaseFlags: 0xff });
    expect(faultOf(decode(resealed(bytes, (copy) => copy.fill(0, 15, 18))))).toBe('body');
    expect(faultOf(decode(resealed(bytes, (copy) => copy.writeInt16BE(0, copy.length - 4))))).toBe('body');
  });

  test('allocates nothing for the 65,535 phasors that 60 bytes claim', () => {
    const bytes = resealed(encode(configuration50()), (copy) => copy.writeUInt16BE(0xffff, 40));
    expect(decode(bytes)).toMatchObject({ kind: 'malformed', fault: 'body' });
  });

  test('reads DATA_RATE below 0 as seconds a frame', () => {
    expect(reportingRate({ ...configuration50(), dataRate: -5 })).toBe(0.2);
  });

  test('keeps the largest extension of a command, and throws for one byte more', () => {
    const command = { kind: 'command', version: 1, streamId: 1, soc: 0, fraction: 0, timeQuality: 0 } as const;
    const largest = { ...command, code: COMMANDS.extended, extension: new Uint8Array(65517) };
    expect(decode(encode(largest))).toEqual(largest);
    expect(() => encode({ ...largest, extension: new Uint8Array(65518) })).toThrow(RangeError);
  });

  test('writes a block of engineering units as near as its format can and absent values as fillers', () => {
    const { pmus } = configuration50();
    const pmu = pmus[0]!;
    const values = { stat: 0x8000, frequencyHz: NaN, rocofHzPerS: NaN, phasors: [], analogs: [NaN], digitals: [] };
    expect(blockOf(values, { ...pmu, format: 0 })).toMatchObject({ phasors: [[-0x8000, -0x8000]], frequency: -0x8000 });
    expect(blockOf(values, { ...pmu, format: 1 })).toMatchObject({ phasors: [[0, -0x8000]], rocof: -0x8000 });
    expect(blockOf(values, { ...pmu, format: 15 })).toMatchObject({
      phasors: [[NaN, NaN]],
      analogs: [NaN],
      frequency: NaN,
    });
  });
});

describe('CRC-CCITT', () => {
  test('of a stretch comes from the running values at its ends', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 400 }), fc.nat(), fc.nat(), (bytes, one, other) => {
        const [start, end] = [one % bytes.length, other % bytes.length].sort((a, b) => a - b) as [number, number];
        const running = [0x1234];
        for (const byte of bytes) running.push(crcStep(running[running.length - 1]!, byte));
        expect(crcBetween(running[start]!, running[end]!, end - start)).toBe(crcCcitt(bytes, start, end));
      }),
    );
  });
});

function configuration50(): Configuration {
  return {
    kind: 'configuration2',
    version: 1,
    streamId: 200,
    soc: 1_700_000_000,
    fraction: 0,
    timeQuality: 0,
    timeBase: 1_000_000,
    timeBaseFlags: 0,
    dataRate: 50,
    pmus: [
      {
        stationName: 'Station A',
        idCode: 201,
        format: 0,
        phasors: [{ name: 'VA', unit: 915527 }],
        analogs: [{ name: 'AN1', unit: 1 }],
        digitals: [],
        nominalFrequency: 1,
        configurationCount: 1,
      },
    ],
  };
}

function disguise(second: number, bytes: Uint8Array): Buffer {
  return resealed(bytes, (copy) => {
    copy[0] = 0xaa;
    copy[1] = second;
    copy.writeUInt16BE(copy.length, 2);
  });
}
