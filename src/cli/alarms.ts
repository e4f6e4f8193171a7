/** `gridcast alarms`: what stands, and what changes; `gridcast alarms ack`: an operator has seen one. */
import type { Command } from 'commander';
import { actOnAlarm, listAlarms, watchAlarms, type Alarm } from '../client/alarms.js';
import { open } from '../client/open.js';
import { parseTarget } from '../client/target.js';
import { anyUri, jsonOption } from './arguments.js';
import { channelOf, withChannel, type ChannelFlags } from './channel.js';
import type { Shell } from './shell.js';

interface AlarmsFlags extends ChannelFlags {
  readonly follow?: boolean;
  readonly json?: boolean;
}

interface AckFlags extends ChannelFlags {
  readonly comment?: string;
  readonly as?: string;
}

const EXAMPLES = `
Examples:
  gridcast alarms ws://127.0.0.1:8080 --follow
  gridcast alarms http://127.0.0.1:8080/m2m/applications/pmu-1
  gridcast alarms ack http://127.0.0.1:8080 pmu-1~over-frequency --as operator-1 --comment "crew is on the way"`;

export function addAlarms(program: Command, shell: Shell): void {
  const alarms = withChannel(program.command('alarms'))
    .description('list the alarms that are not normal, the most urgent first')
    .argument('<URI>', 'of the broker, or of the application whose alarms are wanted', anyUri)
    .option('-f, --follow', 'go on with every change; STALE is shown while nothing can be known')
    .addOption(jsonOption('one JSON object per alarm'))
    .addHelpText('after', EXAMPLES)
    .action((uri: string, flags: AlarmsFlags) => list(shell, uri, flags));
  withChannel(alarms.command('ack'))
    .description('acknowledge an alarm')
    .argument('<URI>', 'of the broker', anyUri)
    .argument('<ID>', 'the alarm’s id, as listed')
    .option('--comment <TEXT>', 'kept with the alarm')
    .option('--as <ORIGINATOR>', 'who acknowledges')
    // commander gives those of the same name to `alarms`.
    .action((uri: string, id: string, _flags: AckFlags, command: Command) =>
      acknowledge(shell, uri, id, command.optsWithGlobals()),
    );
}

async function list(
  shell: Shell,
  uri: string,
  { follow = false, json = false, ...channel }: AlarmsFlags,
): Promise<void> {
  const client = await open(uri, await channelOf(channel));
  const application = /^\/[^/]+\/applications\/[^/]+/.exec(parseTarget(uri).path)?.[0];
  const show = (alarm: Alarm): void => shell.print(json ? JSON.stringify(alarm) : line(alarm));
  try {
    if (!follow) {
      const alarms = await listAlarms(client, application);
      for (const alarm of alarms.filter(({ state }) => state !== 'normal')) show(alarm);
      return;
    }
    const options = {
      signal: shell.interrupted,
      clock: shell.clock,
      ...(application !== undefined && { application }),
    };
    for await (const news of watchAlarms(client, options)) {
      if (news.type === 'alarm') show(news.alarm);
      else if (json) shell.print(JSON.stringify(news));
      else shell.print(news.type === 'stale' ? 'STALE: nothing can be known of alarms now' : 'live again');
    }
  } finally {
    await client.close();
  }
}

async function acknowledge(
  shell: Shell,
  uri: string,
  id: string,
  { comment, as, ...channel }: AckFlags,
): Promise<void> {
  const client = await open(uri, { ...(await channelOf(channel)), ...(as !== undefined && { originator: as }) });
  try {
    const alarm = await actOnAlarm(client, id, 'acknowledge', comment === undefined ? {} : { comment });
    if (alarm) shell.print(line(alarm));
  } finally {
    await client.close();
  }
}

const line = ({ priority, state, alarmId, text, value, changed }: Alarm): string =>
  [changed, `P${priority}`, state, alarmId, value, text].filter((part) => part !== undefined).join('  ');
