/** The server's side of one connection, on a connection whose buffers a test fills and empties. */
import { silentLog } from '../../../src/log.js';
import type { TcpConnection } from '../../../src/network.js';
import { encode } from '../../../src/protocols/c37118/codec.js';
import { COMMANDS } from '../../../src/protocols/c37118/command.js';
import { DataServer } from '../../../src/protocols/c37118/server.js';
import { sampleEncoder } from '../../../src/protocols/sample-encoder.js';
import type { Delivery, Port } from '../../../src/routing/delivery.js';
import { FORMATS } from '../../../src/routing/format.js';
import type { Ending } from '../../../src/routing/endings.js';
import { answer } from '../../../src/routing/primitive.js';
import { Sample } from '../../../src/routing/sample.js';
import type { Session, Site } from '../../../src/routing/site.js';
import { activeDelivery } from '../../support/deliveries.js';
import { ManualClock } from '../../support/manual-clock.js';
import { measurementOf } from '../../support/measurement.js';
import { frameAt, pmu, stream } from './stream.js';

const CONFIGURATION = stream([pmu(61)], { streamId: 61 });
const frameOf = (slot: number): Uint8Array => frameAt(CONFIGURATION, slot * 20_000);
const sampleOf = (slot: number): Sample => {
  const measurement = measurementOf({ frame: () => frameOf(slot), configuration: () => encode(CONFIGURATION) });
  return new Sample({ kind: 'measurement', measurement }, slot * 20_000, 0, 0, sampleEncoder);
};
const command = (code: number): Buffer => {
  const head = { version: 1, streamId: 61, soc: 0, fraction: 0, timeQuality: 0 };
  return Buffer.from(encode({ kind: 'command', ...head, code, extension: new Uint8Array(0) }));
};

/** A server with one connection, whose peer does not read while `isFull`. */
async function stage() {
  const written: Buffer[] = [];
  const endings: Ending[] = [];
  const peer = { isFull: false, drained: () => {}, receive: (_: Buffer) => {}, closed: (_?: Error) => {} };
  const connection: TcpConnection = {
    local: { host: '127.0.0.1', port: 4712 },
    remote: { host: '127.0.0.1', port: 40_000 },
    write: (bytes) => written.push(Buffer.from(bytes)) > 0 && !peer.isFull,
    onBytes: (receive) => (peer.receive = receive),
    onDrain: (go) => (peer.drained = go),
    onClose: (closed) => (peer.closed = closed),
    close: () => {},
  };
  let subscribed: Delivery | undefined;
  const session = (port: Port): Partial<Session> => ({
    request: () => Promise.resolve(answer('STATUS_OK')),
    subscribe: () =>
      Promise.resolve({
        delivery: (subscribed = activeDelivery(port, {}, FORMATS.c37118)),
        response: answer('STATUS_OK'),
      }),
    open: () => {},
    unsubscribe: (_delivery, ending) => endings.push(ending),
    close: (ending) => endings.push(ending),
  });
  const site = { connect: (_: unknown, port: Port) => session(port) } as Partial<Site> as Site;
  const find = () => ({ to: ['m2m'], rate: 50, newest: sampleOf(0).content as never });
  const server = new DataServer({ site, find, clock: new ManualClock(), log: silentLog });
  server.accept(connection);
  peer.receive(command(COMMANDS.dataOn));
  await Promise.resolve();
  await Promise.resolve();
  if (!subscribed) throw new Error('nothing was subscribed to');
  const delivery = subscribed;
  return { server, peer, written, endings, delivery };
}

test('a peer that does not read is sent one frame beyond its buffers, then the newest alone', async () => {
  const { server, peer, written, delivery } = await stage();
  const offer = (slot: number): void => delivery.port.offer(delivery, sampleOf(slot));
  offer(1);
  peer.isFull = true;
  for (let slot = 2; slot <= 100; slot++) offer(slot);
  expect(written).toEqual([frameOf(1), frameOf(2)].map((frame) => Buffer.from(frame)));
  expect(delivery.missed).toBe(97);
  peer.isFull = false;
  peer.drained();
  offer(101);
  expect(written.slice(2)).toEqual([frameOf(100), frameOf(101)].map((frame) => Buffer.from(frame)));
  expect(server.figures.sent).toBe(4);
});

test('a session ends with its connection, and with the server', async () => {
  const lost = await stage();
  lost.peer.closed(new Error('reset'));
  expect(lost.endings).toEqual(['CONNECTION_LOST']);
  const stopped = await stage();
  stopped.server.close('SHUTDOWN');
  stopped.peer.closed();
  expect(stopped.endings).toEqual(['SHUTDOWN']);
});

test('off ends the subscription; a second off, or on, changes nothing', async () => {
  const { peer, endings, server } = await stage();
  peer.receive(command(COMMANDS.dataOn));
  peer.receive(Buffer.concat([command(COMMANDS.dataOff), command(COMMANDS.dataOff)]));
  expect(endings).toEqual(['UNSUBSCRIBED']);
  expect(server.figures).toMatchObject({ commands: 3, discarded: 0, skippedBytes: 0 });
});
