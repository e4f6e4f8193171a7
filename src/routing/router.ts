/**
 * The delivery table: which subscribers of a container get which of its samples.
 *
 *     publish(route, sample)
 *        ├── in order? new slot? ── no ──> refused, counted for every group
 *        ├── group 30/s ── decides ──> fan-out.ts: offered to each delivery's port, the more urgent class first
 *        └── group  5/s ── not this slot ──> decimated, one addition for all its subscribers
 *
 * Routing is data, not a process: routes outlive the actors they point at, and a crashed resource or subscription never stops
 * a stream. Nothing here is allocated per sample or per subscriber.
 */
import type { Clock } from '../clock.js';
import { slotOf, type Cadence } from './cadence.js';
import type { Delivery, Feeder } from './delivery.js';
import { FanOut, type AgeObserver, type ClassFigures, type FaultObserver } from './fan-out.js';
import type { FilterKind } from './filter.js';
import { accountOf, Group, pendingOf, type Account } from './group.js';
import type { Sample } from './sample.js';

/** 24 bits: the Observe value [RFC7641-4.4]. */
const SEQUENCE_MASK = 0xff_ffff;

/** Sees every sample of a container as it passes. Must not throw, nor keep the sample long. */
export type SampleWatch = (sample: Sample) => void;

/** A container's row. Hold it as long as you like: after `close` its generation differs and publishing says so. */
export class Route {
  /** Of the newest sample; its Observe value. */
  sequence = 0;
  latest: Sample | undefined;
  /** Samples published, and those offered to nobody. */
  published = 0;
  duplicates = 0;
  outOfOrder = 0;
  /** Times the source's clock stepped back beyond the lag limit and its grid began anew. */
  clockSteps = 0;
  isOpen = true;
  readonly groups: Group[] = [];
  readonly byKey = new Map<string, Group>();
  lastSlot = -Infinity;
  /** Of a container with rules. */
  watch: SampleWatch | undefined;
  /** Of a container whose deliveries are fed one by one; nothing is published on it. */
  feeder: Feeder | undefined;

  /** @param sourceRate samples per second that the source declares; 0 for none */
  constructor(
    readonly path: string,
    public sourceRate: number,
  ) {}
}

export class Router {
  /** What passed the routes that are closed, or would have where there was none. */
  readonly ended = { published: 0, duplicates: 0, outOfOrder: 0, clockSteps: 0 };
  private readonly fanOut: FanOut;

  /**
   * @param lagUs how far a tag may lie before the last one and still be late; beyond it the source's clock has stepped
   */
  constructor(
    clock: Clock,
    private readonly lagUs: number,
    observeAge: AgeObserver,
    onFault: FaultObserver = () => {},
  ) {
    this.fanOut = new FanOut(clock, observeAge, onFault);
  }

  /** By latency class, the most urgent first. */
  get classes(): readonly ClassFigures[] {
    return this.fanOut.figures;
  }

  open(path: string, sourceRate: number): Route {
    return new Route(path, sourceRate);
  }

  /** No sample passes this route any more. Its deliveries are the caller's to end first. */
  close(route: Route): void {
    if (!route.isOpen) return;
    route.isOpen = false;
    this.ended.published += route.published;
    this.ended.duplicates += route.duplicates;
    this.ended.outOfOrder += route.outOfOrder;
    this.ended.clockSteps += route.clockSteps;
    route.groups.length = 0;
    route.byKey.clear();
  }

  /** A sample of a container that has no route: nobody has asked for it. */
  unheard(): void {
    this.ended.published++;
  }

  /** Walks the deliveries of one container. */
  publish(route: Route, sample: Sample): void {
    route.published++;
    const slot = this.place(route, sample);
    if (slot === undefined) return;
    route.sequence = (route.sequence + 1) & SEQUENCE_MASK;
    sample.sequence = route.sequence;
    route.latest?.forgetBodies();
    route.latest = sample;
    if (route.watch !== undefined) route.watch(sample);
    // Backwards: a group whose last delivery ends while it is offered gives its place to one that has decided.
    const ordinal = route.published;
    for (let g = route.groups.length - 1; g >= 0; g--) {
      const group = route.groups[g]; // others may have ended with it
      if (group && group.decided < ordinal) this.publishTo(group, sample, slot, ordinal);
    }
  }

