/**
 * The message layer: one UDP socket, server and client alike [RFC7252-4].
 *
 *     datagram ──> a publisher's next sample ─> whoever takes what comes with these options
 *              └─> decode ──> empty CON ──────> RST (ping)
 *                    │   └──> ACK, RST ───────> the confirmable with that id, else `onReset`
 *                    ├──────> response ───────> whoever awaits its token, else RST
 *                    └──────> request ──> seen before? the same reply again : handler(Exchange)
 *
 * Everything is sent through `send`, which queues; at the end of the turn of the event loop it leaves. No state is made for a
 * peer that has only sent garbage.
 */
import type { Cancel, Clock } from '../../clock.js';
import { coapCode } from '../../errors.js';
import type { Log } from '../../log.js';
import { addressKey, type Address, type UdpFigures, type UdpSocket } from '../../network.js';
import { Destination } from '../../network/batch.js';
import type { Random } from '../../random.js';
import { Confirmable, type Carrier, type Outgoing, type Timers } from './confirmable.js';
import { DedupBudget, datagramOf } from './dedup.js';
import { Exchange, type Answering } from './exchange.js';
import {
  CODE,
  decode,
  encodeEmpty,
  HEADER_BYTES,
  ID_AT,
  isMalformed,
  isNonPost,
  isRequest,
  optionsAt,
  TYPE,
  tokenKey,
  writeNonHead,
  type Message,
} from './message.js';
import { OptionMemory, type Take } from './option-memory.js';
import { optionName, type Option } from './options.js';
import { PARAMETERS, type Congestion, type Parameters } from './parameters.js';
import { Peer, type PeerFigures } from './peer.js';
import { Spread } from './spread.js';

/** Remembered peers; the longest known that nothing depends on makes room. About 1 KB each. */
const MOST_PEERS = 16_384;

export interface EndpointOptions {
  readonly socket: UdpSocket;
  readonly clock: Clock;
  /** A timer wheel where there is one; the clock otherwise. */
  readonly timers?: Timers;
  readonly random: Random;
  readonly log: Log;
  readonly congestion: Congestion;
  /** Over how many milliseconds what one turn makes is sent; default 0, at once. */
  readonly spreadMs?: number;
}

/** Counts since the start, read at scrape time. */
export class EndpointFigures {
  received = 0;
  sent = 0;
  /** Not CoAP version 1: ignored. */
  foreign = 0;
  malformed = 0;
  duplicates = 0;
  unknownCritical = 0;
  /** Acknowledgements, resets and responses nobody waited for. */
  stray = 0;
  resetsSent = 0;
  retransmissions = 0;
  /** Confirmables given up after the last retransmission. */
  givenUp = 0;
  /** Non-confirmables that the message-id budget stopped. */
  outOfIds = 0;
  peersEvicted = 0;
  /** Datagrams of new peers refused because every known one is in use. */
  peersRefused = 0;
}

export class Endpoint implements Carrier, Answering {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly parameters: Parameters;
  readonly figures = new EndpointFigures();
  readonly dedup = new DedupBudget();
  private readonly optionMemory = new OptionMemory();
  private readonly socket: UdpSocket;
  private readonly spread: Spread;
  private readonly peers = new Map<string, Peer>();
  private readonly lifetimes = new Map<Peer, Cancel>();
  private isTouched = false;
  private readonly touched = new Set<Destination>();
  /** Something has been queued since the last flush. */
  private isHolding = false;
  private turnUs = 0;
  private turnMs = 0;
  private isClosed = false;
  private handle: (exchange: Exchange) => void = (exchange) => exchange.respond({ code: coapCode(4, 4) });
  private wasReset: (peer: Peer, id: number) => void = () => {};
  private wasForgotten: (peer: Peer) => void = () => {};

