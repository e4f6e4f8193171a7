/**
 * A contact: where a subscription's notifications are POSTed to [TS 102 921 10.25, resources reference 3.2].
 *
 *     idle ── state ──> sending ── 2xx ──> idle, and what came meanwhile goes, the newest of it
 *                        │  └── other 4xx ──> the subscription is deleted: its contact does not want it
 *                        └── 5xx, no answer ──> 10 s, three times; then this notification is dropped, and counted
 *
 * Never are two outstanding. One that fails never delays another: each subscription has a contact of its own.
 */
import { formatTime, type Cancel } from '../clock.js';
import { instanceFields } from '../resources/instance.js';
import { MODE, Port, type Delivery } from '../routing/delivery.js';
import type { Courier } from '../routing/courier.js';
import { ENDINGS, type Ending } from '../routing/endings.js';
import type { JsonObject } from '../routing/primitive.js';
import type { Sample } from '../routing/sample.js';
import { notificationOf, shownContent } from './notification.js';
import type { Schedule } from './notification-channel.js';
import type { Node } from './resources.js';
import type { IsMeant } from './wanted.js';

const ANSWER_WITHIN_MS = 10_000;
export const RETRY_AFTER_MS = 10_000;
export const RETRIES = 3;

export interface ContactOptions {
  readonly uri: URL;
  readonly courier: Courier;
  readonly schedule: Schedule;
  /** Of the subscription. */
  readonly reference: string;
  /** All instances since the last success instead of the latest alone. */
  readonly collection: Node | undefined;
  /** Which of them its filterCriteria mean. */
  readonly isMeant: IsMeant;
  /** The contact answered that it does not want to be told. */
  readonly refused: (delivery: Delivery) => void;
}

interface Notice {
  readonly notify: JsonObject;
  /** Of the newest instance in it. */
  readonly sequence: number;
  /** Undefined for the last word on a subscription. */
  readonly delivery: Delivery | undefined;
  attempts: number;
}

export class Contact extends Port {
  /** Being told, or waiting to be told again. */
  private outstanding: Notice | undefined;
  private lastWord: Notice | undefined;
  /** Sequence of the newest instance that the contact has. */
  private cursor: number;
  private cancelRetry: Cancel = () => {};

  constructor(private readonly options: ContactOptions) {
    super();
    this.cursor = options.collection?.history?.latest?.sequence ?? 0;
  }

  override end(_: Delivery, ending: Ending): void {
    const row = ENDINGS[ending];
    if (!('status' in row) || ending === 'SHUTDOWN') return;
    const notify = {
      notify: { statusCode: row.status, reason: row.sentence, subscriptionReference: this.options.reference },
    };
    this.lastWord = { notify, sequence: 0, delivery: undefined, attempts: 0 };
    if (!this.outstanding) this.sendLastWord();
  }

  override release(delivery: Delivery): void {
    super.release(delivery);
    // Who has ended it himself waits for nothing.
    if (!this.lastWord) this.cancelRetry();
  }

  /** Nothing is tried again: the broker stops. */
  close(): void {
    this.cancelRetry();
  }

  /** One document, with nothing of a subscription's life around it. */
  tell(document: JsonObject): Promise<number> {
    const { courier, uri } = this.options;
    return courier(uri, document, ANSWER_WITHIN_MS);
  }

  protected override transmit(delivery: Delivery, sample: Sample, body: Uint8Array): boolean {
    if (this.outstanding) return false;
    this.send(this.noticeOf(delivery, sample, body));
    return true;
  }

  private noticeOf(delivery: Delivery, sample: Sample, body: Uint8Array): Notice {
    const { collection, reference } = this.options;
    const { history } = collection ?? {};
    if (!history)
      return { notify: notificationOf(reference, delivery, sample, body), sequence: 0, delivery, attempts: 0 };
    const records = history.newest().filter((record) => record.sequence > this.cursor && this.options.isMeant(record));
    const contentInstance = records.map((record) => instanceFields(record, shownContent(record.value)));
    const document = { contentInstances: { contentInstanceCollection: { contentInstance } } };
    const time = formatTime(sample.measuredUs);
    const representation = { contentType: 'application/json', textContent: JSON.stringify(document) };
    const notify = {
      notify: { statusCode: 'STATUS_OK', subscriptionReference: reference, time, missed: 0, representation },
    };
    return { notify, sequence: records.at(-1)?.sequence ?? this.cursor, delivery, attempts: 0 };
  }

  private send(notice: Notice): void {
    this.outstanding = notice;
    notice.attempts++;
    void this.tell(notice.notify).then((status) => this.answered(notice, status));
  }

  private answered(notice: Notice, status: number): void {
    const { delivery } = notice;
    if (status >= 500 && notice.attempts <= RETRIES) {
      this.cancelRetry = this.options.schedule(RETRY_AFTER_MS, () => this.again(notice));
      return;
    }
    this.outstanding = undefined;
    if (status >= 200 && status < 300) this.cursor = Math.max(this.cursor, notice.sequence);
    else if (delivery) this.lost(delivery, 'send-failed');
    if (delivery && status >= 300 && status < 500) return this.options.refused(delivery);
    if (this.lastWord) this.sendLastWord();
    else this.drain();
  }

  /** The newest state takes the place of the one that was not taken. */
  private again(notice: Notice): void {
    const { delivery } = notice;
    const newer = delivery && this.redeem(delivery);
    const body = newer && delivery.mode === MODE.active && newer.body(delivery.projection, delivery.format);
    if (!newer || !body) return this.send(notice);
    this.lost(delivery, 'conflated');
    this.send({ ...this.noticeOf(delivery, newer, body), attempts: notice.attempts });
  }

  /** It was counted as handed over. */
  private lost(delivery: Delivery, reason: 'send-failed' | 'conflated'): void {
    if (delivery.mode === MODE.ended) return;
    delivery.delivered--;
    delivery.drop(reason);
  }

  private sendLastWord(): void {
    const { lastWord } = this;
    this.lastWord = undefined;
    if (lastWord) this.send(lastWord);
  }
}
