/**
 * A simulated device: the SDK's desk with its ledger, points that are operated, a process that dies at any moment, and a disk
 * and a switchgear that outlive it.
 */
import { CommandDesk, type DeviceCommand, type Verdict } from '../../src/client/command-desk.js';
import { JournalLedger, memoryLedger, type Ledger } from '../../src/client/ledger.js';
import { MemoryDisk } from '../support/memory-disk.js';
import type { BrokerHost } from './broker-host.js';
import { diskTiming } from './journal-stores.js';
import { Peer } from './peer.js';
import { HostClock, Life } from './timeline.js';
import type { Chance, World } from './world.js';

/** How long an operation takes at most: an output, a contactor, a breaker with its motor. The first outrun their own acknowledgement. */
const OPERATING_MS = [3, 50, 400];
const REBOOT_US = [30_000, 4_000_000] as const;
/** When a broker hears that a device's process is gone; where its power is, the heart-beats have to find out. */
const KERNEL_CLOSES_US = 5_000;
/** Share of commands that a device turns down. */
const REJECTED = 0.05;
/** A crystal's, and more. */
const DRIFT = 500e-6;
/** `Date.parse` reads milliseconds. */
const MS_US = 1_000;
/** How far its UTC is from the broker's, as long as nobody steps that: a GPS clock beside one that NTP keeps. */
const SKEW_US = 20_000;

/** What it watches, and seconds on the average between two changes of one. */
const CONDITIONS = ['overload', 'door-open'];
const CHANGE_S = 20;

export interface DeviceTraits {
  /** It can tell from its switchgear what it did before it died. */
  readonly canRecall: boolean;
  /** The flaw that a mutation test puts in: what it did is forgotten with its process, which dies often. */
  readonly isForgetful?: boolean;
  /** Another one: it counts each deadline from the arrival alone. */
  readonly isClockless?: boolean;
}

export class Device {
  readonly points = ['breaker', 'tap'];
  /** Probability that it dies around an effect; the faults set it. */
  fragility = 0;
  /** What its contacts say right now, whether or not it runs. */
  private readonly active = new Map(CONDITIONS.map((condition) => [condition, false]));
  private readonly clock: HostClock;
  private disk: MemoryDisk;
  /** What the switchgear shows, whatever the process forgets. */
  private readonly done = new Set<string>();
  private life!: Life; // set by `boot`, which the constructor ends with
  private peer!: Peer; // as above
  private lives = 0;

  constructor(
    private readonly world: World,
    private readonly chance: Chance,
    private readonly broker: BrokerHost,
    readonly name: string,
    private readonly traits: DeviceTraits,
  ) {
    this.clock = new HostClock(1 + DRIFT * (chance.between(-1000, 1001) / 1000));
    this.clock.offsetUs = chance.between(-SKEW_US, SKEW_US + 1);
    this.disk = new MemoryDisk(diskTiming(world, chance.fork('disk')));
    this.boot();
    for (const condition of CONDITIONS) this.planChange(condition);
  }

  get path(): string {
    return `/m2m/applications/${this.name}`;
  }

  get session(): Peer {
    return this.peer;
  }

  crash(how: 'kill' | 'power'): void {
    if (!this.life.isAlive) return;
    this.world.note(this.name, how === 'kill' ? 'killed' : 'lost its power');
    this.life.end();
    this.disk = how === 'kill' ? this.disk.kill() : this.disk.crash();
    this.peer.connection?.cut(Infinity, how === 'kill' ? KERNEL_CLOSES_US : this.chance.between(500_000, 60_000_000));
    this.world.timeline.after(this.chance.between(...REBOOT_US), () => this.boot());
  }

  pause(spanUs: number): void {
    this.life.pause(spanUs);
  }

