/** The system's UDP sockets, with its calls for many datagrams and without. What arrives, a plain socket of Node's tells. */
import { jest } from '@jest/globals';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { systemClock } from '../../src/clock.js';
import { Batch, Destination } from '../../src/network/batch.js';
import { Columns } from '../../src/network/columns.js';
import { loadLibc, type Libc } from '../../src/network/libc.js';
import { MmsgSender } from '../../src/network/mmsg.js';
import { bindUdp } from '../../src/network/udp.js';
import type { Address, UdpSocket } from '../../src/network/udp-socket.js';
import { seededRandom } from '../../src/random.js';

const loaded = loadLibc();
const libc: Libc | null = typeof loaded === 'string' ? null : loaded;
const withCalls = libc ? test : test.skip;
/** Where this process may forge what it sends: as root. */
const [AF_INET, SOCK_RAW, IPPROTO_UDP] = [2, 3, 17];
const rawFd = libc?.socket(AF_INET, SOCK_RAW, IPPROTO_UDP) ?? -1;
const withRaw = rawFd >= 0 ? test : test.skip;
const open: { close(): void }[] = [];
const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await new Promise((turn) => setImmediate(turn));
};

afterEach(() => {
  for (const each of open.splice(0)) each.close();
});

async function bind(native: Libc | null, host = '127.0.0.1'): Promise<UdpSocket> {
  const socket = await bindUdp({ host, port: 0 }, 'many', native);
  open.push(socket);
  return socket;
}

/** A receiver that keeps what it gets. */
async function receiver(host = '127.0.0.1'): Promise<{ at: Address; got: string[]; socket: Socket }> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  socket.bind(0, host);
  await once(socket, 'listening');
  socket.setRecvBufferSize(8 * 1024 * 1024);
  open.push(socket);
  const got: string[] = [];
  socket.on('message', (datagram) => got.push(datagram.toString('latin1')));
  return { at: { host, port: socket.address().port }, got, socket };
}

afterAll(() => {
  if (rawFd >= 0) libc?.close(rawFd);
});

function udpPacket(from: number, to: number, payload: string): Uint8Array {
  const packet = Buffer.alloc(8 + payload.length);
  packet.writeUInt16BE(from, 0);
  packet.writeUInt16BE(to, 2);
  packet.writeUInt16BE(packet.length, 4);
  packet.write(payload, 8);
  return packet;
}

interface Sent {
  readonly to: number;
  readonly head: Buffer;
  readonly tail: Buffer;
  /** For how many destinations what waits goes at once. */
  readonly part: number;
}

/** A stream as a broker sends it: bursts to few destinations, mostly of one size, with what does not fit between them, in parts. */
function stream(seed: number, destinations: number): Sent[][] {
  const random = seededRandom(seed);
  const filled = (length: number): Buffer => Buffer.from(Array.from({ length }, () => random.below(256)));
  return Array.from({ length: 12 }, () => {
    const tails = [filled(80), filled(80), filled(80), filled(79), filled(3), filled(1400), filled(9000)];
    return Array.from({ length: 1 + random.below(300) }, () => {
      const usual = random.below(10) < 8;
      const tail = tails[usual ? random.below(3) : random.below(tails.length)]!;
      const part = random.below(50) === 0 ? 1 + random.below(3) : 0;
      return { to: random.below(destinations), head: filled(usual ? 6 : random.below(30)), tail, part };
    });
  });
}

