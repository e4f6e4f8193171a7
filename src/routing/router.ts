/**
 * The delivery table: which subscribers of a container get which of its samples.
 *
 *     publish(route, sample)
 *        ├── in order? new slot? ── no ──> refused, counted for every group
 *        ├── group 30/s ── admits ──> offer to each delivery's port
 *        └── group  5/s ── not this slot ──> decimated, one addition for all its subscribers
 *     end of the turn: every touched port is flushed once
 *
 * Routing is data, not a process: routes outlive the actors they point at, and a crashed resource or subscription never stops
 * a stream. Nothing here is allocated per sample or per subscriber.
 */
import type { Clock } from '../clock.js';
import { slotOf, type Cadence } from './cadence.js';
import type { Delivery, Feeder, Port } from './delivery.js';
import { accountOf, Group, type Account } from './group.js';
import { QUALITY, type Sample } from './sample.js';

/** 24 bits: the Observe value [RFC7641-4.4]. */
const SEQUENCE_MASK = 0xff_ffff;
/** One delivered sample in so many goes into the age histogram: the clock is read rarely enough not to be seen in a profile. */
const AGE_SAMPLING = 16;

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

/** Observes the age (now minus measured time) of a sampled delivery, in seconds. */
export type AgeObserver = (latencyClass: string, ageS: number) => void;

/**
 * Told what threw: while a sample was written for or given to one delivery, which then counts it as dropped, or while a port
 * was flushed (no delivery). Neither its source nor any other subscriber notices. Must not throw.
 */
export type FaultObserver = (port: Port, delivery: Delivery | undefined, error: unknown) => void;

export class Router {
  /** What passed the routes that are closed, or would have where there was none. */
  readonly ended = { published: 0, duplicates: 0, outOfOrder: 0, clockSteps: 0 };
  private readonly touched: Port[] = [];
  private untilAge = AGE_SAMPLING;
  private readonly flushTouched = (): void => {
    for (const port of this.touched.splice(0)) {
      port.isTouched = false;
      try {
        port.flush();
      } catch (error) {
        this.onFault(port, undefined, error);
      }
    }
  };

  /**
   * @param lagUs how far a tag may lie before the last one and still be late; beyond it the source's clock has stepped
   */
  constructor(
    private readonly clock: Clock,
    private readonly lagUs: number,
    private readonly observeAge: AgeObserver,
    private readonly onFault: FaultObserver = () => {},
  ) {}

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
    route.latest = sample;
    if (route.watch !== undefined) route.watch(sample);
    // Backwards, so that a delivery that ends while it is offered (its peer is gone) disturbs none of the others.
    for (let g = route.groups.length - 1; g >= 0; g--) this.publishTo(route.groups[g]!, sample, slot);
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
    this.offer(delivery, sample);
  }

  /** Adds a delivery to the table; it is offered what is published from now on. */
  subscribe(route: Route, delivery: Delivery, cadence: Cadence): void {
    this.groupOf(route, delivery, cadence).add(delivery);
    delivery.feeder = route.feeder;
    route.feeder?.joined(delivery);
  }

  /** Gives a delivery another cadence, its account going on: the source reports at another rate now. */
  move(route: Route, delivery: Delivery, cadence: Cadence): void {
    const from = delivery.membership;
    if (!from) return;
    this.leave(delivery);
    this.groupOf(route, delivery, cadence).add(delivery, from);
  }

  /** Takes a delivery out, wherever it stands, in constant time, and closes its account. */
  unsubscribe(delivery: Delivery): Account {
    delivery.port.release(delivery);
    const account = accountOf(delivery);
    this.leave(delivery);
    delivery.feeder?.left(delivery);
    return account;
  }

  private groupOf(route: Route, { projection, format }: Delivery, cadence: Cadence): Group {
    const key = `${cadence.key} ${projection} ${format.index}`;
    let group = route.groups.find((other) => other.key === key);
    if (!group) route.groups.push((group = new Group(route, key, cadence)));
    return group;
  }

  private leave(delivery: Delivery): void {
    const group = delivery.membership?.group;
    if (group?.remove(delivery) === 0) group.route.groups.splice(group.route.groups.indexOf(group), 1);
  }

  private publishTo(group: Group, sample: Sample, slot: number): void {
    group.offered++;
    if (!group.admits(sample, slot)) {
      group.decimated++;
      return;
    }
    const { deliveries } = group;
    for (let d = deliveries.length - 1; d >= 0; d--) this.offer(deliveries[d]!, sample); // below the length it has
    if (--this.untilAge <= 0) this.sampleAge(group, sample);
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

  private offer(delivery: Delivery, sample: Sample): void {
    const { port } = delivery;
    try {
      port.offer(delivery, sample);
    } catch (error) {
      delivery.drop('fault');
      this.onFault(port, delivery, error);
    }
    if (port.isTouched) return;
    port.isTouched = true;
    if (this.touched.push(port) === 1) this.clock.atTurnEnd(this.flushTouched);
  }

  private sampleAge({ deliveries }: Group, sample: Sample): void {
    this.untilAge = AGE_SAMPLING;
    const first = deliveries[0];
    if (!first || (sample.quality & (QUALITY.unsynchronised | QUALITY.timeUnreasonable)) !== 0) return;
    this.observeAge(first.terms.latencyClass ?? 'monitoring', (this.clock.wallUs() - sample.measuredUs) / 1e6);
  }
}