  constructor({ socket, clock, timers, random, log, congestion, spreadMs = 0 }: EndpointOptions) {
    this.socket = socket;
    this.spread = new Spread(socket, clock, spreadMs);
    this.clock = clock;
    this.timers = timers ?? clock;
    this.random = random;
    this.parameters = PARAMETERS[congestion];
    socket.onDatagram((datagram, from) => this.receive(datagram, from));
    socket.onError((error) => log.warn({ err: error }, 'coap: the socket reports an error'));
  }

  get local(): Address {
    return this.socket.local;
  }

  /** Who answers requests. It may answer at once or later, through the exchange. */
  onRequest(handle: (exchange: Exchange) => void): void {
    this.handle = handle;
  }

  /** Who takes the non-confirmable POSTs that come with these options, until it refuses one. */
  takeBy(options: readonly Option[], take: Take): void {
    const heard = this.optionMemory.of(options);
    if (heard) heard.take = take;
  }

  /** Called for a reset that answers none of our confirmables: perhaps a non-confirmable notification. */
  onReset(wasReset: (peer: Peer, id: number) => void): void {
    this.wasReset = wasReset;
  }

  /** Called for a peer whose state goes. */
  onForgotten(wasForgotten: (peer: Peer) => void): void {
    this.wasForgotten = wasForgotten;
  }

  /** The state towards an address, made at the first call. */
  peer(address: Address): Peer {
    const known = this.peers.get(addressKey(address));
    if (known) return known;
    const peer = new Peer(address, this.parameters, this.dedup, this.random);
    peer.heardUs = this.clock.monotonicUs();
    this.peers.set(peer.key, peer);
    this.watch(peer);
    return peer;
  }

  /** The monotonic clock, read once for all that is sent together: 30 ns less per notification. */
  nowUs(): number {
    if (this.isTouched || this.isHolding) return this.turnUs;
    this.turnUs = this.clock.monotonicUs();
    this.turnMs = Math.floor(this.turnUs / 1000);
    return this.turnUs;
  }

  /** The same, whole milliseconds: an integer is handed on without an object being made for it. */
  nowMs(): number {
    this.nowUs();
    return this.turnMs;
  }

  /** Queues a datagram; it leaves at the end of this turn. */
  send(peer: Peer, datagram: Uint8Array): void {
    this.sendTo(peer.destination, datagram);
  }

  /** Sends a non-confirmable and returns its id; `undefined` if the message-id budget is spent. */
  sendNon(peer: Peer, code: number, token: Uint8Array, tail: Uint8Array): number | undefined {
    const id = this.queueNon(peer, code, tokenKey(token), tail);
    if (id !== undefined) this.flushSoon(peer.destination);
    return id;
  }

  /** As `sendNon`, by a token's key, of whoever calls `flush` when all is queued: what goes to one peer leaves in one train. */
  queueNon(peer: Peer, code: number, token: string, tail: Uint8Array): number | undefined {
    const id = peer.ids.take(this.nowMs());
    if (id === undefined) {
      this.figures.outOfIds++;
      return undefined;
    }
    if (this.isClosed) return id;
    const { batch } = this.socket;
    const at = batch.open(peer.destination, HEADER_BYTES + token.length, tail);
    writeNonHead(batch.bytes, at, code, id, token);
    this.figures.sent++;
    this.isHolding = true;
    return id;
  }

  /** What waits for a destination leaves at the end of this turn. */
  flushSoon(to: Destination): void {
    this.touched.add(to);
    if (this.isTouched) return;
    this.isTouched = true;
    this.clock.atTurnEnd(this.turnEnded);
  }

  /** What waits for a destination leaves now. What waits for others may wait on: each is flushed by who has queued it. */
  flush(to: Destination, isUrgent: boolean): void {
    this.isHolding = false;
    if (!this.isClosed) this.spread.flush(to, isUrgent);
  }

  /** Sends a confirmable, now or when NSTART allows; its `settled` is called once. */
  confirm(peer: Peer, outgoing: Outgoing): Confirmable {
    const confirmable = new Confirmable(this, peer, outgoing);
    peer.enter(confirmable);
    return confirmable;
  }

