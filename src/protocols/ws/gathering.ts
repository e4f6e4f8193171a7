/**
 * The notifications that go to one peer together: they leave in one write.
 *
 *     add ──> (notification, delivery, missed) ... ──> write: each head in its turn, cork
 */
import type { Delivery } from '../../routing/delivery.js';
import { placeOf } from './places.js';
import type { SharedNotification } from './shared-notification.js';
import type { Wire } from './wire.js';

/** Entries for which there is room between turns: 800 bytes. */
const MOST_KEPT = 32;

export class Gathering {
  bytes = 0;
  // One entry each per message. They keep their length: an array that is emptied has to grow anew, which is garbage for each message.
  private readonly notifications: (SharedNotification | undefined)[] = [];
  private readonly deliveries: (Delivery | undefined)[] = [];
  private readonly missed: number[] = [];
  private count = 0;
  private wire: Wire | undefined;

  get isEmpty(): boolean {
    return this.bytes === 0;
  }

  add(notification: SharedNotification, delivery: Delivery): void {
    const at = this.count++;
    this.notifications[at] = notification;
    this.deliveries[at] = delivery;
    this.missed[at] = delivery.missed;
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
    if (this.missed.length > MOST_KEPT)
      this.notifications.length = this.deliveries.length = this.missed.length = MOST_KEPT;
  }

  private readonly writeAll = (): void => {
    const { socket, codec } = this.wire!; // `write` has set it
    for (let i = 0; i < this.count; i++) {
      const delivery = this.deliveries[i]!; // the lists have one entry per message
      const { sub, route } = placeOf(delivery)!; // it bears its mark as long as it is in the list
      const message = this.notifications[i]!.to(sub, route, this.missed[i]!); // as above
      this.notifications[i] = this.deliveries[i] = undefined;
      if (socket.send(message, codec.isBinary) === 'dropped') failed(delivery);
    }
  };
}

/** Closed since, or filled by answers: the account said delivered too soon. */
export function failed(delivery: Delivery): void {
  delivery.delivered--;
  delivery.drop('send-failed');
}