  /** Sends the latest sample again under a new sequence: a subscriber's largest spacing has passed. */
  repeat(route: Route, delivery: Delivery): void {
    if (route.latest) this.feed(route, delivery, route.latest);
  }

  /** Gives a sample to one delivery alone. */
  feed(route: Route, delivery: Delivery, sample: Sample): void {
    if (!delivery.membership) return;
    route.sequence = (route.sequence + 1) & SEQUENCE_MASK;
    sample.sequence = route.sequence;
    delivery.membership.repeated++;
    this.fanOut.offer(delivery, sample, delivery.membership.group.rank);
  }

  /**
   * Adds a delivery to the table; it is offered what is published from now on.
   *
   * @param filter undefined: all of its cadence
   */
  subscribe(route: Route, delivery: Delivery, cadence: Cadence, filter?: FilterKind): void {
    this.groupOf(route, delivery, cadence, filter).add(delivery);
    delivery.feeder = route.feeder;
    route.feeder?.joined(delivery);
  }

  /** Gives a delivery another cadence, its account going on: the source reports at another rate now. */
  move(route: Route, delivery: Delivery, cadence: Cadence): void {
    const from = delivery.membership;
    if (!from) return;
    this.leave(delivery);
    this.groupOf(route, delivery, cadence, from.group.kind).add(delivery, from);
  }

  /** Takes a delivery out, wherever it stands, in constant time, and closes its account. */
  unsubscribe(delivery: Delivery): Account {
    delivery.port.release(delivery);
    this.forgo(delivery);
    const account = accountOf(delivery);
    this.leave(delivery);
    delivery.feeder?.left(delivery);
    return account;
  }

  private groupOf(route: Route, delivery: Delivery, cadence: Cadence, filter: FilterKind | undefined): Group {
    const key = Group.keyOf(delivery, cadence, filter);
    let group = route.byKey.get(key);
    if (!group) {
      group = new Group(route, key, cadence, delivery, filter);
      group.index = route.groups.push(group) - 1;
      route.byKey.set(key, group);
    }
    return group;
  }

  /** What its group has passed and it was not offered yet goes without it. */
  private forgo(delivery: Delivery): void {
    const pending = pendingOf(delivery);
    delivery.walked += pending;
    if (pending > 0) delivery.drop('ended', pending);
  }

  private leave(delivery: Delivery): void {
    const group = delivery.membership?.group;
    this.forgo(delivery);
    if (group?.remove(delivery) !== 0) return;
    const { groups, byKey } = group.route;
    byKey.delete(group.key);
    const last = groups.pop();
    if (!last || last === group) return;
    groups[group.index] = last;
    last.index = group.index;
  }

  private publishTo(group: Group, sample: Sample, slot: number, ordinal: number): void {
    group.decided = ordinal;
    group.offered++;
    const passed = group.decide(sample, slot);
    if (passed === undefined) {
      group.decimated++;
      return;
    }
    passed.sequence = sample.sequence;
    this.fanOut.begin(group, passed);
  }

  /** The sample's slot, or undefined for one that nobody is offered. Sources that declare no rate have no slots. */
  private place(route: Route, sample: Sample): number | undefined {
    if (route.sourceRate < 1) return 0;
    const slot = slotOf(sample.measuredUs, route.sourceRate);
    if (slot > route.lastSlot) {
      route.lastSlot = slot;
      return slot;
    }
    if (slot === route.lastSlot) {
      route.duplicates++;
      for (const group of route.groups) group.duplicate++;
      return undefined;
    }
    if (((route.lastSlot - slot) * 1_000_000) / route.sourceRate <= this.lagUs) {
      route.outOfOrder++;
      for (const group of route.groups) group.outOfOrder++;
      return undefined;
    }
    route.clockSteps++;
    route.lastSlot = slot;
    return slot;
  }
}
