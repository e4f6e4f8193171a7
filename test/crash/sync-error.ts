/**
 * The disk fails: strace makes the kernel answer the daemon's writes and syncs with EIO, for a while or for once.
 *
 *     strace -f -p PID -e trace=pwrite64,fdatasync,fsync -e inject=pwrite64,fdatasync,fsync:error=EIO
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { seededRandom } from '../../src/random.js';
import { wait, within } from './broker-process.js';
import { insist, seconds, withoutRoot, withoutTool, type Circumstances, type Part } from './part.js';
import { NARROW, Rig } from './rig.js';
import { SickDisk } from './sick-disk.js';

const CALLS = 'pwrite64,fdatasync,fsync';
const ATTACH_LIMIT_MS = 10_000;
/** Each lasting error is followed by one that comes once. */
const ERRORS = 3;
const LONGEST_MS = 2_000;
const SHORTEST_MS = 800;
/** A single error is over when the journal has tried again. */
const BLINK_MS = 1_500;

/** Attached, so that the daemon is the shipped one, and the error ends when strace leaves. */
async function inject(pid: number, fault: string): Promise<ChildProcess> {
  const words = ['-f', '-p', `${pid}`, '-e', `trace=${CALLS}`, '-e', `inject=${CALLS}:${fault}`];
  const strace = spawn('strace', words, { stdio: ['ignore', 'ignore', 'pipe'] });
  const attached = new Promise<void>((done) => {
    strace.stderr.on('data', (text: Buffer) => {
      if (text.includes('attached')) done();
    });
  });
  await within(ATTACH_LIMIT_MS, `that strace attaches to ${pid}`, attached);
  return strace;
}

async function leave(strace: ChildProcess): Promise<void> {
  const ended = once(strace, 'exit');
  strace.kill('SIGTERM');
  await ended;
}

async function run({ seed, progress }: Circumstances): Promise<string> {
  const random = seededRandom(seed);
  const rig = await Rig.open(NARROW);
  let strace: ChildProcess | undefined;
  let disk: SickDisk | undefined;
  const wellMs: number[] = [];
  try {
    disk = await SickDisk.open(rig);
    await wait(SHORTEST_MS);
    for (let n = 1; n <= ERRORS; n++) {
      strace = await inject(rig.broker.pid, 'error=EIO');
      const reason = await disk.red(performance.now());
      await disk.staysRed(SHORTEST_MS + random.below(LONGEST_MS - SHORTEST_MS));
      await leave(strace);
      strace = undefined;
      wellMs.push(await disk.well(performance.now()));
      progress(`error ${n}: "${reason}", well ${seconds(wellMs.at(-1) ?? NaN)} after its end`);
      // For once: it may be over before anybody has looked.
      disk.stream.mark();
      strace = await inject(rig.broker.pid, `error=EIO:when=${1 + random.below(3)}`);
      await wait(BLINK_MS);
      await leave(strace);
      strace = undefined;
      await disk.well(performance.now());
      insist(disk.stream.gapsAbove(BLINK_MS));
    }
    const outlived = await disk.outlive();
    return `${ERRORS} lasting errors and ${ERRORS} single ones: nothing accepted meanwhile, streams went on, well again within ${seconds(Math.max(...wellMs))}; ${outlived}`;
  } finally {
    if (strace) await leave(strace);
    await disk?.close();
    await rig.close();
  }
}

export const syncError: Part = { obstacle: () => withoutRoot() ?? withoutTool('strace'), run };
