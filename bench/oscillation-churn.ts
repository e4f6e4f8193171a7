/**
 * Subscriptions that come and go beside T7: what do the others notice, and what do they leave behind?
 *
 *     before ── without │ with │ with │ without │ ... ── without ── after
 *
 * Windows with and without them take their turns in one broker: runs of one version differ by more than what is asked for.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ChurnOrder, ChurnReport } from './churn.js';
import { endingWithUs } from './children.js';
import { between, checkBalance } from './daemon.js';
import { median, microseconds, table } from './figures.js';
import {
  bookRows,
  describeLoad,
  droppedBy,
  lostOf,
  standingRow,
  type Monitoring,
  type Standing,
} from './monitoring.js';
import type { Pumped } from './pump.js';
import { quoted, type Outcome, type TargetRow } from './targets.js';

export interface ChurnEffort {
  /** In all. */
  readonly seconds: number;
  readonly pmus: number;
  /** Subscriptions that come and go, a minute. */
  readonly churn: number;
}

const CHURN = fileURLToPath(new URL('./churn.ts', import.meta.url));
/** A pair of windows; a shorter run is one pair. */
const PAIR_S = 30;
/** At a window's end they have all gone. */
const MARGIN_S = 2;
const TARGET_RATIO = 1.1;
/** More than the collector leaves lying from one look to the next. */
const HEAP_MIB = 32;

interface Window {
  readonly pumped: Pumped;
  /** Of the broker, of one core. */
  readonly cpuShare: number;
}
interface Pair {
  readonly without: Window;
  readonly with: Window;
}

export async function churning(
  monitoring: Monitoring,
  effort: ChurnEffort,
  progress: (line: string) => void,
): Promise<Outcome> {
  const { daemon, places } = monitoring;
  const pairs: Pair[] = [];
  const churned: ChurnReport[] = [];
  const count = Math.max(1, Math.floor(effort.seconds / PAIR_S));
  const seconds = effort.seconds / count / 2;
  const child = endingWithUs(fork(CHURN));
  const window = async (isChurning: boolean): Promise<Window> => {
    const order = { port: daemon.site.coap, places, perMinute: effort.churn, seconds: seconds - MARGIN_S };
    const coming = isChurning ? ordered(child, order) : undefined;
    const cpuUs = daemon.cpuUs;
    const pumped = await monitoring.run(seconds);
    const cpuShare = (daemon.cpuUs - cpuUs) / pumped.elapsedUs;
    if (coming) churned.push(await coming);
    await monitoring.settled();
    return { pumped, cpuShare };
  };
  try {
    const before = await monitoring.standing();
    const accountsBefore = await daemon.accounts();
    const unreadBefore = monitoring.unread;
    for (let n = 0; n < count; n++) {
      // Whoever is second finds what the first has left to the collector: they change places.
      const earlier = n % 2 === 1 ? await window(true) : undefined;
      const without = await window(false);
      const pair = { without, with: earlier ?? (await window(true)) };
      pairs.push(pair);
      progress(`pair ${n + 1}: p99 ${agesOf(pair)}`);
    }
    const accounts = between(accountsBefore, await daemon.accounts());
    checkBalance(accounts);
    const unread = monitoring.unread - unreadBefore;
    const sum = (figure: (report: ChurnReport) => number): number =>
      churned.reduce((total, report) => total + figure(report), 0);
    const books = {
      ...{ accounts, unread, elsewhere: sum(({ notified }) => notified) },
      pumped: totalOf(pairs.flatMap((pair) => [pair.without.pumped, pair.with.pumped])),
    };
    return report(effort, seconds, {
      ...{ pairs, books, before, after: await monitoring.standing() },
      ...{ registered: sum(({ registered }) => registered), cancelled: sum(({ cancelled }) => cancelled) },
    });
  } finally {
    child.kill();
  }
}

async function ordered(child: ChildProcess, order: ChurnOrder): Promise<ChurnReport> {
  child.send(order);
  const gone = once(child, 'exit').then(() => Promise.reject(new Error('the churning process has failed')));
  gone.catch(() => undefined);
  const [report] = (await Promise.race([once(child, 'message'), gone])) as [ChurnReport];
  return report;
}

