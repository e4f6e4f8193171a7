import fc from 'fast-check';
import { TcpFlow } from '../../src/sim/tcp-flow.js';

function flowFrom(first: number) {
  const received: number[] = [];
  const flow = new TcpFlow((bytes) => received.push(...bytes));
  flow.begin((first - 1) >>> 0);
  return { flow, received };
}

describe('TcpFlow', () => {
  test('segments in any order, again and overlapping, give each byte once and in order, over the wrap of sequence numbers too', () => {
    const cuts = fc.array(fc.tuple(fc.nat(199), fc.integer({ min: 1, max: 40 })), { maxLength: 20 });
    fc.assert(
      fc.property(
        fc.constantFrom(0, 1, 0xffff_ffff, 0xffff_ff80, 0x7fff_ffc0),
        cuts,
        fc.nat(),
        (first, extra, seed) => {
          const bytes = Uint8Array.from({ length: 200 }, (_, index) => index);
          const { flow, received } = flowFrom(first);
          const whole = Array.from({ length: 20 }, (_, index) => [index * 10, 10] as const);
          const segments = [...whole, ...extra].map((cut, index) => ({ cut, order: (index * 7919 + seed) % 101 }));
          segments.sort((a, b) => a.order - b.order);
          for (const {
            cut: [at, length],
          } of segments)
            flow.push((first + at) >>> 0, bytes.subarray(at, at + length));
          expect(received).toEqual([...bytes]);
        },
      ),
    );
  });

  test('a gap the capture never fills is left out at the end', () => {
    const { flow, received } = flowFrom(100);
    flow.push(100, Uint8Array.of(1, 2));
    flow.push(110, Uint8Array.of(5, 6));
    flow.push(104, Uint8Array.of(3, 4));
    expect(received).toEqual([1, 2]);
    flow.end();
    expect(received).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('a gap does not hold back a stream for ever', () => {
    const { flow, received } = flowFrom(0);
    for (let at = 1; at <= 200; at++) flow.push(at, Uint8Array.of(at));
    expect(received).toHaveLength(200);
  });

  test('a capture that begins in the middle of a connection is read from there', () => {
    const received: number[] = [];
    new TcpFlow((bytes) => received.push(...bytes)).push(4711, Uint8Array.of(9));
    expect(received).toEqual([9]);
  });
});
