/**
 * One simulation: a broker, devices, operators and faults, all of them drawn from one seed. Work and faults for a while, then
 * calm, in which everything that was accepted has to come to its end.
 */
import type { Store } from '../../src/store/store.js';
import { BrokerHost } from './broker-host.js';
import { Device } from './device.js';
import { Faults } from './faults.js';
import { JournalStores } from './journal-stores.js';
import { Inspection } from './inspection.js';
import { Operator } from './operator.js';
import { Peer } from './peer.js';
import { containerOf, Observer, Publisher } from './publisher.js';
import { RULED, RuledMeter } from './ruled-meter.js';
import { HostClock, Life } from './timeline.js';
import { Watcher } from './watcher.js';
import { World } from './world.js';

const SECOND_US = 1_000_000;
/** Work and faults; then nothing new. */
const STORM_US = 100 * SECOND_US;
/** The longest deadline, a reboot, a reconnection: by then everything is over. */
const CALM_US = 30 * SECOND_US;
const SETTING_UP_US = 5 * SECOND_US;

export interface Outcome {
  readonly seed: number;
  /** Equal seeds give equal ones. */
  readonly hash: string;
  readonly virtualS: number;
  readonly events: number;
  readonly figures: Readonly<Record<string, number>>;
  readonly kinds: readonly string[];
  /** The sentence of the invariant that does not hold, or of an exception. */
  readonly failure: string | undefined;
  readonly tail: readonly string[];
}

export interface SimulationOptions {
  /** Flaws that are put in, to see that the simulation finds them. */
  readonly flawedStore?: (store: Store) => Store;
  readonly hasForgetfulDevices?: boolean;
  readonly hasClocklessDevices?: boolean;
  readonly everyLine?: (line: string) => void;
}

export async function simulate(seed: number, options: SimulationOptions = {}): Promise<Outcome> {
  // From here on as a microtask, whoever called: in a callback of the event loop Node's first tick comes before them all.
  await Promise.resolve();
  const world = new World(seed, options.everyLine);
  const { timeline, chance, model } = world;
  const stores = new JournalStores(world, chance.fork('disk'), options.flawedStore);
  model.brokerMayEnd = () => stores.isUnreliable;
  let inspection: Inspection | undefined;
  const look = (groupedUntilUs?: number): void => {
    try {
      inspection?.look(groupedUntilUs);
    } catch (error) {
      world.fail(error);
    }
  };
  const broker: BrokerHost = new BrokerHost(world, chance.fork('broker'), stores, (running) => {
    inspection = new Inspection(running.broker, model, timeline);
    look(broker.groupedUntilUs);
  });
  const run = async (untilUs: number): Promise<void> => {
    while (world.failure === undefined) {
      const event = await timeline.step(untilUs);
      if (!event) return;
      // What happens elsewhere changes nothing of the broker.
      const { up } = broker;
      if (up && (event.life === up.life || event.life === undefined)) look();
    }
  };

  const names = ['device-1', 'device-2'];
  setUp(world, broker, names);
  await run(SETTING_UP_US);
  const devices = names.map(
    (name) =>
      new Device(world, chance.fork(name), broker, name, {
        canRecall: name === 'device-1',
        isForgetful: options.hasForgetfulDevices ?? false,
        isClockless: options.hasClocklessDevices ?? false,
      }),
  );
  const operators = ['op1', 'op2'].map((name) => new Operator(world, chance.fork(name), broker, devices, name));
  const watchers = ['watch1', 'watch2'].map((name) => new Watcher(world, chance.fork(name), broker, name).peer);
  const meters = (['grouped', 'synced'] as const).flatMap((durability) => [
    new Publisher(world, chance.fork(`${durability}-meter`), broker, durability).peer,
    new Observer(world, chance.fork(`${durability}-observer`), broker, durability).peer,
  ]);
  const ruled = new RuledMeter(world, chance.fork('ruled'), broker).peer;
  const peers = () => [
    ...devices.map(({ session }) => session),
    ...operators.flatMap((operator) => operator.peers),
    ...meters,
    ruled,
    ...watchers,
  ];
  const faults = new Faults(world, chance.fork('faults'), { broker, stores, devices, peers });
  await run(SETTING_UP_US + STORM_US);
  world.isCalm = true;
  world.note('world', 'calm');
  stores.mend();
  for (const device of devices) device.fragility = 0;
  for (const peer of peers()) peer.wake();
  await run(SETTING_UP_US + STORM_US + CALM_US);
  if (world.failure === undefined) {
    try {
      model.settled();
      inspection?.settled();
    } catch (error) {
      world.fail(error);
    }
  }
  broker.dispose();
  stores.killed();
  if (world.failure === undefined) {
    let isRead = false;
    stores
      .auditedCommands()
      .then((names) => model.audited(names))
      .catch((error: unknown) => world.fail(error))
      .finally(() => (isRead = true));
    while (!isRead) await timeline.step(timeline.nowUs + SECOND_US);
  }
  // The event loop turns once for each seed: what the garbage collector has to finish is finished.
  await new Promise((turned) => setImmediate(turned));
  await timeline.step(timeline.nowUs);
  return {
    seed,
    hash: world.trace.hash,
    virtualS: timeline.nowUs / SECOND_US,
    events: timeline.events,
    kinds: faults.kinds,
    figures: { commands: model.commands.size, refusals: model.refusals, lives: broker.lives },
    failure: world.failure === undefined ? undefined : sentenceOf(world.failure),
    tail: world.trace.tail,
  };
}

/** The applications of the devices, with their containers. */
function setUp(world: World, broker: BrokerHost, names: readonly string[]): void {
  const life = new Life(world.timeline, new HostClock(), 0);
  const peer = new Peer(world, world.chance.fork('engineer'), life, broker, {
    name: 'engineer',
    originator: 'engineer',
    hear: () => {},
    welcomed: () => {
      for (const durability of ['grouped', 'synced'] as const) {
        const id = containerOf(durability).split('/').at(-1) ?? '';
        peer.request('create', '/m2m/containers', { container: { id, durability } }, () => {});
      }
      peer.request('create', '/m2m/containers', { container: RULED }, () => {});
      for (const name of names) {
        peer.request('create', '/m2m/applications', { application: { appId: name } }, () =>
          peer.request('create', `/m2m/applications/${name}/containers`, { container: { id: 'commands' } }, () => {}),
        );
      }
    },
  });
  life.after(SETTING_UP_US / 2000, () => peer.leave());
}

const sentenceOf = (failure: unknown): string =>
  failure instanceof Error
    ? failure.constructor.name === 'Violation'
      ? failure.message
      : (failure.stack ?? failure.message)
    : String(failure);