  *peerFigures(): Iterable<PeerFigures> {
    for (const peer of this.peers.values()) yield peer.figures(this.clock.monotonicUs());
  }

  socketFigures(): UdpFigures {
    return this.socket.figures();
  }

  get peerCount(): number {
    return this.peers.size;
  }

  /** Ends every exchange and the socket. */
  close(): void {
    if (this.isClosed) return;
    for (const peer of this.peers.values()) this.forget(peer);
    this.socket.flush();
    this.isClosed = true;
    this.socket.close();
  }

  private sendTo(to: Destination, datagram: Uint8Array): void {
    if (this.isClosed) return;
    this.socket.batch.add(datagram, to);
    this.figures.sent++;
    this.flushSoon(to);
  }

  private readonly turnEnded = (): void => {
    this.isTouched = false;
    this.isHolding = false;
    if (!this.isClosed) this.spread.flushAlone(this.touched);
    this.touched.clear();
  };

  private receive(datagram: Buffer, from: Address): void {
    if (this.isClosed) return;
    this.figures.received++;
    const peer = this.peers.get(addressKey(from));
    if (peer && isNonPost(datagram) && this.isTaken(datagram, peer)) return;
    // A copy: what is made of a message holds on to its token and payload.
    const message = decode(Buffer.from(datagram), this.optionMemory.decode);
    if (isMalformed(message)) return this.refuse(message, from);
    if (peer) peer.heardUs = this.clock.monotonicUs();
    if (message.code === CODE.empty && message.type === TYPE.confirmable) return this.reset(message.id, from);
    if (message.type === TYPE.reset || message.type === TYPE.acknowledgement) return this.settle(message, peer);
    if (!isRequest(message.code)) return this.receiveResponse(message, from, peer);
    const asking = peer ?? this.admit(from);
    if (asking) this.receiveRequest(message, asking);
  }

  /** The short way of a sample: no message, no exchange. Whatever is not plain on it is left to the long one. */
  private isTaken(datagram: Buffer, peer: Peer): boolean {
    const at = optionsAt(datagram);
    const heard = this.optionMemory.find(datagram, at);
    if (!heard?.take) return false;
    const payloadAt = at + heard.bytes.length + 1;
    if (payloadAt >= datagram.length) return false;
    const id = datagram.readUInt16BE(ID_AT);
    const nowUs = this.clock.monotonicUs();
    if (peer.recent.find(id, nowUs)) return false;
    if (!heard.take(peer, datagram, payloadAt)) {
      heard.take = undefined;
      return false;
    }
    peer.heardUs = nowUs;
    peer.arrivals.note(id);
    peer.recent.rememberNon(id, nowUs, this.parameters.nonLifetimeMs);
    return true;
  }

  /** [RFC7252-4.2, 4.3] a reset rejects a confirmable; anything else malformed is dropped in silence. */
  private refuse(message: Exclude<ReturnType<typeof decode>, Message>, from: Address): void {
    if (message.kind === 'foreign') this.figures.foreign++;
    else {
      this.figures.malformed++;
      if (message.type === TYPE.confirmable) this.reset(message.id, from);
    }
  }

  private reset(id: number, to: Address): void {
    this.figures.resetsSent++;
    this.sendTo(new Destination(to), encodeEmpty(TYPE.reset, id));
  }

  private settle(message: Message, peer: Peer | undefined): void {
    const confirmable = peer?.outstanding(message.id);
    const outcome = message.type === TYPE.reset ? 'reset' : 'acknowledged';
    if (confirmable) confirmable.answered(outcome, message);
    else if (peer && outcome === 'reset') this.wasReset(peer, message.id);
    else this.figures.stray++;
  }

