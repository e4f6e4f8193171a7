/**
 * kill -9, of the broker and of a device, at random moments while commands flow; half of the devices die between an effect and
 * its answer.
 *
 *     a round:  load ──── kill ── start ──── kill device ── start ──── load ends ── settled ── judged
 */
import { seededRandom } from '../../src/random.js';
import { wait } from './broker-process.js';
import { faultsOf, judge } from './judge.js';
import { insist, never, seconds, type Circumstances, type Part } from './part.js';
import { paceCommands, Rig, WIDE } from './rig.js';
import { median } from '../../bench/figures.js';

const COMMANDS_PER_S = 1_000;
/** The moment of a kill after the beginning of the load; long enough for it to flow, short enough for many rounds. */
const EARLIEST_MS = 100;
const LATEST_MS = 1_500;
/** A device that dies by its own switch does so within so many effects. */
const MOST_EFFECTS = 400;
/** What is under way then has a minute; a broker and devices that stand need far less. */
const SETTLE_MS = 30_000;

async function run({ seed, rounds, progress }: Circumstances): Promise<string> {
  const random = seededRandom(seed);
  const moment = (): number => EARLIEST_MS + random.below(LATEST_MS - EARLIEST_MS);
  const rig = await Rig.open(WIDE);
  const readyMs: number[] = [];
  const sum = { issued: 0, accepted: 0, executed: 0, devices: 0 };
  try {
    rig.openIssuers();
    for (let n = 1; n <= rounds; n++) {
      const fromMs = performance.now();
      const device = rig.devices[random.below(rig.devices.length)];
      if (!device) throw new Error('a rig without devices');
      const isBySwitch = random.below(2) === 0;
      const [brokerMs, deviceMs, dieAfter] = [moment(), moment(), 1 + random.below(MOST_EFFECTS)];
      if (isBySwitch) {
        await device.kill();
        await device.start(dieAfter);
      }
      let isOver = false;
      const load = paceCommands(rig.issuers, COMMANDS_PER_S, () => isOver);
      const killBroker = wait(brokerMs)
        .then(() => rig.broker.kill())
        .then(async () => readyMs.push(await rig.broker.start()));
      const killDevice = (isBySwitch ? device.died() : wait(deviceMs).then(() => device.kill())).then(() =>
        device.start(),
      );
      await Promise.all([killBroker, killDevice]);
      isOver = true;
      await load;
      sum.devices++;
      await Promise.all(rig.issuers.map((issuer) => issuer.settle(SETTLE_MS)));
      const commands = rig.commands.filter(({ sentMs }) => sentMs >= fromMs);
      const findings = await judge(rig.uri, commands, rig.effects());
      progress(
        `round ${n}: broker killed at ${brokerMs} ms, device ${isBySwitch ? `after effect ${dieAfter}` : `at ${deviceMs} ms`}; ${commands.length} issued, ${findings.accepted} accepted, ${findings.executed} executed; ready in ${seconds(readyMs.at(-1) ?? NaN)}`,
      );
      insist(faultsOf(findings));
      sum.issued += commands.length;
      sum.accepted += findings.accepted;
      sum.executed += findings.executed;
    }
  } finally {
    await rig.close();
  }
  return `${rounds} kills of the broker and ${sum.devices} of a device: ${sum.issued} commands issued, ${sum.accepted} accepted, ${sum.executed} executed, 0 lost, 0 executed twice; ready in ${seconds(median(readyMs))} (median), ${seconds(Math.max(...readyMs))} (longest)`;
}

export const kill: Part = { obstacle: never, run };
