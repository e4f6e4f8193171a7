import { systemClock } from '../../../src/clock.js';
import { systemNetwork } from '../../../src/network.js';
import { encode } from '../../../src/protocols/c37118/codec.js';
import type { Configuration } from '../../../src/protocols/c37118/configuration.js';
import { Links } from '../../../src/protocols/c37118/link.js';
import { IS_HERE } from '../../support/optional.js';
import { listenTo, type Listening } from './device.js';
import { frameAt, pmu, stream } from './stream.js';

const PERIOD_US = 20_000;
const open: { close(): unknown }[] = [];
afterEach(() => {
  for (const one of open.splice(0).reverse()) one.close();
});

const configured = (streamId: number): Configuration => stream([pmu(streamId)], { streamId });

async function freePort(): Promise<number> {
  const socket = await systemNetwork.bindUdp({ host: '127.0.0.1', port: 0 });
  socket.close();
  return socket.local.port;
}

/** A client that listens for a stream at a port, once it has begun to, or has failed. */
async function listening(links: Links, port: number, streamId: number): Promise<Listening> {
  const heard = listenTo(`c37118+udp://127.0.0.1:${port}?idcode=${streamId}&mode=spontaneous`, {}, links);
  open.push(heard.client);
  heard.client.connect();
  await heard.events.until(({ type }) => type === 'CONNECTED' || type === 'LOST');
  return heard;
}

/** Sends datagrams to a port, in order and in one turn. */
async function sender(port: number): Promise<(...datagrams: Uint8Array[]) => void> {
  const socket = await systemNetwork.bindUdp({ host: '127.0.0.1', port: 0 }, 'many');
  open.push(socket);
  return (...datagrams) => {
    for (const datagram of datagrams) socket.queue(datagram, { host: '127.0.0.1', port });
    socket.flush();
  };
}

/** Data frames of now, one period apart, each with a voltage of its own. */
function live(streamId: number, count: number): Uint8Array[] {
  const now = Math.floor(systemClock.wallUs() / PERIOD_US) * PERIOD_US;
  return Array.from({ length: count }, (_, n) =>
    frameAt(configured(streamId), now + n * PERIOD_US, { volts: 100 + n }),
  );
}
const volts = ({ received }: Listening): number[] =>
  received.all.map(({ measurement }) => Math.round(measurement.phasors[0]?.magnitude ?? NaN));

test('streams that are sent to one port are told apart by IDCODE, also within a datagram', async () => {
  const [links, port] = [new Links(systemNetwork), await freePort()];
  const [first, second] = [await listening(links, port, 60), await listening(links, port, 61)];
  const send = await sender(port);
  send(encode(configured(60)), encode(configured(61)));
  send(...live(60, 2), Buffer.concat([...live(61, 1), ...live(60, 3).slice(2)]));
  await first.received.until(() => first.received.all.length >= 3);
  await second.received.until(() => second.received.all.length >= 1);
  expect([volts(first), volts(second)]).toEqual([[100, 101, 102], [100]]);
  expect(first.received.all[0]?.measurement.descriptor.idCode).toBe(60);
  expect(second.received.all[0]?.measurement.descriptor.idCode).toBe(61);
});

test('a burst that is taken in one turn is kept whole: each measurement has its own bytes', async () => {
  const [links, port] = [new Links(systemNetwork), await freePort()];
  const heard = await listening(links, port, 60);
  const send = await sender(port);
  send(encode(configured(60)), ...live(60, 200));
  await heard.received.until(() => heard.received.all.length >= 200);
  expect(volts(heard)).toEqual(Array.from({ length: 200 }, (_, n) => 100 + n));
});

test('what nobody listens for is the first stream’s to count, what is damaged that one’s whose it says it is', async () => {
  const [links, port] = [new Links(systemNetwork), await freePort()];
  const [first, second] = [await listening(links, port, 60), await listening(links, port, 61)];
  const send = await sender(port);
  const damaged = live(61, 1).map((frame) => frame.fill(0x55, 20, 22));
  send(encode(configured(61)), ...live(99, 1), ...damaged, Buffer.of(0xaa), ...live(61, 1));
  await second.received.until(() => second.received.all.length >= 1);
  expect(first.client.figures).toMatchObject({ foreignFrames: 1, crcErrors: 0, skippedBytes: 1 });
  expect(second.client.figures).toMatchObject({ foreignFrames: 0, crcErrors: 1, skippedBytes: damaged[0]?.length });
});

test('the IDCODE of a stream that is listened for there already is refused', async () => {
  const [links, port] = [new Links(systemNetwork), await freePort()];
  await listening(links, port, 60);
  const second = await listening(links, port, 60);
  expect(second.events.all).toEqual([
    {
      type: 'LOST',
      why: `no connection: another stream with IDCODE 60 is listened for at 127.0.0.1:${port}`,
    },
  ]);
});

test('the socket stands as long as one listens; a stream that begins anew has it again', async () => {
  const [links, port] = [new Links(systemNetwork), await freePort()];
  const [first, second] = [await listening(links, port, 60), await listening(links, port, 61)];
  first.client.disconnect();
  const bind = (): Promise<unknown> =>
    systemNetwork.bindUdp({ host: '127.0.0.1', port }).then((socket) => socket.close());
  await expect(bind()).rejects.toMatchObject({ code: 'EADDRINUSE' });
  const send = await sender(port);
  send(encode(configured(61)), ...live(60, 1), ...live(61, 1));
  await second.received.until(() => second.received.all.length >= 1);
  expect(second.client.figures.foreignFrames).toBe(1);
  second.client.disconnect();
  await bind();
  // Both at once: one binds, the other waits for it; and one that is gone before it is bound leaves nothing.
  const before = second.events.all.length;
  first.client.connect();
  second.client.connect();
  first.client.disconnect();
  await second.events.until(({ type }) => type === 'CONNECTED', before);
  second.client.disconnect();
  await bind();
});

test('what finds the receive buffer full is counted: all that is sent is read or unread', async () => {
  const [links, port] = [new Links(systemNetwork), await freePort()];
  const heard = await listening(links, port, 60);
  const send = await sender(port);
  const frames = Array.from({ length: 8000 }, () => live(60, 1)).flat();
  const times = 4;
  // In one turn: nothing is read meanwhile.
  for (let n = 0; n < times; n++) send(...frames);
  const unread = (): number | undefined => Array.from(links.unread(), ([, datagrams]) => datagrams)[0];
  if (!IS_HERE.koffi) return expect(unread()).toBeUndefined();
  const all = (): number => heard.client.figures.frames + (unread() ?? 0);
  while (all() < times * frames.length) await new Promise<void>((next) => systemClock.after(5, next));
  expect(all()).toBe(times * frames.length);
  expect(unread()).toBeGreaterThan(0);
  expect([...links.unread()][0]?.[0]).toBe(`127.0.0.1:${port}`);
  heard.client.disconnect();
  expect([...links.unread()]).toEqual([]);
});
