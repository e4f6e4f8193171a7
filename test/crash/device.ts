/**
 * The device under test, a process of its own. Its effects are lines of a file, synced before it answers: that file is the judge
 * of what was done, and how often.
 *
 *     device.ts URI OPTIONS    one attachment for each application
 *       command ──> effect: a line, fdatasync ──[ the switch: dies here ]──> executed
 */
import { existsSync, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { attachDevice, GridcastError, ledgerIn, type CommandHandler, type Recall } from '../../src/client/index.js';

/** A broker that was killed is back within seconds. */
const RECONNECT_MS = 50;

const { values } = parseArgs({
  options: {
    broker: { type: 'string', default: 'ws://127.0.0.1:8080' },
    application: { type: 'string', multiple: true, default: [] },
    effects: { type: 'string', default: 'effects' },
    ledger: { type: 'string', default: 'ledger' },
    /** Dies by SIGKILL right after so many effects, before the answer to the last of them. */
    'die-after': { type: 'string', default: '0' },
  },
});

/** The breakers as they stand: what an earlier life did is in them, whatever it had time to say. */
const done = new Set(existsSync(values.effects) ? readFileSync(values.effects, 'utf8').split('\n').slice(0, -1) : []);
const file = await open(values.effects, 'a');
const lastEffect = Number(values['die-after']);
let effects = 0;
let waiting: { readonly commandId: string; readonly resolve: () => void }[] = [];
let isWriting = false;

/** All that is due at once is one write and one sync: a device of many points does not move them one after the other. */
async function takeEffect(): Promise<void> {
  if (isWriting) return;
  isWriting = true;
  while (waiting.length > 0) {
    const due = waiting;
    waiting = [];
    await file.appendFile(due.map(({ commandId }) => `${commandId}\n`).join(''));
    await file.datasync();
    effects += due.length;
    if (lastEffect > 0 && effects >= lastEffect) process.kill(process.pid, 'SIGKILL');
    for (const { commandId, resolve } of due) {
      done.add(commandId);
      resolve();
    }
  }
  isWriting = false;
}

const handle: CommandHandler = async ({ commandId }) => {
  await new Promise<void>((resolve) => {
    waiting.push({ commandId, resolve });
    void takeEffect();
  });
  return { state: 'executed' };
};

const recall: Recall = ({ commandId }) =>
  done.has(commandId) ? { state: 'executed' } : { state: 'rejected', reason: 'the device died before it was done' };

async function attach(application: string): Promise<never> {
  for (let isFirst = true; ; await new Promise((elapsed) => setTimeout(elapsed, RECONNECT_MS))) {
    const folder = join(values.ledger, application);
    const ledger = ledgerIn(folder);
    try {
      const device = await attachDevice(`${values.broker}/m2m/applications/${application}`, handle, {
        originator: `device-of-${application}`,
        ledger,
        recall,
      });
      if (isFirst) console.log(`attached ${application}`);
      isFirst = false;
      await device.closed;
    } catch (error) {
      // Nobody there yet.
      if (!(error instanceof GridcastError)) throw error;
    } finally {
      await ledger.close();
    }
  }
}

process.on('SIGTERM', () => {
  process.exit(0);
});
await Promise.all(values.application.map(attach));
