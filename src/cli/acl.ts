/** `gridcast acl explain`: which right, entry and rule decide whether somebody may do something; the running broker is asked. */
import type { Command } from 'commander';
import { jsonOf, member } from '../client/client.js';
import { open } from '../client/open.js';
import type { Json } from '../json.js';
import { jsonOption, uriOf } from './arguments.js';
import { channelOf, withChannel, type ChannelFlags } from './channel.js';
import type { Shell } from './shell.js';

interface ExplainFlags extends ChannelFlags {
  readonly broker: string;
  readonly json?: boolean;
}

const DEFAULT_URI = 'http://127.0.0.1:8080';
const EXAMPLES = `
OP is create, retrieve, update, delete, subscribe, attach or discover.

Examples:
  gridcast acl explain operator-1 create /m2m/applications/feeder/containers/commands
  gridcast acl explain anonymous retrieve /m2m/applications --json`;

export function addAcl(program: Command, shell: Shell): void {
  const acl = program.command('acl').description('explain access rights');
  withChannel(acl.command('explain'))
    .description('say why an originator may do something or not; when rights are enforced, to administrators')
    .argument('<ORIGINATOR>', 'who would ask')
    .argument('<OP>', 'what he would do')
    .argument('<PATH>', 'to which resource; to create, the collection')
    .option('--broker <URI>', 'where the broker is', uriOf('http', 'https'), DEFAULT_URI)
    .addOption(jsonOption('one JSON object'))
    .addHelpText('after', EXAMPLES)
    .action((originator: string, op: string, path: string, flags: ExplainFlags) =>
      explain(shell, { originator, op, path }, flags),
    );
}

async function explain(
  shell: Shell,
  asked: Readonly<Record<'originator' | 'op' | 'path', string>>,
  { broker, json = false, ...flags }: ExplainFlags,
): Promise<void> {
  const client = await open(broker, await channelOf(flags));
  try {
    const { bytes } = await client.request({ op: 'retrieve', to: `/acl?${new URLSearchParams(asked).toString()}` });
    const answer = jsonOf(bytes);
    if (json) shell.print(JSON.stringify(answer));
    else for (const line of linesOf(answer)) shell.print(line);
  } finally {
    await client.close();
  }
}

function linesOf(answer: Json | undefined): readonly string[] {
  const said = (name: string): string => {
    const value = member(answer, name);
    return typeof value === 'string' ? value : '-';
  };
  const isOpen = said('rights') === 'open';
  return [
    `${said('outcome')} ${said('status')}`,
    `rule   ${said('rule')}: ${said('flag')} on ${said('subject')}`,
    `right  ${said('right')}`,
    `entry  ${said('entry')} by ${said('holding')}`,
    said('because'),
    ...(isOpen ? ['Rights are open: everybody may do everything; this would hold if they were enforced.'] : []),
  ];
}
