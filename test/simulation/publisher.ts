/**
 * A simulated meter: it puts rising numbers into a container, one after the other, each again until it is taken; and somebody
 * who observes them. What the 201 promises is the container's `durability`.
 */
import type { BrokerHost } from './broker-host.js';
import { Peer } from './peer.js';
import { HostClock, Life } from './timeline.js';
import type { Chance, World } from './world.js';

export type Durability = 'grouped' | 'synced';

/** Between two readings, seconds on the average. */
const PACE_S = 9;
const RETRY_MS = [50, 500] as const;

export const containerOf = (durability: Durability): string => `/m2m/containers/${durability}`;

export class Publisher {
  readonly peer: Peer;
  private next = 1;

  constructor(
    private readonly world: World,
    private readonly chance: Chance,
    broker: BrokerHost,
    private readonly durability: Durability,
  ) {
    const life = new Life(world.timeline, new HostClock(), 0);
    const name = `${durability}-meter`;
    this.peer = new Peer(world, chance.fork(name), life, broker, { name, originator: name, hear: () => {} });
    this.plan();
  }

  private plan(): void {
    this.peer.life.after(this.chance.spanUs(PACE_S) / 1000, () => {
      if (!this.world.isCalm) this.publish();
    });
  }

  private publish(): void {
    const { world, chance, durability, peer, next } = this;
    peer.request('create', `${containerOf(durability)}/contentInstances`, { reading: next }, (answer) => {
      if (!answer || answer.code >= 400) return peer.life.after(chance.between(...RETRY_MS), () => this.publish());
      world.note(durability, `${next} is taken`);
      world.model.published(durability, next, world.timeline.nowUs);
      this.next++;
      this.plan();
      return undefined;
    });
  }
}

/** Observes what a publisher publishes; whenever its session is new it subscribes anew. */
export class Observer {
  readonly peer: Peer;
  private last = 0;

  constructor(world: World, chance: Chance, broker: BrokerHost, durability: Durability) {
    const life = new Life(world.timeline, new HostClock(), 0);
    const name = `${durability}-observer`;
    this.peer = new Peer(world, chance.fork(name), life, broker, {
      name,
      originator: name,
      hear: () => {},
      welcomed: (isResumed) => {
        if (!isResumed) this.peer.subscribe(`${containerOf(durability)}/contentInstances/latest/content`, () => {});
      },
      notified: ({ body }) => {
        const { reading } = JSON.parse(Buffer.from(body).toString()) as { readonly reading: number };
        world.note(name, `sees ${reading}`);
        if (reading < this.last) world.model.broken(`${name} sees ${reading} after ${this.last}`);
        this.last = reading;
      },
    });
  }
}
