/**
 * A scripted peer of one endpoint, in lockstep: bytes sent, bytes expected, a clock that the script moves. A datagram that is
 * neither expected nor declared lost fails the script at its end [after Californium's lockstep endpoint].
 */
import { silentLog } from '../../../src/log.js';
import { addressKey, type Address, type UdpFigures, type UdpSocket } from '../../../src/network.js';
import { Batch, Destination } from '../../../src/network/batch.js';
import { Columns } from '../../../src/network/columns.js';
import { Endpoint } from '../../../src/protocols/coap/endpoint.js';
import {
  decode,
  encode,
  isMalformed,
  TYPE,
  type Message,
  type MessageType,
} from '../../../src/protocols/coap/message.js';
import { OPTION, option, type Option } from '../../../src/protocols/coap/options.js';
import { PARAMETERS, type Congestion } from '../../../src/protocols/coap/parameters.js';
import { seededRandom } from '../../../src/random.js';
import { ManualClock } from '../../support/manual-clock.js';

export const CLIENT: Address = { host: '192.0.2.1', port: 40001 };
export const OTHER: Address = { host: '192.0.2.2', port: 40002 };
const SERVER: Address = { host: '192.0.2.99', port: 5683 };

/** A socket in memory: what was flushed lies in `sent`. */
export class MemorySocket implements UdpSocket {
  readonly local = SERVER;
  readonly sent: { readonly bytes: Buffer; readonly to: Address }[] = [];
  isClosed = false;
  readonly batch = new Batch(new Columns({ datagrams: 4096, pages: 16 }), () => this.flush());
  private receive: (datagram: Buffer, from: Address) => void = () => {};

  queue(datagram: Uint8Array, to: Address): void {
    this.batch.add(datagram, new Destination(to));
  }
  serve(to: Destination): void {
    if (this.batch.bringForward(to)) this.flush(this.batch.atOnce);
  }
  flush(most?: number): void {
    this.batch.drain((datagram, to) => this.sent.push({ bytes: Buffer.from(datagram), to }), most);
  }
  figures(): UdpFigures {
    return { sendDrops: 0, receiveDrops: undefined, trains: 0, aside: 0 };
  }
  onDatagram(receive: (datagram: Buffer, from: Address) => void): void {
    this.receive = receive;
  }
  onError(): void {}
  close(): void {
    this.isClosed = true;
  }
  deliver(bytes: Uint8Array, from: Address): void {
    const datagram = Buffer.from(bytes);
    this.receive(datagram, from);
    // As the next one would be written over it.
    datagram.fill(0xff);
  }
}

export interface Expected {
  readonly type: MessageType;
  readonly code?: number;
  readonly id?: number;
  readonly token?: string;
  readonly payload?: string;
  readonly to?: Address;
}

export class Lockstep {
  readonly clock = new ManualClock();
  readonly socket = new MemorySocket();
  readonly endpoint: Endpoint;

  constructor(congestion: Congestion = 'standard', seed = 1) {
    const { socket, clock } = this;
    this.endpoint = new Endpoint({ socket, clock, random: seededRandom(seed), log: silentLog, congestion });
  }

  /** Delivers one datagram and lets the turn end, promises included. */
  async sends(message: Message | Uint8Array, from: Address = CLIENT): Promise<void> {
    this.socket.deliver(message instanceof Uint8Array ? message : encode(message), from);
    await this.settles();
  }

  /** Lets promises and the end of the turn run. */
  async settles(): Promise<void> {
    for (let round = 0; round < 20; round++) {
      await Promise.resolve();
      this.clock.endTurn();
    }
  }

  async passes(ms: number): Promise<void> {
    this.clock.advance(ms);
    await this.settles();
  }

  /** The next datagram that left; it must match. */
  expects(expected: Expected): Message {
    const next = this.socket.sent.shift();
    if (!next) throw new Error(`expected ${JSON.stringify(expected)}, but nothing was sent`);
    const message = decode(next.bytes);
    if (isMalformed(message)) throw new Error(`a malformed datagram left: ${next.bytes.toString('hex')}`);
    const got: Record<string, unknown> = { type: message.type };
    if (expected.code !== undefined) got.code = message.code;
    if (expected.id !== undefined) got.id = message.id;
    if (expected.token !== undefined) got.token = Buffer.from(message.token).toString('hex');
    if (expected.payload !== undefined) got.payload = Buffer.from(message.payload).toString();
    if (expected.to !== undefined) got.to = next.to;
    expect(got).toEqual(expected);
    return message;
  }

  /** The next datagram left, and is lost on the way. */
  loses(expected: Expected): Message {
    return this.expects(expected);
  }

  silent(): void {
    expect(this.socket.sent.map(({ bytes, to }) => `${bytes.toString('hex')} to ${addressKey(to)}`)).toEqual([]);
  }

  /** After the longest lifetime nothing is left: no datagram, no peer, no memory of one, no timer. */
  async closes(): Promise<void> {
    this.silent();
    for (let lifetimes = 0; lifetimes < 4; lifetimes++)
      // What is kept for blocks lives as long as the Internet's exchanges, whatever the congestion control.
      await this.passes(PARAMETERS.standard.exchangeLifetimeMs + 1);
    this.silent();
    expect({ peers: this.endpoint.peerCount, bytes: this.endpoint.dedup.bytes, timers: this.clock.pending }).toEqual({
      peers: 0,
      bytes: 0,
      timers: 0,
    });
  }
}

const NOTHING = new Uint8Array(0);

/** A message of the script. `token` is hexadecimal. */
export const message = (
  type: MessageType,
  code: number,
  id: number,
  token = '',
  options: readonly Option[] = [],
  payload: string | Uint8Array = NOTHING,
): Message => ({ type, code, id, token: Buffer.from(token, 'hex'), options, payload: Buffer.from(payload) });

export const ack = (id: number): Message => message(TYPE.acknowledgement, 0, id);
export const rst = (id: number): Message => message(TYPE.reset, 0, id);
export const ping = (id: number): Message => message(TYPE.confirmable, 0, id);

/** Uri-Path and Uri-Query options of `a/b?c=d&e`. */
export function uri(text: string): readonly Option[] {
  const [path = '', query] = text.split('?');
  return [
    ...path.split('/').map((segment) => option(OPTION.uriPath, segment)),
    ...(query === undefined ? [] : query.split('&').map((argument) => option(OPTION.uriQuery, argument))),
  ];
}
