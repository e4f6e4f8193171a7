/**
 * One UDP port that posts confirmable CoAP for many gateways, as a concentrator in a street does: the broker sees one peer.
 *
 *     post ──> waiting ──> CON ──> ACK with the answer, or empty and the answer later ──> answered
 *                           └─ nothing: again after 2, 4, 8 and 16 s [RFC7252-4.2], the same message; then given up
 *
 * One at a time is not acknowledged [RFC7252-4.7]: a broker that is slow is asked no faster than it takes.
 */
import { every, type Cancel, type Clock } from '../clock.js';
import type { Address, Network, UdpSocket } from '../network.js';
import { CODE, decode, encode, encodeEmpty, isMalformed, isRequest, TYPE } from '../protocols/coap/message.js';
import { option, OPTION } from '../protocols/coap/options.js';
import { MESSAGE_IDS, PARAMETERS } from '../protocols/coap/parameters.js';
import type { Random } from '../random.js';
import { formatOfMediaType } from '../routing/format.js';
import { NO_ANSWER, type Lane } from './lane.js';

const { ackTimeoutFloorMs, maxRetransmit, maxTransmitWaitMs, nstart } = PARAMETERS.standard;
/** Due messages are looked for so often. */
const LOOK_MS = 500;
const TOKEN_BYTES = 4;

interface Posting {
  readonly id: number;
  readonly datagram: Buffer;
  readonly answered: (status: number) => void;
  sentUs: number;
  /** Undefined once it has been acknowledged: then the answer is on its way. */
  againUs: number | undefined;
  attempts: number;
}

export interface CoapLaneOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly to: Address;
}

export class CoapLane implements Lane {
  private readonly waiting: Posting[] = [];
  /** Sent, by message id, which is its token as well; how many of them are not acknowledged. */
  private readonly postings = new Map<number, Posting>();
  private outstanding = 0;
  resent = 0;
  private readonly cancelLooking: Cancel;
  private nextId: number;
  private isFlushDue = false;

  private constructor(
    private readonly socket: UdpSocket,
    private readonly options: CoapLaneOptions,
  ) {
    this.nextId = options.random.below(MESSAGE_IDS);
    this.cancelLooking = every(options.clock, LOOK_MS, () => this.look());
    socket.onDatagram((datagram) => this.take(datagram));
    // What the broker's port refuses is sent again like what is lost.
    socket.onError(() => {});
  }

  static async open(options: CoapLaneOptions): Promise<CoapLane> {
    const host = options.to.host.includes(':') ? '::' : '0.0.0.0';
    return new CoapLane(await options.network.bindUdp({ host, port: 0 }), options);
  }

  get underWay(): number {
    return this.postings.size + this.waiting.length;
  }

  post(path: string, mediaType: string, body: string, answered: (status: number) => void): void {
    const id = this.nextId;
    this.nextId = (this.nextId + 1) % MESSAGE_IDS;
    const token = Buffer.alloc(TOKEN_BYTES);
    token.writeUInt32BE(id);
    const segments = path.slice(1).split('/');
    const format = formatOfMediaType(mediaType);
    const options = [
      ...segments.map((segment) => option(OPTION.uriPath, decodeURIComponent(segment))),
      ...(format ? [option(OPTION.contentFormat, format.coap)] : []),
    ];
    const message = { type: TYPE.confirmable, code: CODE.post, id, token, options, payload: Buffer.from(body) };
    this.waiting.push({ id, datagram: encode(message), answered, sentUs: 0, againUs: undefined, attempts: 0 });
    this.next();
  }

  close(): void {
    this.cancelLooking();
    this.socket.close();
    for (const { answered } of this.waiting.splice(0)) answered(NO_ANSWER);
    for (const id of [...this.postings.keys()]) this.settle(id, NO_ANSWER);
  }

  private next(): void {
    while (this.outstanding < nstart) {
      const posting = this.waiting.shift();
      if (!posting) return;
      this.outstanding++;
      posting.sentUs = this.options.clock.monotonicUs();
      posting.againUs = posting.sentUs + ackTimeoutFloorMs * 1000;
      this.postings.set(posting.id, posting);
      this.send(posting.datagram);
    }
  }

  private acknowledged(posting: Posting): void {
    if (posting.againUs === undefined) return;
    posting.againUs = undefined;
    this.outstanding--;
    this.next();
  }

  private send(datagram: Buffer): void {
    this.socket.queue(datagram, this.options.to);
    if (this.isFlushDue) return;
    this.isFlushDue = true;
    this.options.clock.atTurnEnd(() => {
      this.isFlushDue = false;
      this.socket.flush();
    });
  }

  private take(datagram: Buffer): void {
    const message = decode(datagram);
    if (isMalformed(message) || isRequest(message.code)) return;
    const { type, code, id, token } = message;
    if (type === TYPE.reset) return this.settle(id, NO_ANSWER);
    if (code === CODE.empty) {
      const posting = this.postings.get(id);
      if (posting) this.acknowledged(posting);
      return;
    }
    if (type === TYPE.confirmable) this.send(encodeEmpty(TYPE.acknowledgement, id));
    if (token.length === TOKEN_BYTES)
      this.settle(Buffer.from(token).readUInt32BE(), (code >>> 5) * 100 + (code & 0x1f));
  }

  private settle(id: number, status: number): void {
    const posting = this.postings.get(id);
    if (!posting) return;
    this.postings.delete(id);
    posting.answered(status);
    this.acknowledged(posting);
  }

  private look(): void {
    const nowUs = this.options.clock.monotonicUs();
    for (const [id, posting] of this.postings) {
      if (nowUs - posting.sentUs > maxTransmitWaitMs * 1000) this.settle(id, NO_ANSWER);
      if (posting.againUs === undefined || posting.againUs > nowUs || posting.attempts === maxRetransmit) continue;
      posting.attempts++;
      this.resent++;
      posting.againUs = nowUs + ackTimeoutFloorMs * 1000 * 2 ** posting.attempts;
      this.send(posting.datagram);
    }
  }
}
