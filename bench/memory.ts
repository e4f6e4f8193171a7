/**
 * What a delivery costs inside the broker, without the network [T6], and what stands in memory: in a process of its own, where the
 * collector can be asked (inside.ts).
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { median, table } from './figures.js';
import type { InsideOrder, InsideReport } from './inside.js';
import { quoted, type Outcome } from './targets.js';

const INSIDE = fileURLToPath(new URL('./inside.ts', import.meta.url));
/** No scavenge falls into what is counted. */
const NODE_FLAGS = ['--expose-gc', '--max-semi-space-size=256', '--min-semi-space-size=256'];
const MOST_US = 0.1;
/** What a map that grows and a boxed number now and then may leave, spread over the deliveries. */
const MOST_GARBAGE_BYTES = 8;

export interface MemoryEffort extends InsideOrder {
  readonly rounds: number;
}
const ORDER: InsideOrder = { subscribers: 1000, messages: 300, idle: 10_000 };
export const QUICK: MemoryEffort = { ...ORDER, rounds: 1, idle: 2_000 };
export const FULL: MemoryEffort = { ...ORDER, rounds: 5 };

export async function memory({ rounds, ...order }: MemoryEffort, progress: (line: string) => void): Promise<Outcome> {
  const reports: InsideReport[] = [];
  for (let n = 1; n <= rounds; n++) {
    const report = await inside(order);
    progress(`round ${n}: ${report.netUs.toFixed(3)} us, ${report.garbageBytes.toFixed(1)} B a delivery`);
    reports.push(report);
  }
  const of = (figure: (report: InsideReport) => number): number => median(reports.map(figure));
  const [netUs, garbageBytes] = [of((each) => each.netUs), of((each) => each.garbageBytes)];
  const rows = [
    ['CPU of a delivery, without what its message costs', `${netUs.toFixed(3)} us`],
    ['CPU of a delivery, its share of the message included', `${of((each) => each.grossUs).toFixed(3)} us`],
    ['CPU of a message that nobody subscribes to', `${of((each) => each.messageUs).toFixed(1)} us`],
    ['left to the collector by a delivery', `${garbageBytes.toFixed(1)} B`],
    ['an idle container', `${of((each) => each.resourceBytes).toFixed(0)} B`],
    ['a CoAP endpoint with one relation', `${of((each) => each.endpointBytes).toFixed(0)} B`],
    ['a further relation of an endpoint', `${of((each) => each.relationBytes).toFixed(0)} B`],
    ['left by a relation that has come and gone', `${of((each) => each.passedBytes).toFixed(0)} B`],
  ];
  return {
    text: [
      `A broker in one process, datagrams put in and taken out where its socket would be: one topic, ${order.subscribers} CoAP observers on endpoints of their own, ${order.messages} messages; ${order.idle} idle containers; ${rounds} rounds in fresh processes, medians. Bytes are of the JavaScript heap and its buffers, after a full collection.`,
      '',
      table(['what', 'cost'], rows),
    ].join('\n'),
    figures: reports,
    targets: [
      {
        ...{
          target: 'T6',
          what: `CPU of a delivery in memory at ${order.subscribers} subscribers`,
          peers: '',
          ratio: '',
        },
        ...{ figure: `${netUs.toFixed(3)} us`, wanted: `<= ${MOST_US} us`, isMet: netUs <= MOST_US },
        command: quoted('memory'),
      },
      {
        ...{ target: 'T6', what: 'left to the collector by a delivery', peers: '', ratio: '' },
        ...{ figure: `${garbageBytes.toFixed(1)} B`, wanted: 'nothing per subscriber' },
        ...{ isMet: garbageBytes <= MOST_GARBAGE_BYTES, command: quoted('memory') },
      },
    ],
  };
}

async function inside(order: InsideOrder): Promise<InsideReport> {
  const child = fork(INSIDE, { execArgv: [...process.execArgv, ...NODE_FLAGS] });
  try {
    child.send(order);
    const gone = once(child, 'exit').then(() => Promise.reject(new Error('the process has failed')));
    gone.catch(() => undefined);
    const [report] = (await Promise.race([once(child, 'message'), gone])) as [InsideReport];
    return report;
  } finally {
    child.kill();
  }
}
