/**
 * What does history on disk cost the live path?
 *
 *     gridcast sim pmu: 100 PMUs x 30/s, kept on disk ──C37.118 over TCP──> broker ──CoAP NON──> 100 sockets x 10 PMUs
 *     gridcast sim pmu: 100 more, in memory alone     ──────────────────>  (one)   ──────────>  100 more
 *
 * The two take their turns in one broker: two processes of one version differ by a quarter in what a delivery costs them, by what
 * V8 made of their first seconds, and that is more than what is asked for. Several processes, medians of the pairs of turns. The CPU
 * is the whole process's: its disk threads and LevelDB's included. What a history changes for the whole process, as the code that both share,
 * is in neither.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import { createInterface } from 'node:readline';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endingWithUs } from './children.js';
import { between, checkBalance, DaemonUnderTest, PROGRAM } from './daemon.js';
import { median, table } from './figures.js';
import { openCoapSubscriber, pathOptions } from './load-coap.js';
import { RATE_HZ, SUBSCRIBERS, TOPICS, TOPICS_PER_SUBSCRIBER, topicsOf } from './load.js';

export interface Effort {
  readonly processes: number;
  /** Pairs of turns in each. */
  readonly rounds: number;
  readonly seconds: number;
}
export const QUICK: Effort = { processes: 1, rounds: 1, seconds: 4 };
/** A stream that is silent for 10 s is connected to anew: a turn is shorter, and before each pair both take breath. */
export const FULL: Effort = { processes: 3, rounds: 7, seconds: 6 };
/** Code is compiled, and what writes the history runs twice a second: it takes its time; buffers have grown, the first segments are made. */
const WARM_UP_S = 30;
/** For what is on its way, to sockets and to the disk: a container has its turn once a second. */
const SETTLE_MS = 1500;
const BREATH_MS = 500;
const TARGET_PERCENT = 10;
const DAY_S = 86_400;
/** IDCODE of the first PMU, and where the address says its measurements are kept. */
const SIDES = {
  memory: { first: 1, historyS: 0 },
  disk: { first: TOPICS + 1, historyS: DAY_S },
} as const;
type Side = keyof typeof SIDES;
const BOTH: readonly Side[] = ['memory', 'disk'];

const wait = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

interface Simulator {
  readonly process: ChildProcess;
  readonly uri: string;
}

async function startSimulator(side: Side): Promise<Simulator> {
  const { first, historyS } = SIDES[side];
  const load = ['--idcode', String(first), '--pmus', String(TOPICS), '--rate', String(RATE_HZ)];
  const words = ['sim', 'pmu', '--listen', 'tcp://127.0.0.1:0', ...load];
  const simulator = endingWithUs(
    spawn(process.execPath, [PROGRAM, ...words], { stdio: ['ignore', 'pipe', 'inherit'] }),
  );
  for await (const line of createInterface({ input: simulator.stdout })) {
    const [at] = /tcp:\/\/127\.0\.0\.1:\d+/.exec(line) ?? [];
    if (at !== undefined) return { process: simulator, uri: `c37118+${at}?idcode=${first}&history=${historyS}` };
  }
  throw new Error('the simulator did not say where it listens');
}

interface Turn {
  /** Microseconds. */
  readonly perDelivery: number;
  readonly delivered: number;
  /** Of a core, while the PMUs send. */
  readonly cpuShare: number;
  /** Measurements that the side's first PMU has of the turn. */
  readonly kept: number;
}
type Pair = Readonly<Record<Side, Turn>>;

const placeOf = (side: Side, topic: number): readonly string[] => {
  const application = `pmu-${SIDES[side].first + topic}`;
  return ['m2m', 'applications', application, 'containers', 'measurements'];
};

