/**
 * The subscriptions of a session as its peer knows them: by the ids that it gave them, and the resources that those to a path with
 * `*` match, by the numbers that they are given here.
 *
 *     sub 2 ──> delivery
 *     sub 3, a pattern ──> route 1 ──> delivery
 *                      └─> route 2 ──> delivery
 */
import type { Status } from '../../errors.js';
import type { Delivery } from '../../routing/delivery.js';
import { ENDINGS, type Ending } from '../../routing/endings.js';
import type { PatternSubscription, RouteSink } from '../../routing/pattern.js';
import { pathText } from '../../routing/primitive.js';
import type { Frame } from './frames.js';

/** Where a delivery stands, which bears it as its mark: it is wanted for each sample. */
export interface Place {
  readonly sub: number;
  /** 0: the subscription is to one resource. */
  readonly route: number;
  readonly path: string;
}

export const placeOf = ({ mark }: Delivery): Place | undefined => mark as Place | undefined;

export class Places {
  /** To one resource each, by id. */
  private readonly subscriptions = new Map<number, Delivery>();
  private readonly patterns = new Map<number, PatternSubscription>();
  /** Of the routes of all patterns. */
  private readonly routed = new Set<Delivery>();
  private lastRoute = 0;

  constructor(private readonly say: (frame: Frame) => void) {}

  /** Ids of the subscriptions that stand. */
  get subs(): number[] {
    return [...this.subscriptions.keys(), ...this.patterns.keys()];
  }

  isTaken(id: number): boolean {
    return this.subscriptions.has(id) || this.patterns.has(id);
  }

  add(id: number, delivery: Delivery): void {
    this.subscriptions.set(id, delivery);
    this.place(delivery, { sub: id, route: 0, path: '' });
  }

  delivery(id: number): Delivery | undefined {
    return this.subscriptions.get(id);
  }

  addPattern(id: number, pattern: PatternSubscription): void {
    this.patterns.set(id, pattern);
  }

  pattern(id: number): PatternSubscription | undefined {
    return this.patterns.get(id);
  }

  removePattern(id: number): void {
    this.patterns.delete(id);
  }

  /** What the peer is told of the routes of a pattern. */
  sinkOf(sub: number): RouteSink {
    return {
      opened: (delivery, container) => {
        this.place(delivery, { sub, route: ++this.lastRoute, path: pathText(container) });
        this.routed.add(delivery);
        this.tellRoute(delivery);
      },
      refused: (container, { status, detail: reason }) =>
        this.say({ t: 'route', sub, path: pathText(container), status, reason }),
      ended: (ending) => {
        this.removePattern(sub);
        this.say({ t: 'end', sub, ...wordOf(ending) });
      },
    };
  }

  /** The peer is back, and may have missed which routes came and went. */
  tellRoutes(): void {
    for (const delivery of this.routed) this.tellRoute(delivery);
  }

  forget(delivery: Delivery): void {
    const place = placeOf(delivery);
    if (!place) return;
    delivery.mark = undefined;
    if (place.route === 0) this.subscriptions.delete(place.sub);
    else this.routed.delete(delivery);
  }

  /** Of a delivery that the broker has ended. */
  tellEnd({ sub, route, path }: Place, ending: Ending): void {
    if (route === 0) this.say({ t: 'end', sub, ...wordOf(ending) });
    else this.say({ t: 'route', sub, route, path, ...wordOf(ending) });
  }

  private place(delivery: Delivery, place: Place): void {
    delivery.mark = place;
  }

  private tellRoute(delivery: Delivery): void {
    const place = placeOf(delivery);
    if (place) this.say({ t: 'route', ...place, format: delivery.format.mediaType });
  }
}

/** Why it is over, for whom it is over. */
function wordOf(ending: Ending): { readonly ending: Ending; readonly reason: string; readonly status?: Status } {
  const row = ENDINGS[ending];
  return { ending, reason: row.sentence, ...('status' in row && { status: row.status }) };
}
