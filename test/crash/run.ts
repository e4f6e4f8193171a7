/**
 * `npm run test:crash -- [--only kill-broker,power-cut] [--rounds 50] [--seed 1] [--full]`: the faults that only real processes, real
 * disks and a real kernel make. Each part prints a line; one that fails says how to repeat it.
 */
import { parseArgs } from 'node:util';
import { fullDisk } from './full-disk.js';
import { killBroker, killDevice } from './kill.js';
import type { Part } from './part.js';
import { powerCut } from './power-cut.js';
import { promises } from './promises.js';
import { recovery } from './recovery.js';
import { resume } from './resume.js';
import { syncError } from './sync-error.js';
import { tree } from './tree.js';
import { stopPrograms } from '../support/program.js';

const PARTS: Readonly<Record<string, Part>> = {
  'kill-broker': killBroker,
  'kill-device': killDevice,
  'power-cut': powerCut,
  'sync-error': syncError,
  'full-disk': fullDisk,
  tree,
  promises,
  recovery,
  resume,
};
const ROUNDS = 50;

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: Object.keys(PARTS).join(',') },
    rounds: { type: 'string', default: `${ROUNDS}` },
    seed: { type: 'string', default: `${Date.now() % 1_000_000}` },
    /** With a million resources. */
    full: { type: 'boolean', default: false },
    quiet: { type: 'boolean', default: false },
  },
});

let failed = 0;
for (const name of values.only.split(',')) {
  const part = PARTS[name];
  if (!part) throw new Error(`there is no part ${JSON.stringify(name)}; there are ${Object.keys(PARTS).join(', ')}`);
  const obstacle = part.obstacle();
  if (obstacle !== undefined) {
    console.log(`${name}: skipped: ${obstacle}`);
    continue;
  }
  try {
    const summary = await part.run({
      seed: Number(values.seed),
      rounds: Number(values.rounds),
      isFull: values.full,
      progress: (line) => {
        if (!values.quiet) console.error(`  ${name}: ${line}`);
      },
    });
    console.log(`${name}: ${summary}`);
  } catch (error) {
    failed++;
    console.log(`${name}: FAILED: ${error instanceof Error ? error.message : String(error)}`);
    console.log(`  again: npm run test:crash -- --only ${name} --rounds ${values.rounds} --seed ${values.seed}`);
  } finally {
    await stopPrograms();
  }
}
// Whatever a part that failed has left open does not keep this process.
process.exit(failed === 0 ? 0 : 1);
