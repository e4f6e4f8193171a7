/**
 * Faults, drawn from the seed. Each seed has some kinds of them and not others, and a temper of its own: what hides behind a
 * storm of one kind shows in a seed without it.
 */
import type { BrokerHost } from './broker-host.js';
import type { Device } from './device.js';
import type { JournalStores } from './journal-stores.js';
import type { Peer } from './peer.js';
import type { Chance, World } from './world.js';

export interface Scene {
  readonly broker: BrokerHost;
  readonly stores: JournalStores;
  readonly devices: readonly Device[];
  /** Everybody's sessions as they are now. */
  readonly peers: () => readonly Peer[];
}

interface Fault {
  readonly name: string;
  /** Mean seconds between two. */
  readonly everyS: number;
  readonly strike: (scene: Scene, chance: Chance, world: World) => void;
}

const SECOND_US = 1_000_000;
const HOUR_US = 3600 * SECOND_US;

const FAULTS: readonly Fault[] = [
  { name: 'broker killed', everyS: 25, strike: ({ broker }) => broker.crash('kill') },
  { name: 'broker without power', everyS: 40, strike: ({ broker }) => broker.crash('power') },
  {
    name: 'device killed',
    everyS: 15,
    strike: ({ devices }, chance) => chance.of(devices).crash(chance.is(0.5) ? 'kill' : 'power'),
  },
  {
    name: 'link broken',
    everyS: 8,
    strike: ({ peers }, chance) =>
      chance.of(peers()).connection?.cut(chance.between(1, 50_000), chance.between(1, 50_000)),
  },
  {
    name: 'link half-open',
    everyS: 15,
    strike: ({ peers }, chance) =>
      chance.of(peers()).connection?.cut(chance.between(1, 5 * SECOND_US), chance.between(1, 30 * SECOND_US)),
  },
  {
    name: 'link stalled',
    everyS: 8,
    strike: ({ peers }, chance) => chance.of(peers()).connection?.stall(chance.between(1_000, 6 * SECOND_US)),
  },
  {
    name: 'link slow',
    everyS: 10,
    strike: ({ peers }, chance, { timeline }) => {
      const link = chance.of(peers()).connection;
      if (!link) return;
      link.isBad = true;
      timeline.after(chance.between(SECOND_US, 10 * SECOND_US), () => (link.isBad = false));
    },
  },
  {
    name: 'broker paused',
    everyS: 12,
    strike: ({ broker }, chance) => broker.pause(chance.between(50_000, 3 * SECOND_US)),
  },
  {
    name: 'device paused',
    everyS: 12,
    strike: ({ devices }, chance) => chance.of(devices).pause(chance.between(50_000, 5 * SECOND_US)),
  },
  {
    name: 'peer hangs',
    everyS: 15,
    strike: ({ peers }, chance) => chance.of(peers()).hang(chance.between(SECOND_US, 60 * SECOND_US)),
  },
  {
    name: 'wall clock stepped',
    everyS: 15,
    strike: ({ broker }, chance, { model }) => {
      broker.clock.offsetUs += chance.between(-HOUR_US, HOUR_US);
      model.clocksAgree = false;
    },
  },
  {
    name: 'fsync fails',
    everyS: 15,
    strike: ({ stores }, chance, { timeline }) => {
      stores.fail(chance.of([0.2, 1]));
      timeline.after(chance.between(1_000, 5 * SECOND_US), () => stores.mend());
    },
  },
  {
    name: 'disk full',
    everyS: 20,
    strike: ({ stores }, chance, { timeline }) => {
      stores.fill();
      timeline.after(chance.between(1_000, 8 * SECOND_US), () => stores.mend());
    },
  },
  { name: 'actor crashed', everyS: 6, strike: ({ broker }, chance) => broker.crashActor(chance) },
];

/** What is drawn is a rate in a bad hour; work and faults keep their proportion. */
const RARITY = 1.5;
/** Share of the kinds that a seed has. */
const PREVALENCE = 0.4;

export class Faults {
  readonly kinds: readonly string[];

  constructor(world: World, chance: Chance, scene: Scene) {
    const kinds = FAULTS.filter(() => chance.is(PREVALENCE));
    this.kinds = kinds.map(({ name }) => name);
    if (chance.is(PREVALENCE)) for (const device of scene.devices) device.fragility = 0.1;
    for (const fault of kinds) {
      const own = chance.fork(fault.name);
      const temper = own.of([0.5, 1, 1, 2]);
      const plan = (): void => {
        world.timeline.after(own.spanUs(fault.everyS * temper * RARITY), () => {
          if (world.isCalm) return;
          world.note('fault', fault.name);
          fault.strike(scene, own, world);
          plan();
        });
      };
      plan();
    }
  }
}
