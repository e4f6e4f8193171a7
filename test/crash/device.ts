/**
 * The device under test, a process of its own. Its effects are lines of a file, synced before it answers: that file is the judge
 * of what was done, and how often.
 *
 *     device.ts URI OPTIONS    one attachment for each application
 *       command ──> effect: a line, fdatasync ──[ the switch: dies here ]──> executed
 */
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { attachDevice, type CommandHandler } from '../../src/client/index.js';

/** A broker that was killed is back within seconds. */
const RECONNECT_MS = 50;

const { values } = parseArgs({
  options: {
    broker: { type: 'string', default: 'ws://127.0.0.1:8080' },
    application: { type: 'string', multiple: true, default: [] },
    effects: { type: 'string', default: 'effects' },
    ledger: { type: 'string', default: 'ledger' },
    /** Dies by SIGKILL right after so many effects, before their answer. */
    'die-after': { type: 'string', default: '0' },
  },
});

const file = openSync(values.effects, 'a');
const lastEffect = Number(values['die-after']);
let effects = 0;

const handle: CommandHandler = ({ commandId }) => {
  writeSync(file, `${commandId}\n`);
  fdatasyncSync(file);
  if (++effects === lastEffect) process.kill(process.pid, 'SIGKILL');
  return { state: 'executed' };
};

async function attach(application: string): Promise<never> {
  for (let isFirst = true; ; await new Promise((done) => setTimeout(done, RECONNECT_MS))) {
    try {
      const device = await attachDevice(`${values.broker}/m2m/applications/${application}`, handle, {
        originator: `device-of-${application}`,
      });
      if (isFirst) console.log(`attached ${application}`);
      isFirst = false;
      await device.closed;
    } catch {
      // Nobody there yet.
    }
  }
}

process.on('SIGTERM', () => {
  closeSync(file);
  process.exit(0);
});
await Promise.all(values.application.map(attach));
