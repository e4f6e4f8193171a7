/** Fuzzed datagrams into a CoAP port, from a few sockets, no faster than they are read. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { CODE, encode, TYPE, type Message, type MessageType } from '../../src/protocols/coap/message.js';
import { OPTION, option, type Option } from '../../src/protocols/coap/options.js';
import type { Random } from '../../src/random.js';
import { message, uri } from '../protocols/coap/lockstep.js';
import { Mutation } from './mutation.js';

const SOCKETS = 4;
/** Between two pings: what a receive buffer holds at worst. */
const BURST = 64;
const PING_PATIENCE_MS = 100;
const MOST_PINGS = 100;
/** Ids from here on are the pings'. */
const FIRST_PING = 0xf000;
/** The first byte of a reset. */
const RESET = 0x70;
const CONTENT = 'm2m/applications/fuzzed/containers/noise/contentInstances';

const VALID: readonly Uint8Array[] = [
  request(CODE.get, uri('m2m')),
  request(CODE.get, [...uri(`${CONTENT}/latest/content?c.pmin=0.2`), option(OPTION.observe, 0)]),
  request(CODE.get, [...uri(`${CONTENT}/latest`), option(OPTION.accept, 60), option(OPTION.etag, 'v1')]),
  request(CODE.get, [...uri('.well-known/core'), option(OPTION.block2, 0x02)]),
  request(CODE.post, [...uri(CONTENT), option(OPTION.contentFormat, 0)], 'noise'),
  request(CODE.post, [...uri(CONTENT), option(OPTION.contentFormat, 0), option(OPTION.block1, 0x08)], 'n'.repeat(16)),
  request(CODE.post, [...uri('m2m/applications'), option(OPTION.contentFormat, 50)], '{"application":{"appId":"b"}}'),
  request(CODE.put, [...uri('m2m/applications/b'), option(OPTION.contentFormat, 60)], Buffer.from('a16161f6', 'hex')),
  request(CODE.delete, [...uri('m2m/applications/b'), option(OPTION.ifMatch, 'v1')]),
  request(CODE.post, uri('m2m/applications/fuzzed/commands'), '{}', TYPE.nonConfirmable),
  encode(message(TYPE.acknowledgement, 0, 1)),
  encode(message(TYPE.reset, 0, 2)),
  encode(message(TYPE.acknowledgement, 0x45, 3, '0a', [option(OPTION.observe, 7)], 'an answer')),
];

function request(
  code: number,
  options: readonly Option[],
  payload: string | Uint8Array = '',
  type: MessageType = TYPE.confirmable,
): Uint8Array {
  const whole: Message = message(type, code, 0x1234, '0a0b', options, payload);
  return encode(whole);
}

export interface CoapFuzzer {
  /** Sends `bytes` of them and returns when all have been taken in. */
  fuzz(bytes: number): Promise<void>;
  close(): void;
}

/** From the same few sockets each time: what the daemon remembers of them is full after a while. */
export async function openCoapFuzzer(port: number, random: Random): Promise<CoapFuzzer> {
  const peers = await Promise.all(Array.from({ length: SOCKETS }, () => FuzzingPeer.open(port, random)));
  return {
    async fuzz(bytes) {
      await Promise.all(peers.map((peer) => peer.fuzz(bytes / SOCKETS)));
    },
    close: () => peers.forEach((peer) => peer.close()),
  };
}

class FuzzingPeer {
  private readonly mutation: Mutation;
  private id = 0;
  private pinged = FIRST_PING;
  private answered = (): void => {};

  private constructor(
    private readonly socket: Socket,
    private readonly random: Random,
  ) {
    this.mutation = new Mutation(random, VALID);
    socket.on('message', (datagram) => {
      if (datagram.length === 4 && datagram[0] === RESET && datagram.readUInt16BE(2) === this.pinged) this.answered();
    });
  }

  static async open(port: number, random: Random): Promise<FuzzingPeer> {
    const socket = createSocket('udp4');
    socket.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new FuzzingPeer(socket, random);
  }

  async fuzz(bytes: number): Promise<void> {
    for (let sent = 0; sent < bytes;) {
      for (let n = 0; n < BURST; n++) {
        const datagram = this.mutation.next();
        // Ids of their own: most shall be looked at, not be taken for repetitions.
        this.id = (this.id + 1) % FIRST_PING;
        if (datagram.length >= 4 && this.random.below(8) > 0) datagram.writeUInt16BE(this.id, 2);
        this.socket.send(datagram);
        sent += datagram.length;
      }
      await this.ping();
    }
  }

  close(): void {
    this.socket.close();
  }

  private ping(): Promise<void> {
    return new Promise((done, fail) => {
      let left = MOST_PINGS;
      const again = (): void => {
        if (left-- === 0) fail(new Error('the daemon does not answer pings any more'));
        // A fresh id each time: the answer to a repetition is nothing new.
        this.pinged = this.pinged === 0xffff ? FIRST_PING : this.pinged + 1;
        this.socket.send(encode(message(TYPE.confirmable, 0, this.pinged)));
      };
      const timer = setInterval(again, PING_PATIENCE_MS);
      this.answered = () => {
        clearInterval(timer);
        done();
      };
      again();
    });
  }
}
