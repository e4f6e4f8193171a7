/** The program without its process: what a command line does in a given shell, and with which exit code it ends. */
import { Command, CommanderError } from 'commander';
import { GridcastError } from '../client/error.js';
import { version } from '../protocols/version.js';
import { UsageError } from './arguments.js';
import { Exit, Interruption, type Shell } from './shell.js';

const FAILED = 1;
const MISUSED = 2;

/** Adds its commands to the program. */
type Add = (program: Command, shell: Shell) => void;

/**
 * The commands, each with its file's loading: a daemon that is started again after a crash does not first read, for 400 ms, what
 * simulators, clients and exports need.
 */
const COMMANDS: readonly { readonly names: readonly string[]; readonly load: () => Promise<Add> }[] = [
  { names: ['serve'], load: async () => (await import('./serve.js')).addServe },
  { names: ['demo'], load: async () => (await import('./demo.js')).addDemo },
  { names: ['sim'], load: async () => (await import('./sim.js')).addSim },
  { names: ['get', 'post', 'put', 'delete'], load: async () => (await import('./request.js')).addRequests },
  { names: ['observe'], load: async () => (await import('./observe.js')).addObserve },
  { names: ['command'], load: async () => (await import('./command.js')).addCommand },
  { names: ['alarms'], load: async () => (await import('./alarms.js')).addAlarms },
  { names: ['tree'], load: async () => (await import('./tree.js')).addTree },
  { names: ['top'], load: async () => (await import('./top.js')).addTop },
  { names: ['export'], load: async () => (await import('./export.js')).addExport },
  { names: ['store'], load: async () => (await import('./store.js')).addStore },
  { names: ['acl'], load: async () => (await import('./acl.js')).addAcl },
  { names: ['audit'], load: async () => (await import('./audit.js')).addAudit },
  { names: ['token'], load: async () => (await import('./token.js')).addToken },
];

/** The one that is named; all where none is, for the help and for a slip of the finger. */
function named([word = '']: readonly string[]): typeof COMMANDS {
  const found = COMMANDS.filter(({ names }) => names.includes(word));
  return found.length > 0 ? found : COMMANDS;
}

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
  for (const { load } of named(words)) (await load())(program, shell);
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
