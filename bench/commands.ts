/**
 * How long does a command take, when what is accepted has been fsynced?
 *
 *     issuer ──WebSocket──> broker ── fsync ──> 201          accepted
 *            <── outcome ── broker <── acknowledged, executed ── device, with effects and a ledger that are fsynced too
 *
 * 200 commands a second: alone, beside the even fan-out's 3,000 samples in and 30,000 CoAP deliveries out a second, and beside a
 * flood of 10,000 alarms a second, in turns. Broker, issuer, device and the generators of the loads are a process each; the broker's data are on the machine's own disk.
 * This process has nothing to do meanwhile, and says how late its timer of a millisecond was: no command can be faster than the machine lets anybody run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { wait } from '../test/crash/broker-process.js';
import { DeviceProcess } from '../test/crash/rig.js';
import type { DaemonUnderTest } from './daemon.js';
import { cpuUsOf, machineCpu, median, microseconds, percentile, table } from './figures.js';
import type { FloodOrder, FloodReport } from './flood.js';
import type { IssueOrder, IssueReport } from './issuer.js';
import { Stand, type Effort } from './stand.js';
import { quoted, type Outcome, type TargetRow } from './targets.js';
import { Worker } from './worker.js';

const ISSUER = fileURLToPath(new URL('./issuer.ts', import.meta.url));
const FLOOD = fileURLToPath(new URL('./flood.ts', import.meta.url));
export const QUICK: Effort = { rounds: 1, seconds: 5 };
/** Thirty seconds with each load and as many without. */
export const FULL: Effort = { rounds: 5, seconds: 6 };

const COMMANDS_PER_S = 200;
/** One is under way per point: enough of them that none has to wait, were each to take 200 ms. */
const POINTS = 40;
const APPLICATION = 'bench';
/** Of each variant. At 200 commands a second V8 has compiled what they use after some ten seconds. */
const WARM_UP_S = 10;
/** From a load's start to the first command: what is asked is how long a command takes beside it, not beside its start. */
const LEAD_S = 1;
const TIMER_MS = 1;
const ALARMS_PER_S = 10_000;
const FLOODERS = Array.from({ length: 10 }, (_, n) => `flood-${n}`);

/** Of the round trip's p99: T10, and what the paper's control class leaves in a flood. */
const VARIANTS = [
  { name: 'alone', beside: 'nothing', targetUs: undefined },
  { name: '30,000 deliveries/s beside', beside: 'fan-out', targetUs: 10_000 },
  { name: '10,000 alarms/s beside', beside: 'flood', targetUs: 100_000 },
] as const;
type Variant = (typeof VARIANTS)[number];

interface Round {
  readonly report: IssueReport;
  /** With the lead and the end of the load: all CPU is of this time. */
  readonly elapsedUs: number;
  readonly brokerCpuUs: number;
  readonly deviceCpuUs: number;
  readonly loadCpuUs: number;
  readonly othersUs: number;
  /** How late a process that has nothing to do was, microseconds. */
  readonly bystander: { readonly p99Us: number; readonly longestUs: number };
  readonly flood: FloodReport | undefined;
}

