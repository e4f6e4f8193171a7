/**
 * The routes of one subscription to a pattern: a delivery for each container that matches and may be read. They come and go with the
 * tree and with rights.
 *
 *     open ──> every container that matches ──┬── match ──> READ? ──> terms fit? ──> a delivery, told the newest there is
 *     tree, rates and rights change ──────────┘               └─ no: not told of  └─ no: told why
 */
import { isRefusal } from '../errors.js';
import type { Delivery, Port } from '../routing/delivery.js';
import type { FoundTarget } from '../routing/dispatcher.js';
import type { Ending } from '../routing/endings.js';
import type { Pattern, RouteSink } from '../routing/pattern.js';
import type { Patterns } from './patterns.js';
import type { Node } from './resources.js';
import type { Subscriptions, Wanted } from './subscriptions.js';

export interface PatternRoutesOptions {
  readonly pattern: Pattern;
  readonly wanted: Wanted;
  readonly sink: RouteSink;
  readonly port: Port;
  /** What stands at a path, if it is his to subscribe to. */
  readonly find: (path: readonly string[]) => FoundTarget | undefined;
  readonly subscriptions: Subscriptions;
  readonly patterns: Patterns;
  /** A delivery stands, or is over, whoever ended it. */
  readonly opened: (delivery: Delivery) => void;
  readonly over: (delivery: Delivery) => void;
  /** Hears of containers that match from now on. Returns what ends it. */
  readonly listen: () => () => void;
  /** Shows the subscription in the tree. Returns what takes it away. */
  readonly show: () => () => void;
}

export class PatternRoutes {
  /** By the reference of the container: of one that is a row there is a new copy each time. */
  private readonly routes = new Map<string, Delivery>();
  /** Those that are not to be had in these terms, and whose subscriber has been told so: the sentence. */
  private readonly refused = new Map<string, string>();
  private isOpen = false;
  private stop = (): void => {};
  private withdraw = (): void => {};

  constructor(private readonly options: PatternRoutesOptions) {}

  open(): void {
    if (this.isOpen) return;
    this.isOpen = true;
    this.stop = this.options.listen();
    this.withdraw = this.options.show();
    for (const container of [...this.options.patterns.matches(this.options.pattern)]) this.match(container);
    this.options.sink.complete?.();
  }

  /** A container matches: it has come, or what there is of it has changed. */
  match(container: Node): void {
    const { reference } = container;
    if (!this.isOpen || this.routes.has(reference) || container.isRemoved) return;
    const { pattern, wanted, sink, port, find, subscriptions, opened, over } = this.options;
    // Asked before it is looked for: what he asked for by no name is no attempt to read what he may not.
    const collection = container.child('contentInstances');
    if (!collection || !subscriptions.mayRead(wanted.originator, collection)) return;
    const target = find([...container.path, ...pattern.accessor]);
    if (!target) return;
    const delivery = subscriptions.subscribe(target, wanted, port, (ended) => {
      this.routes.delete(reference);
      over(ended);
    });
    if (isRefusal(delivery)) {
      if (this.refused.get(reference) !== delivery.detail) sink.refused(container.path, delivery);
      this.refused.set(reference, delivery.detail);
      return;
    }
    this.refused.delete(reference);
    this.routes.set(reference, delivery);
    sink.opened(delivery, container.path);
    subscriptions.open(delivery);
    opened(delivery);
    subscriptions.tellLatest(delivery);
  }

  /** The broker ends it, and says so. */
  endAndTell(ending: Ending): void {
    this.options.sink.ended(ending);
    this.end(ending);
  }

  end(ending: Ending): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.stop();
    this.withdraw();
    for (const delivery of [...this.routes.values()]) this.options.subscriptions.end(delivery, ending);
  }
}
