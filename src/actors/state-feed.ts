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
      const views: View[] = [];
      for (const [delivery, turn] of this.turns) this.offer(delivery, turn, views);
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

  /** @param views of this state, shared by all who may see the same of it */
  private offer(delivery: Delivery, turn: Turn, views: View[] = []): void {
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
    router.feed(this.route, delivery, this.stateFor(delivery, views));
  }

  /** As its subscriber may see it: written once for all who are shown the same, in each format that they want. */
  private stateFor(delivery: Delivery, views: View[]): Sample {
    const { clock, encoder } = this.options;
    const known = views.find(({ shown }) =>
      shown.every(([node, isShown]) => this.options.shows(delivery, node) === isShown),
    );
    if (known) return known.sample;
    const shown: [Node, boolean][] = [];
    const shows = (node: Node): boolean => {
      const isShown = this.options.shows(delivery, node);
      shown.push([node, isShown]);
      return isShown;
    };
    const bytes = Buffer.from(JSON.stringify(resourceDocument(this.node, { content: () => undefined, shows })));
    const content = { kind: 'stored', mediaType: FORMATS.json.mediaType, bytes } as const;
    const sample = new Sample(content, this.node.modifiedUs, clock.monotonicUs(), 0, encoder);
    views.push({ shown, sample });
    return sample;
  }
}

/** A state, and what of it was asked about while it was written. */
interface View {
  readonly shown: readonly (readonly [Node, boolean])[];
  readonly sample: Sample;
}
