/**
 * kill -9 at random moments while commands and alarms flow: of the broker, or of a device, half of which die between an effect and its
 * answer, and then in every third round of the broker as well.
 *
 *     a round:  load ──── kill ── start ──── load ends ── settled ── judged
 */
import { seededRandom } from '../../src/random.js';
import { median } from '../../bench/figures.js';
import { Alarmer } from './alarmer.js';
import { wait } from './broker-process.js';
import { Creator } from './creator.js';
import { faultsOf, judge } from './judge.js';
import { insist, never, seconds, type Circumstances, type Part } from './part.js';
import { paceCommands, Rig, WIDE } from './rig.js';

/** Together 1,000 a second. */
const COMMANDS_PER_S = 800;
const ALARMS_PER_S = 200;
/** A kill comes when so many commands of the round have been accepted, and a little later: load flows then on any machine. */
const MOST_ACCEPTED = 1_000;
const MOST_LATER_MS = 20;
/** For a machine that does not come to so many. */
const LATEST_MS = 10_000;
const LOOK_MS = 2;
/** The load goes on for so long when all are back. */
const AFTERMATH_MS = 200;
/** A device that dies by its own switch does so within so many effects. */
const MOST_EFFECTS = 100;
/** What is under way then has a minute; a broker and devices that stand need far less. */
const SETTLE_MS = 30_000;

class Killing {
  private readonly readyMs: number[] = [];
  private readonly sum = { issued: 0, accepted: 0, executed: 0, entries: 0, brokers: 0, devices: 0, switched: 0 };

  constructor(
    private readonly rig: Rig,
    private readonly circumstances: Circumstances,
    private readonly below: (limit: number) => number,
  ) {}

  /** @param victim of every round; each third kills the broker too */
  async run(victim: 'broker' | 'device'): Promise<string> {
    const { rig, sum, readyMs } = this;
    const { rounds, progress } = this.circumstances;
    const creator = new Creator(rig.broker);
    await creator.furnish();
    const alarmer = new Alarmer(rig.broker);
    await alarmer.furnish();
    rig.openIssuers();
    for (let n = 1; n <= rounds; n++) {
      const fromMs = performance.now();
      const killed: string[] = [];
      const kills: Promise<void>[] = [];
      if (victim === 'device') kills.push((await this.aimAtDevice(killed))());
      if (victim === 'broker' || n % 3 === 0) kills.push(this.killBroker(killed));
      let isOver = false;
      const load = Promise.all([
        paceCommands(rig.issuers, COMMANDS_PER_S, () => isOver),
        alarmer.run(ALARMS_PER_S, () => isOver),
        creator.run(() => isOver),
      ]);
      await Promise.all(kills);
      await wait(AFTERMATH_MS);
      isOver = true;
      await load;
      await Promise.all(rig.issuers.map((issuer) => issuer.settle(SETTLE_MS)));
      const commands = rig.commands.filter(({ sentMs }) => sentMs >= fromMs);
      const findings = await judge(rig.uri, commands, rig.effects());
      const missing = await creator.missingAt(rig.broker);
      progress(
        `round ${n}: ${killed.join(', ')}; ${commands.length} issued, ${findings.accepted} accepted, ${findings.executed} executed`,
      );
      insist([
        ...faultsOf(findings),
        ...(await alarmer.faults(SETTLE_MS)),
        ...(missing.length > 0 ? [`${missing.length} entries lost: ${missing.slice(0, 5).join(', ')}`] : []),
      ]);
      sum.issued += commands.length;
      sum.accepted += findings.accepted;
      sum.executed += findings.executed;
      sum.entries = creator.accepted.size;
    }
    await alarmer.close();
    const killed = [
      ...(sum.brokers > 0 ? [`the broker ${sum.brokers} times`] : []),
      ...(sum.devices > 0 ? [`a device ${sum.devices} times, ${sum.switched} of them between effect and answer`] : []),
    ];
    const ready =
      readyMs.length > 0
        ? `; ready in ${seconds(median(readyMs))} (median), ${seconds(Math.max(...readyMs))} (longest)`
        : '';
    return `killed ${killed.join(' and ')}: ${sum.issued} commands issued, ${sum.accepted} accepted, ${sum.executed} executed; ${alarmer.answered} alarm reports and ${sum.entries} entries accepted; 0 lost, 0 executed twice${ready}`;
  }

  /** Waits for it; how many were accepted by then. */
  private async moment(): Promise<number> {
    const [wanted, laterMs] = [1 + this.below(MOST_ACCEPTED), this.below(MOST_LATER_MS)];
    const before = this.rig.accepted;
    for (const from = performance.now(); this.rig.accepted - before < wanted && performance.now() - from < LATEST_MS;)
      await wait(LOOK_MS);
    await wait(laterMs);
    return this.rig.accepted - before;
  }

  private async killBroker(killed: string[]): Promise<void> {
    const accepted = await this.moment();
    await this.rig.broker.kill();
    const readyMs = await this.rig.broker.start();
    this.readyMs.push(readyMs);
    this.sum.brokers++;
    killed.push(`broker after ${accepted} commands, ready in ${seconds(readyMs)}`);
  }

  /** Resolves, when the device stands that is going to be killed, to what does it. */
  private async aimAtDevice(killed: string[]): Promise<() => Promise<void>> {
    const device = this.rig.devices[this.below(this.rig.devices.length)];
    if (!device) throw new Error('a rig without devices');
    const isBySwitch = this.below(2) === 0;
    const effects = 1 + this.below(MOST_EFFECTS);
    if (isBySwitch) {
      await device.kill();
      await device.start(effects);
    }
    return async () => {
      let accepted = 0;
      if (isBySwitch) await device.died();
      else {
        accepted = await this.moment();
        await device.kill();
      }
      await device.start();
      this.sum.devices++;
      if (isBySwitch) this.sum.switched++;
      killed.push(isBySwitch ? `device after its effect ${effects}` : `device after ${accepted} commands`);
    };
  }
}

const killing = (victim: 'broker' | 'device'): Part => ({
  obstacle: never,
  async run(circumstances) {
    const { below } = seededRandom(circumstances.seed);
    const rig = await Rig.open(WIDE);
    try {
      return await new Killing(rig, circumstances, below).run(victim);
    } finally {
      await rig.close();
    }
  },
});

export const killBroker = killing('broker');
export const killDevice = killing('device');