  private boot(): void {
    const { world, clock, traits, disk } = this;
    const life = (this.life = new Life(world.timeline, clock, this.chance.between(0, 1_000_000_000)));
    const chance = this.chance.fork(`life-${++this.lives}`);
    const ledger: Ledger = traits.isForgetful
      ? memoryLedger
      : new JournalLedger({ disk, clock: life, folder: 'ledger' });
    /** By command: how much later than it may be it is, by this life's two clocks. */
    const lateness = new Map<string, () => number>();
    const desk = new CommandDesk({
      clock: life,
      ledger,
      handle: (command, signal, leftMs) => this.operate(command, signal, leftMs, lateness.get(command.commandId)),
      say: (word) => {
        world.note(this.name, `says ${word.commandId} ${word.state}`);
        return new Promise((heard) => this.peer.tell('outcome', { ...word }, heard));
      },
      recall: ({ value }) =>
        traits.canRecall ? { state: this.done.has(String(value)) ? 'executed' : 'rejected' } : undefined,
    });
    this.peer = new Peer(world, chance, life, this.broker, {
      name: this.name,
      originator: this.name,
      attach: [this.path],
      isWaiting: true,
      hear: (kind, body) => {
        const { commandId, action, deadlineMs, dueAt } = body;
        world.note(this.name, `hears ${kind} ${String(commandId)} ${String(action)}`);
        if (kind !== 'command') return;
        const id = String(commandId);
        if (action === 'operate' && !lateness.has(id)) {
          const endUs = life.monotonicUs() + Number(deadlineMs) * 1000;
          const dueUs = Date.parse(String(dueAt)) * 1000;
          lateness.set(id, () => Math.max(life.monotonicUs() - endUs, life.wallUs() - dueUs - MS_US));
        }
        const { dueAt: _unread, ...undated } = body;
        desk.take(traits.isClockless ? undated : body);
      },
    });
    // A disk that fails ends it; what starts it again finds the disk well.
    desk.open().then(
      () => {
        if (!life.isAlive) return;
        this.peer.begin();
        // What changed while it was down.
        for (const condition of CONDITIONS) this.report(condition);
      },
      (error: unknown) => world.fail(error),
    );
  }

  private planChange(condition: string): void {
    const { world, chance, active } = this;
    world.timeline.after(chance.spanUs(CHANGE_S), () => {
      if (world.isCalm) return;
      active.set(condition, !active.get(condition));
      if (this.life.isAlive) this.report(condition);
      this.planChange(condition);
    });
  }

  private report(condition: string): void {
    const { world, name, active } = this;
    const isActive = active.get(condition) === true;
    const id = `${name}~${condition}`;
    const report = world.model.alarms.reported(id, isActive);
    const state = isActive ? 'active' : 'normal';
    world.note(name, `reports ${condition} ${state}`);
    this.peer.tell('alarm', { condition, state, priority: 2 }, () => world.model.alarms.kept(id, report));
  }

  private async operate(
    command: DeviceCommand,
    signal: AbortSignal,
    leftMs: () => number,
    lateUs: (() => number) | undefined,
  ): Promise<Verdict> {
    const { life, chance, world, name } = this;
    if (chance.is(REJECTED)) return { state: 'rejected', reason: 'interlocked' };
    await new Promise<void>((done) => life.after(chance.between(1, chance.of(OPERATING_MS)), done));
    signal.throwIfAborted();
    if (leftMs() <= 0) return { state: 'rejected', reason: 'too late' };
    const what = String(command.value);
    world.note(name, `effect of ${what} on ${command.point}`);
    this.done.add(what);
    world.model.effect(what, name, command.point, lateUs?.() ?? 0, world.timeline.nowUs);
    if (chance.is(this.traits.isForgetful ? 0.5 : this.fragility)) this.dieSoon(chance);
    return { state: 'executed' };
  }

  /** Between the effect and the answer, or just after it. */
  private dieSoon(chance: Chance): void {
    if (chance.is(0.6)) this.crash(chance.is(0.5) ? 'kill' : 'power');
    else this.world.timeline.after(chance.between(1, 8_000), () => this.crash(chance.is(0.5) ? 'kill' : 'power'));
  }
}
