import fc from 'fast-check';
import { silentLog } from '../../../src/log.js';
import { FRAME_CODECS, type Frame } from '../../../src/protocols/ws/frames.js';
import { LastNotification } from '../../../src/protocols/ws/last-notification.js';
import { WsPort } from '../../../src/protocols/ws/port.js';
import { Wire } from '../../../src/protocols/ws/wire.js';
import type { SendResult, WsSocket } from '../../../src/protocols/transport/transport.js';
import { Delivery, MODE } from '../../../src/routing/delivery.js';
import { FORMATS } from '../../../src/routing/format.js';
import { Sample } from '../../../src/routing/sample.js';
import type { Terms } from '../../../src/routing/terms.js';
import { ManualClock } from '../../support/manual-clock.js';

const codec = FRAME_CODECS['gridcast.v1+json'];

/** A socket whose peer takes `appetite` bytes and no more until it is fed again. */
class HungrySocket implements WsSocket {
  readonly remote = '192.0.2.1';
  readonly protocol = 'gridcast.v1+json';
  isOpen = true;
  bufferedBytes = 0;
  corks = 0;
  closedWith: readonly [number, string] | undefined;
  readonly sent: (string | Uint8Array)[] = [];
  /** Where in memory each of them ended. */
  readonly ends: number[] = [];

  constructor(
    public appetite = Infinity,
    private readonly limit = Infinity,
  ) {}

  send(message: string | Uint8Array): SendResult {
    if (!this.isOpen || this.bufferedBytes > this.limit) return 'dropped';
    if (typeof message !== 'string') this.ends.push(message.byteOffset + message.length);
    // The bytes are the sender's again when this returns.
    this.sent.push(typeof message === 'string' ? message : Buffer.from(message));
    this.bufferedBytes += message.length;
    this.eat();
    return this.bufferedBytes === 0 ? 'sent' : 'queued';
  }

  eat(): void {
    const eaten = Math.min(this.appetite, this.bufferedBytes);
    this.appetite -= eaten;
    this.bufferedBytes -= eaten;
  }

  cork(write: () => void): void {
    this.corks++;
    write();
  }

  ping(): void {}

  terminate(): void {
    this.isOpen = false;
  }

  close(code: number, reason: string): void {
    this.isOpen = false;
    this.closedWith = [code, reason];
  }
}

const KILOBYTE = `[{"n":"${'x'.repeat(1000)}"}]`;
let sequence = 0;
function sample(text = '[{"v":50}]'): Sample {
  const encoder = { encode: () => Buffer.from(text) };
  const made = new Sample(
    { kind: 'stored', mediaType: 'application/json', bytes: Buffer.from(text) },
    ++sequence * 1000,
    0,
    0,
    encoder,
    'id',
  );
  made.sequence = sequence;
  return made;
}

function portOn(socket: WsSocket, subscriptions = 1, last = new LastNotification(codec), terms: Terms = {}) {
  const wire = new Wire(socket, codec, silentLog);
  const clock = new ManualClock();
  const port = new WsPort(wire, last, clock);
  const deliveries = Array.from({ length: subscriptions }, (_, id) => {
    const delivery = new Delivery(port, 'content', FORMATS.senmlJson, terms);
    delivery.mode = MODE.active;
    port.places.add(id, delivery);
    return delivery;
  });
  return { port, wire, clock, deliveries, delivery: deliveries[0]! };
}

const decoded = (message: string | Uint8Array) => codec.decode(Buffer.from(message as Uint8Array)) as Frame;
const notifications = (socket: HungrySocket) =>
  socket.sent.map((message) => JSON.parse(message.toString()) as { sub: number; n: number; missed: number });

const lostOf = ({ dropped }: Delivery): number => [...dropped].reduce((sum, count) => sum + count, 0);

