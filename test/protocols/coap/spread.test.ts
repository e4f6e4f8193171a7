import { Destination } from '../../../src/network/batch.js';
import { Spread } from '../../../src/protocols/coap/spread.js';
import { ManualClock } from '../../support/manual-clock.js';
import { MemorySocket } from './lockstep.js';

function stage(windowMs: number) {
  const [clock, socket] = [new ManualClock(), new MemorySocket()];
  const spread = new Spread(socket, clock, windowMs);
  const clients = Array.from({ length: 10 }, (_, n) => new Destination({ host: '192.0.2.1', port: n + 1 }));
  /** Two datagrams for each of the clients. */
  const burst = (): void => {
    for (const client of [...clients, ...clients]) socket.batch.add(Uint8Array.of(1), client);
    spread.flush(clients[0]!);
  };
  const sent = (): number[] => socket.sent.splice(0).map(({ to }) => to.port);
  return { clock, socket, spread, burst, sent };
}

test('without a window all goes at once', () => {
  const { burst, sent } = stage(0);
  burst();
  expect(sent()).toHaveLength(20);
});

test('within a window of 5 ms each millisecond has its share of the clients, each served whole', () => {
  const { clock, burst, sent } = stage(5);
  burst();
  const served = [sent()];
  for (let ms = 1; ms < 5; ms++) {
    clock.advance(1);
    served.push(sent());
  }
  expect(served).toEqual([
    [1, 1, 2, 2],
    [3, 3, 4, 4],
    [5, 5, 6, 6],
    [7, 7, 8, 8],
    [9, 9, 10, 10],
  ]);
  clock.advance(10);
  expect(sent()).toEqual([]);
});

test('what comes meanwhile waits behind what is there, and the next burst is spread anew', () => {
  const { clock, burst, sent } = stage(5);
  burst();
  clock.advance(2);
  expect(sent()).toHaveLength(12);
  burst();
  clock.advance(3);
  expect(sent()).toHaveLength(28);
  clock.advance(5);
  burst();
  expect(sent()).toHaveLength(4);
});

test('whom it is for is served first, and with him 64 datagrams at most: nobody waits for a large fan-out to be sent', () => {
  const { socket, spread, sent } = stage(0);
  const clients = Array.from({ length: 100 }, (_, n) => new Destination({ host: '192.0.2.1', port: n + 1 }));
  for (const client of [...clients, ...clients]) socket.batch.add(Uint8Array.of(1), client);
  const last = clients[99]!;
  spread.flush(last);
  const first = sent();
  expect(first).toHaveLength(64);
  expect(first.slice(0, 4)).toEqual([100, 100, 1, 1]);
  spread.flush(last);
  expect(sent()).toEqual([]);
  for (const client of clients) spread.flush(client);
  expect(sent()).toHaveLength(200 - 64);
});

test('an answer leaves without what else waits', () => {
  const { socket, spread, sent } = stage(0);
  const clients = Array.from({ length: 5 }, (_, n) => new Destination({ host: '192.0.2.1', port: n + 1 }));
  for (const client of clients) socket.batch.add(Uint8Array.of(1), client);
  const idle = new Destination({ host: '192.0.2.1', port: 6 });
  spread.flushAlone([clients[3]!, idle, clients[1]!]);
  expect(sent().sort()).toEqual([2, 4]);
  for (const client of clients) spread.flush(client);
  expect(sent()).toEqual([1, 3, 5]);
});
