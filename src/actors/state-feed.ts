/**
 * What a resource becomes, for those who subscribed to it: its attributes, or a collection's children.
 *
 *     change ──> end of the turn ──> representation ──┬── spacing has passed ──> to the subscriber
 *                                                     └── not yet ──> when it has, read again: the newest state, once
 *
 * A state differs from a measurement in that the last one must arrive, however soon it followed the one before.
 */
import type { Cancel, Clock } from '../clock.js';
import { resourceDocument } from '../resources/representation.js';
import type { Delivery, Feeder } from '../routing/delivery.js';
import { FORMATS } from '../routing/format.js';
import type { Route, Router } from '../routing/router.js';
import { Sample, type SampleEncoder } from '../routing/sample.js';
import type { Schedule } from './notification-channel.js';
import type { Node } from './resources.js';

export interface StateFeedOptions {
  readonly router: Router;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly encoder: SampleEncoder;
  /** Whether a subscriber may know of what stands in a collection. */
  readonly shows: (delivery: Delivery, node: Node) => boolean;
}

interface Turn {
  /** When it was last given a state, microseconds of the monotonic clock. */
  lastUs: number;
  cancel: Cancel | undefined;
}

export class StateFeed implements Feeder {
  private readonly turns = new Map<Delivery, Turn>();
  private isDue = false;

  constructor(
    private readonly node: Node,
    private readonly route: Route,
    private readonly options: StateFeedOptions,
  ) {}

  /** The resource has changed; how often within this turn makes no difference. */
  changed(): void {
    if (this.isDue || this.turns.size === 0) return;
    this.isDue = true;
    this.options.clock.atTurnEnd(() => {
      this.isDue = false;
      if (this.node.isRemoved) return;
      for (const [delivery, turn] of this.turns) this.offer(delivery, turn);
    });
  }

  joined(delivery: Delivery): void {
    this.turns.set(delivery, { lastUs: -Infinity, cancel: undefined });
  }

  relieved(): void {
    // What is held is the newest state.
  }

  left(delivery: Delivery): void {
    this.turns.get(delivery)?.cancel?.();
    this.turns.delete(delivery);
  }

  private offer(delivery: Delivery, turn: Turn): void {
    if (turn.cancel) return;
    const { router, clock, schedule } = this.options;
    const waitUs = turn.lastUs + (delivery.terms.minSpacingS ?? 0) * 1e6 - clock.monotonicUs();
    if (waitUs > 0) {
      turn.cancel = schedule(waitUs / 1000, () => {
        turn.cancel = undefined;
        this.offer(delivery, turn);
      });
      return;
    }
    turn.lastUs = clock.monotonicUs();
    router.feed(this.route, delivery, this.stateFor(delivery));
  }

  /** As its subscriber may see it. */
  private stateFor(delivery: Delivery): Sample {
    const { clock, encoder } = this.options;
    const shows = (node: Node): boolean => this.options.shows(delivery, node);
    const bytes = Buffer.from(JSON.stringify(resourceDocument(this.node, { content: () => undefined, shows })));
    const content = { kind: 'stored', mediaType: FORMATS.json.mediaType, bytes } as const;
    return new Sample(content, this.node.modifiedUs, clock.monotonicUs(), 0, encoder);
  }
}
