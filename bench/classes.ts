/**
 * Does protection wait for reporting?
 *
 *     pump ──CoAP, 120/s──> broker ──CoAP──> one subscriber of class protection, in the same pump: age of each sample
 *     pump ──100 samples at once──> broker ──> 5,000 CoAP and 5,000 WebSocket subscriptions of class reporting: a million deliveries
 *
 * Each round has a turn without bursts and one with a burst after the other. Both generators are processes of their own. The broker and
 * that of the protection class go before all others, where the system lets them: waiting for a processor is not waiting for
 * reporting. By their niceness, not by real-time priority: of that the kernel takes 50 ms away from whoever is busy for a second.
 */
import { spawnSync } from 'node:child_process';
import { CODE } from '../src/protocols/coap/message.js';
import { wait } from '../test/crash/broker-process.js';
import { furnish, pathOf, pathTo } from './contenders.js';
import { between, checkBalance, DaemonUnderTest, type Accounts } from './daemon.js';
import { machineCpu, median, microseconds, table } from './figures.js';
import { Pump, type Load, type Pumped } from './pump.js';
import { coap, gridcastWs } from './speech.js';
import type { Effort } from './stand.js';
import { quoted, type Outcome } from './targets.js';

export const QUICK: Effort = { rounds: 1, seconds: 4 };
/** A minute with bursts and a minute without: 7,200 samples each. */
export const FULL: Effort = { rounds: 6, seconds: 10 };

const RATE_HZ = 120;
const [PROTECTED, REPORTED] = [0, 1];
/** A pair of endpoints has 4,458 message ids a second: few relations on a socket. */
const COAP = { sockets: 500, relations: 10 };
const WS = { sockets: 50, relations: 100 };
const SUBSCRIPTIONS = COAP.sockets * COAP.relations + WS.sockets * WS.relations;
const BURST = 100;
const WARM_UP_S = 2;
const SETTLE_MS = 2000;
/** What a burst may add to the 99th percentile. */
const MOST_MOVED_US = 500;

interface Round {
  readonly alone: Pumped;
  readonly beside: Pumped;
  readonly bursts: readonly Pumped[];
  readonly brokerCpuUs: number;
  readonly othersUs: number;
}

/** Runs everything and tells it as Markdown. */
export async function classes({ rounds, seconds }: Effort, progress: (line: string) => void): Promise<Outcome> {
  const daemon = await DaemonUnderTest.start(['--congestion', 'provisioned']);
  const [protecting, reporting] = [new Pump(), new Pump()];
  const isPreferred = [daemon, protecting].every(({ pid }) => prefer(pid));
  try {
    await furnish(daemon.site.http, 2);
    await subscribe(daemon, protecting, reporting);
    const protect = (forS: number): Promise<Pumped> => protecting.run({ ...ALONE, seconds: forS });
    const burst = async (): Promise<Pumped> => {
      const burst = await reporting.run(BURSTING);
      // What is still under way comes with no other burst on top.
      if (burst.received < burst.published * SUBSCRIPTIONS) await wait(SETTLE_MS);
      return burst;
    };
    // Code is compiled and buffers have grown.
    await Promise.all([protect(WARM_UP_S), burst()]);
    const before = await daemon.accounts();
    const taken: Round[] = [];
    for (let n = 1; n <= rounds; n++) {
      const alone = await protect(seconds);
      const [cpuUs, busyUs] = [daemon.cpuUs, machineCpu().busyUs];
      let isOver = false;
      const running = protect(seconds).finally(() => (isOver = true));
      const bursts: Pumped[] = [];
      while (!isOver) bursts.push(await burst());
      const beside = await running;
      const brokerCpuUs = daemon.cpuUs - cpuUs;
      const ownUs = [beside, ...bursts].reduce((sum, each) => sum + each.cpuUs, brokerCpuUs);
      taken.push({ alone, beside, bursts, brokerCpuUs, othersUs: machineCpu().busyUs - busyUs - ownUs });
      progress(
        `round ${n}: p99 ${microseconds(alone.ageUs.p99)} alone, ${microseconds(beside.ageUs.p99)} beside ${bursts.length} bursts`,
      );
    }
    const accounts = between(before, await daemon.accounts());
    checkBalance(accounts);
    return report(taken, accounts, isPreferred, { rounds, seconds });
  } finally {
    protecting.close();
    reporting.close();
    await daemon.stop();
  }
}

/** Lets the first thread of a process go before others. False: the system does not allow it. */
const prefer = (pid: number): boolean => spawnSync('renice', ['-n', '-20', '-p', `${pid}`]).status === 0;

