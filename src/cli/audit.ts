/** `gridcast audit verify | show`: the audit trail of a data folder; also while the daemon runs. */
import type { Command } from 'commander';
import { systemDisk } from '../disk.js';
import { describeEvent } from '../store/audit-chain.js';
import { besideDaemon } from '../store/backup.js';
import { readTrail, verifyTrail } from '../store/trail.js';
import type { Shell } from './shell.js';
import { wantStore } from './store.js';

export function addAudit(program: Command, shell: Shell): void {
  const audit = program.command('audit').description('verify and show the audit trail of a data folder');
  audit
    .command('verify')
    .description('follow the hash chain from the first event to the last')
    .argument('<DIR>', 'data folder')
    .addHelpText(
      'after',
      '\nPrints the last hash: kept elsewhere, it shows later that nothing before it was rewritten.\nExit code 0: the chain holds. 1: it is broken, and where.',
    )
    .action(async (folder: string) => {
      await wantStore(folder);
      const { number, hash } = await besideDaemon(() => verifyTrail(systemDisk, folder));
      shell.print(`${number} events, the last with hash ${Buffer.from(hash).toString('hex')}: the chain holds.`);
    });
  audit
    .command('show')
    .description('print all events, one JSON object per line')
    .argument('<DIR>', 'data folder')
    .addHelpText(
      'after',
      '\nExample:\n  gridcast audit show gridcast-data | jq \'select(.event == "command-accepted")\'',
    )
    .action(async (folder: string) => {
      await wantStore(folder);
      for await (const event of readTrail(systemDisk, folder)) shell.print(JSON.stringify(describeEvent(event)));
    });
}
