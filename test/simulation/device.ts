/**
 * A simulated device: the SDK's desk on a session of its own, points that are operated, a process that dies at any moment,
 * and what its disk keeps.
 */
import { CommandDesk, type DeviceCommand, type Verdict } from '../../src/client/command-desk.js';
import type { BrokerHost } from './broker-host.js';
import { Peer } from './peer.js';
import { HostClock, Life } from './timeline.js';
import type { Chance, World } from './world.js';

/** How long an operation takes: a contact to a breaker with its motor. */
const OPERATING_MS = [5, 400] as const;
const REBOOT_US = [30_000, 4_000_000] as const;
/** When a broker hears that a device's process is gone; where its power is, the heart-beats have to find out. */
const KERNEL_CLOSES_US = 5_000;
/** Share of commands that a device turns down. */
const REJECTED = 0.05;
/** A crystal's, and more. */
const DRIFT = 500e-6;
/** A desk's timer fires at most so much after the deadline, and the operation may be over in the same instant. */
const SLACK_US = 2_000;

export class Device {
  readonly points = ['breaker', 'tap'];
  /** Probability that it dies around an effect; the faults set it. */
  fragility = 0;
  private readonly clock: HostClock;
  private life!: Life;
  private peer!: Peer;
  private lives = 0;

  constructor(
    private readonly world: World,
    private readonly chance: Chance,
    private readonly broker: BrokerHost,
    readonly name: string,
  ) {
    this.clock = new HostClock(1 + DRIFT * (chance.between(-1000, 1001) / 1000));
    this.boot();
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
    this.peer.connection?.cut(Infinity, how === 'kill' ? KERNEL_CLOSES_US : this.chance.between(500_000, 60_000_000));
    this.world.timeline.after(this.chance.between(...REBOOT_US), () => this.boot());
  }

  pause(spanUs: number): void {
    this.life.pause(spanUs);
  }

  private boot(): void {
    const life = (this.life = new Life(this.world.timeline, this.clock, this.chance.between(0, 1_000_000_000)));
    const chance = this.chance.fork(`life-${++this.lives}`);
    const desk = new CommandDesk(
      (command, signal) => this.operate(command, signal),
      life,
      (word) => {
        this.world.note(this.name, `says ${word.commandId} ${word.state}`);
        return this.peer.tell('outcome', { ...word }) ? Promise.resolve() : Promise.reject(new Error('no session'));
      },
    );
    this.peer = new Peer(this.world, chance, life, this.broker, {
      name: this.name,
      originator: this.name,
      attach: [this.path],
      hear: (kind, body) => {
        this.world.note(this.name, `hears ${kind} ${String(body.commandId)} ${String(body.action)}`);
        if (kind === 'command') desk.take(body);
      },
    });
  }

  private async operate(command: DeviceCommand, signal: AbortSignal): Promise<Verdict> {
    const { life, chance } = this;
    const untilUs = life.monotonicUs() + command.deadlineMs * 1000 + SLACK_US;
    if (chance.is(REJECTED)) return { state: 'rejected', reason: 'interlocked' };
    await new Promise<void>((done) => life.after(chance.between(...OPERATING_MS), done));
    signal.throwIfAborted();
    const name = String(command.value);
    this.world.note(this.name, `effect of ${name} on ${command.point}`);
    this.world.model.effect(name, this.name, command.point, life.monotonicUs() - untilUs, this.world.timeline.nowUs);
    if (chance.is(this.fragility)) this.dieSoon(chance);
    return { state: 'executed' };
  }

  /** Between the effect and the answer, or just after it. */
  private dieSoon(chance: Chance): void {
    if (chance.is(0.6)) this.crash('kill');
    else this.world.timeline.after(chance.between(1, 3_000), () => this.crash(chance.is(0.5) ? 'kill' : 'power'));
  }
}
