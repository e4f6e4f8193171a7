/**
 * The paper's oscillation monitoring, ten times as large [T7], every sequence number accounted for.
 *
 *     pump: 1,000 PMUs x 30/s ──C37.118 over UDP──> broker ──CoAP NON, SenML──> 3 applications at 30/s, 3 at 5/s
 *           to one port; tags aligned, as GPS does it; spread over 27 ms        16 sockets each, all PMUs
 *
 * 105,000 deliveries a second. An age is counted from when the PMU's frame left. Beside it, if asked for, subscriptions that come
 * and go. `--seconds 600 --churn 10000` is the run that the targets ask for.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isRefusal } from '../src/errors.js';
import { COMMANDS } from '../src/protocols/c37118/command.js';
import { CODE, compose, TYPE } from '../src/protocols/coap/message.js';
import { encodeTail, OPTION, option } from '../src/protocols/coap/options.js';
import { seededRandom } from '../src/random.js';
import { Grid } from '../src/sim/grid.js';
import { SimulatedStream } from '../src/sim/simulated-stream.js';
import { parseRate } from '../src/sim/slot-grid.js';
import { nextPort, wait } from '../test/crash/broker-process.js';
import type { ChurnOrder, ChurnReport } from './churn.js';
import { between, checkBalance, DaemonUnderTest, type Accounts } from './daemon.js';
import { machineCpu, microseconds, table } from './figures.js';
import { pathOptions } from './load-coap.js';
import { Absent, nativeProgram } from './native.js';
import { Pump, type Pumped } from './pump.js';
import { quoted, type Outcome, type TargetRow } from './targets.js';

export interface OscillationEffort {
  readonly seconds: number;
  readonly pmus: number;
  /** Subscriptions that come and go, a minute. */
  readonly churn: number;
}
export const QUICK: OscillationEffort = { seconds: 5, pmus: 200, churn: 10_000 };
export const FULL: OscillationEffort = { seconds: 60, pmus: 1000, churn: 0 };

const CHURN = fileURLToPath(new URL('./churn.ts', import.meta.url));
const RATE_HZ = 30;
const APPLICATIONS_HZ = [30, 30, 30, 5, 5, 5];
const SOCKETS_PER_APPLICATION = 16;
/** All phasors, analogs and frequencies floating, phasors polar. */
const FORMAT = 15;
const TIME_BASE = 1_000_000;
/** Until each PMU keeps as many frames as it ever will: ten seconds of them. */
const WARM_UP_S = 12;
const LOOK_MS = 500;
const MOST_SETTLE_MS = 20_000;
const TARGETS = { p99Us: 10_000, p999Us: 25_000, cpuShare: 0.8 };
const NOTHING = new Uint8Array(0);

const placeOf = (pmu: number): readonly string[] => {
  const application = ['m2m', 'applications', `pmu-${pmu + 1}`];
  return [...application, 'containers', 'measurements', 'contentInstances', 'latest', 'content'];
};

interface Result {
  readonly pumped: Pumped;
  readonly accounts: Accounts;
  readonly cpuUs: number;
  readonly churned: ChurnReport | undefined;
  /** Frames that the broker's sockets had no room for. */
  readonly unread: number;
  readonly othersUs: number;
  readonly stolenUs: number;
  readonly gc: { readonly count: number; readonly seconds: number };
  readonly before: Standing;
  readonly after: Standing;
}
interface Standing {
  readonly rssMib: number;
  readonly heapMib: number;
  readonly descriptors: number;
  readonly subscriptions: number;
}

/** Runs it and tells it as Markdown. */
export async function oscillation(effort: OscillationEffort, progress: (line: string) => void): Promise<Outcome> {
  try {
    nativeProgram('pump');
  } catch (error) {
    if (!(error instanceof Absent)) throw error;
    return { text: `Nothing was measured: ${error.message}` };
  }
  const port = nextPort();
  const range = `c37118+udp://127.0.0.1:${port}?idcode=1-${effort.pmus}&mode=spontaneous`;
  const daemon = await DaemonUnderTest.start(['--congestion', 'provisioned', '--pmu', range]);
  const pump = new Pump();
  try {
    const load = { shape: 'spread', rateHz: RATE_HZ, fanOut: APPLICATIONS_HZ.length, window: 1, batch: 1 } as const;
    const run = (seconds: number): Promise<Pumped> => pump.run({ ...load, seconds, first: 0, count: effort.pmus });
    for (let pmu = 0; pmu < effort.pmus; pmu++) openPmu(pump, pmu, port);
    // What is observed is the newest frame: there must be one.
    await run(1);
    subscribe(pump, daemon.site.coap, effort.pmus);
    await pump.sync();
    const { subscriptions } = await daemon.accounts();
    const wanted = effort.pmus * APPLICATIONS_HZ.length;
    if (subscriptions !== wanted) throw new Error(`${subscriptions} subscriptions stand, not ${wanted}`);
    progress(`${effort.pmus} PMUs, ${subscriptions} subscriptions`);
    await run(WARM_UP_S);
    await settled(daemon);
    progress(`warmed up; ${effort.seconds} s`);
    return report(effort, await measure(daemon, effort, port, run));
  } finally {
    pump.close();
    await daemon.stop();
  }
}

