/** A legacy data concentrator, for tests of what it can take. */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { systemClock } from '../../src/clock.js';
import { encode } from '../../src/protocols/c37118/codec.js';
import { typeOf } from '../../src/protocols/c37118/frame.js';
import { noFramingCounts, StreamFramer } from '../../src/protocols/c37118/framer.js';
import { Notes } from '../protocols/c37118/device.js';
import { whenStageCloses, type RunningBroker } from './stage.js';

/** A concentrator on a bare socket: commands out, frames in. */
export class Concentrator {
  readonly frames = new Notes<Buffer>();
  private constructor(readonly socket: Socket) {
    const framer = new StreamFramer(
      noFramingCounts(),
      (frame) => this.frames.add(Buffer.from(frame)),
      () => undefined,
    );
    socket.on('data', (bytes) => framer.push(bytes, systemClock.monotonicUs()));
    whenStageCloses(() => socket.destroy());
  }
  static async connect({ c37118Address }: RunningBroker): Promise<Concentrator> {
    const socket = connectTcp({ host: '127.0.0.1', port: c37118Address?.port ?? 0 });
    await once(socket, 'connect');
    return new Concentrator(socket);
  }
  command(streamId: number, code: number): void {
    const head = { version: 1, streamId, soc: 0, fraction: 0, timeQuality: 0 };
    this.socket.write(encode({ kind: 'command', ...head, code, extension: new Uint8Array(0) }));
  }
  next(type: ReturnType<typeof typeOf>, from = 0): Promise<Buffer> {
    return this.frames.until((frame) => typeOf(frame) === type, from);
  }
  get data(): Buffer[] {
    return this.frames.all.filter((frame) => typeOf(frame) === 'data');
  }
}
