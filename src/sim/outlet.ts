/**
 * The wire side of a simulated device: what carries its frames to whoever wants them.
 *
 *     tcp commanded   a connection is a client        ┐ silent until ON, each client and stream on its own;
 *     udp commanded   an address and port is a client ┘ answers go where the question came from
 *     udp spontaneous one receiver, told beforehand, never asked; a configuration now and then
 *
 * What makes no sense (bad CRC, unknown command, another's IDCODE) is discarded in silence and counted, as the standard
 * wants of a data source [C37.118.2 6.6].
 */
import { every, type Clock } from '../clock.js';
import type { Log } from '../log.js';
import { addressKey, type Network, type UdpSocket } from '../network.js';
import { COMMANDS, decodeCommand } from '../protocols/c37118/command.js';
import { typeOf } from '../protocols/c37118/frame.js';
import { noFramingCounts, splitDatagram, StreamFramer } from '../protocols/c37118/framer.js';
import { socketUri, type SocketUri } from './socket-uri.js';

/** A stream as an outlet needs it. */
export interface OutletStream {
  /** IDCODE. */
  readonly streamId: number;
  /** The frame that answers one of COMMANDS; `undefined`: silence. */
  answer(command: number): Uint8Array | undefined;
  /** A client has said ON. */
  onWanted?(): void;
}

/** Only rising. */
export interface OutletCounts {
  /** Commands acted upon or answered. */
  commands: number;
  /** Frames and bytes from clients that were none of our business. */
  discarded: number;
  /** Data frames handed to the network, one for each client. */
  sent: number;
  /** Data frames that a client was too slow for: a live source does not queue. */
  dropped: number;
}

export const noOutletCounts = (): OutletCounts => ({ commands: 0, discarded: 0, sent: 0, dropped: 0 });

export interface Outlet {
  /** As bound: with the port that 0 became. */
  readonly uri: string;
  /** Sends a data frame of a stream to all who want it. */
  send(streamId: number, frame: Uint8Array): void;
  close(): Promise<void>;
}

export interface OutletContext {
  readonly clock: Clock;
  readonly network: Network;
  readonly log: Log;
  readonly counts: OutletCounts;
}

/** Clients over UDP never say that they are gone: beyond this the one that has been silent longest makes room. */
const MOST_UDP_CLIENTS = 64;
/** Of a spontaneous source's configuration, as the standard suggests. */
const CONFIGURATION_PERIOD_MS = 60_000;

/** What one client wants, and the way to it. */
class Client {
  private readonly wanted = new Set<number>();

  constructor(
    private readonly streams: readonly OutletStream[],
    private readonly counts: OutletCounts,
    /** False: not taken, the client is too slow. */
    private readonly write: (frame: Uint8Array) => boolean,
  ) {}

  send(streamId: number, frame: Uint8Array): void {
    if (!this.wanted.has(streamId)) return;
    if (this.write(frame)) this.counts.sent++;
    else this.counts.dropped++;
  }

  /** Takes a good frame. */
  readonly obey = (frame: Uint8Array): void => {
    const command = typeOf(frame) === 'command' ? decodeCommand(frame) : undefined;
    const stream =
      command?.kind === 'command' ? this.streams.find(({ streamId }) => streamId === command.streamId) : undefined;
    if (command?.kind !== 'command' || !stream) {
      this.counts.discarded++;
    } else if (command.code === COMMANDS.dataOn) {
      this.counts.commands++;
      this.wanted.add(stream.streamId);
      stream.onWanted?.();
    } else if (command.code === COMMANDS.dataOff) {
      this.counts.commands++;
      this.wanted.delete(stream.streamId);
    } else {
      const answer = stream.answer(command.code);
      if (answer) this.write(answer);
      this.counts[answer ? 'commands' : 'discarded']++;
    }
  };
}

/** Listens for commands to `streams`. Rejects with the system's error, EADDRINUSE for one. */
export function openCommanded(
  at: SocketUri,
  streams: readonly OutletStream[],
  context: OutletContext,
): Promise<Outlet> {
  return at.scheme === 'tcp' ? openTcp(at, streams, context) : openUdp(at, streams, context);
}

async function openTcp(at: SocketUri, streams: readonly OutletStream[], context: OutletContext): Promise<Outlet> {
  const { clock, network, log, counts } = context;
  const clients = new Set<Client>();
  const listener = await network.listenTcp(at, (connection) => {
    const peer = addressKey(connection.remote);
    let isClear = true;
    connection.onDrain(() => (isClear = true));
    const client = new Client(streams, counts, (frame) => {
      const isTaken = isClear;
      if (isTaken) isClear = connection.write(frame);
      return isTaken;
    });
    const framing = noFramingCounts();
    const framer = new StreamFramer(framing, client.obey, () => undefined);
    connection.onBytes((bytes) => {
      const skipped = framing.skippedBytes;
      framer.push(bytes, clock.monotonicUs());
      counts.discarded += framing.skippedBytes - skipped;
    });
    connection.onClose((error) => {
      clients.delete(client);
      log.info({ peer, error: error?.message }, 'client gone');
    });
    clients.add(client);
    log.info({ peer }, 'client connected');
  });
  return {
    uri: socketUri('tcp', listener.local),
    send: (streamId, frame) => clients.forEach((client) => client.send(streamId, frame)),
    close: () => listener.close(),
  };
}

async function openUdp(at: SocketUri, streams: readonly OutletStream[], context: OutletContext): Promise<Outlet> {
  const { network, log, counts } = context;
  const socket = await network.bindUdp(at);
  socket.onError((error) => log.warn({ error: error.message }, 'udp'));
  /** By address, the one that spoke last at the end. */
  const clients = new Map<string, Client>();
  socket.onDatagram((datagram, from) => {
    const peer = addressKey(from);
    const queue = (frame: Uint8Array): boolean => {
      socket.queue(frame, from);
      return true;
    };
    const client = clients.get(peer) ?? new Client(streams, counts, queue);
    const framing = noFramingCounts();
    splitDatagram(datagram, framing, (frame) => {
      clients.delete(peer);
      clients.set(peer, client);
      client.obey(frame);
    });
    counts.discarded += framing.skippedBytes;
    const [oldest] = clients.keys();
    if (oldest !== undefined && clients.size > MOST_UDP_CLIENTS) clients.delete(oldest);
    socket.flush();
  });
  return {
    uri: socketUri('udp', socket.local),
    send(streamId, frame) {
      clients.forEach((client) => client.send(streamId, frame));
      socket.flush();
    },
    close: () => closed(socket),
  };
}

/** Sends to one receiver unasked, its configuration at once and every minute. */
export async function openSpontaneous(to: SocketUri, stream: OutletStream, context: OutletContext): Promise<Outlet> {
  const { clock, network, log, counts } = context;
  const socket = await network.bindUdp({ host: to.host.includes(':') ? '::' : '0.0.0.0', port: 0 });
  socket.onError((error) => log.warn({ error: error.message }, 'udp'));
  const write = (frame: Uint8Array | undefined): void => {
    if (frame) socket.queue(frame, to);
    socket.flush();
  };
  const configure = (): void => write(stream.answer(COMMANDS.sendConfiguration2));
  const cancel = every(clock, CONFIGURATION_PERIOD_MS, configure);
  configure();
  return {
    uri: socketUri('udp', to),
    send(_streamId, frame) {
      counts.sent++;
      write(frame);
    },
    close() {
      cancel();
      return closed(socket);
    },
  };
}

function closed(socket: UdpSocket): Promise<void> {
  socket.close();
  return Promise.resolve();
}
