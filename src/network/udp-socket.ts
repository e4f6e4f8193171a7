/** Addresses, and what the protocols need of a UDP socket. */
import type { Batch, Destination } from './batch.js';

export interface Address {
  /** Numeric IPv4 or IPv6 address; names are resolved before they get here. */
  readonly host: string;
  readonly port: number;
  /** As `addressKey` spells it, where that has been done already. */
  readonly key?: string;
}

/** Nothing can be sent there, though a datagram may say that it is from there. */
export const NO_PORT = 0;

export const addressKey = ({ host, port, key }: Address): string =>
  key ?? (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);

/** Counts of one socket since it was bound. */
export interface UdpFigures {
  /** Given up because too much waited for the interface. */
  readonly sendDrops: number;
  /** What found no room in the receive buffer, as the system tells; undefined where it does not. */
  readonly receiveDrops: number | undefined;
  /** Trains of equal datagrams to one peer, that went as one. */
  readonly trains: number;
  /** Sendings on another thread than that of JavaScript. */
  readonly aside: number;
}

/** A UDP socket. Datagrams are queued while a turn of the event loop runs and leave together. */
export interface UdpSocket {
  readonly local: Address;
  /** What waits for `flush`. Who sends much writes there itself. */
  readonly batch: Batch;
  /** Takes one datagram for sending. */
  queue(datagram: Uint8Array, to: Address): void;
  /** Sends what waits, but behind what another thread is sending to the same. @param most for how many destinations; the others wait on */
  flush(most?: number): void;
  /**
   * Sends what waits for one destination, and of what waits for others what goes with it; where that is much it may go on another thread,
   * and wait until the thread is free.
   *
   * @param isUrgent it waits for nobody
   */
  serve(to: Destination, isUrgent: boolean): void;
  /**
   * Called for each datagram. Of a socket for `few` its bytes are the receiver's for good; of the others only until it returns: then the
   * next may be written over them.
   */
  onDatagram(receive: (datagram: Buffer, from: Address) => void): void;
  onError(fail: (error: Error) => void): void;
  figures(): UdpFigures;
  close(): void;
}

/**
 * What a socket is for: `few` peers; `many`, with room for bursts and the system calls for them where there are any; `listening`, by
 * the same calls, to whoever sends there, with nothing to send.
 */
export type UdpUse = 'few' | 'many' | 'listening';
