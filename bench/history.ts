/**
 * What does history on disk cost the live path?
 *
 *     gridcast sim pmu: 100 PMUs x 30/s ──C37.118 over TCP──> broker ──CoAP NON──> 100 sockets x 10 PMUs
 *                                                               └──> disk, or not: pmuHistoryS
 *
 * Two brokers take their turns, each measured alone after it has warmed up, so that a bad spell of the machine falls on both; the
 * figures are medians of the rounds. The CPU is the whole process's: its disk threads and LevelDB's included.
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
  readonly rounds: number;
  readonly seconds: number;
}
export const QUICK: Effort = { rounds: 1, seconds: 4 };
export const FULL: Effort = { rounds: 5, seconds: 8 };
/** Code is compiled, and what writes the history runs twice a second: it takes its time; buffers have grown, the first segments are made. */
const WARM_UP_S = 30;
/** For what is on its way, to sockets and to the disk: a container has its turn once a second. */
const SETTLE_MS = 1500;
const TARGET_PERCENT = 10;
const DAY_S = 86_400;

const wait = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

interface Simulator {
  readonly process: ChildProcess;
  readonly uri: string;
}

async function startSimulator(): Promise<Simulator> {
  const words = ['sim', 'pmu', '--listen', 'tcp://127.0.0.1:0', '--pmus', String(TOPICS), '--rate', String(RATE_HZ)];
  const simulator = endingWithUs(
    spawn(process.execPath, [PROGRAM, ...words], { stdio: ['ignore', 'pipe', 'inherit'] }),
  );
  for await (const line of createInterface({ input: simulator.stdout })) {
    const [at] = /tcp:\/\/127\.0\.0\.1:\d+/.exec(line) ?? [];
    if (at !== undefined) return { process: simulator, uri: `c37118+${at}?idcode=1` };
  }
  throw new Error('the simulator did not say where it listens');
}

interface Round {
  /** Microseconds. */
  readonly perDelivery: number;
  readonly delivered: number;
  readonly cpuShare: number;
  readonly rssMib: number;
  /** Measurements that the history has of the round. */
  readonly kept: number;
}

/** A broker from its start to its end. */
async function round({ process: simulator, uri }: Simulator, isOnDisk: boolean, seconds: number): Promise<Round> {
  const folder = mkdtempSync(join(tmpdir(), 'gridcast-bench-'));
  const flags = ['--congestion', 'provisioned', '--pmu', uri, '--data', folder];
  const daemon = await DaemonUnderTest.start(isOnDisk ? [...flags, '--pmu-history-s', String(DAY_S)] : flags);
  try {
    const place = (topic: number) => ['m2m', 'applications', `pmu-${topic + 1}`, 'containers', 'measurements'];
    while ((await statusOf(daemon, [...place(TOPICS - 1), 'contentInstances', 'latest'])) !== 200) await wait(50);
    // A slot's burst leaves no room on the loopback for answers: the devices wait until all observers stand.
    simulator.kill('SIGSTOP');
    const closing = new AbortController();
    setMaxListeners(SUBSCRIBERS, closing.signal);
    for (let subscriber = 0; subscriber < SUBSCRIBERS; subscriber++)
      await openCoapSubscriber(daemon.site.coap, topicsOf(subscriber), {
        placeOf: (topic) => pathOptions(...place(topic), 'contentInstances'),
        signal: closing.signal,
      });
    const run = async (forS: number): Promise<void> => {
      simulator.kill('SIGCONT');
      await wait(forS * 1000);
      simulator.kill('SIGSTOP');
      await wait(SETTLE_MS);
    };
    await run(WARM_UP_S);
    const keptBefore = await countOf(daemon, place(0));
    const before = await daemon.accounts();
    const [cpuUs, startedUs] = [daemon.cpuUs, performance.now() * 1000];
    await run(seconds);
    const usedUs = daemon.cpuUs - cpuUs;
    const elapsedUs = performance.now() * 1000 - startedUs;
    const accounts = between(before, await daemon.accounts());
    const kept = (await countOf(daemon, place(0))) - keptBefore;
    checkBalance(accounts);
    closing.abort();
    return {
      perDelivery: usedUs / accounts.delivered,
      delivered: accounts.delivered,
      cpuShare: usedUs / elapsedUs,
      rssMib: daemon.rssMib,
      kept,
    };
  } finally {
    simulator.kill('SIGCONT');
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

export async function history({ rounds, seconds }: Effort, progress: (line: string) => void): Promise<string> {
  const simulator = await startSimulator();
  const taken: Record<'off' | 'on', Round[]> = { off: [], on: [] };
  try {
    for (let n = 1; n <= rounds; n++) {
      for (const which of ['off', 'on'] as const) {
        const result = await round(simulator, which === 'on', seconds);
        taken[which].push(result);
        progress(
          `round ${n} history ${which}: ${result.perDelivery.toFixed(2)} us per delivery, ${result.delivered} delivered`,
        );
      }
    }
  } finally {
    simulator.process.kill();
  }
  return report(taken, rounds, seconds);
}

function report(taken: Readonly<Record<'off' | 'on', readonly Round[]>>, rounds: number, seconds: number): string {
  const of = (which: 'off' | 'on', figure: (round: Round) => number): number => median(taken[which].map(figure));
  const cost = 100 * (of('on', ({ perDelivery }) => perDelivery) / of('off', ({ perDelivery }) => perDelivery) - 1);
  const addedUs =
    (of('on', ({ perDelivery }) => perDelivery) - of('off', ({ perDelivery }) => perDelivery)) *
    ((SUBSCRIBERS * TOPICS_PER_SUBSCRIBER) / TOPICS);
  const pairs = taken.off.map(({ perDelivery }, n) => 100 * ((taken.on[n]?.perDelivery ?? NaN) / perDelivery - 1));
  const verdict = cost < TARGET_PERCENT ? 'met' : 'missed';
  const rows = (['off', 'on'] as const).map((which) => [
    which === 'on' ? `${DAY_S} s on disk` : 'memory only',
    of(which, ({ perDelivery }) => perDelivery).toFixed(2),
    `${(100 * of(which, ({ cpuShare }) => cpuShare)).toFixed(0)} %`,
    String(Math.round(of(which, ({ delivered }) => delivered / seconds))),
    which === 'on' ? of(which, ({ kept }) => kept / seconds).toFixed(1) : '-',
    of(which, ({ rssMib }) => rssMib).toFixed(0),
  ]);
  return [
    `${TOPICS} PMUs x ${RATE_HZ}/s as C37.118 frames of one stream over TCP, ${(SUBSCRIBERS * TOPICS_PER_SUBSCRIBER) / TOPICS} CoAP observers each on ${SUBSCRIBERS} sockets; ${rounds} rounds of ${seconds} s each in turn, medians.`,
    '',
    table(
      ['history', 'CPU us per delivery', 'broker CPU', 'delivered a second', 'kept a second and PMU', 'RSS MiB'],
      rows,
    ),
    '',
    `On disk costs ${cost.toFixed(1)} % more CPU per delivery, ${addedUs.toFixed(1)} us a sample (of the pairs of rounds: median ${median(pairs).toFixed(1)} %); target below ${TARGET_PERCENT} %: ${verdict}.`,
  ].join('\n');
}
