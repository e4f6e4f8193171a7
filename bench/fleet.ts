/**
 * What do a million gateways cost that report their load four times a minute?
 *
 *     fleet ──half over 1,000 keep-alive HTTP connections──> broker ──> containers of durability `grouped`
 *           ──half as confirmable CoAP from 256 ports──────>
 *
 * Registered first (an application and a container each), left alone until all are rows, then posting. Each reading is acknowledged;
 * at the end the latest of gateways all over the fleet is read back, and must be no older than what was acknowledged.
 *
 *     due = skipped + sent       sent = acknowledged + refused + lost + under way       acknowledged = 201s that the broker counted
 */
import { fileURLToPath } from 'node:url';
import { DaemonUnderTest } from './daemon.js';
import { machineCpu, microseconds, table } from './figures.js';
import type { FleetOrder, FleetReport } from './fleet-load.js';
import { quoted, type Outcome, type TargetRow } from './targets.js';
import { Worker } from './worker.js';

const LOAD = fileURLToPath(new URL('./fleet-load.ts', import.meta.url));

export interface FleetEffort {
  readonly gateways: number;
  readonly ratePerMinute: number;
  readonly httpConnections: number;
  readonly coapPorts: number;
  readonly seconds: number;
}
export const QUICK: FleetEffort = {
  gateways: 20_000,
  ratePerMinute: 4,
  httpConnections: 200,
  coapPorts: 64,
  seconds: 10,
};
export const FULL: FleetEffort = {
  gateways: 1_000_000,
  ratePerMinute: 4,
  httpConnections: 1_000,
  coapPorts: 256,
  seconds: 600,
};

const READ_BACK = 500;
const TARGET_BYTES = 200;
const TARGET_P99_US = 1e6;
const IDLE_PATIENCE_S = 120;
/** A collection of fewer has none. */
const LEAST_WITH_ROWS = 1_000;

type Registered = Extract<FleetReport, { report: 'registered' }>;
type Posted = Extract<FleetReport, { report: 'posted' }>;

interface Answered {
  /** 201, 2.01. */
  readonly created: number;
  readonly refused: number;
}

export interface FleetRound {
  readonly registered: Registered;
  readonly registerCpuUs: number;
  /** Rows and what finds them, after registration and after the readings, once all are idle. */
  readonly bytesRegistered: number;
  readonly bytesWithReading: number;
  readonly rssMib: number;
  readonly posted: Posted;
  /** Answers to the readings, as the broker counted them itself. */
  readonly answered: Answered;
  readonly postCpuUs: number;
  readonly othersUs: number;
  readonly stolenUs: number;
}

/** Waits until all gateways are rows; bytes of one, and NaN where there are none. */
async function idleBytes(daemon: DaemonUnderTest, gateways: number): Promise<number> {
  if (gateways < LEAST_WITH_ROWS) return NaN;
  for (let second = 0; second < IDLE_PATIENCE_S; second++) {
    const figures = await daemon.figures();
    const count = figures('gridcast_passive_resources').get('');
    if (count === undefined) return NaN;
    if (count >= gateways) return (figures('gridcast_passive_bytes').get('') ?? NaN) / count;
    await new Promise((done) => setTimeout(done, 1000));
  }
  throw new Error('the gateways do not become idle');
}

export async function measureFleet(
  effort: FleetEffort,
  tell: (line: string) => void,
  program?: string,
  nodeFlags: readonly string[] = [],
): Promise<FleetRound> {
  const daemon = await DaemonUnderTest.start([], nodeFlags, program);
  const load = new Worker<FleetOrder, FleetReport>(LOAD);
  try {
    const { gateways, ratePerMinute, httpConnections, coapPorts, seconds } = effort;
    const { http, coap } = daemon.site;
    const lanes = { ratePerMinute, httpConnections, coapPorts, groups: 1, listeners: 0, eventEveryS: 1 };
    const options = { broker: `http://127.0.0.1:${http}`, coap: `coap://127.0.0.1:${coap}`, gateways, ...lanes };
    const startUs = daemon.cpuUs;
    const registered = (await load.run({ order: 'register', options, readBack: READ_BACK })) as Registered;
    if (registered.registered !== gateways) throw new Error(`only ${registered.registered} gateways are registered`);
    const registerCpuUs = daemon.cpuUs - startUs;
    tell(`fleet: ${gateways} registered in ${microseconds(registered.elapsedUs)}`);
    const bytesRegistered = await idleBytes(daemon, gateways);
    const before = await answeredBy(daemon);
    const [cpuUs, machineUs] = [daemon.cpuUs, machineCpu()];
    const posted = (await load.run({ order: 'post', seconds })) as Posted;
    const [postCpuUs, after] = [daemon.cpuUs - cpuUs, machineCpu()];
    tell(`fleet: ${posted.counters.acknowledged} of ${posted.counters.due} readings acknowledged`);
    const answers = await answeredBy(daemon);
    const answered = { created: answers.created - before.created, refused: answers.refused - before.refused };
    checkBooks(posted, answered);
    const bytesWithReading = await idleBytes(daemon, gateways);
    return {
      registered,
      registerCpuUs,
      bytesRegistered,
      bytesWithReading,
      rssMib: daemon.rssMib,
      posted,
      answered,
      postCpuUs,
      othersUs: after.busyUs - machineUs.busyUs - postCpuUs - posted.cpuUs,
      stolenUs: after.stolenUs - machineUs.stolenUs,
    };
  } finally {
    load.close();
    await daemon.stop();
  }
}

