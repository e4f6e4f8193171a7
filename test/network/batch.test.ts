import fc from 'fast-check';
import { Batch, Destination } from '../../src/network/batch.js';

const HOST = '192.0.2.1';
const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
const datagrams = fc.array(fc.record({ port: fc.integer({ min: 1, max: 4 }), head: bytes(20), tail: fc.nat(3) }), {
  maxLength: 60,
});

test('what is queued comes out as it was, in order for each peer, however often the batch was full meanwhile', () => {
  fc.assert(
    fc.property(datagrams, fc.tuple(bytes(30), bytes(30), bytes(30), bytes(30)), (queued, tails) => {
      const out: string[] = [];
      const drain = (): void =>
        batch.drain((datagram, { port }) => out.push(`${port} ${Buffer.from(datagram).toString('hex')}`));
      const batch = new Batch({ datagrams: 7, bytes: 128 }, drain);
      const destinations = [1, 2, 3, 4].map((port) => new Destination({ host: HOST, port }));
      for (const { port, head, tail } of queued) {
        const at = batch.open(destinations[port - 1]!, head.length, tails[tail]!);
        batch.bytes.set(head, at);
      }
      drain();
      const expected = queued.map(({ port, head, tail }) => {
        return `${port} ${Buffer.concat([head, tails[tail]!]).toString('hex')}`;
      });
      const byPeer = (lines: readonly string[]): unknown =>
        [1, 2, 3, 4].map((port) => lines.filter((line) => line.startsWith(`${port} `)));
      expect(byPeer(out)).toEqual(byPeer(expected));
      expect(out).toHaveLength(expected.length);
      expect(batch.count).toBe(0);
      expect(destinations.map(({ first, last }) => [first, last])).toEqual(destinations.map(() => [-1, -1]));
    }),
  );
});

test('the datagrams of one destination hang together', () => {
  const batch = new Batch({ datagrams: 8, bytes: 64 }, () => {});
  const [a, b] = [1, 2].map((port) => new Destination({ host: HOST, port })) as [Destination, Destination];
  for (const to of [a, b, a, a, b]) batch.add(Uint8Array.of(1), to);
  const chain = ({ first }: Destination): number[] => {
    const indexes: number[] = [];
    for (let index = first; index >= 0; index = batch.next[index] ?? -1) indexes.push(index);
    return indexes;
  };
  expect([chain(a), chain(b)]).toEqual([
    [0, 2, 3],
    [1, 4],
  ]);
  expect(batch.destinations).toEqual([a, b]);
});

test('a tail that many share lies in the batch once', () => {
  const batch = new Batch({ datagrams: 8, bytes: 64 }, () => {});
  const to = new Destination({ host: HOST, port: 1 });
  const tail = Buffer.from('tail');
  batch.open(to, 2, tail);
  batch.open(to, 2, tail);
  expect(batch.tailAt[1]).toBe(batch.tailAt[0]);
  batch.open(to, 2, Buffer.from('tail'));
  expect(batch.tailAt[2]).not.toBe(batch.tailAt[0]);
});

test('what goes to the first peers can go before the rest', () => {
  const out: number[] = [];
  const batch = new Batch({ datagrams: 8, bytes: 64 }, () => {});
  const destinations = [1, 2, 3].map((port) => new Destination({ host: HOST, port }));
  for (const to of [...destinations, ...destinations]) batch.add(Uint8Array.of(1), to);
  batch.drain((_, { port }) => out.push(port), 2);
  expect(out.splice(0)).toEqual([1, 1, 2, 2]);
  batch.add(Uint8Array.of(1), destinations[0]!);
  batch.drain((_, { port }) => out.push(port));
  expect([out, batch.count]).toEqual([[3, 3, 1], 0]);
});
