/**
 * The paper's oscillation monitoring, ten times as large [T7], every sequence number accounted for. `--seconds 600` is the run that the
 * targets ask for; with `--churn N` it is another question (oscillation-churn.ts).
 */
import { between, checkBalance, COLLECTABLE, type Accounts } from './daemon.js';
import { machineCpu, microseconds, table } from './figures.js';
import {
  bookRows,
  describeLoad,
  droppedBy,
  lostOf,
  Monitoring,
  standingRow,
  type Collector,
  type Standing,
} from './monitoring.js';
import { Absent, nativeProgram } from './native.js';
import { churning } from './oscillation-churn.js';
import type { Pumped } from './pump.js';
import { quoted, type Outcome, type TargetRow } from './targets.js';

export interface OscillationEffort {
  readonly seconds: number;
  readonly pmus: number;
  /** Subscriptions that come and go, a minute. */
  readonly churn: number;
}
export const QUICK: OscillationEffort = { seconds: 5, pmus: 200, churn: 0 };
export const FULL: OscillationEffort = { seconds: 60, pmus: 1000, churn: 0 };

const TARGETS = { p99Us: 10_000, p999Us: 25_000, cpuShare: 0.8 };

interface Result {
  readonly pumped: Pumped;
  readonly accounts: Accounts;
  readonly cpuUs: number;
  readonly unread: number;
  readonly othersUs: number;
  readonly stolenUs: number;
  readonly gc: Collector;
  readonly before: Standing;
  readonly after: Standing;
}

/** Runs it and tells it as Markdown. */
export async function oscillation(effort: OscillationEffort, progress: (line: string) => void): Promise<Outcome> {
  try {
    nativeProgram('pump');
  } catch (error) {
    if (!(error instanceof Absent)) throw error;
    return { text: `Nothing was measured: ${error.message}` };
  }
  const monitoring = await Monitoring.open(effort.pmus, progress, effort.churn > 0 ? COLLECTABLE : []);
  try {
    if (effort.churn > 0) return await churning(monitoring, effort, progress);
    return report(effort, await measure(monitoring, effort.seconds));
  } finally {
    await monitoring.close();
  }
}

async function measure(monitoring: Monitoring, seconds: number): Promise<Result> {
  const { daemon } = monitoring;
  const { gc: gcBefore, ...before } = await monitoring.standing();
  const accountsBefore = await daemon.accounts();
  const machineBefore = machineCpu();
  const cpuBeforeUs = daemon.cpuUs;
  const unreadBefore = monitoring.unread;
  const pumped = await monitoring.run(seconds);
  await monitoring.settled();
  const cpuUs = daemon.cpuUs - cpuBeforeUs;
  const machine = machineCpu();
  const accounts = between(accountsBefore, await daemon.accounts());
  checkBalance(accounts);
  const { gc, ...after } = await monitoring.standing();
  return {
    ...{ pumped, accounts, cpuUs, before, after, unread: monitoring.unread - unreadBefore },
    othersUs: machine.busyUs - machineBefore.busyUs - cpuUs - pumped.cpuUs,
    stolenUs: machine.stolenUs - machineBefore.stolenUs,
    gc: { count: gc.count - gcBefore.count, seconds: gc.seconds - gcBefore.seconds },
  };
}

function report({ seconds, pmus }: OscillationEffort, result: Result): Outcome {
  const { pumped, accounts, cpuUs, unread, othersUs, stolenUs, gc, before, after } = result;
  const { p50, p99, p999, longest } = pumped.ageUs;
  const share = (us: number): string => `${((100 * us) / pumped.elapsedUs).toFixed(0)} %`;
  const books = { pumped, accounts, unread, elsewhere: 0 };
  const gone = droppedBy(accounts) + lostOf(books) + unread;
  const row = (what: string, figure: string, wanted: string, isMet: boolean): TargetRow => ({
    ...{ target: 'T7', what, figure, peers: '', ratio: '', wanted, isMet },
    command: `${quoted('oscillation')} --seconds ${seconds}`,
  });
  const cpuShare = cpuUs / pumped.elapsedUs;
  const rows = [
    ...bookRows(books),
    [
      'age',
      `p50 ${microseconds(p50)}, p99 ${microseconds(p99)}, p99.9 ${microseconds(p999)}, longest ${microseconds(longest)}`,
    ],
    [
      'CPU',
      `broker ${share(cpuUs)}, pump ${share(pumped.cpuUs)}, others ${share(othersUs)}, withheld ${share(stolenUs)}`,
    ],
    [
      'collector',
      `${gc.count} collections, ${((1000 * gc.seconds) / Math.max(1, gc.count)).toFixed(1)} ms each on average`,
    ],
    standingRow('before', before),
    standingRow('after', after),
  ];
  return {
    text: [`${describeLoad(pmus)}; ${seconds} s.`, '', table(['what', 'figure'], rows)].join('\n'),
    figures: { ...result, accounts: { ...accounts, dropped: Object.fromEntries(accounts.dropped) } },
    ...(pmus === FULL.pmus && {
      targets: [
        row('dropped or lost', `${gone}`, '0', gone + pumped.skipped === 0),
        row('age p99', microseconds(p99), `<= ${microseconds(TARGETS.p99Us)}`, p99 <= TARGETS.p99Us),
        row('age p99.9', microseconds(p999), `<= ${microseconds(TARGETS.p999Us)}`, p999 <= TARGETS.p999Us),
        row(
          'broker process',
          `${(100 * cpuShare).toFixed(0)} % of a core`,
          `<= ${100 * TARGETS.cpuShare} %`,
          cpuShare <= TARGETS.cpuShare,
        ),
      ],
    }),
  };
}
