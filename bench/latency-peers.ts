/**
 * How old is a sample by the way through a peer, and how by the way through Gridcast, where neither has anything else to do?
 *
 *     pump ──80 bytes, 120/s──> broker ──> the same pump: age            each with a pump of its own, in turns
 *
 * Whatever all of them show is the machine's and its host's: each of them sleeps between two samples and is woken for each.
 */
import { CONTENDERS, type Contender, type ContenderKind } from './contenders.js';
import { median, microseconds, table } from './figures.js';
import { Absent } from './native.js';
import { Pump, type Pumped } from './pump.js';
import type { Effort } from './stand.js';

const NAMES = ['Gridcast, CoAP NON', 'Gridcast, WebSocket, protobuf', 'libcoap observe NON', 'mosquitto QoS 0'];
export const RATE_HZ = 120;
/** What stands for days has been compiled: at 120/s that takes minutes. */
const WARM_UP = { rateHz: 3000, seconds: 4 };
/** Before each run: the first samples after the others' turns are late for all. */
const LEAD_S = 0.5;
const ONE = { shape: 'even', rateHz: RATE_HZ, fanOut: 1, window: 1, batch: 1, first: 0, count: 1 } as const;

/** Medians of the rounds. */
export interface Age {
  readonly name: string;
  readonly over: string;
  readonly isOurs: boolean;
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
  readonly samples: number;
  readonly lost: number;
}

interface Standing {
  readonly name: string;
  readonly kind: ContenderKind;
  readonly contender: Contender;
  readonly pump: Pump;
  readonly taken: Pumped[];
}

/** Those of the peers that this machine has, and Gridcast. */
export async function latencyBesidePeers(
  { rounds, seconds }: Effort,
  progress: (line: string) => void,
): Promise<readonly Age[]> {
  const standing: Standing[] = [];
  try {
    for (const name of NAMES) {
      try {
        standing.push(await stand(name));
      } catch (error) {
        if (!(error instanceof Absent)) throw error;
        progress(`${name} left out: ${error.message}`);
      }
    }
    for (const { pump } of standing) await pump.run({ ...ONE, ...WARM_UP });
    for (let n = 1; n <= rounds; n++)
      for (const { name, pump, taken } of standing) {
        await pump.run({ ...ONE, seconds: LEAD_S });
        const pumped = await pump.run({ ...ONE, seconds });
        taken.push(pumped);
        progress(`round ${n} ${name}: p50 ${microseconds(pumped.ageUs.p50)}, p99 ${microseconds(pumped.ageUs.p99)}`);
      }
    return standing.map(ageOf);
  } finally {
    for (const { pump } of standing) pump.close();
    await Promise.allSettled(standing.map(({ contender }) => contender.close()));
  }
}

async function stand(wanted: string): Promise<Standing> {
  const kind = CONTENDERS.find(({ name }) => name === wanted);
  if (!kind) throw new Error(`no contender is called ${wanted}`);
  const contender = await kind.open(1);
  const pump = new Pump();
  try {
    const name = `${wanted} ${kind.version()}`.trim();
    await contender.speech.subscribe(pump, [0]);
    contender.speech.publish(pump, 0);
    await pump.sync();
    return { name, kind, contender, pump, taken: [] };
  } catch (error) {
    pump.close();
    await contender.close();
    throw error;
  }
}

function ageOf({ name, kind: { over, isOurs }, taken }: Standing): Age {
  const of = (figure: keyof Pumped['ageUs']): number => median(taken.map(({ ageUs }) => ageUs[figure]));
  const sum = (figure: 'received' | 'published'): number => taken.reduce((total, run) => total + run[figure], 0);
  const samples = sum('received');
  const ages = { p50: of('p50'), p99: of('p99'), longest: of('longest') };
  return { name, over, isOurs, ...ages, samples, lost: sum('published') - samples };
}

export const agesTable = (ages: readonly Age[]): string =>
  table(
    ['broker', 'over', 'p50', 'p99', 'longest', 'samples', 'lost'],
    ages.map(({ name, over, p50, p99, longest, samples, lost }) => [
      ...[name, over, microseconds(p50), microseconds(p99), microseconds(longest)],
      ...[`${samples}`, `${lost}`],
    ]),
  );
