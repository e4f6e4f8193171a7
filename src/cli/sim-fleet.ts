/** `gridcast sim fleet`: gateways by the hundred thousand, and the operator who asks groups of them for less load. */
import type { Command } from 'commander';
import { isRefusal } from '../errors.js';
import { openFleet, type FleetRun, type FleetRunOptions } from '../sim/fleet-run.js';
import type { SimulatorContext } from '../sim/simulator.js';
import { count, countOrNone, positive, UsageError, uriOf } from './arguments.js';
import type { Shell } from './shell.js';

interface FleetFlags extends FleetRunOptions {
  readonly duration?: number;
  readonly report: number;
}

/** For what is under way at the end. */
const SETTLE_MS = 10_000;

export function addFleet(sim: Command, shell: Shell, context: () => SimulatorContext): void {
  sim
    .command('fleet')
    .description('gateways of homes that report their load, and load control for groups of them')
    .option('--broker <URI>', 'http://HOST:PORT', uriOf('http'), 'http://127.0.0.1:8080')
    .option('--coap <URI>', 'coap://HOST:PORT', uriOf('coap'), 'coap://127.0.0.1:5683')
    .option('--gateways <N>', 'how many', count, 1_000)
    .option('--rate-per-minute <R>', 'readings of each a minute', positive, 4)
    .option('--http-connections <N>', 'kept alive, half of the gateways over them; 0: none', countOrNone, 10)
    .option('--coap-ports <N>', 'the other half; 0: none', countOrNone, 10)
    .option('--groups <N>', 'of gateways, for load control', count, 4)
    .option('--listeners <N>', 'gateways that hold a poll for events; 0: no load control', countOrNone, 0)
    .option('--event-every-s <S>', 'an event for the next group so often', positive, 10)
    .option('--duration <S>', 'how long it posts (default: until it is interrupted)', positive)
    .option('--report <S>', 'a line so often', positive, 10)
    .addHelpText(
      'after',
      '\nExample:\n  gridcast sim fleet --gateways 100000 --http-connections 1000 --coap-ports 256 --listeners 100 --duration 60',
    )
    .action((flags: FleetFlags) => run(shell, flags, context()));
}

async function run(shell: Shell, flags: FleetFlags, context: SimulatorContext): Promise<void> {
  const opened = await openFleet(flags, context);
  if (isRefusal(opened))
    throw opened.status === 'STATUS_BAD_REQUEST' ? new UsageError(opened.detail) : new Error(opened.detail);
  const { fleet, loadControl } = opened;
  const { clock, interrupted } = shell;
  let cancelReport = (): void => {};
  const reportLater = (): void => {
    cancelReport = clock.after(flags.report * 1000, () => {
      shell.print(lineOf(opened));
      fleet.answerTimes.clear();
      reportLater();
    });
  };
  try {
    reportLater();
    await fleet.register(() => interrupted.aborted);
    const { registered, unregistered } = fleet.counters;
    shell.print(`registered ${registered}${unregistered > 0 ? `, refused or lost ${unregistered}` : ''}`);
    await loadControl?.start();
    fleet.start();
    await over(shell, flags.duration);
    await opened.settle(SETTLE_MS);
    shell.print(lineOf(opened));
  } finally {
    cancelReport();
    await opened.close();
  }
}

/** When it has run its time, or is interrupted. */
const over = ({ clock, interrupted }: Shell, seconds: number | undefined): Promise<void> =>
  new Promise((ended) => {
    if (interrupted.aborted) return ended();
    const cancel = seconds === undefined ? () => {} : clock.after(seconds * 1000, ended);
    interrupted.addEventListener(
      'abort',
      () => {
        cancel();
        ended();
      },
      { once: true },
    );
  });

/** Only rising figures, but for the percentiles, which are of the time since the last line. */
function lineOf({ fleet, loadControl }: FleetRun): string {
  const { registered, due, skipped, sent, acknowledged, refused, lost } = fleet.counters;
  const ms = (share: number): string => (fleet.answerTimes.percentile(share) / 1000).toFixed(1);
  const updates = `registered ${registered} due ${due} skipped ${skipped} sent ${sent} acknowledged ${acknowledged} refused ${refused} lost ${lost} under way ${fleet.underWay} p50 ${ms(0.5)} ms p99 ${ms(0.99)} ms`;
  if (!loadControl) return updates;
  const { listening, events, due: hearers, heard } = loadControl.counters;
  const hearing = (loadControl.hearingTimes.percentile(0.99) / 1000).toFixed(1);
  return `${updates}; listening ${listening} events ${events} due ${hearers} heard ${heard} p99 ${hearing} ms`;
}
