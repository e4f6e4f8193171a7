/** A C37.118 device that the daemon connects to: it answers with fuzzed frames, as fast as they are taken, until it is told to behave. */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { systemClock } from '../../src/clock.js';
import { COMMANDS, decodeCommand } from '../../src/protocols/c37118/command.js';
import { encode } from '../../src/protocols/c37118/codec.js';
import { seal, SMALLEST_FRAME, viewOf } from '../../src/protocols/c37118/frame.js';
import type { Random } from '../../src/random.js';
import { frameAt, pmu, RATE, stream } from '../protocols/c37118/stream.js';
import { Mutation } from './mutation.js';

const CONFIGURATION = stream([pmu(61), pmu(62)]);
/** A mutated frame has its size and CHK made good in one of so many: what lies behind the CRC shall be reached too. */
const SEALED_SHARE = 2;
/** Frames written at once. */
const BATCH = 256;

export interface FuzzedDevice {
  /** For `--pmu`. */
  readonly uri: string;
  /** Sends `bytes` and returns when the system has taken them. */
  fuzz(bytes: number): Promise<void>;
  /** From now on a good frame each 20 ms, and a good configuration when asked and each second. */
  behave(): void;
  close(): Promise<void>;
}

export async function openFuzzedDevice(random: Random): Promise<FuzzedDevice> {
  const good = (): Uint8Array => frameAt(CONFIGURATION, Math.floor((systemClock.wallUs() * RATE) / 1e6) * (1e6 / RATE));
  const mutation = new Mutation(random, [encode(CONFIGURATION), good(), good(), good(), encode(stream())]);
  const connections = new Set<Socket>();
  let arrived = (): void => {};
  const server = createServer((socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket)).on('error', () => undefined);
    socket.on('data', (bytes) => {
      const frame = decodeCommand(bytes.subarray(0, 18));
      if (frame.kind === 'command' && frame.code === COMMANDS.sendConfiguration2) socket.write(encode(CONFIGURATION));
    });
    arrived();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  let timer: NodeJS.Timeout | undefined;

  const batch = (): Buffer =>
    Buffer.concat(
      Array.from({ length: BATCH }, () => {
        const frame = mutation.next();
        if (frame.length >= SMALLEST_FRAME && random.below(SEALED_SHARE) === 0) {
          viewOf(frame).setUint16(2, frame.length);
          seal(frame);
        }
        return frame;
      }),
    );

  return {
    uri: `c37118+tcp://127.0.0.1:${(server.address() as AddressInfo).port}?idcode=60`,
    async fuzz(bytes) {
      for (let sent = 0; sent < bytes;) {
        const [socket] = connections;
        if (!socket) {
          await new Promise<void>((connected) => (arrived = connected));
          continue;
        }
        const noise = batch();
        sent += noise.length;
        if (!socket.write(noise)) {
          await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => undefined);
        }
      }
    },
    behave() {
      // The daemon may hold a configuration that came out of the noise and suits the frames: it is told better.
      let n = 0;
      const frame = (): Uint8Array => (n++ % RATE === 0 ? encode(CONFIGURATION) : good());
      timer = setInterval(() => {
        const next = frame();
        connections.forEach((socket) => socket.write(next));
      }, 1000 / RATE);
    },
    async close() {
      clearInterval(timer);
      connections.forEach((socket) => socket.destroy());
      server.close();
      await once(server, 'close');
    },
  };
}
