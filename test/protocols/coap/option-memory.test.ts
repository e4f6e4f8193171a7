import fc from 'fast-check';
import { OptionMemory } from '../../../src/protocols/coap/option-memory.js';
import { decodeOptions, encodeTail, OPTION, option, screen } from '../../../src/protocols/coap/options.js';

const options = fc.array(
  fc.record({ number: fc.integer({ min: 1, max: 2100 }), value: fc.uint8Array({ maxLength: 300 }) }),
  { maxLength: 6 },
);
const plain = (decoded: ReturnType<typeof decodeOptions>) =>
  'malformed' in decoded
    ? decoded
    : { end: decoded.end, options: decoded.options.map(({ number, value }) => [number, [...value]]) };

test('what is remembered is what would be read, of any bytes whatever', () => {
  const memory = new OptionMemory();
  const well = fc
    .tuple(options, fc.uint8Array({ maxLength: 5 }))
    .map(([list, payload]) => Uint8Array.from(encodeTail(list, payload)));
  fc.assert(
    fc.property(fc.oneof(well, fc.uint8Array({ maxLength: 40 })), fc.nat(3), (bytes, offset) => {
      const datagram = Uint8Array.from([...new Uint8Array(offset), ...bytes]);
      const expected = plain(decodeOptions(datagram, offset));
      for (let time = 0; time < 2; time++) {
        const read = memory.decode(Uint8Array.from(datagram), offset);
        expect(plain(read)).toEqual(expected);
        if ('options' in read) expect(memory.screen(read.options)).toEqual(screen(read.options));
      }
    }),
    { numRuns: 500 },
  );
});

test('the same bytes are the same list, which the next datagram does not change', () => {
  const memory = new OptionMemory();
  const datagram = Uint8Array.from(encodeTail([option(OPTION.uriPath, 'm2m')], Uint8Array.of(1)));
  const first = memory.decode(datagram, 0);
  datagram.fill(0x42);
  const again = memory.decode(Uint8Array.from(encodeTail([option(OPTION.uriPath, 'm2m')], Uint8Array.of(2))), 0);
  expect('options' in first && 'options' in again && first.options === again.options).toBe(true);
  expect(plain(first)).toEqual({ end: 4, options: [[OPTION.uriPath, [...Buffer.from('m2m')]]] });
});

test('what is kept of a list is found by its bytes, and by the list as it was decoded or screened', () => {
  const memory = new OptionMemory();
  const list = [option(OPTION.uriPath, 'm2m'), option(2100, 'elective, and nobody knows it')];
  const datagram = Uint8Array.from([0x52, ...encodeTail(list, Uint8Array.of(1))]);
  expect(memory.find(datagram, 1)).toBeUndefined();
  const decoded = memory.decode(datagram, 1);
  const heard = memory.find(datagram, 1);
  expect(heard).toBeDefined();
  if (!('options' in decoded)) throw new Error(decoded.malformed);
  expect(memory.of(decoded.options)).toBe(heard);
  expect(memory.of(memory.screen(decoded.options).options)).toBe(heard);
  const other = Uint8Array.from([0x52, ...encodeTail([option(OPTION.uriPath, 'm2n')], Uint8Array.of(1))]);
  expect(memory.find(other, 1)).toBeUndefined();
});
