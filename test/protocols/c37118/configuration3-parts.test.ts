/** CFG-3 in several frames: whatever is cut, lost or mixed up on the way, what is read is what was written, or nothing. */
import fc from 'fast-check';
import { decode, encode, type Frame } from '../../../src/protocols/c37118/codec.js';
import type { Configuration } from '../../../src/protocols/c37118/configuration.js';
import {
  configuration2Of,
  configuration3Of,
  writeConfiguration3,
  type Configuration3,
} from '../../../src/protocols/c37118/configuration3.js';
import {
  Configuration3Parts,
  encodeConfiguration3,
  type Configuration3Part,
} from '../../../src/protocols/c37118/configuration3-parts.js';
import { checkFrame } from '../../../src/protocols/c37118/frame.js';
import { configurations3 } from './arbitrary.js';
import { pmu, stream } from './stream.js';

/** What a frame has around the bytes that are cut. */
const AROUND = 18;
const rooms = fc.integer({ min: 40, max: 600 });

function partOf(frame: Uint8Array): Configuration3Part {
  const decoded = decode(frame);
  if (decoded.kind !== 'configuration3Part') throw new Error(`a ${decoded.kind}`);
  return decoded;
}

/** By its bytes: a NaN among its numbers is not equal to itself. */
const bytesOf = (configuration: Configuration3): Buffer => Buffer.from(writeConfiguration3(configuration));

test('is in one frame where there is room, and in as many as it takes where not', () => {
  fc.assert(
    fc.property(configurations3, rooms, (configuration, room) => {
      const frames = encodeConfiguration3(configuration, room + AROUND);
      const body = bytesOf(configuration);
      expect(frames).toHaveLength(Math.ceil(body.length / room));
      for (const frame of frames) {
        expect(checkFrame(frame)).toBeUndefined();
        expect(frame.length).toBeLessThanOrEqual(room + AROUND);
      }
      const [only] = frames;
      if (frames.length === 1) return expect(Buffer.from(only!)).toEqual(Buffer.from(encode(configuration)));
      const parts = frames.map(partOf);
      expect(parts.map(({ index }) => index)).toEqual(
        [...parts.keys()].map((at) => (at === parts.length - 1 ? 0xffff : at + 1)),
      );
      // A part is written again as it came.
      parts.forEach((part, at) => expect(Buffer.from(encode(part))).toEqual(Buffer.from(frames[at]!)));
      const joiner = new Configuration3Parts();
      const joined = parts.map((part) => joiner.take(part));
      expect(joined.slice(0, -1).every((each) => each === undefined)).toBe(true);
      const whole = joined.at(-1);
      expect(whole?.kind).toBe('configuration3');
      expect(whole?.kind === 'configuration3' && bytesOf(whole).equals(body)).toBe(true);
      return undefined;
    }),
  );
});

test('with parts lost, doubled or out of order it is never another one, and the next whole one is taken', () => {
  const changes = fc.array(fc.record({ at: fc.nat(), how: fc.constantFrom('lose', 'double', 'swap') }), {
    minLength: 1,
    maxLength: 4,
  });
  fc.assert(
    fc.property(configurations3, rooms, changes, (configuration, room, wrongs) => {
      const parts = encodeConfiguration3(configuration, room + AROUND).map((frame) => decode(frame));
      const sent = parts.filter((part): part is Configuration3Part => part.kind === 'configuration3Part');
      fc.pre(sent.length > 1);
      const came = [...sent];
      for (const { at, how } of wrongs) {
        const place = at % Math.max(1, came.length);
        if (how === 'lose') came.splice(place, 1);
        else if (how === 'double') came.splice(place, 0, ...came.slice(place, place + 1));
        else came.splice(Math.max(0, place - 1), 2, ...came.slice(Math.max(0, place - 1), place + 1).reverse());
      }
      const joiner = new Configuration3Parts();
      const body = bytesOf(configuration);
      for (const part of came) {
        const taken = joiner.take(part);
        if (taken?.kind === 'configuration3') expect(bytesOf(taken).equals(body)).toBe(true);
      }
      expect(sent.map((part) => joiner.take(part)).at(-1)?.kind).toBe('configuration3');
    }),
  );
});

test('a device that never ends its configuration is not listened to for ever', () => {
  const joiner = new Configuration3Parts();
  const [head] = encodeConfiguration3(configuration3Of(stream()), 40).map(partOf);
  const bytes = new Uint8Array(60_000);
  const told = Array.from({ length: 30 }, (_, at) => joiner.take({ ...head!, index: at + 1, bytes }));
  expect(told.slice(0, 17).every((each) => each === undefined)).toBe(true);
  expect(told[17]).toMatchObject({ kind: 'malformed', fault: 'body' });
});

test('joined with less than all that it counts, it is malformed', () => {
  const parts = encodeConfiguration3(configuration3Of(stream([pmu(1), pmu(2), pmu(3)])), 60).map(partOf);
  const joiner = new Configuration3Parts();
  expect(joiner.take(parts[0]!)).toBeUndefined();
  expect(joiner.take(parts.at(-1)!)).toMatchObject({ kind: 'malformed', fault: 'body' });
});

describe('as a CFG-2', () => {
  const configuration = stream([pmu(61), pmu(62, { format: 15, nominalFrequency: 0 })]);

  test('says what the CFG-2 said that it was made of', () => {
    const { pmus, ...rest } = configuration;
    expect(configuration2Of(configuration3Of(configuration))).toEqual({
      ...rest,
      // The scale of a float is 1, and no PHUNIT is needed to say so.
      pmus: pmus.map((each) =>
        each.format & 2
          ? { ...each, phasors: each.phasors.map(({ name, unit }) => ({ name, unit: (unit >>> 24) << 24 })) }
          : each,
      ),
    });
  });

  test('keeps a scale through the float that CFG-3 has for it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 22 }), fc.boolean(), (perBit, isCurrent) => {
        const unit = (isCurrent ? 1 << 24 : 0) | perBit;
        const one = stream([pmu(61, { phasors: [{ name: 'X', unit }] })]);
        const read = decode(encode(configuration3Of(one))) as Frame;
        expect(read.kind === 'configuration3' && configuration2Of(read)).toMatchObject({
          pmus: [{ phasors: [{ unit }] }],
        });
      }),
    );
  });

  test('is not to be had where a phasor is turned, or a float scaled', () => {
    const turned = (change: object): Configuration | { readonly kind: 'malformed' } => {
      const whole = configuration3Of(configuration);
      const [first, second] = whole.pmus;
      const phasors = second!.phasors.map((phasor) => ({ ...phasor, ...change }));
      return configuration2Of({ ...whole, pmus: [first!, { ...second!, phasors }] });
    };
    expect(turned({ angle: 0.5 })).toMatchObject({ kind: 'malformed', fault: 'body' });
    expect(turned({ scale: 2 })).toMatchObject({ kind: 'malformed', fault: 'body' });
  });
});
