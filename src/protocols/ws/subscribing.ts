/**
 * `sub` and `unsub` of one socket.
 *
 *     sub ──> terms, a free id ──> the site ──> res, then notifications
 *                                    └─ a path with *: res, then a `route` for each resource that matches
 */
import { isRefusal, refuse } from '../../errors.js';
import { isPattern } from '../../routing/pattern.js';
import { answer, isSuccess, refused, type Request, type Response } from '../../routing/primitive.js';
import type { SubscribeFrame, UnsubscribeFrame } from './frames.js';
import type { WsSession } from './session.js';
import { responseOf, termsOf } from './translate.js';
import type { Wire } from './wire.js';

export class Subscribing {
  /** Ids of `sub` frames that are not answered yet. */
  private readonly underWay = new Set<number>();

  constructor(private readonly wire: Wire) {}

  async subscribe(frame: SubscribeFrame, request: Request, { site, port }: WsSession): Promise<void> {
    const { id } = frame;
    const tell = (response: Response, format?: string): void =>
      this.wire.send(responseOf(id, response, request.accept, format));
    const terms = termsOf(frame, request.query);
    if (isRefusal(terms)) {
      tell(refused(terms));
      return;
    }
    if (this.underWay.has(id) || port.places.isTaken(id)) {
      tell(refused(refuse('STATUS_CONFLICT', `The id ${id} names a subscription that is open; choose another.`)));
      return;
    }
    this.underWay.add(id);
    try {
      if (isPattern(request.to)) {
        const pattern = await site.subscribePattern(request, terms, port.places.sinkOf(id));
        if ('status' in pattern) {
          tell(pattern);
          return;
        }
        port.places.addPattern(id, pattern);
        tell(answer('STATUS_OK'));
        pattern.open();
        return;
      }
      const outcome = await site.subscribe(request, terms);
      if (!('delivery' in outcome)) {
        tell(outcome);
        return;
      }
      const { delivery, response } = outcome;
      if (!this.wire.isOpen || !isSuccess(response)) {
        site.unsubscribe(delivery, 'UNSUBSCRIBED');
        tell(response);
        return;
      }
      port.places.add(id, delivery);
      tell(response, delivery.format.mediaType);
      site.open(delivery);
    } finally {
      this.underWay.delete(id);
    }
  }

  unsubscribe({ id, sub }: UnsubscribeFrame, { site, port }: WsSession): void {
    const delivery = port.places.delivery(sub);
    const pattern = port.places.pattern(sub);
    if (pattern) {
      port.places.removePattern(sub);
      pattern.end();
      return this.wire.send(responseOf(id, answer('STATUS_OK'), []));
    }
    if (!delivery) {
      const detail = `No subscription ${sub} is open on this socket; "sub" is the id of the "sub" frame.`;
      return this.wire.send(responseOf(id, refused(refuse('STATUS_NOT_FOUND', detail)), []));
    }
    port.remove(delivery);
    site.unsubscribe(delivery, 'UNSUBSCRIBED');
    this.wire.send(responseOf(id, answer('STATUS_OK'), []));
  }
}