withCalls.each(['127.0.0.1', '::1'])(
  'all ways put the same bytes on the wire, in the same order per peer: %s',
  async (host) => {
    const bursts = stream(7, 5);
    const ways = [
      { native: null, isServed: false },
      { native: libc, isServed: false },
      { native: libc, isServed: true },
    ];
    const arrived = await Promise.all(
      ways.map(async ({ native, isServed }) => {
        const socket = await bind(native, host);
        const receivers = await Promise.all(Array.from({ length: 5 }, () => receiver(host)));
        const destinations = receivers.map(({ at }) => new Destination(at));
        let sent = 0;
        for (const burst of bursts) {
          for (const { to, head, tail, part } of burst) {
            const at = socket.batch.open(destinations[to]!, head.length, tail);
            socket.batch.bytes.set(head, at);
            if (part > 0 && !isServed) socket.flush(part);
          }
          // What is much goes on another thread.
          if (isServed) for (const to of destinations) socket.serve(to, false);
          else socket.flush();
          sent += burst.length;
          await until(() => receivers.reduce((sum, { got }) => sum + got.length, 0) === sent);
        }
        return { got: receivers.map(({ got }) => got), figures: socket.figures() };
      }),
    );
    const [plain, native, served] = arrived;
    expect(native?.got).toEqual(plain?.got);
    expect(served?.got).toEqual(plain?.got);
    expect(plain?.got.flat()).toHaveLength(bursts.flat().length);
    expect(plain?.figures.trains).toBe(0);
    // Else nothing was shown.
    expect(native?.figures.trains).toBeGreaterThan(50);
    expect(served?.figures.trains).toBeGreaterThan(50);
    expect([native?.figures.aside, served?.figures.aside]).toEqual([0, expect.any(Number)]);
    expect(served?.figures.aside).toBeGreaterThan(5);
  },
);

withCalls('the longest datagram, and trains longer than the system takes, arrive whole', async () => {
  const socket = await bind(libc);
  const { at, got } = await receiver();
  const destination = new Destination(at);
  socket.batch.add(Buffer.alloc(65_507, 1), destination);
  for (let n = 0; n < 150; n++) socket.batch.add(Buffer.alloc(1000, n), destination);
  socket.flush();
  await until(() => got.length === 151);
  expect(got.map(({ length }) => length)).toEqual([65_507, ...Array.from({ length: 150 }, () => 1000)]);
  expect(got.slice(1).map((each) => each.charCodeAt(999))).toEqual(Array.from({ length: 150 }, (_, n) => n));
});

test.each([['with the calls', libc] as const, ['without', null] as const])(
  'a burst that is more than may wait sends 64 datagrams to make room, %s',
  async (_, native) => {
    const socket = await bind(native);
    const { at, got } = await receiver();
    const destinations = Array.from({ length: 8193 }, () => new Destination(at));
    for (const to of destinations) socket.batch.add(Buffer.from('x'), to);
    expect(socket.batch.count).toBe(8193 - 64);
    await until(() => got.length === 64);
  },
);

const MUCH = Array.from({ length: 200 }, (_, n) => `much ${n}`);
const say = (socket: UdpSocket, text: string, to: Destination): void => socket.batch.add(Buffer.from(text), to);

/** Takes so many datagrams that they go on another thread. */
function muchTo(socket: UdpSocket, destination: Destination): void {
  for (const text of MUCH) say(socket, text, destination);
  socket.serve(destination, false);
}

withCalls(
  'what goes to a peer waits for what another thread is sending to it, and what is urgent does not',
  async () => {
    const socket = await bind(libc);
    const [usual, other] = [await receiver(), await receiver()];
    const [to, another] = [new Destination(usual.at), new Destination(other.at)];
    muchTo(socket, to);
    expect([socket.batch.count, socket.figures().aside]).toEqual([0, 1]);
    say(socket, 'behind', to);
    socket.serve(to, false);
    socket.flush(1);
    expect(socket.batch.count).toBe(1);
    // To whom nothing is on its way, an answer goes at once; and what is urgent to anybody.
    say(socket, 'answer', another);
    socket.batch.bringForward(another);
    socket.flush(1);
    expect(socket.batch.count).toBe(1);
    say(socket, 'urgent', another);
    socket.serve(another, true);
    expect(socket.batch.count).toBe(1);
    await until(() => usual.got.length === MUCH.length + 1);
    expect(usual.got).toEqual([...MUCH, 'behind']);
    expect(other.got).toEqual(['answer', 'urgent']);
  },
);