/** What a broker has answered since its start. What is read back comes as STATUS_OK, and is none of either. */
async function answeredBy(daemon: DaemonUnderTest): Promise<Answered> {
  const answers = (await daemon.figures())('gridcast_answers_total');
  const created = answers.get('STATUS_CREATED') ?? 0;
  return { created, refused: sum([...answers.values()]) - created - (answers.get('STATUS_OK') ?? 0) };
}

/** Throws where not every reading is accounted for, on either side: then none of the figures is to be believed. */
export function checkBooks(
  { counters, refusals, underWay, resent, read, forgotten }: Posted,
  { created, refused: turnedDown }: Answered,
): void {
  const { due, skipped, sent, acknowledged, refused, lost } = counters;
  if (due !== skipped + sent || sent !== acknowledged + refused + lost + underWay)
    throw new Error(`the books do not balance: ${JSON.stringify({ ...counters, underWay })}`);
  if (sum(refusals.map(([, count]) => count)) !== refused)
    throw new Error(`${refused} readings are refused, but by status ${refusals.join(' ')}`);
  // Its answer may have been lost, and what was sent again on another connection may have been answered twice.
  const unseen = created + turnedDown - acknowledged - refused;
  if (created < acknowledged || turnedDown < refused || unseen > lost + underWay + resent)
    throw new Error(
      `the broker has taken ${created} readings and refused ${turnedDown}, where ${acknowledged} and ${refused} were told`,
    );
  if (forgotten > 0) throw new Error(`of ${read} gateways, ${forgotten} have lost a reading that was acknowledged`);
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, each) => all + each, 0);

export async function fleet(effort: FleetEffort, tell: (line: string) => void): Promise<Outcome> {
  const { gateways, ratePerMinute, httpConnections, coapPorts, seconds } = effort;
  const round = await measureFleet(effort, tell);
  const { registered, posted } = round;
  const { counters, refusals, underWay, resent, elapsedUs, p50, p99, read } = posted;
  const perSecond = (count: number, us: number): string => `${((count * 1e6) / us).toFixed(0)}/s`;
  const rows = [
    ['registrations', `${perSecond(gateways, registered.elapsedUs)}, ${microseconds(registered.elapsedUs)}`],
    ['broker CPU per registration (two requests)', microseconds(round.registerCpuUs / gateways)],
    [
      'bytes per idle gateway, registered / with a reading',
      `${round.bytesRegistered.toFixed(0)} / ${round.bytesWithReading.toFixed(0)}`,
    ],
    ['RSS at the end', `${round.rssMib.toFixed(0)} MiB`],
    ['readings due = skipped + sent', `${counters.due} = ${counters.skipped} + ${counters.sent}`],
    ['... a second', perSecond(counters.due, elapsedUs)],
    [
      'sent = acknowledged + refused + lost + under way',
      `${counters.sent} = ${counters.acknowledged} + ${counters.refused} + ${counters.lost} + ${underWay}`,
    ],
    ['refused, by status', refusals.map(([status, count]) => `${status}: ${count}`).join(', ') || 'none'],
    ['acknowledged, as the broker counted', String(round.answered.created)],
    ['messages sent again, their readings counted once', String(resent)],
    ['readings acknowledged', perSecond(counters.acknowledged, elapsedUs)],
    ['answered within, p50 / p99', `${microseconds(p50)} / ${microseconds(p99)}`],
    ['broker CPU per reading', microseconds(round.postCpuUs / counters.acknowledged)],
    ['broker CPU / generator CPU', `${share(round.postCpuUs, elapsedUs)} / ${share(posted.cpuUs, elapsedUs)}`],
    ['read back, none older than acknowledged', String(read)],
  ];
  const row = (what: string, figure: string, wanted: string, isMet: boolean): TargetRow => ({
    ...{ target: 'T8', what, figure, peers: '', ratio: '', wanted, isMet },
    command: `${quoted('fleet')} --seconds ${seconds}${gateways === FULL.gateways ? '' : ` --gateways ${gateways}`}`,
  });
  const bytes = round.bytesWithReading;
  return {
    text: [
      `${gateways} gateways, ${ratePerMinute} readings a minute each for ${seconds} s, half over ${httpConnections} keep-alive HTTP connections, half as confirmable CoAP from ${coapPorts} ports; durability grouped. Skipped: due while its connection or port had too much under way. Meanwhile other processes used ${share(round.othersUs, elapsedUs)} of a core, and the machine's host withheld ${share(round.stolenUs, elapsedUs)}.`,
      table(['what', 'figure'], rows),
    ].join('\n\n'),
    figures: round,
    targets: [
      row(
        `readings acknowledged, ${gateways} gateways`,
        perSecond(counters.acknowledged, elapsedUs),
        `all: ${perSecond(counters.due, elapsedUs)}`,
        counters.due === counters.acknowledged,
      ),
      row('answered, p99', microseconds(p99), `<= ${microseconds(TARGET_P99_US)}`, p99 <= TARGET_P99_US),
      row('an idle gateway with a reading', `${bytes.toFixed(0)} B`, `<= ${TARGET_BYTES} B`, bytes <= TARGET_BYTES),
    ],
  };
}

const share = (us: number, ofUs: number): string => `${((100 * us) / ofUs).toFixed(0)} %`;