function openPmu(pump: Pump, pmu: number, port: number): void {
  const slots = parseRate(String(RATE_HZ));
  if (isRefusal(slots)) throw new Error(slots.detail);
  const nowUs = Date.now() * 1000;
  const shape = { idCode: pmu + 1, format: FORMAT, timeBase: TIME_BASE, slots };
  const stream = new SimulatedStream(shape, new Grid(60, 1, [], seededRandom(pmu)), [], nowUs);
  const configuration = stream.answer(COMMANDS.sendConfiguration2, nowUs);
  if (!configuration) throw new Error('a stream without a configuration');
  const socket = pump.socket('udp', port);
  pump.say(socket, configuration);
  pump.frame(socket, stream.frame(slots.firstFrom(nowUs)));
}

/** Each application has all PMUs, spread over its sockets. */
function subscribe(pump: Pump, port: number, pmus: number): void {
  let relation = 0;
  for (const rateHz of APPLICATIONS_HZ) {
    for (let n = 0; n < SOCKETS_PER_APPLICATION; n++) {
      const socket = pump.socket('udp', port);
      for (let pmu = n; pmu < pmus; pmu += SOCKETS_PER_APPLICATION) {
        const token = Buffer.alloc(4);
        token.writeUInt32BE(relation++);
        const options = [
          option(OPTION.observe, 0),
          ...pathOptions(...placeOf(pmu)),
          option(OPTION.uriQuery, `rate=${rateHz}`),
        ];
        pump.relation(pmu, RATE_HZ / rateHz);
        const send = compose(TYPE.nonConfirmable, CODE.get, pmu, token, encodeTail(options, NOTHING));
        pump.ask(socket, { send, until: token, tries: 10 });
      }
      pump.read(socket, 'coap');
    }
  }
}

async function standing(daemon: DaemonUnderTest): Promise<Standing & { readonly gc: Result['gc'] }> {
  const figures = await daemon.figures();
  const sum = (name: string): number => [...figures(name).values()].reduce((total, value) => total + value, 0);
  return {
    rssMib: daemon.rssMib,
    heapMib: sum('gridcast_nodejs_heap_size_used_bytes') / 2 ** 20,
    descriptors: readdirSync(`/proc/${daemon.pid}/fd`).length,
    subscriptions: sum('gridcast_subscriptions'),
    gc: {
      count: sum('gridcast_nodejs_gc_duration_seconds_count'),
      seconds: sum('gridcast_nodejs_gc_duration_seconds_sum'),
    },
  };
}

async function measure(
  daemon: DaemonUnderTest,
  { seconds, pmus, churn: perMinute }: OscillationEffort,
  port: number,
  run: (seconds: number) => Promise<Pumped>,
): Promise<Result> {
  const { gc: gcBefore, ...before } = await standing(daemon);
  const accountsBefore = await daemon.accounts();
  const machineBefore = machineCpu();
  const cpuBeforeUs = daemon.cpuUs;
  const places = Array.from({ length: pmus }, (_, pmu) => placeOf(pmu));
  const churning =
    perMinute > 0 ? churned({ port: daemon.site.coap, places, perMinute, seconds: seconds - 2 }) : undefined;
  const unreadBefore = unreadBy(port);
  const pumped = await run(seconds);
  await settled(daemon);
  const cpuUs = daemon.cpuUs - cpuBeforeUs;
  const machine = machineCpu();
  const report = await churning;
  const accounts = between(accountsBefore, await daemon.accounts());
  checkBalance(accounts);
  const { gc, ...after } = await standing(daemon);
  return {
    ...{ pumped, accounts, cpuUs, churned: report, before, after, unread: unreadBy(port) - unreadBefore },
    othersUs: machine.busyUs - machineBefore.busyUs - cpuUs - pumped.cpuUs - (report?.cpuUs ?? 0),
    stolenUs: machine.stolenUs - machineBefore.stolenUs,
    gc: { count: gc.count - gcBefore.count, seconds: gc.seconds - gcBefore.seconds },
  };
}

