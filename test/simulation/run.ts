/**
 * npm run test:simulation -- --seeds 1000 [--from N] [--seed N] [--trace]
 *
 * Runs simulations, seed after seed. A failure is told with its seed, the invariant's sentence, the last lines of the trace
 * and the command that repeats it.
 */
import { parseArgs } from 'node:util';
import { simulate, type Outcome } from './simulation.js';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
  },
});
const from = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.seeds) : 1;
const PROGRESS_SEEDS = 100;

const totals = { virtualS: 0, events: 0 };
const failed: Outcome[] = [];
const startMs = performance.now();
for (let seed = from; seed < from + count; seed++) {
  const outcome = await simulate(seed, values.trace ? { everyLine: (line) => console.log(line) } : {});
  totals.virtualS += outcome.virtualS;
  totals.events += outcome.events;
  if (outcome.failure !== undefined) {
    failed.push(outcome);
    tellFailure(outcome);
  }
  const done = seed - from + 1;
  if (done % PROGRESS_SEEDS === 0 || done === count)
    console.log(`${done}/${count} seeds, ${failed.length} failed, ${ratio()}`);
}
const verdict = failed.length === 0 ? 'all invariants held' : `failed: ${failed.map(({ seed }) => seed).join(', ')}`;
console.log(`${count} seeds, ${totals.virtualS.toFixed(0)} virtual s, ${totals.events} events, ${ratio()}; ${verdict}`);
process.exitCode = failed.length === 0 ? 0 : 1;

function ratio(): string {
  const realS = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage();
  const busyS = (user + system) / 1e6;
  const times = (seconds: number): number => Math.round(totals.virtualS / seconds);
  return `${realS.toFixed(1)} s, ${times(realS)} times real time (${times(busyS)} per CPU second)`;
}

function tellFailure({ seed, failure, tail, kinds, figures }: Outcome): void {
  console.log(`\nseed ${seed} FAILED: ${failure}`);
  console.log(`faults: ${kinds.join(', ')}; ${JSON.stringify(figures)}`);
  console.log(tail.map((line) => `  ${line}`).join('\n'));
  console.log(`repeat: npm run test:simulation -- --seed ${seed} --trace\n`);
}
