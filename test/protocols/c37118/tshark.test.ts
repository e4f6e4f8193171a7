/** An independent judge of our encoder: what we write, tshark reads with a good checksum and the values that were meant. */
import { encode } from '../../../src/protocols/c37118/codec.js';
import { configuration3Of } from '../../../src/protocols/c37118/configuration3.js';
import { encodeConfiguration3 } from '../../../src/protocols/c37118/configuration3-parts.js';
import { COMMANDS } from '../../../src/protocols/c37118/command.js';
import { describeJudged, fieldsOf, judge } from '../../support/synphasor.js';
import { frameAt, pmu, stream } from './stream.js';

const numbersOf = (text: string, pattern: RegExp): number[] => pattern.exec(text)?.slice(1).map(Number) ?? [];

describeJudged('tshark reads what we write', () => {
  test('in all 16 formats', () => {
    const streams = Array.from({ length: 16 }, (_, format) =>
      stream([pmu(61, { format })], { streamId: 100 + format }),
    );
    const words = judge(
      streams.flatMap((configuration) => [encode(configuration), frameAt(configuration, 1_700_000_000_020_000)]),
    );
    expect(words).toHaveLength(32);
    words.forEach((text, index) => {
      expect(text).toContain('[Checksum Status: Good]');
      expect(text).not.toMatch(/malformed/i);
      if (index % 2 === 0) {
        expect(text).toMatch(/Configuration Frame 2/);
        return;
      }
      const [hz] = numbersOf(text, /actual frequency(?: value)?: *([\d.]+)/i);
      expect(hz).toBeCloseTo(50.012, 3);
      expect(numbersOf(text, /Rate of change of frequency(?: value)?: *(-?[\d.]+)/)[0]).toBeCloseTo(0.01, 3);
      const [volts, degrees] = numbersOf(text, /"VA +", +([\d.]+)V ∠ *(-?[\d.]+)°/);
      expect(volts).toBeCloseTo(230, 1);
      expect(degrees).toBeCloseTo((0.5 * 180) / Math.PI, 1);
      const [amperes, lag] = numbersOf(text, /"IA +", +([\d.]+)A ∠ *(-?[\d.]+)°/);
      expect(amperes).toBeCloseTo(5, 1);
      expect(lag).toBeCloseTo((-0.25 * 180) / Math.PI, 0);
    });
  });

  test('with several PMUs, as CFG-1, commands and headers', () => {
    const configuration = stream([pmu(61), pmu(62, { format: 15 }), pmu(63, { nominalFrequency: 0, format: 9 })]);
    const head = { version: 1, streamId: 60, soc: 1_700_000_000, fraction: 0, timeQuality: 0 };
    const words = judge([
      encode(configuration),
      frameAt(configuration, 1_700_000_000_020_000, { stat: 0x8000 }),
      encode({ ...configuration, kind: 'configuration1' }),
      encode({ kind: 'command', ...head, code: COMMANDS.dataOn, extension: new Uint8Array(0) }),
      encode({ kind: 'header', ...head, text: 'a substation' }),
    ]);
    for (const text of words) expect(text).toContain('[Checksum Status: Good]');
    expect(words[0]).toContain('3 PMU(s) included');
    expect(words[1]?.match(/Data error: PMU in test mode/g)).toHaveLength(3);
    expect(words[2]).toMatch(/Configuration Frame 1/);
    expect(words[3]).toMatch(/data transmission on/i);
    expect(words[4]).toContain(Buffer.from('a substation').toString('hex'));
  });

  test('as CFG-3, made of a CFG-2 or full of everything it can say', () => {
    const plain = stream([pmu(61), pmu(62, { format: 15, nominalFrequency: 0 })]);
    const [one, two] = configuration3Of(plain).pmus;
    const full = {
      ...one!,
      stationName: 'A substation with a long name',
      phasors: [
        { name: 'I phase C', modification: 0x18, type: 14, user: 0, scale: 0.5, angle: 0.25 },
        { name: '', modification: 0, type: 1, user: 0, scale: 2, angle: 0 },
      ],
      analogs: [{ name: 'MW', scale: 0.5, offset: -10 }],
      digitals: [{ names: ['BREAKER 1'], normalState: 1, validInputs: 3 }],
      latitude: 41.25,
      longitude: -1.5,
      elevationM: 12.5,
      serviceClass: 'P',
      windowUs: 83_333,
      groupDelayUs: 41_667,
    };
    const words = judge([encode(configuration3Of(plain)), encode({ ...configuration3Of(plain), pmus: [full, two!] })]);
    for (const text of words) {
      expect(text).toContain('[Checksum Status: Good]');
      expect(text).not.toMatch(/malformed/i);
      expect(text).toContain('Configuration data, 2 PMU(s) included');
    }
    expect(fieldsOf(words[0]!, /Station #\d+: "(.*)"/g)).toEqual(['Station 61', 'Station 62']);
    expect(words[1]).toContain('Station name: A substation with a long name');
    expect(fieldsOf(words[1]!, /(?:Phasor name|Analog value) #\d+: "(.*)"/g)).toEqual([
      'I phase C',
      '',
      'MW',
      'VA',
      'IA',
    ]);
    expect(words[1]).toContain('BREAKER 1');
    for (const line of [
      'Current, Phase C',
      'Modification Flags: 0x0018',
      'Phasor scale factor: 0.5',
      'Phasor angle offset: 0.25',
      'Analog offset: -10',
      'Normal state: 0x0001',
      'Valid bits: 0x0003',
      'PMU Latitude: 41.25',
      'PMU Longitude: -1.5',
      'PMU Elevation: 12.5',
      'Service class: Protection',
      'PM window length: 83333 microseconds',
      'PM group delay: 41667 microseconds',
      'PMU Latitude: Unspecified Location',
      'Rate of transmission: 50 frame(s) per second',
    ])
      expect(words[1]).toContain(line);
  });

  test('as a CFG-3 in several frames, each of which it knows for a part of one', () => {
    const words = judge(encodeConfiguration3(configuration3Of(stream([pmu(61), pmu(62)])), 120));
    expect(words).toHaveLength(2);
    for (const text of words) {
      expect(text).toContain('[Checksum Status: Good]');
      expect(text).toContain('CFG-3 Fragmented Frame');
      expect(text).not.toMatch(/malformed/i);
    }
  });
});
