/** `gridcast serve`: the broker, in the foreground. Its flags are the configuration's keys, one each. */
import { Option, type Command } from 'commander';
import { reasonOf } from '../client/error.js';
import { CONFIG_KEYS, configPath, loadConfig, printConfig, type ConfigKeyRow } from '../config.js';
import { systemDisk } from '../disk.js';
import { isRefusal } from '../errors.js';
import { serve, type Listening } from '../main.js';
import { gather, UsageError } from './arguments.js';
import { tendHeap } from './heap.js';
import { Exit, Interruption, type Shell } from './shell.js';

type ServeFlags = Readonly<Record<string, unknown>>;

export function addServe(program: Command, shell: Shell): void {
  const command = program.command('serve').description('run the broker');
  for (const row of CONFIG_KEYS) command.addOption(optionOf(row));
  command
    .option('--config <FILE>', 'YAML file of the same keys')
    .option('--print-config', 'print every value and where it comes from, and end')
    .addHelpText(
      'after',
      '\nFlags go before the environment (GRIDCAST_HTTP=8081), that before the file, that before the default.\n\nExamples:\n  gridcast serve\n  gridcast serve --pmu "c37118+tcp://127.0.0.1:4712?idcode=1"\n  gridcast serve --config gridcast.yaml --print-config',
    )
    .action((flags: ServeFlags) => run(shell, flags, program.version() ?? ''));
}

/** Values stay text: the configuration reads them, as it reads those of the environment. */
function optionOf({ flag, fallback, purpose }: ConfigKeyRow): Option {
  const shown = typeof fallback === 'object' ? '' : ` (default: ${String(fallback)})`;
  if (typeof fallback === 'boolean') return new Option(flag, purpose);
  const option = new Option(`${flag} <VALUE>`, `${purpose}${shown}`);
  return Array.isArray(fallback) ? option.argParser(gather) : option;
}

async function run(shell: Shell, flags: ServeFlags, version: string): Promise<void> {
  const environment = process.env;
  const path = configPath({ flags, environment });
  const file = path === undefined ? undefined : { path, text: await read(path) };
  const loaded = loadConfig({ flags, environment, ...(file && { file }) });
  if (isRefusal(loaded)) throw new UsageError(loaded.detail);
  if (flags.printConfig === true) {
    shell.print(printConfig(loaded).trimEnd());
    return;
  }
  tendHeap();
  const daemon = await serve(loaded.config);
  if (isRefusal(daemon)) throw new Error(daemon.detail);
  for (const line of banner(version, daemon.listening, loaded.config.pmu.length > 0, shell)) shell.print(line);
  // A signal that came while it was starting: the daemon hears only those that come later.
  if (shell.interrupted.aborted) void daemon.stop();
  const exitCode = await daemon.closed;
  const { reason } = shell.interrupted as { readonly reason: unknown };
  // SIGTERM is how a service is stopped, and no failure; Ctrl-C is an interruption here as everywhere.
  const isInterrupted = reason instanceof Interruption && reason.signal === 'SIGINT';
  throw new Exit(exitCode === 0 && isInterrupted ? reason.exitCode : exitCode);
}

async function read(path: string): Promise<string> {
  try {
    return Buffer.from(await systemDisk.read(path)).toString('utf8');
  } catch (error) {
    throw new UsageError(`--config: ${reasonOf(error)}.`);
  }
}

const CONTENT = 'containers/measurements/contentInstances/latest/content';

/** What listens where, and the next three commands to try. */
function banner(version: string, listening: readonly Listening[], hasPmu: boolean, shell: Shell): readonly string[] {
  const roots = listening.filter(({ protocol }) => protocol !== 'c37118').flatMap(rootsOf);
  const out = listening.filter(({ protocol }) => protocol === 'c37118');
  // There is a listener: it has started.
  const web = roots.find(({ name }) => name === 'HTTP')?.uri ?? roots[0]!.uri;
  const stream = roots.find(({ name }) => name === 'CoAP')?.uri ?? web;
  const attach = `gridcast post ${web}/m2m/applications '{"application":{"aPoC":"c37118+tcp://127.0.0.1:4712?idcode=1"}}'`;
  const observe = `gridcast observe ${stream}/m2m/applications/pmu-1/${CONTENT} --rate 5`;
  const next = hasPmu
    ? [`gridcast tree ${web}/m2m`, observe, `gridcast top ${web}`]
    : ['gridcast sim pmu --listen tcp://127.0.0.1:4712 --pmus 3', attach, observe];
  return [
    `${shell.paint('bold', `Gridcast ${version}`)} listens at`,
    ...roots.map(({ name, uri }) => `  ${name.padEnd(9)}  ${uri}/m2m`),
    ...out.map(({ authority }) => `  C37.118    tcp://${authority}`),
    'Try next, in another terminal:',
    ...next.map((line) => `  ${shell.paint('cyan', line)}`),
  ];
}

interface Root {
  readonly name: 'HTTP' | 'WebSocket' | 'CoAP';
  readonly uri: string;
}

function rootsOf({ protocol, authority }: Listening): readonly Root[] {
  if (protocol === 'coap') return [{ name: 'CoAP', uri: `coap://${authority}` }];
  return [
    { name: 'HTTP', uri: `${protocol}://${authority}` },
    { name: 'WebSocket', uri: `${protocol === 'https' ? 'wss' : 'ws'}://${authority}` },
  ];
}