/** Runs everything and tells it as Markdown. */
export async function commands({ rounds, seconds }: Effort, progress: (line: string) => void): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'gridcast-bench-'));
  const stand = await Stand.open(['--congestion', 'provisioned', '--data', join(folder, 'data')]);
  const broker = `ws://127.0.0.1:${stand.daemon.site.http}`;
  const device = new DeviceProcess(() => broker, [APPLICATION], join(folder, 'device'));
  const issuing = new Worker<IssueOrder, IssueReport>(ISSUER);
  const flooding = new Worker<FloodOrder, FloodReport>(FLOOD);
  const taken = new Map(VARIANTS.map((variant) => [variant, [] as Round[]]));
  let kept = 0;
  const timer = monitorEventLoopDelay({ resolution: TIMER_MS });
  try {
    await furnish(stand.daemon.site.http);
    await device.start();
    const round = async ({ beside }: Variant, forS: number): Promise<Round> => {
      const cpuUs = (): readonly number[] => [stand.daemon.cpuUs, cpuUsOf(device.pid), machineCpu().busyUs];
      const before = cpuUs();
      const fromMs = performance.now();
      timer.reset();
      timer.enable();
      // A load begins before the first command, and ends after the last.
      const load = beside === 'fan-out' ? stand.run('even', LEAD_S + forS + 1) : undefined;
      const alarms =
        beside === 'flood'
          ? flooding.run({ broker, applications: FLOODERS, perSecond: ALARMS_PER_S, seconds: LEAD_S + forS })
          : undefined;
      await wait(LEAD_S * 1000);
      const report = await issuing.run({
        broker,
        application: APPLICATION,
        points: POINTS,
        perSecond: COMMANDS_PER_S,
        seconds: forS,
      });
      timer.disable();
      const lateUs = (ns: number): number => ns / 1000 - TIMER_MS * 1000;
      const bystander = { p99Us: lateUs(timer.percentile(99)), longestUs: lateUs(timer.max) };
      const done = await load;
      const flood = await alarms;
      kept += flood?.answered ?? 0;
      const [brokerCpuUs = 0, deviceCpuUs = 0, busyUs = 0] = cpuUs().map((us, n) => us - (before[n] ?? 0));
      const elapsedUs = (performance.now() - fromMs) * 1000;
      const loadCpuUs = done?.cpuUs ?? flood?.cpuUs ?? 0;
      const othersUs = busyUs - brokerCpuUs - deviceCpuUs - loadCpuUs - report.cpuUs;
      return { report, elapsedUs, brokerCpuUs, deviceCpuUs, loadCpuUs, othersUs, bystander, flood };
    };
    // The first of each warms up: code is compiled and buffers have grown.
    for (const variant of VARIANTS) await round(variant, WARM_UP_S);
    for (let n = 1; n <= rounds; n++) {
      for (const [variant, results] of taken) {
        const result = await round(variant, seconds);
        results.push(result);
        const { executedUs, issued } = result.report;
        progress(
          `round ${n} ${variant.name}: ${issued} issued, ${executedUs.length} executed, p50 ${microseconds(median(executedUs))}`,
        );
      }
    }
    return {
      text: report(taken, { rounds, seconds }, await alarmAccounts(stand.daemon, kept)),
      figures: [...taken].map(([{ name }, results]) => ({
        name,
        executedUs: [0.5, 0.99, 0.999, 1].map((share) => percentile(samplesOf(results, 'executedUs'), share)),
      })),
      targets: [...taken].flatMap(([{ name, targetUs }, results]) =>
        targetUs === undefined ? [] : [targetOf(name, targetUs, results)],
      ),
    };
  } finally {
    issuing.close();
    flooding.close();
    await device.kill();
    await stand.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Throws where a report that the broker has acknowledged to a flood has come to nothing in its own counts. */
async function alarmAccounts(daemon: DaemonUnderTest, kept: number): Promise<string> {
  const figures = await daemon.figures();
  const waiting = [...figures('gridcast_alarm_reports_waiting').values()].reduce((sum, count) => sum + count, 0);
  const outcomes = [...figures('gridcast_alarm_reports_total'), ['waiting', waiting] as const];
  const own = outcomes.reduce((sum, [, count]) => sum + count, -kept);
  if (own < 0) throw new Error(`${-own} of ${kept} acknowledged reports of alarms have come to nothing`);
  const named = outcomes.map(([outcome, count]) => `${count} ${outcome}`).join(' + ');
  return `${kept} acknowledged, with those of the warm-up, and ${own} others (its own, or said again after a connection broke) = ${named}`;
}

async function furnish(http: number): Promise<void> {
  const create = async (path: string, document: object): Promise<void> => {
    const response = await fetch(`http://127.0.0.1:${http}/m2m/applications${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(document),
    });
    if (!response.ok) throw new Error(`POST ${path}: ${response.status} ${await response.text()}`);
  };
  await create(`/${APPLICATION}/containers`, { container: { id: 'commands' } });
  for (const application of FLOODERS) {
    await create('', { application: { appId: application } });
    await create(`/${application}/containers`, { container: { id: 'alarms' } });
  }
}

/** Of all rounds together, sorted. */
const samplesOf = (results: readonly Round[], step: 'acceptedUs' | 'acknowledgedUs' | 'executedUs'): Float64Array =>
  Float64Array.from(results.flatMap((each) => each.report[step])).sort();

function targetOf(name: string, targetUs: number, results: readonly Round[]): TargetRow {
  const all = samplesOf(results, 'executedUs');
  const p99Us = percentile(all, 0.99);
  return {
    target: 'T10',
    what: `a command until its outcome is told, ${name}: p99`,
    figure: `${microseconds(p99Us)} (p50 ${microseconds(percentile(all, 0.5))})`,
    peers: '',
    ratio: `${(p99Us / targetUs).toFixed(1)} x`,
    wanted: `<= ${microseconds(targetUs)}`,
    isMet: p99Us <= targetUs,
    command: quoted('commands'),
  };
}

function report(
  taken: ReadonlyMap<(typeof VARIANTS)[number], readonly Round[]>,
  { rounds, seconds }: Effort,
  alarms: string,
): string {
  const rows = [...taken].flatMap(([{ name }, results]) => {
    const share = (figure: (round: Round) => number): string =>
      `${(100 * median(results.map((each) => figure(each) / each.elapsedUs))).toFixed(0)} %`;
    const failed = results.reduce((sum, { report: { failed: count } }) => sum + count, 0);
    return (
      [
        ['accepted (201, fsynced)', 'acceptedUs'],
        ['acknowledged by the device', 'acknowledgedUs'],
        ['executed, told to the issuer', 'executedUs'],
      ] as const
    ).map(([step, figure]) => {
      const all = samplesOf(results, figure);
      const isLast = figure === 'executedUs';
      return [
        name,
        step,
        ...[percentile(all, 0.5), percentile(all, 0.99), all.at(-1) ?? NaN].map(microseconds),
        String(all.length),
        isLast ? String(failed) : '',
        isLast ? share(({ brokerCpuUs }) => brokerCpuUs) : '',
        isLast
          ? `${share(({ report: { cpuUs } }) => cpuUs)}, ${share(({ deviceCpuUs }) => deviceCpuUs)}, ${share(({ loadCpuUs }) => loadCpuUs)}`
          : '',
        isLast ? share(({ othersUs }) => othersUs) : '',
        isLast
          ? `${microseconds(median(results.map(({ bystander }) => bystander.p99Us)))}, ${microseconds(Math.max(...results.map(({ bystander }) => bystander.longestUs)))}`
          : '',
      ];
    });
  });
  const all = [...taken.values()].flat().flatMap(({ flood }) => (flood ? [flood] : []));
  const sumOf = (figure: (flood: FloodReport) => number): number => all.reduce((sum, each) => sum + figure(each), 0);
  const floods = { sent: sumOf((f) => f.sent), answered: sumOf((f) => f.answered), refused: sumOf((f) => f.refused) };
  const perSecond = floods.sent / (sumOf((f) => f.elapsedUs) / 1e6);
  return [
    `${COMMANDS_PER_S} commands a second over one WebSocket to ${POINTS} points of one device, each accepted with an fsync of the broker, executed with two of the device's ledger and one of its effect; ${rounds} rounds of ${seconds} s each, in turns; percentiles are of all samples, CPU shares medians of the rounds. In the floods ${floods.sent} alarms were reported (${perSecond.toFixed(0)} a second), ${floods.answered} answered as durable, ${floods.refused} refused; by the broker's own counts ${alarms}.`,
    '',
    table(
      [
        'broker',
        'until',
        'p50',
        'p99',
        'longest',
        'samples',
        'failed',
        'broker CPU',
        'CPU of issuer, device, load',
        'CPU of others',
        'timer of an idle process late: p99, longest',
      ],
      rows,
    ),
  ].join('\n');
}
