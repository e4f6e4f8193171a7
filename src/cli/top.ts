/**
 * `gridcast top`: what the broker is doing now, out of /metrics: of each counter its rate, of each gauge its value.
 *
 *     scrape ──(interval)──> scrape ──> rates ──> drawn over the last     piped: one table, no colours, and done
 */
import type { Command } from 'commander';
import { textOf, type Client } from '../client/client.js';
import { GridcastError } from '../client/error.js';
import { open } from '../client/open.js';
import type { Clock } from '../clock.js';
import { jsonOption, positive, uriOf } from './arguments.js';
import { channelOf, withChannel, type ChannelFlags } from './channel.js';
import type { Shell } from './shell.js';

const DEFAULT_URI = 'http://127.0.0.1:8080';
const DEFAULT_INTERVAL_S = 2;
/** Cursor home, and erase to the end of the screen. */
const REDRAW = '\u001b[H\u001b[J';
/** prom-client's own figures of the process, under the broker's prefix: those worth a line here. */
const PROCESS_FIGURES = [
  'gridcast_process_resident_memory_bytes',
  'gridcast_process_cpu_seconds_total',
  'gridcast_nodejs_eventloop_lag_p99_seconds',
];

interface TopFlags extends ChannelFlags {
  readonly interval: number;
  readonly json?: boolean;
}

export interface Series {
  readonly name: string;
  /** As in the exposition: `{binding="coap"}`, or nothing. */
  readonly labels: string;
  readonly kind: 'counter' | 'gauge';
  readonly value: number;
}

export interface Row {
  readonly name: string;
  readonly labels: string;
  /** Per second for a counter, the value itself for a gauge. */
  readonly figure: number;
  readonly unit: '/s' | '';
}

export function addTop(program: Command, shell: Shell): void {
  withChannel(program.command('top'))
    .description('show the broker’s rates and levels, refreshed; once when piped')
    .argument('[URI]', 'of the broker', uriOf('http', 'https'), DEFAULT_URI)
    .option('--interval <S>', 'seconds that rates are taken over', positive, DEFAULT_INTERVAL_S)
    .addOption(jsonOption('one JSON object per figure, once'))
    .addHelpText(
      'after',
      '\nExamples:\n  gridcast top\n  gridcast top http://127.0.0.1:8080 --interval 5\n  gridcast top --json | jq .',
    )
    .action(async (uri: string, { interval, json = false, ...channel }: TopFlags) => {
      const client = await open(uri, await channelOf(channel));
      try {
        await show(shell, client, interval, json);
      } finally {
        await client.close();
      }
    });
}

async function show(shell: Shell, client: Client, intervalS: number, json: boolean): Promise<void> {
  let before = await scrape(client, shell);
  do {
    await pause(shell.clock, intervalS * 1000, shell.interrupted);
    const now = await scrape(client, shell);
    const rows = ratesOf(before.series, now.series, (now.atUs - before.atUs) / 1e6);
    before = now;
    if (json) for (const row of rows) shell.print(JSON.stringify(row));
    else shell.print(`${shell.isTerminal ? REDRAW : ''}${table(rows, shell)}`);
  } while (shell.isTerminal && !json);
}

async function scrape(
  client: Client,
  { clock, interrupted }: Shell,
): Promise<{ readonly atUs: number; readonly series: readonly Series[] }> {
  const { bytes } = await client.request({ op: 'retrieve', to: '/metrics', signal: interrupted });
  return { atUs: clock.monotonicUs(), series: readExposition(textOf(bytes)) };
}

const pause = (clock: Clock, ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const cancel = clock.after(ms, resolve);
    signal.addEventListener('abort', () => {
      cancel();
      reject(signal.reason);
    });
  });

/** The counters and gauges of a Prometheus exposition; histograms are left out. */
export function readExposition(text: string): readonly Series[] {
  const kinds = new Map<string, string>();
  const series: Series[] = [];
  for (const line of text.split('\n')) {
    const [, described, kind] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? [];
    if (described !== undefined && kind !== undefined) kinds.set(described, kind);
    const [, name = '', labels = '', value] = /^([A-Za-z_:][\w:]*)(\{.*\})? (\S+)$/.exec(line) ?? [];
    const known = kinds.get(name);
    if ((known === 'counter' || known === 'gauge') && value !== undefined)
      series.push({ name, labels, kind: known, value: Number(value) });
  }
  if (series.length === 0)
    throw new GridcastError('protocol', 'There are no metrics at this address: is it a Gridcast broker?');
  return series;
}

/** What moved or stands, the broker's own figures first. A counter that went back has started again, and shows from 0. */
export function ratesOf(before: readonly Series[], now: readonly Series[], seconds: number): readonly Row[] {
  const earlier = new Map(before.map(({ name, labels, value }) => [name + labels, value]));
  return now
    .filter(
      ({ name }) =>
        name.startsWith('gridcast_') && (!/_(process|nodejs)_/.test(name) || PROCESS_FIGURES.includes(name)),
    )
    .map(({ name, labels, kind, value }): Row => {
      if (kind === 'gauge') return { name, labels, figure: value, unit: '' };
      const since = value - (earlier.get(name + labels) ?? 0);
      return { name, labels, figure: (since < 0 ? value : since) / seconds, unit: '/s' };
    })
    .filter(({ figure }) => figure !== 0);
}

function table(rows: readonly Row[], { paint }: Pick<Shell, 'paint'>): string {
  const titles = rows.map(({ name, labels }) => `${name.replace(/^gridcast_|_total$/g, '')}${labels}`);
  const width = Math.max(0, ...titles.map((title) => title.length));
  return rows
    .map(
      ({ figure, unit }, index) =>
        `${(titles[index] ?? '').padEnd(width)}  ${paint('bold', shown(figure).padStart(12))}${unit}`,
    )
    .join('\n');
}

const shown = (figure: number): string =>
  Number.isInteger(figure) ? String(figure) : figure.toFixed(figure < 10 ? 3 : 1);
