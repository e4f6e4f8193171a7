/**
 * The notifications of one turn to one peer: they leave in one write.
 *
 *     add ──> (notification, delivery, missed) ... ──> write: each head in its turn, cork
 */
import type { Delivery } from '../../routing/delivery.js';
import { placeOf } from './places.js';
import type { SharedNotification } from './shared-notification.js';
import type { Wire } from './wire.js';

export class Gathering {
  bytes = 0;
  // One entry each per message: nothing is allocated per message.
  private readonly notifications: SharedNotification[] = [];
  private readonly deliveries: Delivery[] = [];
  private readonly missed: number[] = [];
  private wire: Wire | undefined;

  get isEmpty(): boolean {
    return this.bytes === 0;
  }

  add(notification: SharedNotification, delivery: Delivery): void {
    this.notifications.push(notification);
    this.deliveries.push(delivery);
    this.missed.push(delivery.missed);
    this.bytes += notification.length;
  }

  /** Empties it. */
  write(wire: Wire): void {
    if (this.isEmpty) return;
    wire.flush();
    this.wire = wire;
    if (this.deliveries.length === 1) this.writeAll();
    else wire.socket.cork(this.writeAll);
    this.notifications.length = this.deliveries.length = this.missed.length = 0;
    this.bytes = 0;
  }

  private readonly writeAll = (): void => {
    const { socket, codec } = this.wire!; // `write` has set it
    for (let i = 0; i < this.deliveries.length; i++) {
      const delivery = this.deliveries[i]!; // the lists have one entry per message
      const { sub, route } = placeOf(delivery)!; // it bears its mark as long as it is in the list
      const message = this.notifications[i]!.to(sub, route, this.missed[i]!); // as above
      if (socket.send(message, codec.isBinary) === 'dropped') failed(delivery);
    }
  };
}

/** Closed since, or filled by answers: the account said delivered too soon. */
export function failed(delivery: Delivery): void {
  delivery.delivered--;
  delivery.drop('send-failed');
}
