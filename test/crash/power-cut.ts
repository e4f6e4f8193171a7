/**
 * A power cut: the broker's data are on an ext4 in a file, and the file is copied while it is mounted and written to. What is in
 * the copy is what a disk has when the power fails: what was synced, and of the rest some.
 *
 *     commands ──> broker ──> ext4 ──> image ──cp──> copy ──> ext4 ──> another broker: is there what was accepted before the cp?
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { seededRandom } from '../../src/random.js';
import { Program } from '../support/program.js';
import { BrokerProcess, wait } from './broker-process.js';
import { Creator } from './creator.js';
import { faultsOf, judge } from './judge.js';
import { Mounts, run as execute } from './mount.js';
import { insist, seconds, withoutRoot, withoutTool, type Circumstances, type Part } from './part.js';
import { NARROW, paceCommands, Rig } from './rig.js';
import { median } from '../../bench/figures.js';

/** Room for the history's prepared segments, 64 MB, and for all that fifty cuts write; sparse, and copied within some 100 ms. */
const IMAGE_SIZE = '1G';
const COMMANDS_PER_S = 200;
/** Of the last accepted: a broker remembers 10,000. */
const MOST_COMMANDS = 4_000;
const EARLIEST_MS = 50;
const LATEST_MS = 700;

async function run({ seed, rounds, progress }: Circumstances): Promise<string> {
  const random = seededRandom(seed);
  const mounts = new Mounts();
  const { image, point } = mounts.ext4('disk', IMAGE_SIZE);
  const rig = await Rig.open(NARROW, join(point, 'data')).catch((error: unknown) => {
    mounts.close();
    throw error;
  });
  const readyMs: number[] = [];
  let checked = 0;
  let isOver = false;
  try {
    const creator = new Creator(rig.broker);
    await creator.furnish();
    rig.openIssuers();
    const load = Promise.all([paceCommands(rig.issuers, COMMANDS_PER_S, () => isOver), creator.run(() => isOver)]);
    for (let n = 1; n <= rounds; n++) {
      await wait(EARLIEST_MS + random.below(LATEST_MS - EARLIEST_MS));
      const entries = [...creator.accepted];
      const commands = rig.commands
        .filter(({ acceptedMs }) => acceptedMs !== undefined)
        .slice(-MOST_COMMANDS)
        .map((each) => ({ ...each }));
      const copy = join(mounts.folder, 'copy.img');
      execute('cp', '--sparse=always', image, copy);
      const cut = mounts.mount('cut', '-o', 'loop', copy);
      const broker = new BrokerProcess(join(cut, 'data'));
      try {
        readyMs.push(await broker.start());
        const findings = await judge(`ws://127.0.0.1:${broker.http}`, commands, new Map());
        const missing = await creator.missingAt(broker, entries);
        await broker.stop();
        const check = await checkStore(join(cut, 'data'));
        progress(
          `cut ${n}: ${commands.length} commands and ${entries.length} entries accepted before it, ${findings.lost.length + missing.length} lost; ${check}`,
        );
        // Devices are not part of the cut: what they did after it the copy can not know.
        insist(faultsOf({ ...NOTHING_ELSE, lost: findings.lost }));
        insist(missing.length > 0 ? [`${missing.length} entries lost: ${missing.slice(0, 5).join(', ')}`] : []);
        checked += commands.length + entries.length;
      } finally {
        await broker.kill();
        mounts.unmount(cut);
        rmSync(copy, { force: true });
      }
    }
    isOver = true;
    await load;
  } finally {
    isOver = true;
    await rig.close();
    mounts.close();
  }
  return `${rounds} cuts: ${checked} accepted commands and entries looked for in the copies, 0 lost; each store opened; ready in ${seconds(median(readyMs))} (median), ${seconds(Math.max(...readyMs))} (longest)`;
}

const NOTHING_ELSE = { accepted: 0, executed: 0, lost: [], doubled: [], false: [], undecided: [], untold: [] };

/** What `gridcast store check` says of it; throws where it finds damage. */
async function checkStore(data: string): Promise<string> {
  const program = new Program('store', 'check', data);
  const code = await program.ended();
  const last = program.lines.at(-1) ?? program.complaint;
  if (code !== 0) throw new Error(`gridcast store check: ${program.lines.join(' ')} ${program.complaint}`);
  return last;
}

export const powerCut: Part = { obstacle: () => withoutRoot() ?? withoutTool('mkfs.ext4'), run };
