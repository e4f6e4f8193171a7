/**
 * Subscribers that come and go, a process of its own: each observes a PMU for a second, at five samples a second, and says that it has had
 * enough. What is asked is what coming and going costs, not what more deliveries do.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { CODE, compose, encodeEmpty, TYPE } from '../src/protocols/coap/message.js';
import { encodeTail, OPTION, option } from '../src/protocols/coap/options.js';
import { pathOptions } from './load-coap.js';

export interface ChurnOrder {
  readonly port: number;
  /** Places of what is observed. */
  readonly places: readonly (readonly string[])[];
  readonly perMinute: number;
  readonly seconds: number;
}
export interface ChurnReport {
  readonly registered: number;
  readonly cancelled: number;
  /** Notifications, beside the answers to both. */
  readonly notified: number;
  readonly cpuUs: number;
}

const SOCKETS = 16;
const STAY_MS = 1000;
const TICK_MS = 5;
const SETTLE_MS = 500;
/** A message id that comes back within this is the same message. */
const AGAIN_MS = 10_000;
const NOTHING = new Uint8Array(0);

const wait = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

async function churn({ port, places, perMinute, seconds }: ChurnOrder): Promise<ChurnReport> {
  const count = { registered: 0, cancelled: 0, notified: 0 };
  let nextId = 0;
  const sockets = await Promise.all(
    Array.from({ length: SOCKETS }, async () => {
      const socket = createSocket('udp4');
      socket.connect(port, '127.0.0.1');
      await once(socket, 'connect');
      const confirmables = new Map<number, number>();
      socket.on('message', (datagram: Buffer) => {
        if ((((datagram[0] ?? 0) >>> 4) & 3) === TYPE.confirmable) {
          const id = datagram.readUInt16BE(2);
          socket.send(encodeEmpty(TYPE.acknowledgement, id));
          const isAgain = performance.now() - (confirmables.get(id) ?? -Infinity) < AGAIN_MS;
          confirmables.set(id, performance.now());
          if (isAgain) return;
        }
        count.notified++;
      });
      return socket;
    }),
  );
  const ask = (n: number, observe: 0 | 1): void => {
    const token = Uint8Array.of(n >>> 24, (n >>> 16) & 0xff, (n >>> 8) & 0xff, n & 0xff);
    nextId = (nextId + 1) & 0xffff;
    const path = pathOptions(...(places[n % places.length] ?? []));
    const options = [option(OPTION.observe, observe), ...path, option(OPTION.uriQuery, 'rate=5')];
    const message = compose(TYPE.nonConfirmable, CODE.get, nextId, token, encodeTail(options, NOTHING));
    sockets[n % SOCKETS]?.send(message);
  };
  const cpu = process.cpuUsage();
  const from = performance.now();
  const dueMs = (n: number): number => (n * 60_000) / perMinute;
  const total = Math.floor((perMinute * seconds) / 60);
  while (count.cancelled < total) {
    const elapsedMs = performance.now() - from;
    while (count.registered < total && dueMs(count.registered) <= elapsedMs) ask(count.registered++, 0);
    while (count.cancelled < count.registered && dueMs(count.cancelled) + STAY_MS <= elapsedMs)
      ask(count.cancelled++, 1);
    await wait(TICK_MS);
  }
  await wait(SETTLE_MS);
  const { user, system } = process.cpuUsage(cpu);
  for (const socket of sockets) socket.close();
  return { ...count, notified: count.notified - count.registered - count.cancelled, cpuUs: user + system };
}

process.on('message', (order: ChurnOrder) => {
  churn(order).then(
    (report) => process.send?.(report),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => process.exit(0));
