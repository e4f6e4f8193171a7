/**
 * How alarms reach the subscribers of one container: each change of each alarm, the most urgent first, none faster than it is
 * taken.
 *
 *     tell ──> every subscriber's feed ── pending, by priority ──> room? ──> the session's lane, kept until acknowledged
 *                    │                                                └───> or its port: confirmable, long poll
 *                    └─ still pending when it changes again: the newer state takes its place, counted as conflated
 *
 * So a flood waits here and not on the lane: there a command stands behind at most IN_FLIGHT alarms. Whoever subscribes is first
 * told what stands.
 */
import type { Clock } from '../clock.js';
import { MODE, type Delivery, type Feeder } from '../routing/delivery.js';
import { PRIORITIES, type Priority } from '../routing/alarm.js';
import type { JsonObject } from '../routing/primitive.js';
import type { Route, Router } from '../routing/router.js';
import type { Sample } from '../routing/sample.js';

/** Alarms on one session's lane that are not acknowledged: 6,400 a second at an RTT of 10 ms. */
const IN_FLIGHT = 64;
/** Alarms handed out in one turn, to all subscribers together: some 3 ms of work. */
const SENT_PER_TURN = 256;

/** What can be told. */
export interface Tellable {
  readonly id: string;
  readonly priority: Priority;
  /** As it was when it was last told. */
  readonly document: JsonObject;
  readonly sample: Sample;
}

/** Over all subscribers: offered = told + conflated + dropped + pending. */
export interface FeedFigures {
  offered: number;
  told: number;
  conflated: number;
  /** Pending when the subscriber left. */
  dropped: number;
}

/** One subscriber's. */
class AlarmFeed {
  private readonly queues: readonly Map<string, Tellable>[] = PRIORITIES.map(() => new Map());
  private inFlight = 0;

  constructor(
    private readonly delivery: Delivery,
    private readonly route: Route,
    private readonly pump: AlarmPump,
  ) {}

  get pending(): readonly number[] {
    return this.queues.map(({ size }) => size);
  }

  get size(): number {
    return this.queues.reduce((sum, { size }) => sum + size, 0);
  }

  offer(tellable: Tellable): void {
    const { figures } = this.pump;
    figures.offered++;
    const wanted = this.queues[tellable.priority - 1];
    const standing = this.queues.find((queue) => queue.has(tellable.id));
    if (standing) figures.conflated++;
    if (standing !== wanted) standing?.delete(tellable.id);
    // One that stands keeps its place in the order.
    wanted?.set(tellable.id, tellable);
    this.pump.wake(this);
  }

  get canSend(): boolean {
    const { mode, held, way } = this.delivery;
    if (mode !== MODE.active || this.size === 0) return false;
    return way ? this.inFlight < IN_FLIGHT : held === undefined;
  }

  /** The most urgent one goes. */
  sendNext(): void {
    const queue = this.queues.find(({ size }) => size > 0);
    const [next] = queue?.values() ?? [];
    if (!queue || !next) return;
    queue.delete(next.id);
    this.pump.figures.told++;
    const { way, membership } = this.delivery;
    if (!way) return this.pump.router.feed(this.route, this.delivery, next.sample);
    this.inFlight++;
    this.delivery.delivered++;
    if (membership) membership.repeated++;
    way(next.document, () => {
      this.inFlight--;
      this.pump.wake(this);
    });
  }
}

/** Shares out what one turn may send among all feeds, one alarm each in rotation. */
export class AlarmPump {
  readonly figures: FeedFigures = { offered: 0, told: 0, conflated: 0, dropped: 0 };
  private readonly ready = new Set<AlarmFeed>();
  private left = SENT_PER_TURN;
  private isArmed = false;
  private isRunning = false;

  constructor(
    private readonly clock: Clock,
    readonly router: Router,
  ) {}

  wake(feed: AlarmFeed): void {
    this.readyIfAble(feed);
    if (this.ready.size > 0) this.run();
  }

  forget(feed: AlarmFeed): void {
    this.ready.delete(feed);
    this.figures.dropped += feed.size;
  }

  private run(): void {
    // What is sent may be acknowledged, or end a subscription, before it returns.
    if (this.isRunning) return;
    this.isRunning = true;
    for (const feed of this.ready) {
      if (this.left <= 0) break;
      this.ready.delete(feed);
      if (!feed.canSend) continue;
      this.left--;
      feed.sendNext();
      // At the end of the set: the others come first.
      this.readyIfAble(feed);
    }
    this.isRunning = false;
    if (this.isArmed) return;
    this.isArmed = true;
    this.clock.atTurnEnd(() => {
      this.isArmed = false;
      this.left = SENT_PER_TURN;
      if (this.ready.size > 0) this.run();
    });
  }

  private readyIfAble(feed: AlarmFeed): void {
    if (feed.canSend) this.ready.add(feed);
  }
}

/** One container's subscribers. */
export class AlarmOutlet implements Feeder {
  private readonly feeds = new Map<Delivery, AlarmFeed>();

  /** @param standing what a new subscriber is told first */
  constructor(
    private readonly route: Route,
    private readonly pump: AlarmPump,
    private readonly standing: () => Iterable<Tellable>,
  ) {
    route.feeder = this;
  }

  tell(tellable: Tellable): void {
    for (const feed of this.feeds.values()) feed.offer(tellable);
  }

  joined(delivery: Delivery): void {
    const feed = new AlarmFeed(delivery, this.route, this.pump);
    this.feeds.set(delivery, feed);
    for (const tellable of this.standing()) feed.offer(tellable);
  }

  relieved(delivery: Delivery): void {
    const feed = this.feeds.get(delivery);
    if (feed) this.pump.wake(feed);
  }

  left(delivery: Delivery): void {
    const feed = this.feeds.get(delivery);
    if (feed) this.pump.forget(feed);
    this.feeds.delete(delivery);
  }

  /** Waiting for subscribers, by priority from 1 on. */
  get pending(): readonly number[] {
    const pending = PRIORITIES.map(() => 0);
    for (const feed of this.feeds.values())
      for (const [index, count] of feed.pending.entries()) pending[index] = (pending[index] ?? 0) + count;
    return pending;
  }
}
