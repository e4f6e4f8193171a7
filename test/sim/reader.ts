/** A scripted C37.118 client on a real socket: says commands, keeps what comes, waits for what is expected. */
import { systemNetwork, type Address, type TcpConnection, type UdpSocket } from '../../src/network.js';
import { encodeCommand } from '../../src/protocols/c37118/command.js';
import { decodeConfiguration, type Configuration } from '../../src/protocols/c37118/configuration.js';
import { decodeData, layoutOf, type DataFrame } from '../../src/protocols/c37118/data-frame.js';
import { typeOf, type FrameType } from '../../src/protocols/c37118/frame.js';
import { noFramingCounts, splitDatagram, StreamFramer } from '../../src/protocols/c37118/framer.js';

export class Reader {
  readonly frames: Uint8Array[] = [];
  readonly counts = noFramingCounts();
  readonly framer = new StreamFramer(
    this.counts,
    (frame) => this.take(frame),
    () => undefined,
  );
  private waiting: (() => void)[] = [];

  private constructor(
    private readonly write: (bytes: Uint8Array) => void,
    readonly close: () => void,
  ) {}

  /** Connects to `tcp://...` or `udp://...`. */
  static async open(uri: string): Promise<Reader> {
    const { protocol, hostname, port } = new URL(uri);
    const at: Address = { host: hostname, port: Number(port) };
    return protocol === 'tcp:' ? Reader.overTcp(await systemNetwork.connectTcp(at, 1000)) : Reader.overUdp(at);
  }

  private static overTcp(connection: TcpConnection): Reader {
    const reader = new Reader(
      (bytes) => void connection.write(bytes),
      () => connection.close(),
    );
    connection.onBytes((bytes) => reader.framer.push(bytes, 0));
    return reader;
  }

  private static async overUdp(device: Address): Promise<Reader> {
    const socket = await systemNetwork.bindUdp({ host: '127.0.0.1', port: 0 });
    return Reader.listening(socket, (bytes) => {
      socket.queue(bytes, device);
      socket.flush();
    });
  }

  static listening(socket: UdpSocket, write: (bytes: Uint8Array) => void = () => {}): Reader {
    const reader = new Reader(write, () => socket.close());
    socket.onDatagram((datagram) => splitDatagram(datagram, reader.counts, (frame) => reader.take(frame)));
    return reader;
  }

  send(bytes: Uint8Array): void {
    this.write(bytes);
  }

  command(streamId: number, code: number): void {
    this.write(commandFrame(streamId, code));
  }

  of(type: FrameType): Uint8Array[] {
    return this.frames.filter((frame) => typeOf(frame) === type);
  }

  /** All frames of a type once there are `count`. */
  async until(type: FrameType, count = 1): Promise<readonly Uint8Array[]> {
    while (this.of(type).length < count) await new Promise<void>((resolve) => this.waiting.push(resolve));
    return this.of(type);
  }

  /** The configuration a client decodes with. */
  async configure(streamId: number): Promise<Configuration> {
    const before = this.of('configuration2').length;
    this.command(streamId, 5);
    const frames = await this.until('configuration2', before + 1);
    const read = decodeConfiguration(frames.at(-1) ?? new Uint8Array(0), 'configuration2');
    if (read.kind === 'malformed') throw new Error(read.detail);
    return read;
  }

  private take(frame: Uint8Array): void {
    this.frames.push(frame);
    for (const wake of this.waiting.splice(0)) wake();
  }
}

export const commandFrame = (streamId: number, code: number): Uint8Array =>
  encodeCommand({
    kind: 'command',
    version: 1,
    streamId,
    soc: 0,
    timeQuality: 0,
    fraction: 0,
    code,
    extension: new Uint8Array(0),
  });

export function dataOf(frame: Uint8Array, configuration: Configuration): DataFrame {
  const read = decodeData(frame, layoutOf(configuration));
  if (read.kind === 'malformed') throw new Error(read.detail);
  return read;
}
