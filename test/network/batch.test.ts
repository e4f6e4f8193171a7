import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { Batch, Destination } from '../../src/network/batch.js';
import { Columns, type Room } from '../../src/network/columns.js';

const PORTS = [1, 2, 3, 4];
const destinationsAt = (ports: readonly number[]): Destination[] =>
  ports.map((port) => new Destination({ host: '192.0.2.1', port }));
const digest = (bytes: Uint8Array): string => createHash('sha1').update(bytes).digest('hex');

/** A batch that, when it is full, sends what is for its first destinations, `most` of them; where none are given all at once. */
function stage(room: Room, most = (batch: Batch): number => batch.atOnce) {
  const out: { port: number; bytes: Uint8Array }[] = [];
  let full = 0;
  const send = (count?: number): void => batch.drain((bytes, { port }) => out.push({ port, bytes }), count);
  const batch: Batch = new Batch(new Columns(room), () => {
    full++;
    send(most(batch));
  });
  return { batch, send, sent: () => out.splice(0), timesFull: () => full };
}

const port = fc.constantFrom(...PORTS);
const step = fc.oneof(
  { weight: 10, arbitrary: fc.record({ port, head: fc.uint8Array({ maxLength: 20 }), tail: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ part: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ forward: port }) },
);

test('what is queued comes out as it was, in order for each peer, however often the batch was full or sent in part', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.infiniteStream(fc.nat(255)), (steps, filling) => {
      const { batch, send, sent } = stage({ datagrams: 7, pages: 3 }, () => 1);
      const destinations = destinationsAt(PORTS);
      // Two of the longest, or four, fill a page.
      const tails = [0, 3, 30, 15_000, 30_000].map((length) => Buffer.alloc(length, filling.next().value as number));
      const queued: (readonly [port: number, datagram: string])[] = [];
      for (const each of steps) {
        if ('part' in each) send(each.part);
        else if ('forward' in each) batch.bringForward(destinations[each.forward - 1]!);
        else {
          const { port: to, head, tail } = each;
          const at = batch.open(destinations[to - 1]!, head.length, tails[tail]!);
          batch.bytes.set(head, at);
          queued.push([to, digest(Buffer.concat([head, tails[tail]!]))]);
        }
      }
      send();
      const out = sent().map(({ port: to, bytes }) => [to, digest(bytes)] as const);
      for (const to of PORTS)
        expect(out.filter(([other]) => other === to)).toEqual(queued.filter(([other]) => other === to));
      expect([batch.count, batch.waiting, batch.foremost]).toEqual([0, 0, undefined]);
      for (const { first, last, before, after } of destinations)
        expect([first, last, before, after]).toEqual([-1, -1, undefined, undefined]);
    }),
  );
});

test('the datagrams of one destination hang together, and the destinations in the order of their first', () => {
  const { batch } = stage({ datagrams: 8, pages: 1 });
  const [a, b] = destinationsAt([1, 2]) as [Destination, Destination];
  for (const to of [a, b, a, a, b]) batch.add(Uint8Array.of(1), to);
  const chain = ({ first }: Destination): number[] => {
    const indexes: number[] = [];
    for (let index = first; index >= 0; index = batch.columns.next[index] ?? -1) indexes.push(index);
    return indexes;
  };
  expect([chain(a), chain(b)]).toEqual([
    [0, 2, 3],
    [1, 4],
  ]);
  expect([batch.foremost, a.after, b.after]).toEqual([a, b, undefined]);
});

test('a tail that many share lies in the batch once', () => {
  const { batch } = stage({ datagrams: 8, pages: 1 });
  const [to] = destinationsAt([1]) as [Destination];
  const tail = Buffer.from('tail');
  batch.open(to, 2, tail);
  batch.open(to, 2, tail);
  expect(batch.columns.tailAt[1]).toBe(batch.columns.tailAt[0]);
  batch.open(to, 2, Buffer.from('tail'));
  expect(batch.columns.tailAt[2]).not.toBe(batch.columns.tailAt[0]);
});

test('what goes to the first peers can go before the rest, and one can be put before all others', () => {
  const { batch, send, sent } = stage({ datagrams: 8, pages: 1 });
  const ports = (): number[] => sent().map((each) => each.port);
  const destinations = destinationsAt([1, 2, 3]);
  for (const to of [...destinations, ...destinations]) batch.add(Uint8Array.of(1), to);
  send(2);
  expect(ports()).toEqual([1, 1, 2, 2]);
  for (const to of destinations.slice(0, 2)) batch.add(Uint8Array.of(1), to);
  expect([batch.bringForward(destinations[1]!), batch.bringForward(new Destination({ host: '', port: 9 }))]).toEqual([
    true,
    false,
  ]);
  send();
  expect([ports(), batch.count]).toEqual([[2, 3, 3, 1], 0]);
});

test('what has gone makes room at once, in datagrams and in bytes', () => {
  const few = stage({ datagrams: 4, pages: 1 });
  for (const to of destinationsAt([1, 2, 3, 4])) few.batch.add(Uint8Array.of(1), to);
  few.send(3);
  for (const to of destinationsAt([5, 6, 7])) few.batch.add(Uint8Array.of(1), to);
  expect([few.timesFull(), few.batch.count]).toEqual([0, 4]);
  few.batch.add(Uint8Array.of(1), destinationsAt([8])[0]!);
  expect(few.timesFull()).toBe(1);

  const long = stage({ datagrams: 8, pages: 2 });
  const [a, b, c] = destinationsAt([1, 2, 3]) as [Destination, Destination, Destination];
  for (const to of [a, a, b, b]) long.batch.add(new Uint8Array(30_000), to);
  long.send(1);
  for (const to of [c, c]) long.batch.add(new Uint8Array(30_000), to);
  expect(long.timesFull()).toBe(0);
  long.batch.add(new Uint8Array(30_000), c);
  expect(long.timesFull()).toBe(1);
});

test('where it is full, what leaves is 64 datagrams, and what else waits for the last of their peers', () => {
  const { batch, sent, timesFull } = stage({ datagrams: 1024, pages: 4 });
  const destinations = destinationsAt(Array.from({ length: 512 }, (_, n) => n));
  const left: number[] = [];
  for (let n = 0; n < 20_000; n++) {
    const before = timesFull();
    batch.add(Uint8Array.of(n), destinations[n % 512]!);
    if (timesFull() > before) left.push(sent().length / (timesFull() - before));
  }
  expect(Math.min(...left)).toBe(64);
  expect(Math.max(...left)).toBeLessThan(64 + 1024 / 512 + 1);
});

test('a datagram that no page holds is refused', () => {
  const { batch } = stage({ datagrams: 4, pages: 2 });
  const [to] = destinationsAt([1]) as [Destination];
  batch.add(new Uint8Array(65_507), to);
  expect(() => batch.add(new Uint8Array(65_536), to)).toThrow('65536 bytes; it must have less than 65536');
});
