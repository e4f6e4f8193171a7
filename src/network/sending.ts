/**
 * What leaves by one socket.
 *
 *     Batch ── flush ──> sendmmsg with trains (mmsg.ts) ── refused? ──> dgram, which waits for room
 *       │         └────> dgram: without koffi, or while something waits there
 *       └── serve, much and nothing urgent ──> an order: sendmmsg on a thread of libuv's pool, one at a time
 *                                                  └── what comes meanwhile lies in other columns, and waits until that is done
 */
import { systemClock, type Cancel } from '../clock.js';
import { Batch, type Destination } from './batch.js';
import { Columns, type Room } from './columns.js';
import { MmsgSender, type Descriptor } from './mmsg.js';
import { NO_PORT, type Address } from './udp-socket.js';

/** Datagrams that take so long to send, 60 to 200 us, that it pays to do so on another thread: an order to it costs both some 12 us. */
const MUCH = 64;
/** After something urgent: whoever waits for that may need the core that the other thread would take. */
const ALONE_FOR_US = 1_000_000;
/** An order that takes longer stands behind jobs of a stalled disk in libuv's pool: what waits for it goes past it then. */
const PATIENCE_US = 20_000;
/** What may wait in libuv for a congested interface; what comes then is dropped and counted. */
const MOST_WAITING_BYTES = 4 * 1024 * 1024;

/** What of a dgram socket is needed to send. */
export interface Dgram {
  send(datagram: Uint8Array, port: number, host: string, sent: (error: Error | null) => void): void;
  getSendQueueSize(): number;
  getSendQueueCount(): number;
  close(): void;
}

export class Sending {
  readonly batch: Batch;
  isClosed = false;
  /** Datagrams that were given up. */
  drops = 0;
  /** Orders given to the other thread. */
  aside = 0;
  private sender: MmsgSender | undefined;
  /** While that has an order in hand, this one does what it did; where so much may wait that there are orders. */
  private spare: MmsgSender | undefined;
  /** When the order was given; undefined: there is none. */
  private orderedUs: number | undefined;
  private urgentUs = -Infinity;
  /** While something waits for an order. */
  private cancelLook: Cancel | undefined;

  /** @param failed told why something that dgram had taken was not sent */
  constructor(
    private readonly socket: Dgram,
    private readonly room: Room,
    private readonly descriptor: Descriptor | undefined,
    private readonly failed: (error: Error) => void,
  ) {
    this.sender = this.makeSender();
    if (room.datagrams >= MUCH) this.spare = this.makeSender();
    this.batch = new Batch(this.sender?.columns ?? new Columns(room), () => this.send(this.batch.atOnce));
  }

  /** Messages of two and more datagrams. */
  get trains(): number {
    return (this.sender?.trains ?? 0) + (this.spare?.trains ?? 0);
  }

  /** As UdpSocket has it. */
  flush(most?: number): void {
    // What waits for a peer goes behind what is on its way to it.
    if (this.isOrderAwaited && this.batch.isAnyInHand(most)) this.lookLater();
    else this.send(most);
  }

  /** As UdpSocket has it. */
  serve(to: Destination, isUrgent: boolean): void {
    const { batch } = this;
    if (!batch.bringForward(to)) return;
    if (isUrgent) {
      this.urgentUs = systemClock.monotonicUs();
      // Alone where an order is awaited, which it may overtake: nothing urgent is in one.
      this.send(this.isOrderAwaited ? 1 : batch.atOnce);
    } else if (this.mayOrder) this.order();
    else if (this.isOrderAwaited) this.lookLater();
    else this.send(batch.atOnce);
  }

  close(): void {
    if (this.isClosed) return;
    this.cancelLook?.();
    const isOrdered = this.orderedUs !== undefined;
    // Nobody comes back for what waited for the order.
    if (isOrdered) this.send();
    this.isClosed = true;
    // Else the descriptor is the other thread's until its order is done.
    if (!isOrdered) this.socket.close();
  }

  private send(most?: number): void {
    const { batch, sender } = this;
    if (batch.count === 0) return;
    if (this.isClosed) batch.forget();
    else if (!sender || this.isCongested) batch.drain(this.sendOne, most);
    else {
      sender.send(batch, most);
      batch.forget(most);
    }
  }

  private order(): void {
    const { batch, sender, spare } = this;
    if (!sender || !spare) throw new Error('an order without the calls for it'); // `mayOrder` has asked
    sender.sendAside(batch, () => {
      this.orderedUs = undefined;
      if (this.isClosed) this.socket.close();
      else this.sendRest();
    });
    this.aside++;
    this.orderedUs = systemClock.monotonicUs();
    batch.trade(spare.columns);
    [this.sender, this.spare] = [spare, sender];
  }

  /** An order that takes too long is passed even where nobody serves or flushes any more. */
  private lookLater(): void {
    if (this.cancelLook || this.orderedUs === undefined || this.isClosed) return;
    const leftUs = this.orderedUs + PATIENCE_US - systemClock.monotonicUs();
    this.cancelLook = systemClock.after(leftUs / 1000, () => {
      this.cancelLook = undefined;
      if (this.isOrderAwaited) this.lookLater();
      // Else what waits is its owners' to flush.
      else if (this.orderedUs !== undefined) this.sendRest();
    });
  }

  /** What has come while an order was awaited; others have their turns in between. */
  private readonly sendRest = (): void => {
    const { batch } = this;
    if (batch.count === 0 || this.isOrderAwaited) return;
    if (this.mayOrder) return this.order();
    this.send(batch.atOnce);
    if (batch.count > 0) systemClock.atTurnEnd(this.sendRest);
  };

  private get mayOrder(): boolean {
    return (
      this.spare !== undefined &&
      this.batch.count >= MUCH &&
      this.orderedUs === undefined &&
      !this.isClosed &&
      !this.isCongested &&
      systemClock.monotonicUs() - this.urgentUs >= ALONE_FOR_US
    );
  }

  private get isOrderAwaited(): boolean {
    return this.orderedUs !== undefined && systemClock.monotonicUs() - this.orderedUs < PATIENCE_US;
  }

  /** What waits in dgram must not be overtaken. */
  private get isCongested(): boolean {
    return this.socket.getSendQueueCount() > 0;
  }

  private makeSender(): MmsgSender | undefined {
    const { descriptor, room } = this;
    return descriptor && new MmsgSender(descriptor, room, (datagram, { address }) => this.sendOne(datagram, address));
  }

  private readonly sendOne = (datagram: Uint8Array, to: Address): void => {
    if (to.port === NO_PORT || this.socket.getSendQueueSize() > MOST_WAITING_BYTES) this.drops++;
    else this.socket.send(datagram, to.port, to.host, this.sent);
  };

  private readonly sent = (error: Error | null): void => {
    if (error && !this.isClosed) this.failed(error);
  };
}
