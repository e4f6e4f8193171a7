/** The program without its process: what a command line does in a given shell, and with which exit code it ends. */
import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { GridcastError } from '../client/error.js';
import { UsageError } from './arguments.js';
import { addAlarms } from './alarms.js';
import { addAudit } from './audit.js';
import { addCommand } from './command.js';
import { addDemo } from './demo.js';
import { addExport } from './export.js';
import { addObserve } from './observe.js';
import { addRequests } from './request.js';
import { addServe } from './serve.js';
import { Exit, Interruption, type Shell } from './shell.js';
import { addSim } from './sim.js';
import { addStore } from './store.js';
import { addTop } from './top.js';
import { addTree } from './tree.js';

const FAILED = 1;
const MISUSED = 2;

const COMMANDS = [
  addServe,
  addDemo,
  addSim,
  addRequests,
  addObserve,
  addCommand,
  addAlarms,
  addTree,
  addTop,
  addExport,
  addStore,
  addAudit,
];

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };

/** @param words of the command line, after the program's name. Never rejects. */
export async function runProgram(words: readonly string[], shell: Shell): Promise<number> {
  const program = new Command('gridcast')
    .description('Real-time middleware for the power grid')
    .version(version)
    .showHelpAfterError('(--help says more)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => shell.print(text.trimEnd()),
      writeErr: (text) => shell.complain(text.trimEnd()),
    })
    .addHelpText(
      'after',
      '\nFirst steps:\n  gridcast demo\n  gridcast serve --pmu "c37118+tcp://127.0.0.1:4712?idcode=1"',
    );
  for (const add of COMMANDS) add(program, shell);
  try {
    await program.parseAsync(words, { from: 'user' });
    return interruptionOf(shell)?.exitCode ?? 0;
  } catch (error) {
    if (error instanceof Exit) return error.code;
    return interruptionOf(shell)?.exitCode ?? report(error, shell);
  }
}

const interruptionOf = ({ interrupted: { reason } }: Shell): Interruption | undefined =>
  reason instanceof Interruption ? reason : undefined;

/** Says what went wrong; the exit code. */
function report(error: unknown, shell: Shell): number {
  // commander has said it already; its own codes are 1 for a mistake and 0 for help asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : MISUSED;
  shell.complain(`gridcast: ${sentenceOf(error)}`);
  return error instanceof UsageError || (error instanceof GridcastError && error.kind === 'argument')
    ? MISUSED
    : FAILED;
}

function sentenceOf(error: unknown): string {
  if (error instanceof GridcastError && error.status) return `${error.message} (${error.code} ${error.status})`;
  return error instanceof Error ? error.message : String(error);
}
