/**
 * The way to a PMU stream: frames in, commands out, over TCP, over UDP, or only listening to UDP. Above it nobody needs to
 * know which.
 */
import type { Address, Network } from '../../network.js';
import type { StreamAddress } from './address.js';
import { splitDatagram, StreamFramer, type FramingCounts } from './framer.js';
import { Listeners } from './listener.js';

export interface Link {
  readonly local: Address;
  send(frame: Uint8Array): void;
  close(): void;
}

/** What a link tells; nothing any more after `close`. */
export interface LinkEvents {
  /** A good frame; the bytes are the receiver's. */
  frame(bytes: Uint8Array): void;
  /** The link has ended by itself; `why` is a clause for the operator. */
  lost(why: string): void;
}

/** What the framing of a stream needs to know and count. */
export interface FramingContext {
  readonly counts: FramingCounts;
  expectedBytes(streamId: number): number | undefined;
  nowUs(): number;
}

/** Within it a device on any network answers; the next attempt follows the back-off. */
const CONNECT_TIMEOUT_MS = 5000;

/** The links of one broker's streams: those that are only listened for at the same address and port share its socket. */
export class Links {
  private readonly listeners: Listeners;

  constructor(private readonly network: Network) {
    this.listeners = new Listeners(network);
  }

  /** Of each address and port that is listened at: see Listeners. */
  unread(): Iterable<readonly [at: string, datagrams: number]> {
    return this.listeners.unread();
  }

  /** Opens the link of an address. Rejects with the system's error, or why it can not be listened for there. */
  open(address: StreamAddress, framing: FramingContext, events: LinkEvents): Promise<Link> {
    const { network } = this;
    switch (address.mode) {
      case 'tcp':
        return openTcp(address.at, network, framing, events);
      case 'udp':
        return openUdp(address.at, network, framing, events);
      case 'spontaneous':
        return this.listeners.listen(address, framing.counts, events);
    }
  }
}

async function openTcp(at: Address, network: Network, framing: FramingContext, events: LinkEvents): Promise<Link> {
  const connection = await network.connectTcp(at, CONNECT_TIMEOUT_MS);
  let isOpen = true;
  const emit = (frame: Uint8Array): void => {
    if (isOpen) events.frame(frame);
  };
  const framer = new StreamFramer(framing.counts, emit, (streamId) => framing.expectedBytes(streamId));
  connection.onBytes((bytes) => {
    if (isOpen) framer.push(bytes, framing.nowUs());
  });
  connection.onClose((error) => {
    if (!isOpen) return;
    isOpen = false;
    events.lost(error ? `the connection failed: ${error.message}` : 'the device closed the connection');
  });
  return {
    local: connection.local,
    send: (frame) => void connection.write(frame),
    close() {
      isOpen = false;
      connection.close();
    },
  };
}

/** Commands go to the device; answers are taken from its host at any port. */
async function openUdp(device: Address, network: Network, framing: FramingContext, events: LinkEvents): Promise<Link> {
  const socket = await network.bindUdp({ host: device.host.includes(':') ? '::' : '0.0.0.0', port: 0 });
  let isOpen = true;
  const emit = (frame: Uint8Array): void => {
    if (isOpen) events.frame(frame);
  };
  socket.onDatagram((datagram, from) => {
    if (isOpen && from.host === device.host) splitDatagram(datagram, framing.counts, emit);
  });
  socket.onError((error) => {
    if (!isOpen) return;
    isOpen = false;
    socket.close();
    events.lost(`the socket failed: ${error.message}`);
  });
  return {
    local: socket.local,
    send(frame) {
      socket.queue(frame, device);
      socket.flush();
    },
    close() {
      isOpen = false;
      socket.close();
    },
  };
}