const ALONE = { shape: 'even', rateHz: RATE_HZ, fanOut: 1, window: 1, batch: 1, first: 0, count: 1 } as const;
/** From as many publishers, all at once; over when nothing more comes. */
const BURSTING: Load = { ...ALONE, shape: 'burst', seconds: 1, rateHz: 1, fanOut: SUBSCRIPTIONS, count: BURST };

async function subscribe(daemon: DaemonUnderTest, protecting: Pump, reporting: Pump): Promise<void> {
  const { http, coap: port } = daemon.site;
  const speak = (topic: number, latencyClass: string) =>
    coap(port, {
      observed: () => [...pathTo(topic), 'latest', 'content'],
      query: [`class=${latencyClass}`],
      published: () => pathTo(topic),
      method: CODE.post,
    });
  const [urgent, late] = [speak(PROTECTED, 'protection'), speak(REPORTED, 'reporting')];
  const overWs = gridcastWs(http, 'gridcast.v1', () => `${pathOf(REPORTED)}/latest/content?class=reporting`);
  const several = (count: number): readonly number[] => Array.from({ length: count }, (_, n) => n);
  await urgent.subscribe(protecting, [0]);
  urgent.publish(protecting, 0);
  for (let n = 0; n < COAP.sockets; n++) await late.subscribe(reporting, several(COAP.relations));
  for (let n = 0; n < WS.sockets; n++) await overWs(reporting, several(WS.relations));
  for (let n = 0; n < BURST; n++) late.publish(reporting, n);
  await protecting.sync();
  await reporting.sync();
  const { subscriptions } = await daemon.accounts();
  if (subscriptions !== SUBSCRIPTIONS + 1) throw new Error(`only ${subscriptions} subscriptions stand`);
}

function report(
  taken: readonly Round[],
  { received, delivered, dropped }: Accounts,
  isPreferred: boolean,
  { rounds, seconds }: Effort,
): Outcome {
  const of = (name: 'alone' | 'beside', figure: keyof Pumped['ageUs']): number =>
    median(taken.map((round) => round[name].ageUs[figure]));
  const rows = (['alone', 'beside'] as const).map((name) => [
    name === 'alone' ? 'alone' : 'beside bursts',
    ...(['p50', 'p99', 'p999', 'longest'] as const).map((figure) => microseconds(of(name, figure))),
    `${taken.reduce((sum, round) => sum + round[name].published - round[name].received, 0)}`,
  ]);
  const movedUs = of('beside', 'p99') - of('alone', 'p99');
  const bursts = taken.flatMap((round) => round.bursts);
  const share = (figure: (round: Round) => number): string =>
    `${(100 * median(taken.map((round) => figure(round) / round.beside.elapsedUs))).toFixed(0)} %`;
  const [due, came] = [
    bursts.reduce((sum, { published }) => sum + published * SUBSCRIPTIONS, 0),
    bursts.reduce((sum, burst) => sum + burst.received, 0),
  ];
  const drops = [...dropped].filter(([, count]) => count > 0).map(([reason, count]) => `${count} ${reason}`);
  return {
    text: [
      `One CoAP subscriber of class protection, ${RATE_HZ} samples a second, ${rounds} rounds of ${seconds} s each way in turns. A burst is ${BURST} samples at once to ${SUBSCRIPTIONS} subscriptions of class reporting, half CoAP, half WebSocket.`,
      table(['age of protection', 'p50', 'p99', 'p99.9', 'longest', 'lost'], rows),
      `The 99th percentile moves by ${microseconds(movedUs)}. ${bursts.length} bursts: ${due} deliveries due, ${came} came; by the broker’s account ${received} received, ${delivered} delivered${drops.length > 0 ? `, ${drops.join(', ')}` : ''}. CPU of the broker ${share((round) => round.brokerCpuUs)} of a core, others on the machine ${share((round) => round.othersUs)}; broker and generator of the protection class ${isPreferred ? 'go before all others' : 'have the priority of all others'}.`,
    ].join('\n\n'),
    figures: { rounds: taken, movedUs },
    targets: [
      {
        target: 'T12',
        what: 'protection beside a burst of a million reporting deliveries: p99',
        figure: microseconds(of('beside', 'p99')),
        peers: `alone ${microseconds(of('alone', 'p99'))}`,
        ratio: `+ ${microseconds(movedUs)}`,
        wanted: `+ ${microseconds(MOST_MOVED_US)} at most`,
        isMet: movedUs <= MOST_MOVED_US,
        command: quoted('classes'),
      },
    ],
  };
}