describe('measurements', () => {
  test('of one turn leave in one corked write, in order', () => {
    const socket = new HungrySocket();
    const { port, deliveries } = portOn(socket, 3);
    const one = sample();
    for (const delivery of deliveries) port.offer(delivery, one);
    expect(socket.sent).toHaveLength(0);
    port.flush();
    expect(notifications(socket).map(({ sub }) => sub)).toEqual([0, 1, 2]);
    expect(socket.corks).toBe(1);
  });

  test('to a peer that does not read are conflated: the newest waits, and it is told how many it missed', () => {
    const socket = new HungrySocket(0);
    const { port, delivery } = portOn(socket);
    const offered = Array.from({ length: 200 }, () => sample(KILOBYTE));
    for (const one of offered) {
      port.offer(delivery, one);
      port.flush();
    }
    const queued = socket.sent.length;
    expect(socket.bufferedBytes).toBeGreaterThanOrEqual(64 * 1024);
    expect(socket.bufferedBytes).toBeLessThan(66 * 1024);
    expect(delivery.held).toBe(offered.at(-1));

    socket.appetite = Infinity;
    socket.eat();
    port.drain();
    expect(notifications(socket).at(-1)).toMatchObject({ n: offered.at(-1)?.sequence, missed: 200 - queued - 1 });
    expect(delivery).toMatchObject({ delivered: queued + 1, missed: 0, held: undefined });
  });

  test('that may wait go together when the first of them has waited long enough', () => {
    const socket = new HungrySocket();
    const { port, clock, deliveries } = portOn(socket, 2, undefined, { batchMs: 50 });
    const offered = [sample(), sample(), sample()];
    for (const [index, one] of offered.entries()) {
      if (index > 0) clock.advance(20);
      for (const delivery of deliveries) port.offer(delivery, one);
      port.flush();
    }
    expect(socket.sent).toHaveLength(0);
    clock.advance(10);
    expect(socket.sent).toHaveLength(1);
    const batch = decoded(socket.sent[0]!);
    expect(batch).toMatchObject({
      t: 'batch',
      ntf: offered.flatMap(({ sequence: n }) => [0, 1].map((sub) => ({ t: 'ntf', sub, n, missed: 0 }))),
    });
    expect(clock.pending).toBe(0);
    port.offer(deliveries[0]!, sample());
    clock.advance(50);
    expect(decoded(socket.sent[1]!)).toMatchObject({ t: 'ntf', sub: 0 });
  });

  test('that wait go early when there are many, and before the word that ends their subscription', () => {
    const socket = new HungrySocket();
    const { port, wire, clock, delivery } = portOn(socket, 1, undefined, { batchMs: 10_000 });
    for (let n = 0; n < 20; n++) {
      port.offer(delivery, sample(KILOBYTE));
      port.flush();
    }
    expect(socket.sent).toHaveLength(1);
    port.end(delivery, 'RESOURCE_DELETED');
    port.release(delivery);
    wire.flush();
    const [first, second, last] = socket.sent.map(decoded);
    const sizes = [first, second].map((frame) => (frame?.t === 'batch' ? frame.ntf.length : 0));
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(20);
    expect(last).toMatchObject({ t: 'end', sub: 0 });
    expect(clock.pending).toBe(0);
  });

  test('that wait when the connection breaks go with the next; where none comes they are counted', () => {
    const [broken, next] = [new HungrySocket(), new HungrySocket()];
    const { port, clock, deliveries } = portOn(broken, 2, undefined, { batchMs: 50 });
    for (const each of deliveries) port.offer(each, sample());
    broken.terminate();
    clock.advance(100);
    expect(broken.sent).toHaveLength(0);
    port.bind(new Wire(next, codec, silentLog));
    port.drain();
    expect(decoded(next.sent[0]!)).toMatchObject({ t: 'batch' });
    port.offer(deliveries[0]!, sample());
    next.terminate();
    for (const each of deliveries) port.release(each);
    expect(deliveries.map(({ delivered, missed }) => [delivered, missed])).toEqual([
      [1, 1],
      [1, 0],
    ]);
    expect(clock.pending).toBe(0);
  });

  test('of a turn that brings more than may wait are all sent, if the peer takes them', () => {
    const socket = new HungrySocket();
    const { port, deliveries } = portOn(socket, 1000);
    const one = sample(KILOBYTE);
    for (const delivery of deliveries) port.offer(delivery, one);
    port.flush();
    expect(socket.sent).toHaveLength(1000);
    expect(deliveries.every(({ delivered, held }) => delivered === 1 && held === undefined)).toBe(true);
  });

  test('that were gathered when the socket closed count as not sent', () => {
    const socket = new HungrySocket();
    const { port, delivery } = portOn(socket);
    port.offer(delivery, sample());
    socket.isOpen = false;
    port.flush();
    expect(delivery.delivered).toBe(0);
    expect(lostOf(delivery)).toBe(1);
  });

  test('that were gathered when the peer is given up on the way to them count as not sent', () => {
    const socket = new HungrySocket(0, 1000);
    const { port, delivery } = portOn(socket);
    socket.close = (code, reason) => {
      HungrySocket.prototype.close.call(socket, code, reason);
      port.release(delivery); // the session has ended, and with it all that it had
    };
    port.offer(delivery, sample());
    for (let n = 0; n < 3; n++) port.send({ t: 'msg', seq: n, kind: 'alarm', body: { what: 'x'.repeat(1000) } });
    port.flush();
    expect(socket.closedWith).toEqual([1013, 'SLOW_CONSUMER']);
    expect([delivery.delivered, lostOf(delivery)]).toEqual([0, 1]);
  });

  test('that cannot be written count as not sent, and those that come next are', () => {
    const socket = new HungrySocket();
    const { port, deliveries } = portOn(socket, 3);
    const send = socket.send.bind(socket);
    socket.send = (message) => {
      if (socket.sent.length === 1) throw new Error('it is closed');
      return send(message);
    };
    for (const delivery of deliveries) port.offer(delivery, sample());
    expect(() => port.flush()).toThrow('it is closed');
    expect(deliveries.map((each) => [each.delivered, lostOf(each)])).toEqual([
      [1, 0],
      [0, 1],
      [0, 1],
    ]);
    socket.send = send;
    port.offer(deliveries[1]!, sample()); // there are three
    port.flush();
    expect(notifications(socket).map(({ sub, missed }) => [sub, missed])).toEqual([
      [0, 0],
      [1, 1],
    ]);
  });

  test('of many peers, turn by turn, do not get into each other', () => {
    const turn = fc.array(fc.tuple(fc.nat(2), fc.nat(1)), { maxLength: 80 });
    fc.assert(
      fc.property(fc.array(turn, { maxLength: 10 }), (turns) => {
        const peers = [0, 1, 2].map(() => {
          const socket = new HungrySocket();
          return { socket, expected: [] as [number, number][], ...portOn(socket, 2) };
        });
        for (const offers of turns) {
          for (const [to, sub] of offers) {
            const one = sample();
            const { port, deliveries, expected } = peers[to]!; // there are three, of two each
            port.offer(deliveries[sub]!, one);
            expected.push([sub, one.sequence]);
          }
          for (const { port } of peers) port.flush();
        }
        for (const { socket, expected } of peers)
          expect(notifications(socket).map(({ sub, n }) => [sub, n])).toEqual(expected);
      }),
    );
  });

  test('of one sample to several peers are one body, with each head before it in its turn', () => {
    const last = new LastNotification(codec);
    const peers = [1, 2, 3].map((subscriptions) => {
      const socket = new HungrySocket();
      return { socket, ...portOn(socket, subscriptions, last) };
    });
    const one = sample();
    for (const { port, deliveries } of peers) port.offer(deliveries.at(-1)!, one);
    for (const { port } of peers) port.flush();
    expect(peers.map(({ socket }) => notifications(socket).map(({ sub }) => sub))).toEqual([[0], [1], [2]]);
    expect(new Set(peers.flatMap(({ socket }) => socket.ends)).size).toBe(1);
  });

  test('that wait when their subscription ends go before its account is closed', () => {
    const socket = new HungrySocket();
    const { port, delivery } = portOn(socket);
    port.offer(delivery, sample());
    port.release(delivery);
    expect(notifications(socket)).toHaveLength(1);
    port.flush();
    expect(notifications(socket)).toHaveLength(1);
    expect(delivery.delivered).toBe(1);
  });

  test('are never mixed up between samples, subscriptions and what each missed', () => {
    const step = fc.record({ isNew: fc.boolean(), sub: fc.nat(2), missed: fc.nat(2) });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const last = new LastNotification(codec);
        let current = sample();
        for (const { isNew, sub, missed } of steps) {
          if (isNew) current = sample(`[${sequence}]`);
          const body = current.body('content', FORMATS.senmlJson)!;
          const message: unknown = JSON.parse(
            Buffer.from(last.of(current, FORMATS.senmlJson, body).to(sub, 0, missed)).toString(),
          );
          expect(message).toMatchObject({
            sub,
            missed,
            n: current.sequence,
            body: JSON.parse(Buffer.from(body).toString()),
          });
        }
      }),
    );
  });

  test('whatever the peer does: offered = delivered + dropped + held, and delivered is what was sent', () => {
    const turn = fc.record({
      offers: fc.array(fc.nat(3), { maxLength: 60 }),
      appetite: fc.constantFrom(0, 500, 50_000, 1_000_000),
    });
    fc.assert(
      fc.property(fc.array(turn, { maxLength: 20 }), fc.boolean(), (turns, closes) => {
        const socket = new HungrySocket(0, 80_000);
        const { port, deliveries } = portOn(socket, 4);
        const offered = [0, 0, 0, 0];
        for (const [index, { offers, appetite }] of turns.entries()) {
          for (const to of offers) {
            offered[to] = (offered[to] ?? 0) + 1;
            port.offer(deliveries[to]!, sample(KILOBYTE));
          }
          socket.appetite = appetite;
          if (closes && index === 10) socket.isOpen = false;
          port.flush();
          socket.eat();
          port.drain();
        }
        for (const [id, delivery] of deliveries.entries()) {
          const { delivered, held } = delivery;
          expect(delivered + lostOf(delivery) + (held ? 1 : 0)).toBe(offered[id]);
          expect(notifications(socket).filter(({ sub }) => sub === id)).toHaveLength(delivered);
        }
      }),
    );
  });
});

describe('what must not be lost', () => {
  test('goes at once, past measurements that wait', async () => {
    const socket = new HungrySocket(0);
    const { port, delivery } = portOn(socket);
    while (!delivery.held) {
      port.offer(delivery, sample(KILOBYTE));
      port.flush();
    }
    const before = socket.sent.length;
    port.sendReliable(1, 'alarm', { what: 'trip' });
    await Promise.resolve();
    expect(socket.sent.slice(before).map((message) => JSON.parse(message.toString()) as unknown)).toEqual([
      { t: 'msg', seq: 1, kind: 'alarm', body: { what: 'trip' } },
    ]);
  });

  test('and cannot go ends the connection as SLOW_CONSUMER', async () => {
    const socket = new HungrySocket(0, 1000);
    const { port, wire } = portOn(socket);
    for (let seq = 1; socket.isOpen && seq < 100; seq++) {
      port.sendReliable(seq, 'command', { commandId: 'x'.repeat(100) });
      await Promise.resolve();
    }
    expect(socket.closedWith).toEqual([1013, 'SLOW_CONSUMER']);
    expect(wire.closedFor).toBe('SLOW_CONSUMER');
  });
});
