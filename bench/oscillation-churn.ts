/**
 * Subscriptions that come and go beside T7: what do the others notice, and what do they leave behind?
 *
 *     lead │ before any │ first ── without │ with ── with │ without ── without │ with ── ...      one stream of frames, without a pause
 *
 * Windows with and without them take their turns in one broker: runs of one version differ by more than what is asked for. What they change
 * for good, as the code that V8 has made, shows in both: so there are some windows before the first of them came. The window of the first is
 * in no pair, as V8 compiles then what registers and cancels, once; the table shows it. The first window of all is no one's: a thousand streams
 * that begin at once are an event of their own.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ChurnOrder, ChurnReport } from './churn.js';
import { endingWithUs } from './children.js';
import { between, checkBalance } from './daemon.js';
import { machineCpu, median, microseconds, table } from './figures.js';
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
/** A pair of windows; a shorter run is one pair. Many short ones: what else happens to the machine falls into a few, and the median passes it. */
const PAIR_S = 30;
/** Until the last who came has gone, and the process that they are of has said so. */
const LEAVING_S = 2;
/** Windows before any of them came, of as many pairs. */
const PAIRS_A_WINDOW_BEFORE = 8;
/** PMUs of T7; less is no answer to it. */
const WHOLE = 1000;
const TARGET_RATIO = 1.1;
/** More than the collector leaves lying from one look to the next. */
const HEAP_MIB = 32;

type Kind = 'lead' | 'before any' | 'first' | 'without' | 'with';

interface Window {
  readonly kind: Kind;
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
  const count = Math.max(1, Math.floor(effort.seconds / PAIR_S));
  const seconds = effort.seconds / count / 2;
  const plan = planOf(count);
  const windows: Window[] = [];
  const churned: ChurnReport[] = [];
  const child = endingWithUs(fork(CHURN));
  const ordered = orders(child);
  try {
    await daemon.collect();
    const before = await monitoring.standing();
    const machineBefore = machineCpu();
    const startedUs = performance.now() * 1000;
    const accountsBefore = await daemon.accounts();
    const unreadBefore = monitoring.unread;
    let cpuUs = daemon.cpuUs;
    for (const [n, lap] of monitoring.laps(seconds, plan.length).entries()) {
      const kind = plan[n] ?? 'lead'; // as many as planned
      const coming =
        kind === 'first' || kind === 'with'
          ? ordered({
              port: daemon.site.coap,
              places,
              perMinute: effort.churn,
              seconds: Math.max(1, seconds - LEAVING_S),
            })
          : undefined;
      const pumped = await lap;
      const cpuSharedUs = daemon.cpuUs - cpuUs;
      cpuUs += cpuSharedUs;
      if (coming) churned.push(await coming);
      windows.push({ kind, pumped, cpuShare: cpuSharedUs / pumped.elapsedUs });
      progress(`${kind}: p99 ${microseconds(pumped.ageUs.p99)}`);
    }
    await monitoring.settled();
    const accounts = between(accountsBefore, await daemon.accounts());
    checkBalance(accounts);
    const unread = monitoring.unread - unreadBefore;
    const sum = (figure: (report: ChurnReport) => number): number =>
      churned.reduce((total, report) => total + figure(report), 0);
    const books = {
      ...{ accounts, unread, elsewhere: sum(({ notified }) => notified) },
      pumped: totalOf(windows.map(({ pumped }) => pumped)),
    };
    const machine = machineCpu();
    const elapsedUs = performance.now() * 1000 - startedUs;
    await daemon.collect();
    return report(effort, seconds, {
      ...{ windows, books, before, after: await monitoring.standing() },
      busyShare: (machine.busyUs - machineBefore.busyUs) / elapsedUs,
      stolenShare: (machine.stolenUs - machineBefore.stolenUs) / elapsedUs,
      ...{ registered: sum(({ registered }) => registered), cancelled: sum(({ cancelled }) => cancelled) },
    });
  } finally {
    child.kill();
  }
}

/** Whoever is second finds what the first has left to the collector: they change places from pair to pair. */
function planOf(pairs: number): readonly Kind[] {
  const before = Array.from({ length: Math.ceil(pairs / PAIRS_A_WINDOW_BEFORE) }, (): Kind => 'before any');
  const both = Array.from({ length: pairs }, (_, n): Kind[] =>
    n % 2 === 0 ? ['without', 'with'] : ['with', 'without'],
  );
  return ['lead', ...before, 'first', ...both.flat()];
}