/** A broker from its start to its end. */
async function broker(
  simulators: Readonly<Record<Side, Simulator>>,
  { rounds, seconds }: Effort,
  told: (pair: Pair) => void,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'gridcast-bench-'));
  const streams = Object.values(simulators).flatMap(({ uri }) => ['--pmu', uri]);
  const daemon = await DaemonUnderTest.start(['--congestion', 'provisioned', ...streams, '--data', folder]);
  const closing = new AbortController();
  setMaxListeners(2 * SUBSCRIBERS, closing.signal);
  const both = (signal: NodeJS.Signals): void => BOTH.forEach((side) => void simulators[side].process.kill(signal));
  try {
    for (const side of BOTH)
      while ((await statusOf(daemon, [...placeOf(side, TOPICS - 1), 'contentInstances', 'latest'])) !== 200)
        await wait(50);
    // A slot's burst leaves no room on the loopback for answers: the devices wait until all observers stand.
    both('SIGSTOP');
    for (const side of BOTH)
      for (let subscriber = 0; subscriber < SUBSCRIBERS; subscriber++)
        await openCoapSubscriber(daemon.site.coap, topicsOf(subscriber), {
          placeOf: (topic) => pathOptions(...placeOf(side, topic), 'contentInstances'),
          signal: closing.signal,
        });
    const run = async (sides: readonly Side[], ms: number): Promise<void> => {
      for (const side of sides) simulators[side].process.kill('SIGCONT');
      await wait(ms);
      for (const side of sides) simulators[side].process.kill('SIGSTOP');
      await wait(SETTLE_MS);
    };
    await run(BOTH, WARM_UP_S * 1000);
    const turn = async (side: Side): Promise<Turn> => {
      const keptBefore = await countOf(daemon, placeOf(side, 0));
      const before = await daemon.accounts();
      const { cpuUs } = daemon;
      await run([side], seconds * 1000);
      const usedUs = daemon.cpuUs - cpuUs;
      const accounts = between(before, await daemon.accounts());
      checkBalance(accounts);
      return {
        perDelivery: usedUs / accounts.delivered,
        delivered: accounts.delivered,
        cpuShare: usedUs / (seconds * 1e6),
        kept: (await countOf(daemon, placeOf(side, 0))) - keptBefore,
      };
    };
    for (let round = 0; round < rounds; round++) {
      await run(BOTH, BREATH_MS);
      // Whoever is second finds what the first has left to the collector: they change places.
      const earlier = round % 2 === 1 ? await turn('disk') : undefined;
      const memory = await turn('memory');
      told({ memory, disk: earlier ?? (await turn('disk')) });
    }
  } finally {
    closing.abort();
    both('SIGCONT');
    await daemon.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

const urlOf = ({ site }: DaemonUnderTest, path: readonly string[]): string =>
  `http://127.0.0.1:${site.http}/${path.join('/')}`;

async function statusOf(daemon: DaemonUnderTest, path: readonly string[]): Promise<number> {
  return (await fetch(urlOf(daemon, path))).status;
}

/** Instances that a PMU has. */
async function countOf(daemon: DaemonUnderTest, container: readonly string[]): Promise<number> {
  const path = [...container, 'contentInstances', 'currentNrOfInstances'];
  const { currentNrOfInstances } = (await (await fetch(urlOf(daemon, path))).json()) as {
    currentNrOfInstances: number;
  };
  return currentNrOfInstances;
}

const costOf = ({ memory, disk }: Pair): number => 100 * (disk.perDelivery / memory.perDelivery - 1);
const percent = (value: number): string => `${value.toFixed(1)} %`;

export async function history(effort: Effort, progress: (line: string) => void): Promise<string> {
  const taken: Pair[][] = [];
  for (let n = 1; n <= effort.processes; n++) {
    const simulators = { memory: await startSimulator('memory'), disk: await startSimulator('disk') };
    const pairs: Pair[] = [];
    taken.push(pairs);
    try {
      await broker(simulators, effort, (pair) => {
        pairs.push(pair);
        const [memory, disk] = [pair.memory.perDelivery, pair.disk.perDelivery].map((us) => us.toFixed(2));
        progress(
          `process ${n}, pair ${pairs.length}: ${memory} us per delivery in memory, ${disk} on disk, ${percent(costOf(pair))}`,
        );
      });
    } finally {
      for (const simulator of Object.values(simulators)) simulator.process.kill();
    }
  }
  return report(taken, effort);
}

function report(taken: readonly (readonly Pair[])[], { processes, rounds, seconds }: Effort): string {
  const pairs = taken.flat();
  const of = (side: Side, figure: (turn: Turn) => number): number => median(pairs.map((pair) => figure(pair[side])));
  const cost = median(pairs.map(costOf));
  const addedUs =
    median(pairs.map(({ memory, disk }) => disk.perDelivery - memory.perDelivery)) *
    ((SUBSCRIBERS * TOPICS_PER_SUBSCRIBER) / TOPICS);
  const rows = BOTH.map((side) => [
    side === 'disk' ? `${DAY_S} s on disk` : 'memory alone',
    of(side, ({ perDelivery }) => perDelivery).toFixed(2),
    percent(100 * of(side, ({ cpuShare }) => cpuShare)),
    String(Math.round(of(side, ({ delivered }) => delivered))),
    side === 'disk' ? of(side, ({ kept }) => kept).toFixed(0) : '-',
  ]);
  const each = taken.map((ofOne) => percent(median(ofOne.map(costOf)))).join(', ');
  return [
    `${TOPICS} PMUs x ${RATE_HZ}/s on disk and as many in memory, in turn in one broker; C37.118 over TCP, ${(SUBSCRIBERS * TOPICS_PER_SUBSCRIBER) / TOPICS} CoAP observers each on ${SUBSCRIBERS} sockets; ${processes} processes, ${rounds} pairs of ${seconds} s in each. A simulator that was stopped sends first what it missed, a second at most.`,
    '',
    table(['history', 'CPU us per delivery', 'broker CPU', 'delivered a turn', 'kept a turn and PMU'], rows),
    '',
    `On disk costs ${percent(cost)} more CPU per delivery (median of the pairs; of each process alone ${each}), ${addedUs.toFixed(1)} us a sample; target below ${TARGET_PERCENT} %: ${cost < TARGET_PERCENT ? 'met' : 'missed'}.`,
  ].join('\n');
}
