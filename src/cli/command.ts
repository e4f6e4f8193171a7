/** `gridcast command`: operates a point and tells what becomes of it; the exit code is 0 only when that is what was wanted. */
import { Option, type Command } from 'commander';
import { command, type CommandNews, type CommandRequest } from '../client/command.js';
import { GridcastError } from '../client/error.js';
import { open } from '../client/open.js';
import type { Json } from '../routing/primitive.js';
import { anyUri, count, jsonOption, UsageError } from './arguments.js';
import { channelOf, withChannel, type ChannelFlags } from './channel.js';
import type { Shell } from './shell.js';

interface CommandFlags extends ChannelFlags {
  readonly point?: string;
  readonly value?: Json;
  readonly deadline?: number;
  readonly id?: string;
  readonly action?: 'operate' | 'select' | 'cancel';
  readonly lease?: number;
  readonly json?: boolean;
}

/** `5` and `true` are what they look like; anything that is no JSON is text. */
function value(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

export function addCommand(program: Command, shell: Shell): void {
  withChannel(program.command('command'))
    .description('send a command to an application’s device and wait for its outcome')
    .argument('<URI>', 'of the application, over ws://, http:// or coap://', anyUri)
    .option('--point <NAME>', 'what is operated; not needed with the --id of what is selected, or to cancel')
    .addOption(
      new Option('--action <ACTION>', 'what to do (default: operate)').choices(['operate', 'select', 'cancel']),
    )
    .option('--value <VALUE>', 'to what; JSON, or text', value)
    .option('--deadline <MS>', 'milliseconds from acceptance to execution', count)
    .option('--id <ID>', 'command id; the same id again gives the outcome of the first')
    .option('--lease <MS>', 'milliseconds for which a select waits for its operate', count)
    .addOption(jsonOption('one JSON object per state'))
    .addHelpText(
      'after',
      '\nExamples:\n  gridcast command ws://127.0.0.1:8080/m2m/applications/pmu-1 --point breaker-1 --value open --deadline 2000\n  gridcast command coap://127.0.0.1/m2m/applications/pmu-1 --point breaker-1 --value close --json\n  gridcast command ws://127.0.0.1:8080/m2m/applications/pmu-1 --action select --point breaker-1 --value open --id sbo-1',
    )
    .action((uri: string, flags: CommandFlags) => run(shell, uri, flags));
}

async function run(
  shell: Shell,
  uri: string,
  { point, value: to, deadline, id, action, lease, json = false, ...channel }: CommandFlags,
): Promise<void> {
  if (point === undefined && id === undefined)
    throw new UsageError('A command needs --point, or the --id of one that was given before.');
  const request: CommandRequest = {
    signal: shell.interrupted,
    ...(to !== undefined && { value: to }),
    ...(deadline !== undefined && { deadlineMs: deadline }),
    ...(id !== undefined && { commandId: id }),
    ...(point !== undefined && { point }),
    ...(action !== undefined && { action }),
    ...(lease !== undefined && { leaseMs: lease }),
  };
  const client = await open(uri, await channelOf(channel));
  const startUs = shell.clock.monotonicUs();
  let last: CommandNews | undefined;
  try {
    for await (const news of command(client, uri, request)) {
      last = news;
      const ms = Math.round((shell.clock.monotonicUs() - startUs) / 1000);
      shell.print(json ? JSON.stringify({ ...news, ms }) : line(news, ms));
    }
  } finally {
    await client.close();
  }
  const wanted = action === undefined ? 'executed' : WANTED[action];
  if (last?.state !== wanted)
    throw new GridcastError(
      'refused',
      `The command was not ${wanted}: ${last?.state}${last?.reason === undefined ? '' : `, ${last.reason}`}.`,
    );
}

const WANTED = { operate: 'executed', select: 'selected', cancel: 'cancelled' } as const;

const line = ({ commandId, state, reason }: CommandNews, ms: number): string =>
  `${commandId} ${state} after ${ms} ms${reason === undefined ? '' : `: ${reason}`}`;
