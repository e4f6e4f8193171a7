/**
 * The computer that the broker runs on: its process, life after life, and what outlives it. Peers reach it as they would
 * over a socket, by the real WebSocket binding on simulated links.
 */
import { Broker } from '../../src/broker.js';
import { loadConfig } from '../../src/config.js';
import { isRefusal } from '../../src/errors.js';
import type { Cell } from '../../src/kernel/cell.js';
import { silentLog } from '../../src/log.js';
import type { Network } from '../../src/network.js';
import { WsBinding } from '../../src/protocols/ws/binding.js';
import { WS_PATH } from '../../src/protocols/ws/frames.js';
import type { UpgradeRequest } from '../../src/protocols/transport/transport.js';
import type { Store } from '../../src/store/store.js';
import { Link, type LinkPeer } from './link.js';
import { HostClock, Life } from './timeline.js';
import type { Chance, World } from './world.js';

const noNetwork = (): never => {
  throw new Error('the simulated broker has no network: its peers come over links');
};
const NETWORK: Network = { bindUdp: noNetwork, connectTcp: noNetwork, listenTcp: noNetwork };

const UPGRADE: UpgradeRequest = {
  method: 'GET',
  path: WS_PATH,
  query: '',
  remote: 'simulated',
  protocols: ['gridcast.v1+json'],
  header: () => undefined,
};

/** After it died and before the service manager starts it again. */
const RESTART_US = [50_000, 3_000_000] as const;
/** When peers hear that the process is gone: the kernel says so at once; where the power is gone, nobody does. */
const KERNEL_CLOSES_US = 5_000;
const NOBODY_CLOSES_US = 3_000_000;

/** `grouped` promises an fsync at most 100 ms after the answer; the fsync takes a while, and the answer has its way. */
const GROUPED_WITHIN_US = 200_000;

/** The peers' heart-beats are seconds apart: sweeps as often as a device's 100 ms would ask for were two fifths of all events. */
const SWEEP_MS = 500;

export interface StoreMaker {
  /** Until when the disk took all that it was given. */
  reliableUntilUs(nowUs: number): number;
  /** A store for one life of the broker. */
  make(life: Life): Store;
  /** The power goes: what was not synced may go too. */
  cutPower(): void;
  /** The process was killed: what the kernel has stays. */
  killed(): void;
}

/** The broker of one life, and the binding that its peers come by. */
interface Running {
  readonly life: Life;
  readonly broker: Broker;
  readonly binding: WsBinding;
  readonly store: Store;
}

export class BrokerHost {
  readonly clock: HostClock;
  lives = 0;
  /** Stands when it has started: it is listening then. */
  up: Running | undefined;
  /** What was to be on the disk 100 ms after an answer, and was answered before this, is there after the last crash. */
  groupedUntilUs: number | undefined;
  private current: Running | undefined;
  private readonly links = new Set<Link>();
  private readonly config;

  constructor(
    private readonly world: World,
    private readonly chance: Chance,
    private readonly stores: StoreMaker,
    /** Called when a life has started, before any peer is there. */
    private readonly recovered: (running: Running) => void,
  ) {
    this.clock = new HostClock();
    const loaded = loadConfig({ flags: {}, environment: {} });
    if (isRefusal(loaded)) throw new Error(loaded.detail);
    this.config = loaded.config;
    this.start();
  }

  /** Undefined: connection refused. */
  accept(chance: Chance, peer: LinkPeer): Link | undefined {
    const { up } = this;
    if (!up) return undefined;
    const accepted = up.binding.upgrade(UPGRADE);
    if (!('open' in accepted)) throw new Error(`an upgrade was refused with ${accepted.status}`);
    const link = new Link(this.world, chance, peer, up.life, (socket) => accepted.open(socket));
    this.links.add(link);
    return link;
  }

  /** @param how `kill`: kill -9 of the process; `power`: of the computer */
  crash(how: 'kill' | 'power'): void {
    const { current } = this;
    if (!current) return;
    this.world.note('broker', how === 'kill' ? 'killed' : 'lost its power');
    // A life that never came up has answered nothing: what the one before had promised still counts.
    if (this.up) this.groupedUntilUs = this.groupedUntil(current.life);
    this.abandon(current);
    for (const link of this.links)
      if (link.isOpen) link.cut(how === 'kill' ? KERNEL_CLOSES_US : NOBODY_CLOSES_US, Infinity);
    this.links.clear();
    if (how === 'power') this.stores.cutPower();
    else this.stores.killed();
    this.world.timeline.after(this.chance.between(...RESTART_US), () => this.start());
  }

  pause(spanUs: number): void {
    this.current?.life.pause(spanUs);
  }

  /** An actor throws, anywhere in the tree: its supervisor has to mend it. */
  crashActor(chance: Chance): void {
    const { up } = this;
    if (!up) return;
    const { commands, alarms, subscriptions, sessions } = up.broker;
    const populations = [commands, alarms, subscriptions, sessions].map(({ population }) => population);
    const population = chance.of<{ readonly name: string }>(populations);
    const { cells } = population as unknown as { readonly cells: ReadonlyMap<string, Cell<unknown>> };
    if (cells.size === 0) return;
    const cell = chance.of([...cells.values()]);
    this.world.note('broker', `${population.name} ${cell.path} crashes`);
    if (cell.state === 'up') cell.fail(new Error('injected'));
  }

  /** At the end of a simulation: what still stands is let go, for the next one's memory. */
  dispose(): void {
    if (this.current) this.abandon(this.current);
  }

  private start(): void {
    const { world, chance, config } = this;
    const number = ++this.lives;
    const life = new Life(world.timeline, this.clock, chance.between(0, 1_000_000_000));
    const store = this.stores.make(life);
    const random = chance.fork(`life-${number}`).asRandom;
    const surroundings = { clock: life, random, network: NETWORK, log: silentLog, store };
    const broker = new Broker(config, surroundings, []);
    const binding = new WsBinding(broker, { clock: life, log: silentLog, random, sweepMs: SWEEP_MS });
    const running = { life, broker, binding, store };
    this.current = running;
    const started = (refusal: unknown): void => {
      if (!life.isAlive) return;
      if (refusal !== undefined) return this.fail(refusal);
      world.note('broker', `up, life ${number}`);
      this.up = running;
      this.recovered(running);
    };
    const fatal = (error: unknown): void => {
      if (life.isAlive) this.fail(error);
    };
    broker
      .start(fatal)
      .then(started)
      .catch((error: unknown) => world.fail(error));
  }

  /** It ended by itself with a sentence or exit code 70; the service manager starts it again. */
  private fail(why: unknown): void {
    const reason = isRefusal(why) ? why.detail : String(why);
    this.world.note('broker', `ended: ${reason}`);
    this.world.model.brokerEnded(reason);
    this.crash('kill');
  }

  /** The promise is the process's, by its own clock, on a disk that works: neither is while it is stopped or the disk is sick. */
  private groupedUntil({ pausedFromUs, pausedUntilUs }: Life): number {
    const { nowUs } = this.world.timeline;
    const awakeUs = pausedUntilUs > nowUs - GROUPED_WITHIN_US ? pausedFromUs : nowUs;
    return Math.min(awakeUs, this.stores.reliableUntilUs(nowUs)) - GROUPED_WITHIN_US;
  }

  /** Nothing of it moves the world any more; its machines are disposed, which production would leave to the kernel. */
  private abandon(running: Running): void {
    running.life.end();
    this.current = this.up = undefined;
    running.broker.stop().catch(() => {});
  }
}
