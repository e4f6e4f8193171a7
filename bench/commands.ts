/**
 * How long does a command take, when what is accepted has been fsynced?
 *
 *     issuer ──WebSocket──> broker ── fsync ──> 201          accepted
 *            <── outcome ── broker <── acknowledged, executed ── device, with effects and a ledger that are fsynced too
 *
 * 200 commands a second, alone and beside the even fan-out's 3,000 samples in and 30,000 CoAP deliveries out a second, in turns.
 * Broker, issuer, device and the generator of the load are a process each; the broker's data are on the machine's own disk.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DeviceProcess } from '../test/crash/rig.js';
import { Stand, type Effort } from './fanout.js';
import { cpuUsOf, machineCpu, median, microseconds, percentile, table } from './figures.js';
import type { IssueOrder, IssueReport } from './issuer.js';

const ISSUER = fileURLToPath(new URL('./issuer.ts', import.meta.url));
export const QUICK: Effort = { rounds: 1, seconds: 5 };
/** Thirty seconds with the load and as many without. */
export const FULL: Effort = { rounds: 5, seconds: 6 };

const COMMANDS_PER_S = 200;
/** One is under way per point: enough of them that none has to wait, were each to take 200 ms. */
const POINTS = 40;
const APPLICATION = 'bench';
const WARM_UP_S = 3;
/** T10: round trip, p99. */
const TARGET_US = 10_000;

const VARIANTS = [
  { name: 'alone', isLoaded: false },
  { name: '30,000 deliveries/s beside', isLoaded: true },
] as const;

interface Round {
  readonly report: IssueReport;
  readonly brokerCpuUs: number;
  readonly deviceCpuUs: number;
  readonly loadCpuUs: number;
  readonly othersUs: number;
  readonly delivered: number;
}

class Issuing {
  private readonly process: ChildProcess = fork(ISSUER);

  async run(order: IssueOrder): Promise<IssueReport> {
    this.process.send(order);
    const told = new AbortController();
    const { signal } = told;
    const gone = once(this.process, 'exit', { signal }).then(() => Promise.reject(new Error('the issuer has failed')));
    gone.catch(() => undefined);
    try {
      const [report] = (await Promise.race([once(this.process, 'message', { signal }), gone])) as [IssueReport];
      return report;
    } finally {
      told.abort();
    }
  }

  close(): void {
    this.process.kill();
  }
}

/** Runs everything and tells it as Markdown. */
export async function commands({ rounds, seconds }: Effort, progress: (line: string) => void): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'gridcast-bench-'));
  const stand = await Stand.open({
    over: 'coap',
    flags: ['--congestion', 'provisioned', '--data', join(folder, 'data')],
  });
  const broker = `ws://127.0.0.1:${stand.daemon.site.http}`;
  const device = new DeviceProcess(() => broker, [APPLICATION], join(folder, 'device'));
  const issuing = new Issuing();
  const taken = new Map(VARIANTS.map((variant) => [variant, [] as Round[]]));
  try {
    await furnish(stand.daemon.site.http);
    await device.start();
    const round = async (isLoaded: boolean, forS: number): Promise<Round> => {
      const cpuUs = (): readonly number[] => [stand.daemon.cpuUs, cpuUsOf(device.pid), machineCpu().busyUs];
      const before = cpuUs();
      // The load begins before the first command and ends after the last.
      const load = isLoaded ? stand.run('even', forS + 1) : undefined;
      const report = await issuing.run({
        broker,
        application: APPLICATION,
        points: POINTS,
        perSecond: COMMANDS_PER_S,
        seconds: forS,
      });
      const done = await load;
      const [brokerCpuUs = 0, deviceCpuUs = 0, busyUs = 0] = cpuUs().map((us, n) => us - (before[n] ?? 0));
      const loadCpuUs = done?.cpuUs ?? 0;
      const othersUs = busyUs - brokerCpuUs - deviceCpuUs - loadCpuUs - report.cpuUs;
      return { report, brokerCpuUs, deviceCpuUs, loadCpuUs, othersUs, delivered: done?.received ?? 0 };
    };
    // The first of each warms up: code is compiled and buffers have grown.
    for (const { isLoaded } of VARIANTS) await round(isLoaded, WARM_UP_S);
    for (let n = 1; n <= rounds; n++) {
      for (const [variant, results] of taken) {
        const result = await round(variant.isLoaded, seconds);
        results.push(result);
        const { executedUs, issued } = result.report;
        progress(
          `round ${n} ${variant.name}: ${issued} issued, ${executedUs.length} executed, p50 ${microseconds(median(executedUs))}`,
        );
      }
    }
    return report(taken, { rounds, seconds });
  } finally {
    issuing.close();
    await device.kill();
    await stand.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function furnish(http: number): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${http}/m2m/applications/${APPLICATION}/containers`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ container: { id: 'commands' } }),
  });
  if (!response.ok) throw new Error(`the commands container: ${response.status} ${await response.text()}`);
}

function report(taken: ReadonlyMap<(typeof VARIANTS)[number], readonly Round[]>, { rounds, seconds }: Effort): string {
  const rows = [...taken].flatMap(([{ name, isLoaded }, results]) => {
    const share = (figure: (round: Round) => number): string =>
      `${(100 * median(results.map((each) => figure(each) / each.report.elapsedUs))).toFixed(0)} %`;
    const failed = results.reduce((sum, { report: { failed: count } }) => sum + count, 0);
    return (
      [
        ['accepted (201, fsynced)', 'acceptedUs'],
        ['acknowledged by the device', 'acknowledgedUs'],
        ['executed, told to the issuer', 'executedUs'],
      ] as const
    ).map(([step, figure]) => {
      const all = Float64Array.from(results.flatMap((each) => each.report[figure])).sort();
      const p99 = percentile(all, 0.99);
      const verdict = p99 <= TARGET_US ? 'met' : `missed, ${(p99 / TARGET_US).toFixed(1)} x`;
      const isLast = figure === 'executedUs';
      return [
        name,
        step,
        ...[percentile(all, 0.5), p99, all.at(-1) ?? NaN].map(microseconds),
        String(all.length),
        isLast ? String(failed) : '',
        isLast ? share(({ brokerCpuUs }) => brokerCpuUs) : '',
        isLast
          ? `${share(({ report: { cpuUs } }) => cpuUs)}, ${share(({ deviceCpuUs }) => deviceCpuUs)}, ${share(({ loadCpuUs }) => loadCpuUs)}`
          : '',
        isLast ? share(({ othersUs }) => othersUs) : '',
        isLast && isLoaded ? verdict : '',
      ];
    });
  });
  return [
    `${COMMANDS_PER_S} commands a second over one WebSocket to ${POINTS} points of one device, each accepted with an fsync of the broker, executed with two of the device's ledger and one of its effect; ${rounds} rounds of ${seconds} s each, in turns; percentiles are of all samples, CPU shares medians of the rounds.`,
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
        'T10: p99 10 ms',
      ],
      rows,
    ),
  ].join('\n');
}