/** Until its books stand still: it may be behind. */
async function settled(daemon: DaemonUnderTest): Promise<void> {
  const untilMs = performance.now() + MOST_SETTLE_MS;
  let former = -1;
  for (;;) {
    const { received, delivered } = await daemon.accounts();
    if (received + delivered === former || performance.now() > untilMs) return;
    former = received + delivered;
    await wait(LOOK_MS);
  }
}

/** What the kernel has thrown away because the socket's buffer was full: the last column. */
function unreadBy(port: number): number {
  let unread = 0;
  for (const line of readFileSync('/proc/net/udp', 'latin1').split('\n').slice(1)) {
    const columns = line.trim().split(/ +/);
    if (parseInt(columns[1]?.split(':')[1] ?? '', 16) === port) unread += Number(columns.at(-1));
  }
  return unread;
}

async function churned(order: ChurnOrder): Promise<ChurnReport> {
  const child: ChildProcess = fork(CHURN);
  try {
    child.send(order);
    const gone = once(child, 'exit').then(() => Promise.reject(new Error('the churning process has failed')));
    gone.catch(() => undefined);
    const [report] = (await Promise.race([once(child, 'message'), gone])) as [ChurnReport];
    return report;
  } finally {
    child.kill();
  }
}

function report({ seconds, pmus, churn }: OscillationEffort, result: Result): Outcome {
  const { pumped, accounts, cpuUs, churned: beside, unread, othersUs, stolenUs, gc, before, after } = result;
  const { p50, p99, p999, longest } = pumped.ageUs;
  const share = (us: number): string => `${((100 * us) / pumped.elapsedUs).toFixed(0)} %`;
  const dropped = [...accounts.dropped].filter(([, count]) => count > 0);
  const drops = dropped.reduce((total, [, count]) => total + count, 0);
  const arrived = pumped.received + (beside?.notified ?? 0);
  const lost = accounts.delivered - arrived;
  const isWhole = pmus === FULL.pmus;
  const row = (what: string, figure: string, wanted: string, isMet: boolean): TargetRow => ({
    ...{ target: 'T7', what, figure, peers: '', ratio: '', wanted, isMet },
    command: `${quoted('oscillation')} --seconds ${seconds}${churn > 0 ? ` --churn ${churn}` : ''}`,
  });
  const cpuShare = cpuUs / pumped.elapsedUs;
  const rows = [
    [
      'published',
      `${pumped.published} frames, ${pumped.refused} more that the pump could not send; ${unread} found the broker's buffers full`,
    ],
    [
      'by the broker',
      `${accounts.received} received = ${accounts.delivered} delivered + ${accounts.decimated} decimated + ${drops} dropped${dropped.length > 0 ? ` (${dropped.map(([reason, count]) => `${count} ${reason}`).join(', ')})` : ''} + ${accounts.held} held`,
    ],
    [
      'by the applications',
      `${pumped.received} arrived, ${pumped.skipped} sequence numbers skipped, ${pumped.again} twice, ${pumped.outOfOrder} out of order`,
    ],
    ['delivered, not arrived', `${lost}${beside ? ', those who come and go included' : ''}`],
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
    ...(beside
      ? [
          [
            'came and went',
            `${beside.registered} registered, ${beside.cancelled} cancelled, ${beside.notified} notified`,
          ],
        ]
      : []),
    ...(['before', 'after'] as const).map((when) => {
      const { rssMib, heapMib, descriptors, subscriptions } = when === 'before' ? before : after;
      return [
        when,
        `${rssMib.toFixed(0)} MiB resident, ${heapMib.toFixed(0)} MiB of heap, ${descriptors} descriptors, ${subscriptions} subscriptions`,
      ];
    }),
  ];
  return {
    text: [
      `${pmus} PMUs x ${RATE_HZ}/s, C37.118 over UDP, to ${APPLICATIONS_HZ.length} applications (${APPLICATIONS_HZ.join(', ')} a second) on ${SOCKETS_PER_APPLICATION} sockets each, CoAP NON, SenML+CBOR; ${seconds} s${churn > 0 ? `; ${churn} subscriptions a minute come and go` : ''}.`,
      '',
      table(['what', 'figure'], rows),
    ].join('\n'),
    figures: { ...result, accounts: { ...accounts, dropped: Object.fromEntries(accounts.dropped) } },
    ...(isWhole && {
      targets: [
        row('dropped or lost', `${drops + lost + unread}`, '0', drops + lost + unread + pumped.skipped === 0),
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
