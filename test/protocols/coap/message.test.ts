import fc from 'fast-check';
import {
  decode,
  encode,
  isMalformed,
  TYPE,
  type Message,
  type MessageType,
} from '../../../src/protocols/coap/message.js';
import { OPTION, option, screen, uintBytes, uintOf } from '../../../src/protocols/coap/options.js';

const bytes = (maxLength: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength });

const messages: fc.Arbitrary<Message> = fc
  .record({
    type: fc.constantFrom<MessageType>(0, 1),
    code: fc.oneof(fc.integer({ min: 1, max: 31 }), fc.integer({ min: 0x40, max: 0xbf })),
    id: fc.nat(0xffff),
    token: bytes(8),
    // Deltas and lengths around the steps of the extended forms, 13 and 269.
    options: fc.array(
      fc.record({ number: fc.oneof(fc.nat(30), fc.nat(300), fc.nat(65535)), value: fc.oneof(bytes(16), bytes(300)) }),
      {
        maxLength: 8,
      },
    ),
    payload: bytes(64),
  })
  .map((message) => ({ ...message, options: [...message.options].sort((a, b) => a.number - b.number) }));

const plain = (message: Message): unknown => ({
  ...message,
  token: [...message.token],
  payload: [...message.payload],
  options: message.options.map(({ number, value }) => [number, ...value]),
});

const malformedBy = (hex: string): string | undefined => {
  const decoded = decode(Buffer.from(hex, 'hex'));
  if (!isMalformed(decoded)) return undefined;
  return decoded.kind === 'malformed' ? decoded.reason : 'foreign';
};

describe('the CoAP codec', () => {
  test('reads back what it wrote', () => {
    fc.assert(
      fc.property(messages, (message) => {
        const decoded = decode(encode(message));
        if (isMalformed(decoded)) throw new Error('refused its own bytes');
        expect(plain(decoded)).toEqual(plain(message));
      }),
    );
  });

  test('takes random bytes and gives a message or its own error value, never an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        const decoded = decode(noise);
        // What it accepts is what it would write, but for non-shortest forms that no field shows.
        if (!isMalformed(decoded)) expect(encode(decoded).length).toBeLessThanOrEqual(noise.length);
      }),
      { numRuns: 2000 },
    );
  });

  test('takes mutated messages likewise', () => {
    fc.assert(
      fc.property(messages, fc.nat(), fc.nat(255), fc.nat(), (message, position, value, length) => {
        const mutated = encode(message);
        mutated[position % mutated.length] = value;
        expect(() => decode(mutated.subarray(0, 1 + (length % mutated.length)))).not.toThrow();
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ['nothing', '', 'foreign'],
    ['three bytes', '400100', 'foreign'],
    ['version 0', '00010001', 'foreign'],
    ['version 2', '80010001', 'foreign'],
    ['TKL 9', '49010001000000000000000000', 'a token length of 9 to 15'],
    ['TKL 15', '4f010001', 'a token length of 9 to 15'],
    ['a token cut off', '44010001aabb', 'a token that runs past the end'],
    ['an option cut off', '40010001b5616263', 'an option runs past the end'],
    ['an extended delta cut off', '40010001d0', 'an option header is cut off or reserved'],
    ['an extended length cut off', '40010001be01', 'an option header is cut off or reserved'],
    ['delta 15', '40010001f100', 'an option header is cut off or reserved'],
    ['length 15', '400100011f00', 'an option header is cut off or reserved'],
    ['an option number of 65804', '40010001e0ffff', 'an option number exceeds 65535'],
    ['a marker without payload', '40450001ff', 'a payload marker without payload'],
    ['an empty message with a token', '4100000101', 'an empty message with bytes behind its id'],
    ['an empty message with bytes', '40000001ff', 'an empty message with bytes behind its id'],
    ['an empty NON', '50000001', 'an empty non-confirmable message'],
    ['class 1', '40210001', 'a code of a reserved class'],
    ['class 6', '40c00001', 'a code of a reserved class'],
    ['class 7', '40e10001', 'a code of a reserved class'],
    ['a reset with a code', '70450001', 'a reset that is not empty'],
    ['an acknowledgement with a request', '60010001', 'an acknowledgement that carries a request'],
  ])('refuses %s', (_what, hex, reason) => {
    expect(malformedBy(hex)).toBe(reason);
  });

  test('writes the header of the NON notification that protocols are sized by: 8 bytes and the token', () => {
    const options = [option(OPTION.observe, 0x1234)];
    const datagram = encode({
      type: TYPE.nonConfirmable,
      code: 0x45,
      id: 0xbeef,
      token: Uint8Array.of(7),
      options,
      payload: Buffer.from('x'),
    });
    expect(datagram.toString('hex')).toBe('5145beef07621234ff78');
  });
});

describe('options', () => {
  test('numbers travel in the fewest bytes, and leading zeros are read', () => {
    fc.assert(fc.property(fc.nat(0xffff_ffff), (value) => expect(uintOf(uintBytes(value))).toBe(value)));
    expect([0, 1, 255, 256, 65536, 2 ** 24].map((value) => uintBytes(value).length)).toEqual([0, 1, 1, 2, 3, 4]);
    expect(uintOf(Uint8Array.of(0, 0, 60))).toBe(60);
  });

  test('an unknown elective option vanishes, an unknown critical one is named', () => {
    const path = option(OPTION.uriPath, 'a');
    expect(screen([path, option(2000, 'x')])).toEqual({ options: [path] });
    expect(screen([path, option(2001, 'x')])).toEqual({ options: [path], unknownCritical: 2001 });
  });

  test('a length out of range and a surplus instance count as unknown', () => {
    expect(screen([option(OPTION.accept, Buffer.alloc(3))]).unknownCritical).toBe(OPTION.accept);
    expect(screen([option(OPTION.accept, 0), option(OPTION.accept, 50)])).toEqual({
      options: [option(OPTION.accept, 0)],
      unknownCritical: OPTION.accept,
    });
    expect(screen([option(OPTION.contentFormat, 0), option(OPTION.contentFormat, 50)]).options).toHaveLength(1);
  });
});
