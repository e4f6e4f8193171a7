/**
 * The issuer of the command bench, a process of its own: commands at a pace over one WebSocket, and when each was accepted,
 * acknowledged and executed. Its own CPU is told with the figures.
 */
import { Issuer, type IssuedCommand } from '../test/crash/issuer.js';
import { paceCommands } from '../test/crash/rig.js';

export interface IssueOrder {
  readonly broker: string;
  readonly application: string;
  readonly points: number;
  readonly perSecond: number;
  readonly seconds: number;
}

export interface IssueReport {
  readonly issued: number;
  /** Microseconds from before the request: to the 201, to the device's acknowledgement, to the outcome. */
  readonly acceptedUs: readonly number[];
  readonly acknowledgedUs: readonly number[];
  readonly executedUs: readonly number[];
  /** Refused, or without an outcome when the time for one was over. */
  readonly failed: number;
  readonly cpuUs: number;
  readonly elapsedUs: number;
}

const DEADLINE_MS = 10_000;
const SETTLE_MS = 10_000;

let issuer: Issuer | undefined;
let reported = 0;

async function run({ broker, application, points, perSecond, seconds }: IssueOrder): Promise<IssueReport> {
  issuer ??= new Issuer({
    broker,
    originator: 'operator',
    points: Array.from({ length: points }, (_, n) => ({ application, point: `breaker-${n}` })),
    deadlineMs: DEADLINE_MS,
  });
  await issuer.connected(SETTLE_MS);
  const cpu = process.cpuUsage();
  const from = performance.now();
  await paceCommands([issuer], perSecond, () => performance.now() - from >= seconds * 1000);
  const elapsedUs = (performance.now() - from) * 1000;
  await issuer.settle(SETTLE_MS);
  const { user, system } = process.cpuUsage(cpu);
  const commands = [...issuer.log.values()].slice(reported);
  reported = issuer.log.size;
  const times = (instant: (command: IssuedCommand) => number | undefined): number[] =>
    commands.flatMap((command) => {
      const at = instant(command);
      return at === undefined ? [] : [(at - command.sentMs) * 1000];
    });
  return {
    issued: commands.length,
    acceptedUs: times(({ acceptedMs }) => acceptedMs),
    acknowledgedUs: times(({ acknowledgedMs }) => acknowledgedMs),
    executedUs: times(({ state, outcomeMs }) => (state === 'executed' ? outcomeMs : undefined)),
    failed: commands.filter(({ state }) => state !== 'executed').length,
    cpuUs: user + system,
    elapsedUs,
  };
}

process.on('message', (order: IssueOrder) => {
  run(order).then(
    (report) => process.send?.(report),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => process.exit(0));
