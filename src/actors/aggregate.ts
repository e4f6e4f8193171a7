/**
 * An aggregate: what one subscriber is told of the members of a group, or of all that match a pattern, in one notifyCollection
 * instead of a notify from each [TS 102 921 10.25.6; resources reference 3.6].
 *
 *     subscriptions of one creator with the same aggregateURI and contact, routes of one pattern
 *        └── notify, notify, ... ── gathered for 20 ms, up to 256 ──> told, one collection outstanding ── 2xx ──> the next
 *                                                                      └── 5xx, no answer ──> as with a contact (contact.ts)
 *
 * While one is outstanding each subscription holds its newest state, and says how many it missed: a flood of a thousand members is
 * never more than one notify of each.
 */
import type { Cancel } from '../clock.js';
import { MODE, Port, type Delivery } from '../routing/delivery.js';
import { ENDINGS, type Ending } from '../routing/endings.js';
import type { JsonObject } from '../routing/primitive.js';
import type { Sample } from '../routing/sample.js';
import { RETRIES, RETRY_AFTER_MS } from './contact.js';
import { notificationOf } from './notification.js';
import type { Schedule } from './notification-channel.js';
import type { Node } from './resources.js';

/** Members that measure at the same instant report within some 20 ms of each other. */
const GATHER_MS = 20;
/** Some 100 kB. */
const MOST_GATHERED = 256;

/** Takes a whole document to where notifications go; what it was answered, as a status of HTTP. */
export interface Teller {
  tell(document: JsonObject): Promise<number>;
}

export interface AggregateOptions {
  /** Whose members are told of; absent of a pattern. */
  readonly group?: Node;
  /** Who is told. */
  readonly contact: Teller & Port;
  readonly schedule: Schedule;
  /** The contact answered that it does not want to be told. */
  readonly refused: (delivery: Delivery) => void;
  /** Nobody's any more, and nothing left to tell. */
  readonly idle: () => void;
}

/** What a notify says that it is of. */
interface Origin {
  readonly subscriptionReference: string;
  /** Of a pattern: the container. */
  readonly path?: string;
}

interface Gathered {
  readonly notify: JsonObject;
  /** Undefined for the last word on a subscription. */
  readonly delivery: Delivery | undefined;
}

export class Aggregate extends Port {
  private readonly origins = new Map<Delivery, Origin>();
  private gathered: Gathered[] = [];
  private outstanding: readonly Gathered[] | undefined;
  private attempts = 0;
  /** Ends the gathering, or the wait before a collection is told again. */
  private cancel: Cancel | undefined;

  constructor(private readonly options: AggregateOptions) {
    super();
  }

  get group(): Node | undefined {
    return this.options.group;
  }

  get contact(): Port {
    return this.options.contact;
  }

  /** @param subscriptionReference of the subscription @param path of a pattern's: whose the delivery is */
  join(delivery: Delivery, subscriptionReference: string, path?: string): void {
    this.origins.set(delivery, { subscriptionReference, ...(path !== undefined && { path }) });
  }

  /** A word of its own among the notifications. */
  say(notify: JsonObject): void {
    this.gather(notify, undefined);
  }

  override release(delivery: Delivery): void {
    super.release(delivery);
    this.origins.delete(delivery);
    this.checkIdle();
  }

  override end(delivery: Delivery, ending: Ending): void {
    const row = ENDINGS[ending];
    if (!('status' in row) || ending === 'SHUTDOWN') return;
    this.say({ statusCode: row.status, reason: row.sentence, ...this.origins.get(delivery) });
  }

  /** Nothing is told any more: the broker stops. */
  close(): void {
    this.cancel?.();
  }

  /** To be asked when somebody has changed his mind before he joined. */
  checkIdle(): void {
    if (this.origins.size === 0 && this.gathered.length === 0 && !this.outstanding) this.options.idle();
  }

  protected override transmit(delivery: Delivery, sample: Sample, body: Uint8Array): boolean {
    if (this.outstanding || this.gathered.length >= MOST_GATHERED) return false;
    const { subscriptionReference = '', ...path } = this.origins.get(delivery) ?? {};
    const { notify } = notificationOf(subscriptionReference, delivery, sample, body);
    this.gather({ ...notify, ...path }, delivery);
    return true;
  }

  private gather(notify: JsonObject, delivery: Delivery | undefined): void {
    this.gathered.push({ notify, delivery });
    if (!this.outstanding) this.cancel ??= this.options.schedule(GATHER_MS, () => this.sendGathered());
  }

  private sendGathered(): void {
    this.cancel = undefined;
    this.outstanding = this.gathered;
    this.gathered = [];
    this.attempts = 0;
    this.send(this.outstanding);
  }

  private send(collection: readonly Gathered[]): void {
    this.attempts++;
    const document = { notifyCollection: { notify: collection.map(({ notify }) => notify) } };
    void this.options.contact.tell(document).then((status) => this.answered(collection, status));
  }

  private answered(collection: readonly Gathered[], status: number): void {
    if (status >= 500 && this.attempts <= RETRIES) {
      this.cancel = this.options.schedule(RETRY_AFTER_MS, () => {
        this.cancel = undefined;
        this.send(collection);
      });
      return;
    }
    this.outstanding = undefined;
    if (status < 200 || status >= 300) for (const { delivery } of collection) this.lost(delivery);
    if (status >= 300 && status < 500) for (const each of [...this.origins.keys()]) this.options.refused(each);
    if (this.gathered.length > 0) this.sendGathered();
    else {
      this.drain();
      this.checkIdle();
    }
  }

  /** It was counted as handed over. */
  private lost(delivery: Delivery | undefined): void {
    if (!delivery || delivery.mode === MODE.ended) return;
    delivery.delivered--;
    delivery.drop('send-failed');
  }
}
