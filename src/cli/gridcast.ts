#!/usr/bin/env node
/**
 * `gridcast`: one program, a command each for the broker, for those who talk to it, and for what is simulated.
 *
 * Exit codes: 0 done, 1 failed, 2 used wrongly, 130 interrupted. A failure is one sentence on standard error.
 */
import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { GridcastError } from '../client/error.js';
import { isRefusal } from '../errors.js';
import { UsageError } from './arguments.js';
import { addCommand } from './command.js';
import { addDemo } from './demo.js';
import { addObserve } from './observe.js';
import { addRequests } from './request.js';
import { addServe } from './serve.js';
import { Interruption, openShell } from './shell.js';
import { addSim } from './sim.js';
import { addTop } from './top.js';
import { addTree } from './tree.js';

const FAILED = 1;
const MISUSED = 2;

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };

async function main(): Promise<number> {
  const shell = openShell();
  const program = new Command('gridcast')
    .description('Real-time middleware for the power grid')
    .version(version)
    .showHelpAfterError('(--help says more)')
    .exitOverride()
    .addHelpText('after', '\nFirst steps:\n  gridcast demo\n  gridcast serve --pmu c37118+tcp://127.0.0.1:4712?idcode=1');
  for (const add of [addServe, addDemo, addSim, addRequests, addObserve, addCommand, addTree, addTop]) add(program, shell);
  try {
    await program.parseAsync();
    return shell.interrupted.aborted ? (shell.interrupted.reason as Interruption).exitCode : 0;
  } catch (error) {
    return report(error);
  }
}

/** Says what went wrong; the exit code. */
function report(error: unknown): number {
  // commander has said it already; its own codes are 1 for a mistake and 0 for help asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : MISUSED;
  if (error instanceof Interruption) return error.exitCode;
  process.stderr.write(`gridcast: ${sentenceOf(error)}\n`);
  return error instanceof UsageError || (error instanceof GridcastError && error.kind === 'argument') ? MISUSED : FAILED;
}

function sentenceOf(error: unknown): string {
  if (error instanceof GridcastError && error.status) return `${error.message} (${error.code} ${error.status})`;
  if (isRefusal(error)) return error.detail;
  return error instanceof Error ? error.message : String(error);
}

// Whatever still holds the process (a socket that keeps alive, a timer of a library) is not waited for.
process.exit(await main());
