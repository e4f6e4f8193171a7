/**
 * npm run test:simulation -- --seeds 1000 [--from N] [--jobs N]     seeds side by side, in as many processes as there are cores
 *                            --seed N [--trace]                     one, in this process
 *
 * A failure is told with its seed, the invariant's sentence, the last lines of the trace and the command that repeats it.
 */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Worker } from '../../bench/worker.js';
import { failureOf } from './failure.js';
import type { SeedReport } from './seeds.js';
import { simulate } from './simulation.js';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '1' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
  },
});
const from = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.seeds) : 1;
const jobs = Math.min(Number(values.jobs), count);
const PROGRESS_SEEDS = 100;

const totals = { done: 0, virtualS: 0, events: 0, cpuUs: 0 };
const failed: number[] = [];
const startMs = performance.now();

if (values.seed === undefined) await Promise.all(Array.from({ length: jobs }, work));
else await alone();
const verdict = failed.length === 0 ? 'all invariants held' : `failed: ${failed.sort((a, b) => a - b).join(', ')}`;
console.log(`${count} seeds, ${totals.virtualS.toFixed(0)} virtual s, ${totals.events} events, ${ratio()}; ${verdict}`);
process.exitCode = failed.length === 0 ? 0 : 1;

/** Every `jobs`th seed: which process simulates one makes no difference. */
async function work(_: unknown, job: number): Promise<void> {
  const worker = new Worker<{ readonly seed: number }, SeedReport>(fileURLToPath(new URL('seeds.ts', import.meta.url)));
  for (let seed = from + job; seed < from + count; seed += jobs) note(await worker.run({ seed }));
  worker.close();
}

async function alone(): Promise<void> {
  const outcome = await simulate(from, values.trace ? { everyLine: (line) => console.log(line) } : {});
  const { user, system } = process.cpuUsage();
  note({ outcome, cpuUs: user + system });
}

function note({ outcome, cpuUs }: SeedReport): void {
  totals.done++;
  totals.virtualS += outcome.virtualS;
  totals.events += outcome.events;
  totals.cpuUs += cpuUs;
  if (outcome.failure !== undefined) {
    failed.push(outcome.seed);
    console.log(failureOf(outcome));
  }
  if (totals.done % PROGRESS_SEEDS === 0)
    console.log(`${totals.done}/${count} seeds, ${failed.length} failed, ${ratio()}`);
}

function ratio(): string {
  const realS = (performance.now() - startMs) / 1000;
  const times = (seconds: number): number => Math.round(totals.virtualS / seconds);
  return `${realS.toFixed(1)} s, ${times(realS)} times real time (${times(totals.cpuUs / 1e6)} per CPU second, ${jobs} at a time)`;
}
