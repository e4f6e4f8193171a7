/** `gridcast export`: what a container, a PMU or all PMUs measured in a span of time, as a table for whoever looks into an incident. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { Client } from '../client/client.js';
import { jsonOf, member } from '../client/client.js';
import { GridcastError } from '../client/error.js';
import { readInstances, type InstancesWanted } from '../client/instances.js';
import { open } from '../client/open.js';
import { parseTarget } from '../client/target.js';
import { formatTime, parseTime } from '../clock.js';
import { systemDisk } from '../disk.js';
import type { Json } from '../json.js';
import { anyUri } from './arguments.js';
import { EXPORT_FORMATS, writerOf, type ExportFormat, type Sink } from './export-formats.js';
import { Table, type Exported } from './export-table.js';
import { channelOf, withChannel, type ChannelFlags } from './channel.js';
import type { Shell } from './shell.js';

/** Instances of each container whose records become the columns. */
const LOOKED_AT = 100;

interface ExportFlags extends ChannelFlags {
  readonly from?: number;
  readonly to?: number;
  readonly format: ExportFormat;
  readonly out?: string;
}

/** A container to be read. */
interface Source {
  /** Of its contentInstances. */
  readonly path: string;
  readonly application: string | undefined;
}

export function addExport(program: Command, shell: Shell): void {
  withChannel(program.command('export'))
    .description('write what a container, an application or all applications measured as a table')
    .argument(
      '<URI>',
      'of a container, of an application (its measurements), or of /m2m/applications (those of all)',
      anyUri,
    )
    .option('--from <TIME>', 'measured from this on, such as 2026-11-23T08:15:00Z; default: the oldest', instant)
    .option('--to <TIME>', 'up to but not with this; default: the newest', instant)
    .addOption(new Option('--format <FORMAT>', 'of the table').choices([...EXPORT_FORMATS]).default('csv'))
    .option('--out <FILE>', 'write to this file, which must not be there yet; default: standard output')
    .addHelpText(
      'after',
      '\nExamples:\n  gridcast export http://127.0.0.1:8080/m2m/applications/pmu-1 --from 2026-11-23T08:15:00Z --to 2026-11-23T08:16:00Z' +
        '\n  gridcast export ws://127.0.0.1:8080/m2m/applications --format parquet --out incident.parquet',
    )
    .action((uri: string, flags: ExportFlags) => exportTable(shell, uri, flags));
}

function instant(text: string): number {
  const us = parseTime(text);
  if (us !== undefined) return us;
  throw new InvalidArgumentError('Expected a date and time with zone, such as 2026-11-23T08:15:00Z.');
}

async function exportTable(
  shell: Shell,
  uri: string,
  { from, to, format, out, ...channel }: ExportFlags,
): Promise<void> {
  if (from !== undefined && to !== undefined && from >= to)
    throw new GridcastError(
      'argument',
      `--from must be before --to, and it is ${formatTime(from)}, not before ${formatTime(to)}.`,
    );
  const client = await open(uri, await channelOf(channel));
  const wanted = { fromUs: from, toUs: to, signal: shell.interrupted };
  try {
    const { sources, isMany } = await sourcesOf(client, parseTarget(uri).path);
    const table = new Table(await firstOf(client, sources, wanted), isMany);
    const file = out === undefined ? undefined : await systemDisk.open(out, 'create');
    let [end, rows] = [0, 0];
    const sink: Sink = async (bytes) => {
      if (file) await file.write(end, bytes);
      else shell.write(bytes);
      end += bytes.length;
    };
    try {
      const writer = writerOf(format, table, sink);
      for await (const instance of allOf(client, sources, wanted)) {
        await writer.write(instance);
        rows++;
      }
      await writer.finish();
      await file?.sync();
    } finally {
      await file?.close();
    }
    shell.note(`${rows} rows, ${end} bytes${out === undefined ? '' : ` in ${out}`}`);
    for (const [name, count] of table.leftOut)
      shell.complain(
        `${count} values of ${name} have no column: the first ${LOOKED_AT} instances have no such record; --format ndjson has all.`,
      );
  } finally {
    await client.close();
  }
}

async function sourcesOf(client: Client, path: string): Promise<{ sources: readonly Source[]; isMany: boolean }> {
  const segments = path.replace(/\/+$/, '').split('/');
  const last = segments.at(-1) ?? '';
  const at = segments.join('/');
  if (last === 'applications') {
    const sources: Source[] = [];
    for (const appId of await membersOf(client, at)) {
      const measurements = `${at}/${encodeURIComponent(appId)}/containers/measurements`;
      if (await isThere(client, measurements))
        sources.push({ path: `${measurements}/contentInstances`, application: appId });
    }
    return { sources, isMany: true };
  }
  if (segments.at(-2) === 'applications')
    return {
      sources: [{ path: `${at}/containers/measurements/contentInstances`, application: undefined }],
      isMany: false,
    };
  const isWhole = last === 'contentInstances';
  return { sources: [{ path: isWhole ? at : `${at}/contentInstances`, application: undefined }], isMany: false };
}

async function membersOf(client: Client, applications: string): Promise<readonly string[]> {
  const { bytes } = await client.request({ op: 'retrieve', to: applications, accept: 'application/json' });
  const references = member(jsonOf(bytes), 'applications', 'applicationCollection', 'namedReference');
  if (!Array.isArray(references)) throw new GridcastError('protocol', `${applications} has no applications.`);
  const ids = (references as readonly Json[]).map((reference) => member(reference, 'id'));
  return ids.filter((id) => typeof id === 'string');
}

async function isThere(client: Client, path: string): Promise<boolean> {
  try {
    await client.request({ op: 'retrieve', to: path });
    return true;
  } catch (error) {
    if (error instanceof GridcastError && error.status === 'STATUS_NOT_FOUND') return false;
    throw error;
  }
}

async function firstOf(
  client: Client,
  sources: readonly Source[],
  wanted: InstancesWanted,
): Promise<readonly Exported[]> {
  const first: Exported[] = [];
  for (const { path, application } of sources) {
    let left = LOOKED_AT;
    for await (const instance of readInstances(client, path, { ...wanted, pageSize: LOOKED_AT })) {
      first.push({ ...instance, application });
      if (--left === 0) break;
    }
  }
  return first;
}

async function* allOf(client: Client, sources: readonly Source[], wanted: InstancesWanted): AsyncGenerator<Exported> {
  for (const { path, application } of sources)
    for await (const instance of readInstances(client, path, wanted)) yield { ...instance, application };
}
