/**
 * A notificationChannel: how a client that can only ask, be it behind NAT or plain curl, is notified [TS 102 921 10.37].
 *
 *     subscriptions (contact = contactURI) ──> queue of 32 ──> held poll ──> 200 + notify
 *     POST contactURI ─────────────────────────┘    │
 *                                                   └── nothing for 60 s, or a newer poll came ──> 202
 *
 * It is a port like any other endpoint's. When the queue has been full, its client polls too slowly: until it has caught up each
 * subscription holds its newest sample, and after what the queue still has a poll takes that of whichever has waited longest. So
 * what comes is as new as it can be, every subscription has its turn, and the client is told how many it missed. A foreign
 * producer is told 503 instead.
 */
import type { Cancel } from '../clock.js';
import { ENDINGS, type Ending } from '../routing/endings.js';
import { Port, type Delivery } from '../routing/delivery.js';
import { answer, pathText, refused, type Body, type JsonObject, type Response } from '../routing/primitive.js';
import type { Sample } from '../routing/sample.js';
import { refuse, STATUSES } from '../errors.js';
import { contentField } from '../resources/instance.js';
import { notificationOf } from './notification.js';

/** Notifications that may wait for a poll [TS 102 921 10.37, as read by ONG]. */
const QUEUE_LENGTH = 32;
const RETRY_AFTER_S = 5;
/** A channel that nobody has polled for so long is deleted, and the subscriptions that name it: its client is gone. */
const ABANDONED_MS = 300_000;

/** Arms the end of a hold; the shared timer wheel's `schedule`. */
export type Schedule = (delayMs: number, run: () => void) => Cancel;

export interface Poll {
  /** Of the request. */
  readonly onGone?: ((run: () => void) => Cancel) | undefined;
  /** Until what proves him ceases to: he is held no longer. */
  readonly expiresMs?: number | undefined;
}

interface HeldPoll {
  readonly reply: (response: Response) => void;
  readonly release: Cancel;
}

export class NotificationChannel extends Port {
  private readonly queue: JsonObject[] = [];
  private poll: HeldPoll | undefined;
  /** The queue has been full since there was last nothing to tell: samples do not join it. */
  private isBehind = false;
  private cancelAbandon: Cancel = () => {};

  /** @param abandoned called when nobody has polled for a long time */
  constructor(
    private readonly schedule: Schedule,
    private readonly holdMs: number,
    private readonly abandoned: () => void,
  ) {
    super();
    this.awaitPoll();
  }

  /** Names the subscription that a delivery's notifications will refer to. */
  join(delivery: Delivery, subscription: readonly string[]): void {
    delivery.mark = pathText(subscription);
  }

  /** A client asks: answered now, or when there is something, or with 202 when the hold ends or a newer poll comes. */
  ask(poll: Poll, reply: (response: Response) => void): void {
    this.letGo(NOTHING_NEW);
    this.awaitPoll();
    const item = this.queue.shift();
    if (item) return reply(told(item));
    this.holdPoll(poll, reply);
    // What has waited longest answers it; nothing waits where it is still held.
    this.drain();
    if (this.poll) this.isBehind = false;
  }

  private holdPoll({ onGone, expiresMs = Infinity }: Poll, reply: (response: Response) => void): void {
    const isCutShort = expiresMs < this.holdMs;
    const cancel = this.schedule(isCutShort ? expiresMs : this.holdMs, () =>
      this.letGo(isCutShort ? TOKEN_EXPIRED : NOTHING_NEW),
    );
    const leave = (): void => {
      // The asker has gone: what comes next waits for his next poll.
      if (this.poll?.reply === reply) this.letGo(NOTHING_NEW);
    };
    let stay: Cancel = () => {};
    this.poll = {
      reply,
      release: () => {
        cancel();
        stay();
      },
    };
    if (onGone) stay = onGone(leave);
  }

  /** A producer's notification, given to the contactURI over any binding. */
  post(body: Body | undefined): Response {
    if (!body) return refused(refuse('STATUS_BAD_REQUEST', 'A notification needs a body.'));
    if (this.take({ notify: { statusCode: 'STATUS_OK', representation: contentField(body) } }))
      return answer('STATUS_OK');
    const detail = `${QUEUE_LENGTH} notifications wait on this channel and nobody polls it.`;
    return refused({ status: 'STATUS_SERVICE_UNAVAILABLE', detail }, { retryAfterS: RETRY_AFTER_S });
  }

  /** The same, by the broker itself. @returns what it would be answered, as a status of HTTP */
  tell(item: JsonObject): Promise<number> {
    const { http } = STATUSES[this.take(item) ? 'STATUS_OK' : 'STATUS_SERVICE_UNAVAILABLE'];
    return Promise.resolve(http);
  }

  /** False: there was no room for it. */
  private take(item: JsonObject): boolean {
    const hasRoom = this.queue.length < QUEUE_LENGTH;
    if (hasRoom) this.give(item);
    return hasRoom;
  }

  override end(delivery: Delivery, ending: Ending): void {
    const row = ENDINGS[ending];
    if (!('status' in row)) return;
    const subscriptionReference = referenceOf(delivery);
    const reference = subscriptionReference !== '' && { subscriptionReference };
    this.give({ notify: { statusCode: row.status, reason: row.sentence, ...reference } });
  }

  /** The channel is gone, or the broker stops: a held poll is answered. */
  close(ending: Ending): void {
    this.cancelAbandon();
    this.queue.length = 0;
    const isStopping = ending === 'SHUTDOWN';
    this.letGo(
      isStopping
        ? refused(refuse('STATUS_SERVICE_UNAVAILABLE', ENDINGS.SHUTDOWN.sentence), { retryAfterS: RETRY_AFTER_S })
        : refused(refuse('STATUS_NOT_FOUND', 'The notificationChannel is gone.')),
    );
  }

  protected override transmit(delivery: Delivery, sample: Sample, body: Uint8Array): boolean {
    if (this.queue.length >= QUEUE_LENGTH) this.isBehind = true;
    if (this.isBehind && !this.poll) return false;
    this.give(notificationOf(referenceOf(delivery), delivery, sample, body));
    return true;
  }

  private give(item: JsonObject): void {
    if (this.poll) this.letGo(told(item));
    else this.queue.push(item);
  }

  /** A poll is held for less than this, so it counts from when one came. */
  private awaitPoll(): void {
    this.cancelAbandon();
    this.cancelAbandon = this.schedule(ABANDONED_MS + this.holdMs, this.abandoned);
  }

  private letGo(response: Response): void {
    const { poll } = this;
    this.poll = undefined;
    poll?.release();
    poll?.reply(response);
  }
}

/** Of the subscription that a delivery belongs to; empty before it is named. */
const referenceOf = ({ mark }: Delivery): string => (mark as string | undefined) ?? '';
const TOKEN_EXPIRED = refused(refuse('STATUS_PERMISSION_DENIED', ENDINGS.TOKEN_EXPIRED.sentence));
const NOTHING_NEW = answer('STATUS_ACCEPTED');
const told = (document: JsonObject): Response => answer('STATUS_OK', { content: { kind: 'document', document } });