const p99Of = ({ pumped }: Window): number => pumped.ageUs.p99;
const ratioOf = (pair: Pair): number => p99Of(pair.with) / p99Of(pair.without);
const agesOf = (pair: Pair): string =>
  `${microseconds(p99Of(pair.without))} without, ${microseconds(p99Of(pair.with))} with, ${ratioOf(pair).toFixed(2)} x`;

function totalOf(runs: readonly Pumped[]) {
  const sum = (figure: (run: Pumped) => number): number => runs.reduce((total, run) => total + figure(run), 0);
  return {
    published: sum(({ published }) => published),
    refused: sum(({ refused }) => refused),
    received: sum(({ received }) => received),
    skipped: sum(({ skipped }) => skipped),
    again: sum(({ again }) => again),
    outOfOrder: sum(({ outOfOrder }) => outOfOrder),
  };
}

interface Result {
  readonly pairs: readonly Pair[];
  readonly books: Parameters<typeof bookRows>[0];
  readonly registered: number;
  readonly cancelled: number;
  readonly before: Standing;
  readonly after: Standing;
}

function report({ pmus, churn, seconds: whole }: ChurnEffort, seconds: number, result: Result): Outcome {
  const { pairs, books, registered, cancelled, before, after } = result;
  const of = (which: keyof Pair, figure: (window: Window) => number): number =>
    median(pairs.map((pair) => figure(pair[which])));
  const row = (which: keyof Pair): readonly string[] => [
    which,
    ...(['p50', 'p99', 'p999'] as const).map((name) => microseconds(of(which, ({ pumped }) => pumped.ageUs[name]))),
    `${(100 * of(which, ({ cpuShare }) => cpuShare)).toFixed(0)} % of a core`,
  ];
  const ratio = median(pairs.map(ratioOf));
  // What waited for those who left goes with them, counted as that.
  const ended = books.accounts.dropped.get('ended') ?? 0;
  const gone = droppedBy(books.accounts) - ended + lostOf(books) + books.unread;
  const target = (what: string, figure: string, wanted: string, isMet: boolean): TargetRow => ({
    ...{
      target: 'T7',
      what: `with ${churn} subscriptions a minute: ${what}`,
      figure,
      peers: '',
      ratio: '',
      wanted,
      isMet,
    },
    command: `${quoted('oscillation')} --seconds ${whole} --churn ${churn}`,
  });
  const grownMib = after.heapMib - before.heapMib;
  return {
    text: [
      `${describeLoad(pmus)}; ${pairs.length} pairs of ${seconds} s without and with ${churn} subscriptions a minute that come and go, in one broker; medians of the windows.`,
      '',
      table(['those who come and go', 'age p50', 'p99', 'p99.9', 'broker'], [row('without'), row('with')]),
      '',
      `With them the others' p99 is ${ratio.toFixed(2)} x what it is without (median of the pairs: ${pairs.map((pair) => ratioOf(pair).toFixed(2)).join(', ')}).`,
      '',
      table(
        ['what', 'figure'],
        [
          ...bookRows(books),
          ['came and went', `${registered} registered, ${cancelled} cancelled, ${books.elsewhere} notified`],
          standingRow('before', before),
          standingRow('after', after),
        ],
      ),
    ].join('\n'),
    figures: {
      ...result,
      books: { ...books, accounts: { ...books.accounts, dropped: Object.fromEntries(books.accounts.dropped) } },
    },
    targets: [
      target("the others' p99", `${ratio.toFixed(2)} x`, `<= ${TARGET_RATIO} x`, ratio <= TARGET_RATIO),
      target('dropped or lost', `${gone}`, '0', gone + books.pumped.skipped === 0),
      target(
        'left behind',
        `${after.descriptors - before.descriptors} descriptors, ${after.subscriptions - before.subscriptions} subscriptions, ${grownMib.toFixed(0)} MiB of heap`,
        `0, 0, < ${HEAP_MIB} MiB`,
        after.descriptors === before.descriptors && after.subscriptions === before.subscriptions && grownMib < HEAP_MIB,
      ),
    ],
  };
}
