/** `gridcast observe`: one line per sample, whatever the binding. */
import type { Command } from 'commander';
import type { ObserveTerms } from '../client/client.js';
import { GridcastError } from '../client/error.js';
import { open } from '../client/open.js';
import type { LatencyClass } from '../routing/terms.js';
import { acceptOption, anyUri, classOption, count, jsonOption, rateOption, timeoutOption } from './arguments.js';
import { sampleJson, sampleLine } from './lines.js';
import { channelOf, withChannel, type ChannelFlags } from './channel.js';
import { conditioned, withConditions, type ConditionFlags, type MethodFlags } from './conditions.js';
import type { Shell } from './shell.js';

interface ObserveFlags extends ChannelFlags, ConditionFlags, MethodFlags {
  readonly rate?: number;
  readonly count?: number;
  readonly timeout?: number;
  readonly json?: boolean;
  readonly accept?: string;
  readonly class?: LatencyClass;
}

const EXAMPLES = `
Examples:
  gridcast observe coap://127.0.0.1/m2m/applications/pmu-1/containers/measurements/contentInstances/latest/content --rate 5
  gridcast observe ws://127.0.0.1:8080/m2m/applications/pmu-1/containers/measurements/contentInstances/latest/content -n 10
  gridcast observe http://127.0.0.1:8080/m2m/applications/pmu-1/containers/measurements/contentInstances/latest/content --json
  gridcast observe coap://127.0.0.1/m2m/applications/pmu-1/containers/measurements/contentInstances/latest/content --gt 50.2 --lt 49.8
  gridcast observe 'ws://127.0.0.1:8080/m2m/applications/*/containers/measurements/contentInstances/latest/content' --rate 1 --method mean`;

export function addObserve(program: Command, shell: Shell): void {
  withConditions(withChannel(program.command('observe')))
    .description('subscribe and print each sample as it comes: coap://, ws://, or http:// by long polling')
    .argument('<URI>', 'what to observe', anyUri)
    .addOption(rateOption())
    .option('-n, --count <N>', 'end after so many samples', count)
    .addOption(timeoutOption('end after so many seconds; exit code 1 if too few samples came until then'))
    .addOption(acceptOption())
    .addOption(classOption())
    .addOption(jsonOption())
    .addHelpText('after', EXAMPLES)
    .action((uri: string, flags: ObserveFlags) => observe(shell, uri, flags));
}

async function observe(
  shell: Shell,
  uri: string,
  {
    count: wanted = Infinity,
    timeout,
    json = false,
    rate,
    accept,
    class: latencyClass,
    method,
    ...flags
  }: ObserveFlags,
): Promise<void> {
  const to = conditioned(uri, flags);
  const late = new AbortController();
  const cancel = timeout === undefined ? undefined : shell.clock.after(timeout * 1000, () => late.abort());
  const terms: ObserveTerms = {
    signal: AbortSignal.any([shell.interrupted, late.signal]),
    ...(rate !== undefined && { rate }),
    ...(accept !== undefined && { accept }),
    ...(latencyClass !== undefined && { class: latencyClass }),
    ...(method !== undefined && { method }),
  };
  const client = await open(uri, await channelOf(flags));
  let seen = 0;
  try {
    for await (const notification of client.observe(to, terms)) {
      shell.print(json ? sampleJson(client.binding, uri, notification) : sampleLine(client.binding, uri, notification));
      if (++seen >= wanted) break;
    }
  } catch (error) {
    if (!late.signal.aborted) throw error;
    if (seen === 0 || wanted !== Infinity) {
      throw new GridcastError(
        'timed-out',
        `${seen} ${seen === 1 ? 'sample' : 'samples'} came within ${timeout} s${wanted === Infinity ? '' : `, not ${wanted}`}.`,
      );
    }
  } finally {
    cancel?.();
    await client.close();
  }
}
