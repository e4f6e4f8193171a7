/**
 * Sockets where devices send unasked. All streams that are listened for at one address and port share its socket, and are told
 * apart by the IDCODE of their frames: a thousand PMUs may be sent to one port.
 *
 *     device 60 ──┐                    ┌──> stream 60
 *     device 61 ──┼──> port 4713 ──────┼──> stream 61
 *     device 99 ──┘  (one socket)      └──> nobody's: the first stream counts it as foreign
 */
import { addressKey, type Address, type Network, type UdpSocket } from '../../network.js';
import type { StreamAddress } from './address.js';
import { splitDatagram, type FramingCounts } from './framer.js';
import { STREAM_ID_AT, wordAt } from './frame.js';
import type { Link, LinkEvents } from './link.js';

interface Stream {
  readonly counts: FramingCounts;
  readonly events: LinkEvents;
}

export class Listeners {
  /** By address and port; a socket that is being bound is there already. */
  private readonly standing = new Map<string, Promise<Listener>>();
  private readonly bound = new Set<Listener>();

  constructor(private readonly network: Network) {}

  /** Listens for one stream. Rejects with the system's error, or where the IDCODE is listened for at that address already. */
  async listen({ at, streamId }: StreamAddress, counts: FramingCounts, events: LinkEvents): Promise<Link> {
    for (;;) {
      const listener = await this.listenerAt(at);
      // Who waited beside us may have left it again.
      if (!listener.isClosed) return listener.add(streamId, { counts, events });
    }
  }

  /** By address and port: datagrams that found the receive buffer full. Left out where the system does not tell. */
  *unread(): Iterable<readonly [at: string, datagrams: number]> {
    for (const { unread, at } of this.bound) if (unread !== undefined) yield [at, unread];
  }

  /** Any free port, 0, is a socket of its own. */
  private listenerAt(at: Address): Promise<Listener> {
    const key = addressKey(at);
    const standing = at.port === 0 ? undefined : this.standing.get(key);
    if (standing) return standing;
    const forget = (): void => {
      if (this.standing.get(key) === binding) this.standing.delete(key);
    };
    const binding = this.network.bindUdp(at, 'listening').then((socket) => {
      const listener = new Listener(socket, () => {
        this.bound.delete(listener);
        forget();
      });
      this.bound.add(listener);
      return listener;
    });
    if (at.port !== 0) this.standing.set(key, binding);
    binding.catch(forget);
    return binding;
  }
}

class Listener {
  isClosed = false;
  private readonly streams = new Map<number, Stream>();
  private first: Stream | undefined;

  /** @param left nobody listens here any more: the socket is closed */
  constructor(
    private readonly socket: UdpSocket,
    private readonly left: () => void,
  ) {
    socket.onDatagram((datagram) => this.take(datagram));
    socket.onError((error) => this.fail(error));
  }

  get at(): string {
    return addressKey(this.socket.local);
  }

  get unread(): number | undefined {
    return this.socket.figures().receiveDrops;
  }

  add(streamId: number, stream: Stream): Link {
    const { local } = this.socket;
    if (this.streams.has(streamId))
      throw new Error(`another stream with IDCODE ${streamId} is listened for at ${this.at}`);
    this.streams.set(streamId, stream);
    this.first ??= stream;
    return { local, send: () => {}, close: () => this.remove(streamId, stream) };
  }

  private remove(streamId: number, stream: Stream): void {
    if (this.streams.get(streamId) !== stream) return;
    this.streams.delete(streamId);
    if (this.first === stream) [this.first] = this.streams.values();
    if (this.streams.size === 0) this.close();
  }

  /** What can not be read counts for the stream that it claims to be of. */
  private take(datagram: Uint8Array): void {
    const stream = this.streamOf(datagram);
    if (stream) splitDatagram(datagram, stream.counts, this.handOver);
  }

  private readonly handOver = (frame: Uint8Array): void => {
    // A copy, since the socket writes over its bytes; small ones share a pooled block of memory.
    this.streamOf(frame)?.events.frame(Buffer.from(frame));
  };

  private streamOf(frame: Uint8Array): Stream | undefined {
    return this.streams.get(wordAt(frame, STREAM_ID_AT)) ?? this.first;
  }

  private fail(error: Error): void {
    const streams = [...this.streams.values()];
    this.streams.clear();
    this.first = undefined;
    this.close();
    for (const { events } of streams) events.lost(`the socket failed: ${error.message}`);
  }

  private close(): void {
    this.isClosed = true;
    this.left();
    this.socket.close();
  }
}
