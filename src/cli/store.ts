/** `gridcast store check | export | backup`: looks after a data folder, without a broker. */
import type { Command } from 'commander';
import { systemDisk } from '../disk.js';
import { isRefusal } from '../errors.js';
import { backUp, besideDaemon } from '../store/backup.js';
import { checkStore, readState, type StoreReport } from '../store/check.js';
import { lockFolder } from '../store/folder-lock.js';
import { checkLayout, lockFolderOf } from '../store/layout.js';
import { openLevel } from '../store/level.js';
import { TABLES } from '../store/store.js';
import { Exit, type Shell } from './shell.js';

const FAULTY = 1;

export function addStore(program: Command, shell: Shell): void {
  const store = program.command('store').description('check, export and back up a data folder');
  store
    .command('check')
    .description('read everything and tell what is wrong; the daemon must be stopped')
    .argument('<DIR>', 'data folder')
    .addHelpText('after', '\nExit code 0: all is well. 1: damaged, with a sentence per fault.')
    .action((folder: string) => check(shell, folder));
  store
    .command('export')
    .description('print all rows, one JSON object per line; also while the daemon runs')
    .argument('<DIR>', 'data folder')
    .addHelpText('after', '\nExample:\n  gridcast store export gridcast-data | jq -r .key')
    .action((folder: string) => exportRows(shell, folder));
  store
    .command('backup')
    .description('copy to a new folder and check the copy; also while the daemon runs')
    .argument('<DIR>', 'data folder')
    .argument('<TARGET>', 'folder that is empty or not there yet')
    .addHelpText('after', '\nExample:\n  gridcast store backup gridcast-data /backup/$(date +%F)')
    .action((folder: string, target: string) => backup(shell, folder, target));
}

export async function wantStore(folder: string): Promise<void> {
  if ((await checkLayout(systemDisk, folder)) === 'empty') throw new Error(`There is no store in ${folder}.`);
}

async function check(shell: Shell, folder: string): Promise<void> {
  const { length } = await systemDisk.list(folder);
  if (length === 0) throw new Error(`There is no store in ${folder}.`);
  const lock = await lockFolder(lockFolderOf(folder));
  if (isRefusal(lock)) throw new Error(`${lock.detail} A copy can be checked while it runs: gridcast store backup.`);
  try {
    const report = await checkStore(systemDisk, folder);
    for (const fault of report.faults) shell.complain(fault);
    if (report.faults.length > 0) throw new Exit(FAULTY);
    shell.print(summaryOf(report));
  } finally {
    await lock.release();
  }
}

async function exportRows(shell: Shell, folder: string): Promise<void> {
  await wantStore(folder);
  const { rows } = await besideDaemon(() => readState(systemDisk, folder));
  for (const table of TABLES) {
    for (const [key, { document, bytes }] of rows[table]) {
      const base64 = bytes && { bytes: Buffer.from(bytes).toString('base64') };
      shell.print(JSON.stringify({ table, key, document, ...base64 }));
    }
  }
}

async function backup(shell: Shell, folder: string, target: string): Promise<void> {
  const report = await backUp(systemDisk, folder, target, openLevel);
  if (isRefusal(report)) throw new Error(report.detail);
  shell.print(summaryOf(report));
}

function summaryOf({ state, audit, history }: StoreReport): string {
  const counts = TABLES.map((table) => `${state?.rows[table].size ?? 0} of ${table}`);
  const { containers = 0, instances = 0 } = history ?? {};
  return `All is well: rows ${counts.join(', ')}; ${audit.number} audit events; ${instances} instances of ${containers} containers on disk.`;
}
