/**
 * A scripted PMU on real sockets, TCP or UDP: it notes the commands it gets and answers as the script says. And the events
 * of the client on the other side, to wait for.
 */
import { systemNetwork, type Address, type TcpConnection } from '../../../src/network.js';
import { systemClock } from '../../../src/clock.js';
import { Wheel } from '../../../src/kernel/wheel.js';
import { parseStreamAddress, type StreamAddress } from '../../../src/protocols/c37118/address.js';
import { StreamClient, type ClientTiming, DEFAULT_TIMING } from '../../../src/protocols/c37118/client.js';
import { COMMANDS } from '../../../src/protocols/c37118/command.js';
import { decode, encode } from '../../../src/protocols/c37118/codec.js';
import type { Configuration } from '../../../src/protocols/c37118/configuration.js';
import { configuration3Of } from '../../../src/protocols/c37118/configuration3.js';
import { encodeConfiguration3 } from '../../../src/protocols/c37118/configuration3-parts.js';
import { Links } from '../../../src/protocols/c37118/link.js';
import { isRefusal } from '../../../src/errors.js';
import type { Measurement } from '../../../src/routing/measurement.js';
import type { StreamEvent } from '../../../src/routing/stream.js';
import { addressKey } from '../../../src/network.js';

const LOOPBACK = { host: '127.0.0.1', port: 0 };

/** Lets a test wait until something has been noted. */
export class Notes<Note> {
  readonly all: Note[] = [];
  private waiting: (() => void)[] = [];

  add(note: Note): void {
    this.all.push(note);
    this.waiting.splice(0).forEach((look) => look());
  }

  /** The first that fits, from `from` on; waits for it if need be. */
  async until<Fitting extends Note>(fits: (note: Note) => note is Fitting, from?: number): Promise<Fitting>;
  async until(fits: (note: Note) => boolean, from?: number): Promise<Note>;
  async until(fits: (note: Note) => boolean, from = 0): Promise<Note> {
    for (;;) {
      const found = this.all.slice(from).find(fits);
      if (found !== undefined) return found;
      await new Promise<void>((look) => this.waiting.push(look));
    }
  }
}

export interface Device {
  readonly at: Address;
  /** Command codes, in order. */
  readonly commands: Notes<number>;
  /** To everybody who ever sent a command, or is connected. */
  send(...frames: Uint8Array[]): void;
  /** TCP: ends the connections, goes on listening. */
  hangUp(): void;
  close(): Promise<void>;
}

/** CFG-3 goes out in parts of so many bytes. */
const CFG3_BYTES = 120;

export interface Script {
  /** What CFG-2 and CFG-3 are answered with; absent: silence. */
  configuration: Configuration | undefined;
}

const onCommand = (device: Device, script: Script, bytes: Uint8Array): void => {
  const frame = decode(bytes);
  if (frame.kind !== 'command') throw new Error(`the client sent a ${frame.kind} frame`);
  device.commands.add(frame.code);
  const { configuration } = script;
  if (frame.code === COMMANDS.sendConfiguration2 && configuration) device.send(encode(configuration));
  if (frame.code === COMMANDS.sendConfiguration3 && configuration)
    device.send(...encodeConfiguration3(configuration3Of(configuration), CFG3_BYTES));
};

export async function tcpDevice(script: Script): Promise<Device> {
  const open = new Set<TcpConnection>();
  const listener = await systemNetwork.listenTcp(LOOPBACK, (connection) => {
    open.add(connection);
    connection.onClose(() => open.delete(connection));
    connection.onBytes((bytes) => {
      // Commands are 18 bytes and come whole on loopback, one or more at a time.
      for (let at = 0; at < bytes.length; at += 18) onCommand(device, script, bytes.subarray(at, at + 18));
    });
  });
  const device: Device = {
    at: listener.local,
    commands: new Notes(),
    send: (...frames) => open.forEach((connection) => void connection.write(Buffer.concat(frames))),
    hangUp: () => open.forEach((connection) => connection.close()),
    close: () => listener.close(),
  };
  return device;
}

/** @param to sends there unasked, where given */
export async function udpDevice(script: Script, to?: Address): Promise<Device> {
  const socket = await systemNetwork.bindUdp(LOOPBACK);
  const peers = new Map<string, Address>(to ? [[addressKey(to), to]] : []);
  socket.onDatagram((bytes, from) => {
    peers.set(addressKey(from), from);
    onCommand(device, script, bytes);
  });
  const device: Device = {
    at: socket.local,
    commands: new Notes(),
    send(...frames) {
      for (const peer of peers.values()) socket.queue(Buffer.concat(frames), peer);
      socket.flush();
    },
    hangUp: () => peers.clear(),
    close() {
      socket.close();
      return Promise.resolve();
    },
  };
  return device;
}

export interface Received {
  readonly index: number;
  readonly measurement: Measurement;
  readonly measuredUs: number;
  readonly arrivedUs: number;
  readonly quality: number;
}

export interface Listening {
  readonly client: StreamClient;
  readonly events: Notes<StreamEvent>;
  readonly received: Notes<Received>;
}

export const addressOf = (uri: string): StreamAddress => {
  const address = parseStreamAddress(uri);
  if (isRefusal(address)) throw new Error(address.detail);
  return address;
};

/** A client of a stream on the system's clock and network. */
export function listenTo(uri: string, timing: Partial<ClientTiming> = {}, links = new Links(systemNetwork)): Listening {
  const events = new Notes<StreamEvent>();
  const received = new Notes<Received>();
  const sink = {
    event: (event: StreamEvent) => events.add(event),
    measurement: (index: number, measurement: Measurement, measuredUs: number, arrivedUs: number, quality: number) =>
      received.add({ index, measurement, measuredUs, arrivedUs, quality }),
  };
  const wheel = new Wheel(systemClock, (error) => {
    throw error;
  });
  const looks = wheel.leases<StreamClient>((each) => each.lookForSilence());
  const client = new StreamClient(addressOf(uri), links, systemClock, looks, sink, { ...DEFAULT_TIMING, ...timing });
  return { client, events, received };
}
