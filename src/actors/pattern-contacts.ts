/**
 * Subscriptions to patterns that somebody created as resources: what all that match tell comes to one contact, together.
 *
 *     POST .../subscriptions {pattern, contact} ──> routes (pattern-routes.ts) ──> aggregate (aggregate.ts) ──> notifyCollection
 *
 * Routes open in a turn of their own: the subscription stands by then, and after a restart all the tree does.
 */
import type { Cancel } from '../clock.js';
import type { Refusal } from '../errors.js';
import type { Port } from '../routing/delivery.js';
import type { FoundTarget } from '../routing/dispatcher.js';
import { ENDINGS, type Ending } from '../routing/endings.js';
import type { Pattern, RouteSink } from '../routing/pattern.js';
import { pathText, type JsonObject } from '../routing/primitive.js';
import { Aggregate, type Teller } from './aggregate.js';
import type { Schedule } from './notification-channel.js';
import { PatternRoutes } from './pattern-routes.js';
import type { Patterns } from './patterns.js';
import type { Node } from './resources.js';
import type { Subscriptions, Wanted } from './subscriptions.js';

export interface PatternContactsOptions {
  readonly subscriptions: Subscriptions;
  readonly patterns: Patterns;
  readonly schedule: Schedule;
  readonly find: (path: readonly string[]) => FoundTarget | undefined;
  /** It has ended, and not because its resource is gone. */
  readonly ended: (node: Node) => void;
}

interface Subscribed {
  readonly contact: Port;
  readonly aggregate: Aggregate;
  readonly routes: PatternRoutes;
  readonly cancelOpening: Cancel;
}

export class PatternContacts {
  private readonly subscribed = new Map<Node, Subscribed>();

  constructor(private readonly options: PatternContactsOptions) {}

  /** @param node the subscription */
  open(node: Node, pattern: Pattern, wanted: Wanted, contact: Teller & Port): void {
    const { subscriptions, patterns, schedule, find } = this.options;
    const aggregate = new Aggregate({
      contact,
      schedule,
      refused: () => this.end(node, 'CONTACT_REFUSED'),
      idle: () => {},
    });
    const routes = new PatternRoutes({
      pattern,
      wanted,
      sink: sinkOf(aggregate, node.reference),
      port: aggregate,
      find,
      subscriptions,
      patterns,
      opened: () => {},
      over: () => {},
      listen: () => patterns.listen(pattern, (container) => schedule(0, () => routes.match(container))),
      show: () => () => {},
    });
    const cancelOpening = schedule(0, () => routes.open());
    this.subscribed.set(node, { contact, aggregate, routes, cancelOpening });
  }

  /** Its resource is gone. Who deleted his own knows; who let it expire is told. */
  close(node: Node, ending: Ending): void {
    const { routes, cancelOpening } = this.subscribed.get(node) ?? {};
    this.subscribed.delete(node);
    cancelOpening?.();
    if (ending === 'LEASE_EXPIRED') routes?.endAndTell(ending);
    else routes?.end('UNSUBSCRIBED');
  }

  closeChannel(channel: Port): void {
    for (const [node, { contact }] of [...this.subscribed]) if (contact === channel) this.end(node, 'CONTACT_DELETED');
  }

  /** Nothing is told any more: the broker stops. */
  stop(): void {
    for (const { aggregate } of this.subscribed.values()) aggregate.close();
  }

  private end(node: Node, ending: Ending): void {
    const subscribed = this.subscribed.get(node);
    if (!subscribed) return;
    this.subscribed.delete(node);
    subscribed.cancelOpening();
    subscribed.routes.end(ending);
    this.options.ended(node);
  }
}

/** What is said of its routes beside what they tell. @param subscriptionReference of the subscription */
function sinkOf(aggregate: Aggregate, subscriptionReference: string): RouteSink {
  const say = ({ status, detail: reason }: Refusal, more: JsonObject): void =>
    aggregate.say({ statusCode: status, reason, subscriptionReference, ...more });
  return {
    opened: (delivery, container) => aggregate.join(delivery, subscriptionReference, pathText(container)),
    refused: (container, refusal) => say(refusal, { path: pathText(container) }),
    ended: (ending) => {
      const row = ENDINGS[ending];
      if ('status' in row) say({ status: row.status, detail: row.sentence }, {});
    },
  };
}