const of = (kind: Kind, windows: readonly Window[]): readonly Window[] =>
  windows.filter((window) => window.kind === kind);

function pairsOf(windows: readonly Window[]): readonly Pair[] {
  const others = of('with', windows);
  return of('without', windows).flatMap((without, n) => {
    const paired = others[n];
    return paired ? [{ without, with: paired }] : [];
  });
}

/** What gives orders to a process that comes and goes. */
function orders(child: ChildProcess): (order: ChurnOrder) => Promise<ChurnReport> {
  const gone = once(child, 'exit').then(() => Promise.reject(new Error('the churning process has failed')));
  gone.catch(() => undefined);
  return async (order) => {
    child.send(order);
    const [report] = (await Promise.race([once(child, 'message'), gone])) as [ChurnReport];
    return report;
  };
}

const p99Of = ({ pumped }: Window): number => pumped.ageUs.p99;
const ratioOf = (pair: Pair): number => p99Of(pair.with) / p99Of(pair.without);

function totalOf(runs: readonly Pumped[]) {
  const sum = (figure: (run: Pumped) => number): number => runs.reduce((total, run) => total + figure(run), 0);
  return {
    published: sum(({ published }) => published),
    refused: sum(({ refused }) => refused),
    received: sum(({ received }) => received),
    skipped: Math.max(
      0,
      sum(({ skipped }) => skipped),
    ),
    again: sum(({ again }) => again),
    outOfOrder: sum(({ outOfOrder }) => outOfOrder),
  };
}

interface Result {
  readonly windows: readonly Window[];
  readonly books: Parameters<typeof bookRows>[0];
  readonly registered: number;
  readonly cancelled: number;
  /** Of one core: the whole machine's work, and what its host withheld. */
  readonly busyShare: number;
  readonly stolenShare: number;
  readonly before: Standing;
  readonly after: Standing;
}

function report({ pmus, churn, seconds: whole }: ChurnEffort, seconds: number, result: Result): Outcome {
  const { windows, books, registered, cancelled, before, after, busyShare, stolenShare } = result;
  const row = (kind: Kind, which: string = kind): readonly string[] => {
    const those = of(kind, windows);
    return [
      which,
      ...(['p50', 'p99', 'p999'] as const).map((name) =>
        microseconds(median(those.map(({ pumped }) => pumped.ageUs[name]))),
      ),
      `${(100 * median(those.map(({ cpuShare }) => cpuShare))).toFixed(0)} % of a core`,
    ];
  };
  const pairs = pairsOf(windows);
  const ratio = median(pairs.map(ratioOf));
  const p99OfThe = (kind: Kind): number => median(of(kind, windows).map(p99Of));
  const firstRatio = p99OfThe('first') / p99OfThe('before any');
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
      table(
        ['those who come and go', 'age p50', 'p99', 'p99.9', 'broker'],
        [row('before any'), row('first', 'the first of them'), row('without'), row('with')],
      ),
      '',
      `With them the others' p99 is ${ratio.toFixed(2)} x what it is without (median of the pairs: ${pairs.map((pair) => ratioOf(pair).toFixed(2)).join(', ')}); in the window of the first, which is in no pair, ${firstRatio.toFixed(2)} x what it was before any.`,
      '',
      table(
        ['what', 'figure'],
        [
          ...bookRows(books),
          [
            'the whole machine',
            `${(100 * busyShare).toFixed(0)} % of a core busy, ${(100 * stolenShare).toFixed(0)} % withheld`,
          ],
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
    ...(pmus === WHOLE && {
      targets: [
        target(
          "the others' p99, but for the window of the first",
          `${ratio.toFixed(2)} x`,
          `<= ${TARGET_RATIO} x`,
          ratio <= TARGET_RATIO,
        ),
        target('dropped or lost', `${gone}`, '0', gone + books.pumped.skipped === 0),
        target(
          'left behind',
          `${after.descriptors - before.descriptors} descriptors, ${after.subscriptions - before.subscriptions} subscriptions, ${grownMib.toFixed(0)} MiB of heap`,
          `0, 0, < ${HEAP_MIB} MiB`,
          after.descriptors === before.descriptors &&
            after.subscriptions === before.subscriptions &&
            grownMib < HEAP_MIB,
        ),
      ],
    }),
  };
}
