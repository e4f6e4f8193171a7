/**
 * The notifications that go to one peer together: they leave in one write.
 *
 *     add ──> (notification, delivery, missed) ... ──> write: each head in its turn, cork
 */
import type { Delivery } from '../../routing/delivery.js';
import { placeOf } from './places.js';
import type { SharedNotification } from './shared-notification.js';
import type { Wire } from './wire.js';

/** Entries that lists which nobody uses may have together: 1.5 MB. */
const MOST_IDLE = 65_536;
/** An empty list has room for so many from its first entry on. */
const LEAST_ROOM = 16;

/** One entry each per message. They keep their length: an array that is emptied has to grow anew, which is garbage for each message. */
class Lists {
  /** Messages; the entries behind them are of earlier ones. */
  count = 0;
  readonly notifications: (SharedNotification | undefined)[] = [];
  readonly deliveries: (Delivery | undefined)[] = [];
  readonly missed: number[] = [];

  get room(): number {
    return Math.max(LEAST_ROOM, this.missed.length);
  }
}

/** Lists go from peer to peer: many have nothing to send at a time, and a burst makes those long that it needs. */
const idle: Lists[] = [];
let idleRoom = 0;

function take(): Lists {
  const lists = idle.pop();
  if (!lists) return new Lists();
  idleRoom -= lists.room;
  return lists;
}

function giveBack(lists: Lists): void {
  if (idleRoom + lists.room > MOST_IDLE) return;
  idleRoom += lists.room;
  idle.push(lists);
}

export class Gathering {
  bytes = 0;
  private lists: Lists | undefined;
  // What is being written, and where: fields, as an object of both would be one for each peer and turn.
  private writing: Lists | undefined;
  private wire: Wire | undefined;

  get isEmpty(): boolean {
    return this.lists === undefined;
  }

  add(notification: SharedNotification, delivery: Delivery): void {
    const lists = (this.lists ??= take());
    const at = lists.count++;
    lists.notifications[at] = notification;
    lists.deliveries[at] = delivery;
    lists.missed[at] = delivery.missed;
    this.bytes += notification.length;
  }

  /** Empties it. What could not be written has not been delivered. */
  write(wire: Wire): void {
    if (this.isEmpty) return;
    wire.flush();
    // It may have ended the session, and with it what was gathered.
    const { lists } = this;
    if (!lists) return;
    this.lists = undefined;
    this.bytes = 0;
    this.writing = lists;
    this.wire = wire;
    try {
      if (lists.count === 1) this.writeAll();
      else wire.socket.cork(this.writeAll);
    } catch (error) {
      for (const delivery of lists.deliveries) if (delivery) failed(delivery);
      throw error;
    }
    giveBack(lists);
  }

  private readonly writeAll = (): void => {
    const lists = this.writing!; // `write` has set both
    const { socket, codec } = this.wire!;
    const { deliveries, notifications, missed } = lists;
    for (let i = 0; i < lists.count; i++) {
      const delivery = deliveries[i]!; // the lists have one entry per message
      const { sub, route } = placeOf(delivery)!; // it bears its mark as long as it is in the list
      const message = notifications[i]!.to(sub, route, missed[i]!); // as above
      if (socket.send(message, codec.isBinary) === 'dropped') failed(delivery);
      notifications[i] = deliveries[i] = undefined;
    }
    lists.count = 0;
  };
}

/** Closed since, or filled by answers: the account said delivered too soon. */
export function failed(delivery: Delivery): void {
  delivery.delivered--;
  delivery.drop('send-failed');
}