withCalls('for a second after something urgent, everything is sent by this thread', async () => {
  const socket = await bind(libc);
  const { at, got } = await receiver();
  const to = new Destination(at);
  const clock = jest.spyOn(systemClock, 'monotonicUs').mockReturnValue(5_000_000);
  try {
    say(socket, 'urgent', to);
    socket.serve(to, true);
    muchTo(socket, to);
    clock.mockReturnValue(5_999_999);
    muchTo(socket, to);
    expect(socket.figures().aside).toBe(0);
    clock.mockReturnValue(6_000_000);
    muchTo(socket, to);
    expect(socket.figures().aside).toBe(1);
    await until(() => got.length === 3 * MUCH.length + 1);
  } finally {
    clock.mockRestore();
  }
  expect(got).toEqual(['urgent', ...MUCH, ...MUCH, ...MUCH]);
});

/** A socket whose orders stand until the test finishes them. */
async function withOrdersHeld() {
  const orders: (() => void)[] = [];
  const held: Libc = { ...libc!, sendmmsgAside: (...[, , count, , done]) => void orders.push(() => done(count)) };
  const socket = await bind(held);
  const { at, got } = await receiver();
  return { socket, to: new Destination(at), got, finish: () => orders.shift()?.() };
}

withCalls('what waits for an order that a stalled disk holds up goes past it', async () => {
  const { socket, to, got, finish } = await withOrdersHeld();
  const clock = jest.spyOn(systemClock, 'monotonicUs').mockReturnValue(5_000_000);
  try {
    muchTo(socket, to);
    say(socket, 'past it', to);
    clock.mockReturnValue(5_019_999);
    socket.serve(to, false);
    expect(socket.batch.count).toBe(1);
    clock.mockReturnValue(5_020_000);
    socket.serve(to, false);
    expect(socket.batch.count).toBe(0);
  } finally {
    clock.mockRestore();
  }
  await until(() => got.length === 1);
  expect(got).toEqual(['past it']);
  finish();
  muchTo(socket, to);
  expect(socket.figures().aside).toBe(2);
  finish();
});

withCalls('what waits for an order that is held up goes past it even if nothing more is sent', async () => {
  const { socket, to, got, finish } = await withOrdersHeld();
  for (const [text, send] of [
    ['a sample', () => socket.serve(to, false)],
    ['an answer', () => socket.flush(1)],
  ] as const) {
    const clock = jest.spyOn(systemClock, 'monotonicUs').mockReturnValue(systemClock.monotonicUs());
    muchTo(socket, to);
    say(socket, text, to);
    send();
    clock.mockRestore();
    expect(socket.batch.count).toBe(1);
    await until(() => got.includes(text));
    finish();
  }
  expect(got).toEqual(['a sample', 'an answer']);
});

withCalls('an order that was awaited and is done sends nothing later that nobody has flushed', async () => {
  const { socket, to, finish } = await withOrdersHeld();
  muchTo(socket, to);
  say(socket, 'waits', to);
  socket.serve(to, false);
  finish();
  expect(socket.batch.count).toBe(0);
  say(socket, 'is not flushed', to);
  await new Promise((done) => setTimeout(done, 60));
  expect(socket.batch.count).toBe(1);
});

