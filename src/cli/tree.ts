/**
 * `gridcast tree`: walks the resource tree by its own references, as any client can.
 *
 *     {"applications":{"applicationCollection":{"namedReference":[{"id","reference"}]},"subscriptionsReference":"/m2m/..."}}
 *                                                                      └── both are followed ──┘
 */
import type { Command } from 'commander';
import { jsonOf, type Client } from '../client/client.js';
import { GridcastError } from '../client/error.js';
import { open } from '../client/open.js';
import { parseTarget } from '../client/target.js';
import type { Json, JsonObject } from '../routing/primitive.js';
import { anyUri, count, jsonOption } from './arguments.js';
import { channelOf, withChannel, type ChannelFlags } from './channel.js';
import type { Shell } from './shell.js';

const DEFAULT_URI = 'http://127.0.0.1:8080/m2m';

export interface Branch {
  /** Its path. */
  readonly at: string;
  readonly type: string;
  /** Worth a word beside its name: how many instances a container has. */
  readonly remark?: string;
  readonly branches: readonly Branch[];
  /** A collection without members: not drawn. */
  readonly isEmpty: boolean;
}

interface TreeFlags extends ChannelFlags {
  readonly depth?: number;
  readonly json?: boolean;
}

export function addTree(program: Command, shell: Shell): void {
  withChannel(program.command('tree'))
    .description('walk the resource tree and draw it, empty collections left out')
    .argument('[URI]', 'where to begin', anyUri, DEFAULT_URI)
    .option('--depth <N>', 'levels below the beginning', count)
    .addOption(jsonOption('one JSON object per resource: at, type, depth'))
    .addHelpText(
      'after',
      '\nExamples:\n  gridcast tree\n  gridcast tree http://127.0.0.1:8080/m2m/applications/pmu-1 --depth 2',
    )
    .action(async (uri: string, { depth = Infinity, json = false, ...channel }: TreeFlags) => {
      const client = await open(uri, await channelOf(channel));
      try {
        const root = await walk(client, parseTarget(uri).path, depth, shell.interrupted);
        for (const line of json ? jsonLines(root) : treeLines(root, shell)) shell.print(line);
      } finally {
        await client.close();
      }
    });
}

/** Reads a resource and, down to `depth`, what it refers to. */
export async function walk(client: Client, at: string, depth: number, signal: AbortSignal): Promise<Branch> {
  const { bytes } = await client.request({ op: 'retrieve', to: at, accept: 'application/json', signal });
  const [type, fields] = rootOf(at, jsonOf(bytes));
  const branches: Branch[] = [];
  if (depth > 0) {
    for (const reference of referencesOf(fields)) {
      // What went between reading its parent and reading it is simply not there.
      const branch = await walk(client, reference, depth - 1, signal).catch((error: unknown) => {
        if (error instanceof GridcastError && error.code === 404) return undefined;
        throw error;
      });
      if (branch) branches.push(branch);
    }
  }
  const instances = fields.currentNrOfInstances;
  return {
    at,
    type,
    branches,
    isEmpty: membersOf(fields)?.length === 0 && branches.every((branch) => branch.isEmpty),
    ...(typeof instances === 'number' && { remark: `${instances} ${instances === 1 ? 'instance' : 'instances'}` }),
  };
}

/** A representation has one root key, named after the type. */
function rootOf(at: string, document: Json | undefined): [type: string, fields: JsonObject] {
  const [root] = Object.entries(isObject(document) ? document : {});
  if (root && isObject(root[1])) return [root[0], root[1]];
  throw new GridcastError('protocol', `${at} is no resource of the tree.`);
}

function referencesOf(fields: JsonObject): readonly string[] {
  const references = Object.entries(fields).filter(([name]) => name.endsWith('Reference'));
  return [...references.map(([, reference]) => reference), ...(membersOf(fields) ?? [])].filter(
    (reference) => typeof reference === 'string',
  );
}

/** The references of a collection's members; undefined for what is no collection. */
function membersOf(fields: JsonObject): readonly (Json | undefined)[] | undefined {
  const [, collection] = Object.entries(fields).find(([name]) => name.endsWith('Collection')) ?? [];
  const members = isObject(collection) ? collection.namedReference : undefined;
  return isList(members) ? members.map((member) => (isObject(member) ? member.reference : undefined)) : undefined;
}

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value);

function* jsonLines({ at, type, remark, branches }: Branch, depth = 0): Generator<string> {
  yield JSON.stringify({ at, type, depth, ...(remark !== undefined && { remark }) });
  for (const branch of branches) yield* jsonLines(branch, depth + 1);
}

/** Drawn as `tree` of every Unix does: ├── for all but the last, └── for the last. */
function* treeLines(root: Branch, shell: Pick<Shell, 'paint'>): Generator<string> {
  const label = (name: string, { type, remark }: Branch): string => {
    const kind = name === type ? '' : ` ${shell.paint('dim', type)}`;
    return `${shell.paint('bold', name)}${kind}${remark === undefined ? '' : ` (${remark})`}`;
  };
  yield label(root.at, root);
  yield* below(root, '');

  function* below({ branches }: Branch, indent: string): Generator<string> {
    const shown = branches.filter(({ isEmpty }) => !isEmpty);
    for (const [index, branch] of shown.entries()) {
      const isLast = index === shown.length - 1;
      yield `${indent}${isLast ? '└── ' : '├── '}${label(decodeURIComponent(branch.at.split('/').at(-1) ?? ''), branch)}`;
      yield* below(branch, `${indent}${isLast ? '    ' : '│   '}`);
    }
  }
}
