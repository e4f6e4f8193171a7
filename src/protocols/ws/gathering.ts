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
  private count = 0;
  private wire: Wire | undefined;

  get isEmpty(): boolean {
    return this.bytes === 0;
  }

  add(notification: SharedNotification, delivery: Delivery): void {
    const at = this.count++;
    const lists = (this.lists ??= take());
    lists.notifications[at] = notification;
    lists.deliveries[at] = delivery;
    lists.missed[at] = delivery.missed;
    this.bytes += notification.length;
  }

  /** Empties it. */
  write(wire: Wire): void {
    if (this.isEmpty) return;
    wire.flush();
    this.wire = wire;
    if (this.count === 1) this.writeAll();
    else wire.socket.cork(this.writeAll);
    this.bytes = this.count = 0;
    if (this.lists) giveBack(this.lists);
    this.lists = undefined;
  }

  private readonly writeAll = (): void => {
    const { socket, codec } = this.wire!; // `write` has set it
    const { deliveries, notifications, missed } = this.lists!; // there are entries
    for (let i = 0; i < this.count; i++) {
      const delivery = deliveries[i]!; // the lists have one entry per message
      const { sub, route } = placeOf(delivery)!; // it bears its mark as long as it is in the list
      const message = notifications[i]!.to(sub, route, missed[i]!); // as above
      notifications[i] = deliveries[i] = undefined;
      if (socket.send(message, codec.isBinary) === 'dropped') failed(delivery);
    }
  };
}

/** Closed since, or filled by answers: the account said delivered too soon. */
export function failed(delivery: Delivery): void {
  delivery.delivered--;
  delivery.drop('send-failed');
}