withCalls(
  'a socket that is closed while another thread sends from it keeps its descriptor until that is done',
  async () => {
    const socket = await bind(libc);
    const { at, got } = await receiver();
    const to = new Destination(at);
    muchTo(socket, to);
    say(socket, 'behind', to);
    socket.close();
    await expect(bindUdp(socket.local, 'many', libc)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await until(() => got.length === MUCH.length + 1);
    expect([...got].sort()).toEqual(['behind', ...MUCH].sort());
    socket.serve(to, false);
    expect(socket.batch.count).toBe(0);
    // The order has gone; that it is done is heard a turn later or two.
    const again = async (): Promise<UdpSocket> =>
      bindUdp(socket.local, 'many', libc).catch(() => new Promise((turn) => setImmediate(turn)).then(again));
    open.push(await again());
  },
);

test.each([['with the calls', libc] as const, ['without', null] as const])(
  'nothing is sent to port 0, from which a datagram may claim to be, and others get theirs, %s',
  async (_, native) => {
    const socket = await bind(native);
    const { at, got } = await receiver();
    say(socket, 'nowhere', new Destination({ ...at, port: 0 }));
    say(socket, 'here', new Destination(at));
    socket.flush();
    await until(() => got.length === 1);
    expect([got, socket.figures().sendDrops]).toEqual([['here'], 1]);
  },
);

withRaw.each([['with the calls', libc] as const, ['without', null] as const])(
  'a datagram that claims to be from port 0 is not heard, %s',
  async (_, native) => {
    const socket = await bind(native);
    const got: string[] = [];
    socket.onDatagram((datagram) => got.push(datagram.toString()));
    const { host, port } = socket.local;
    const raw = new Batch(new Columns({ datagrams: 16, pages: 1 }), () => {});
    const forger = new MmsgSender({ libc: libc!, fd: rawFd, isIpv6: false }, raw.columns.room, () => {});
    raw.trade(forger.columns);
    // Some by libuv, the rest of the turn by recvmmsg.
    for (let n = 0; n < 8; n++) raw.add(udpPacket(0, port, 'from port 0'), new Destination({ host, port }));
    forger.send(raw);
    const { socket: sender } = await receiver();
    for (let n = 0; n < 8; n++) sender.send(`honest ${n}`, port, host);
    await until(() => got.includes('honest 7'));
    expect(got).toEqual(Array.from({ length: 8 }, (__, n) => `honest ${n}`));
  },
);

withCalls('what the system refuses is reported, and costs no other peer a datagram', async () => {
  const socket = await bind(libc);
  const { at, got } = await receiver();
  const errors: string[] = [];
  socket.onError((error) => errors.push((error as NodeJS.ErrnoException).code ?? ''));
  const [good, bad] = [new Destination(at), new Destination({ host: '255.255.255.255', port: 9 })];
  for (const to of [good, bad, good, bad]) socket.batch.add(Buffer.from('x'), to);
  socket.flush();
  await until(() => got.length === 2 && errors.length === 2);
  expect(errors).toEqual(['EACCES', 'EACCES']);
});

withCalls('a burst is taken in whole and with its senders, however it is read', async () => {
  const socket = await bind(libc);
  const got = new Map<string, string[]>();
  socket.onDatagram((datagram, { host, port }) => {
    const key = `${host}:${port}`;
    got.set(key, [...(got.get(key) ?? []), datagram.toString()]);
  });
  const senders = await Promise.all(Array.from({ length: 3 }, () => receiver()));
  const sizes = [1, 80, 1200, 20_000];
  for (let n = 0; n < 400; n++)
    senders[n % 3]!.socket.send(`${n}:`.padEnd(sizes[n % 4]!, '.'), socket.local.port, socket.local.host);
  const count = (): number => [...got.values()].reduce((sum, each) => sum + each.length, 0);
  await until(() => count() === 400);
  for (const [index, { at }] of senders.entries()) {
    const expected = Array.from({ length: 400 }, (_, n) => n).filter((n) => n % 3 === index);
    expect(got.get(`127.0.0.1:${at.port}`)).toEqual(expected.map((n) => `${n}:`.padEnd(sizes[n % 4]!, '.')));
  }
});

withCalls('a datagram that closes its socket is the last one', async () => {
  const socket = await bind(libc);
  let received = 0;
  socket.onDatagram(() => {
    if (++received === 5) socket.close();
  });
  const { socket: sender } = await receiver();
  for (let n = 0; n < 50; n++) sender.send('x', socket.local.port, socket.local.host);
  await until(() => received >= 5);
  await new Promise((turn) => setImmediate(turn));
  expect(received).toBe(5);
});

test.each([['with the calls', libc] as const, ['without', null] as const])(
  'a port that is taken is refused as Node does, %s',
  async (_, native) => {
    const { local } = await bind(native);
    await expect(bindUdp(local, 'many', native)).rejects.toMatchObject({ code: 'EADDRINUSE', syscall: 'bind' });
  },
);

withCalls('what finds the receive buffer full is counted', async () => {
  const socket = await bind(libc);
  const { socket: sender } = await receiver();
  const flood = Buffer.alloc(60_000);
  // The handlers of the receiver do not run before all is sent.
  let sent = 0;
  for (let n = 0; n < 400; n++) sender.send(flood, socket.local.port, socket.local.host, () => sent++);
  await until(() => sent === 400);
  expect(socket.figures().receiveDrops).toBeGreaterThan(0);
});
