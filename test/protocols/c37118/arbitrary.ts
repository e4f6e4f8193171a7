/** Any configuration and any frame that fits it, for property tests. */
import fc from 'fast-check';
import type { CommandFrame, HeaderFrame } from '../../../src/protocols/c37118/command.js';
import { FORMAT, type Configuration, type PmuConfiguration } from '../../../src/protocols/c37118/configuration.js';
import type { Configuration3, PmuConfiguration3 } from '../../../src/protocols/c37118/configuration3.js';
import type { DataFrame, PmuBlock } from '../../../src/protocols/c37118/data-frame.js';
import type { FrameHead } from '../../../src/protocols/c37118/frame.js';

const u8 = fc.nat(0xff);
const u16 = fc.nat(0xffff);
const u24 = fc.nat(0xff_ffff);
const u32 = fc.nat(0xffff_ffff);
const i16 = fc.integer({ min: -0x8000, max: 0x7fff });
const f32 = fc.float();

/** One character a byte; trailing spaces are the wire's padding and do not come back. */
const name = fc.array(u8, { maxLength: 16 }).map((codes) => String.fromCharCode(...codes).replace(/ +$/, ''));

const head: fc.Arbitrary<FrameHead> = fc.record({
  version: fc.constantFrom(1, 2),
  streamId: u16,
  soc: u32,
  timeQuality: u8,
  fraction: u24,
});

const channel = fc.record({ name, unit: u32 });
const word = fc.record({
  names: fc.array(name, { minLength: 16, maxLength: 16 }),
  normalState: u16,
  validInputs: u16,
});

/** All 16 formats, with unused bits now and then. */
const format = fc.oneof(fc.nat(15), u16);

const pmu: fc.Arbitrary<PmuConfiguration> = fc.record({
  stationName: name,
  idCode: u16,
  format,
  phasors: fc.array(channel, { maxLength: 4 }),
  analogs: fc.array(channel, { maxLength: 3 }),
  digitals: fc.array(word, { maxLength: 2 }),
  nominalFrequency: u16,
  configurationCount: u16,
});

export const configurations: fc.Arbitrary<Configuration> = fc
  .tuple(
    head,
    fc.record({
      kind: fc.constantFrom('configuration1' as const, 'configuration2' as const),
      timeBase: fc.integer({ min: 1, max: 0xff_ffff }),
      timeBaseFlags: u8,
      pmus: fc.array(pmu, { maxLength: 3 }),
      dataRate: i16.filter((rate) => rate !== 0),
    }),
  )
  .map(([front, rest]) => ({ ...front, ...rest }));

const utf8Name = fc.string({ unit: 'grapheme', maxLength: 16 });
const scaled = fc.record({ name: utf8Name, modification: u16, type: u8, user: u8, scale: f32, angle: f32 });
const wideWord = fc.record({
  names: fc.array(utf8Name, { minLength: 16, maxLength: 16 }),
  normalState: u16,
  validInputs: u16,
});
const i32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const pmu3: fc.Arbitrary<PmuConfiguration3> = fc.record({
  stationName: utf8Name,
  idCode: u16,
  globalId: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  format,
  phasors: fc.array(scaled, { maxLength: 4 }),
  analogs: fc.array(fc.record({ name: utf8Name, scale: f32, offset: f32 }), { maxLength: 3 }),
  digitals: fc.array(wideWord, { maxLength: 2 }),
  latitude: f32,
  longitude: f32,
  elevationM: f32,
  serviceClass: fc.constantFrom('M', 'P'),
  windowUs: i32,
  groupDelayUs: i32,
  nominalFrequency: u16,
  configurationCount: u16,
});

export const configurations3: fc.Arbitrary<Configuration3> = fc
  .tuple(
    head,
    fc.record({
      kind: fc.constant('configuration3' as const),
      timeBase: fc.integer({ min: 1, max: 0xff_ffff }),
      timeBaseFlags: u8,
      pmus: fc.array(pmu3, { maxLength: 3 }),
      dataRate: i16.filter((rate) => rate !== 0),
    }),
  )
  .map(([front, rest]) => ({ ...front, ...rest }));

const list = <Item>(item: fc.Arbitrary<Item>, { length }: readonly unknown[]): fc.Arbitrary<Item[]> =>
  fc.array(item, { minLength: length, maxLength: length });

function block(of: PmuConfiguration): fc.Arbitrary<PmuBlock> {
  const isPolar = (of.format & FORMAT.polar) !== 0;
  const phasor =
    of.format & FORMAT.phasorsFloat ? fc.tuple(f32, f32) : isPolar ? fc.tuple(u16, i16) : fc.tuple(i16, i16);
  const frequency = of.format & FORMAT.frequencyFloat ? f32 : i16;
  const analog = of.format & FORMAT.analogsFloat ? f32 : i16;
  return fc.record({
    stat: u16,
    phasors: list(phasor, of.phasors),
    frequency,
    rocof: frequency,
    analogs: list(analog, of.analogs),
    digitals: list(u16, of.digitals),
  });
}

export const dataFrames = (configuration: Configuration): fc.Arbitrary<DataFrame> =>
  fc
    .tuple(head, fc.tuple(...configuration.pmus.map(block)))
    .map(([front, blocks]) => ({ kind: 'data', ...front, streamId: configuration.streamId, blocks }));

export const commands: fc.Arbitrary<CommandFrame> = fc
  .tuple(head, u16, fc.uint8Array({ maxLength: 40 }))
  .map(([front, code, extension]) => ({ kind: 'command', ...front, code, extension }));

export const headers: fc.Arbitrary<HeaderFrame> = fc
  .tuple(head, fc.array(u8, { maxLength: 80 }))
  .map(([front, codes]) => ({ kind: 'header', ...front, text: String.fromCharCode(...codes) }));
