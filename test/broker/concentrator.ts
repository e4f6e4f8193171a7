/** A legacy data concentrator, for tests of what it can take; and a stream taken both from its device and from the broker. */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { systemClock } from '../../src/clock.js';
import { encode } from '../../src/protocols/c37118/codec.js';
import { typeOf } from '../../src/protocols/c37118/frame.js';
import { noFramingCounts, StreamFramer } from '../../src/protocols/c37118/framer.js';
import { listenTo, Notes, type Listening, type Received } from '../protocols/c37118/device.js';
import { until, whenStageCloses, type RunningBroker } from './stage.js';

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
  /** To a broker, or to a device. */
  static async connect({ c37118Address }: Pick<RunningBroker, 'c37118Address'>): Promise<Concentrator> {
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

/** A client of the stream, with data switched on. */
export async function taking(uri: string): Promise<Listening> {
  const listening = listenTo(uri);
  const { client, events } = listening;
  whenStageCloses(() => client.close());
  client.connect();
  await events.until(({ type }) => type === 'CONNECTED');
  client.requestConfiguration();
  await events.until(({ type }) => type === 'CONFIGURED');
  client.startData();
  return listening;
}

/**
 * Takes a stream from its device and, under another IDCODE, from the broker, until `count` measurements have come both ways; each of
 * those with the one that it was.
 */
export async function takenBothWays(
  { c37118Address }: RunningBroker,
  uri: string,
  idCode: number,
  count: number,
): Promise<{
  readonly through: Listening;
  readonly pairs: readonly (readonly [through: Received, direct: Received])[];
}> {
  const direct = await taking(uri);
  const through = await taking(`c37118+tcp://127.0.0.1:${c37118Address?.port}?idcode=${idCode}`);
  const key = ({ measurement, measuredUs }: Received): string => `${measurement.descriptor.idCode} ${measuredUs}`;
  const pairs = await until(`${count} have come both ways`, () => {
    const sent = new Map(direct.received.all.map((received) => [key(received), received]));
    const found = through.received.all.flatMap((received) => {
      const original = sent.get(key(received));
      return original ? [[received, original] as const] : [];
    });
    return found.length >= count ? found : undefined;
  });
  return { through, pairs };
}