  private receiveRequest(message: Message, peer: Peer): void {
    const nowUs = this.clock.monotonicUs();
    const handled = peer.recent.find(message.id, nowUs);
    if (handled) {
      this.figures.duplicates++;
      if (handled.reply !== undefined) this.send(peer, datagramOf(handled.reply));
      return;
    }
    peer.arrivals.note(message.id);
    const { options, unknownCritical } = this.optionMemory.screen(message.options);
    const isConfirmable = message.type === TYPE.confirmable;
    if (unknownCritical !== undefined) {
      this.figures.unknownCritical++;
      // [RFC7252-5.4.1]
      if (!isConfirmable) return this.reset(message.id, peer.address);
    }
    const { exchangeLifetimeMs, nonLifetimeMs } = this.parameters;
    const entry = isConfirmable
      ? peer.recent.remember(message.id, nowUs, exchangeLifetimeMs)
      : peer.recent.rememberNon(message.id, nowUs, nonLifetimeMs);
    const exchange = new Exchange(peer, { ...message, options }, this, entry);
    if (unknownCritical !== undefined) {
      const sentence = `The critical option ${unknownCritical} (${optionName(unknownCritical)}) is not understood here, or not with this length or number of times.`;
      return exchange.respond({ code: coapCode(4, 2), payload: Buffer.from(sentence) });
    }
    this.handle(exchange);
    exchange.awaitAnswer();
  }

  /** Separate and non-confirmable responses, notifications among them; an acknowledgement's goes by its id. */
  private receiveResponse(message: Message, from: Address, peer: Peer | undefined): void {
    const nowUs = this.clock.monotonicUs();
    const isConfirmable = message.type === TYPE.confirmable;
    const handled = isConfirmable ? peer?.recent.find(message.id, nowUs) : undefined;
    if (peer && handled?.reply !== undefined) {
      this.figures.duplicates++;
      return this.send(peer, datagramOf(handled.reply));
    }
    peer?.arrivals.note(message.id);
    const awaited = peer?.awaited.get(tokenKey(message.token));
    const { options, unknownCritical } = this.optionMemory.screen(message.options);
    if (!peer || !awaited || unknownCritical !== undefined) {
      if (unknownCritical === undefined) this.figures.stray++;
      else this.figures.unknownCritical++;
      // A reset tells a server that its observer is gone, whatever the type of the notification [RFC7641-3.6].
      return this.reset(message.id, from);
    }
    if (isConfirmable) {
      const acknowledgement = encodeEmpty(TYPE.acknowledgement, message.id);
      peer.recent.remember(message.id, nowUs, this.parameters.exchangeLifetimeMs, acknowledgement);
      this.send(peer, acknowledgement);
    }
    awaited.responded({ ...message, options });
  }

  /** A place for a peer heard of for the first time. */
  private admit(from: Address): Peer | undefined {
    if (this.peers.size >= MOST_PEERS) {
      const idle = this.idlePeer();
      if (!idle) {
        this.figures.peersRefused++;
        return undefined;
      }
      this.figures.peersEvicted++;
      this.forget(idle);
    }
    return this.peer(from);
  }

  private idlePeer(): Peer | undefined {
    for (const peer of this.peers.values()) if (!peer.isBusy) return peer;
    return undefined;
  }

  /** One timer per peer looks once per lifetime whether anything is still owed or remembered. */
  private watch(peer: Peer): void {
    const { exchangeLifetimeMs } = this.parameters;
    const look = (): void => {
      const nowUs = this.clock.monotonicUs();
      const silentMs = (nowUs - peer.heardUs) / 1000;
      if (!peer.isBusy && silentMs >= exchangeLifetimeMs && peer.ids.used(Math.floor(nowUs / 1000)) === 0)
        return this.forget(peer);
      this.lifetimes.set(peer, this.timers.after(exchangeLifetimeMs, look));
    };
    this.lifetimes.set(peer, this.timers.after(exchangeLifetimeMs, look));
  }

  private forget(peer: Peer): void {
    this.peers.delete(peer.key);
    this.lifetimes.get(peer)?.();
    this.lifetimes.delete(peer);
    peer.close();
    this.wasForgotten(peer);
  }
}
