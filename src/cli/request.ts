/** `gridcast get`, `post`, `put`, `delete`: one request over the binding that the URI's scheme names. */
import type { Command } from 'commander';
import type { ClientRequest, ClientResponse, RequestBody } from '../client/client.js';
import { open, type OpenOptions } from '../client/open.js';
import { parseTarget } from '../client/target.js';
import { systemDisk } from '../disk.js';
import { STATUSES } from '../errors.js';
import { acceptOption, anyUri, jsonOption, mediaType, timeoutOption, UsageError } from './arguments.js';
import { coapRequest } from './coap-request.js';
import { bodyText, contentJson } from './lines.js';
import { channelOf, withChannel, type ChannelFlags } from './channel.js';
import type { Shell } from './shell.js';

interface RequestFlags extends ChannelFlags {
  readonly accept?: string;
  readonly json?: boolean;
  readonly timeout: number;
  readonly file?: string;
  readonly type: string;
}

const DEFAULT_TIMEOUT_S = 10;
const PMU = 'coap://127.0.0.1/m2m/applications/pmu-1/containers';

const VERBS = [
  {
    name: 'get',
    op: 'retrieve',
    description: 'read a resource',
    examples: [
      'get http://127.0.0.1:8080/m2m',
      `get ${PMU}/measurements/contentInstances/latest/content --accept senml+json`,
    ],
  },
  {
    name: 'post',
    op: 'create',
    description: 'create a resource, or store content in a container',
    examples: [
      `post http://127.0.0.1:8080/m2m/applications '{"application":{"appId":"meter-1"}}'`,
      `post http://127.0.0.1:8080/m2m/applications/meter-1/containers/load/contentInstances --type text '21.5'`,
    ],
  },
  {
    name: 'put',
    op: 'update',
    description: 'change a resource',
    examples: [`put ${PMU}/measurements '{"container":{"maxNrOfInstances":100}}'`],
  },
  {
    name: 'delete',
    op: 'delete',
    description: 'delete a resource',
    examples: ['delete http://127.0.0.1:8080/m2m/applications/meter-1'],
  },
] as const;

export function addRequests(program: Command, shell: Shell): void {
  for (const { name, op, description, examples } of VERBS) {
    const command = withChannel(program.command(name))
      .description(`${description}, over coap://, ws:// or http://`)
      .argument('<URI>', 'of the resource', anyUri);
    const takesBody = op === 'create' || op === 'update';
    if (takesBody) {
      command
        .argument('[BODY]', 'what to send; without it and without --file nothing is sent')
        .option('--file <PATH>', 'send this file; - for standard input')
        .option('--type <TYPE>', 'media type of the body', mediaType, 'application/json');
    }
    command
      .addOption(acceptOption())
      .addOption(timeoutOption('how long to wait for the answer', DEFAULT_TIMEOUT_S))
      .addOption(jsonOption('one JSON object: status, code, location, mediaType and the content'))
      .addHelpText('after', `\nExamples:\n${examples.map((example) => `  gridcast ${example}`).join('\n')}`)
      .action(async (uri: string, ...rest: unknown[]) => {
        const text = takesBody && typeof rest[0] === 'string' ? rest[0] : undefined;
        await request(shell, op, uri, text, rest[takesBody ? 1 : 0] as RequestFlags);
      });
  }
}

async function request(
  shell: Shell,
  op: ClientRequest['op'],
  to: string,
  text: string | undefined,
  flags: RequestFlags,
): Promise<void> {
  const body = await bodyOf(text, flags);
  const { accept, timeout } = flags;
  const asked: ClientRequest = {
    op,
    to,
    timeoutMs: timeout * 1000,
    signal: shell.interrupted,
    ...(accept !== undefined && { accept }),
    ...(body && { body }),
  };
  // A token is bound to the port that it came from, and node-coap has another for each request.
  const isForeign = parseTarget(to).scheme === 'coap' && flags.token === undefined;
  const response = isForeign ? await coapRequest(asked, shell.clock) : await ask(asked, await channelOf(flags));
  show(shell, response, flags.json ?? false);
}

async function ask(request: ClientRequest, channel: OpenOptions): Promise<ClientResponse> {
  const client = await open(request.to, channel);
  try {
    return await client.request(request);
  } finally {
    await client.close();
  }
}

async function bodyOf(text: string | undefined, { file, type }: RequestFlags): Promise<RequestBody | undefined> {
  if (text !== undefined && file !== undefined) throw new UsageError('Give the body or --file, not both.');
  if (text !== undefined) return { mediaType: type, bytes: Buffer.from(text) };
  if (file === undefined) return undefined;
  return { mediaType: type, bytes: file === '-' ? await standardInput() : await systemDisk.read(file) };
}

export async function standardInput(): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of process.stdin) parts.push(part as Uint8Array);
  return Buffer.concat(parts);
}

/** On a terminal laid out for a person; into a pipe the bytes as they came. */
function show(shell: Shell, { status, mediaType: type, bytes, location }: ClientResponse, json: boolean): void {
  if (json) {
    const content = type === undefined ? {} : contentJson(type, bytes);
    shell.print(
      JSON.stringify({ status, code: STATUSES[status].http, ...(location !== undefined && { location }), ...content }),
    );
    return;
  }
  shell.note(shell.paint('dim', `${STATUSES[status].http} ${status}${type === undefined ? '' : ` ${type}`}`));
  if (location !== undefined) shell.print(location);
  else if (shell.isTerminal && type !== undefined) shell.print(bodyText(type, bytes));
  else if (bytes.length > 0) shell.write(bytes);
}
