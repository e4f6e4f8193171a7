/**
 * How old is a PMU's sample when its subscriber has it?
 *
 *     simulated PMU ──C37.118, TCP──> broker ──CoAP | WebSocket | HTTP long poll──> one subscriber
 *     └ the frame is written                                the SDK yields it ┘    age: from the one to the other
 *
 * Simulator and subscriber are in this process, so that one clock dates both ends; the broker is in its own. The instant of
 * measurement is not taken for the beginning: a timer of the simulator adds up to a millisecond to it that no broker could
 * save. Under load the same broker makes the even fan-out's 30,000 CoAP deliveries a second beside it. Before all that a broker stands beside
 * its peers (latency-peers.ts).
 */
import { open } from '../src/client/index.js';
import { systemClock } from '../src/clock.js';
import { isRefusal } from '../src/errors.js';
import { silentLog } from '../src/log.js';
import { systemNetwork, type Network, type TcpConnection } from '../src/network.js';
import { systemRandom } from '../src/random.js';
import { parsePmuServer, startPmuServer } from '../src/sim/pmu-server.js';
import { median, microseconds, percentile, table } from './figures.js';
import { agesTable, latencyBesidePeers, RATE_HZ, type Age } from './latency-peers.js';
import { nowUs } from './load.js';
import { Stand, type Effort } from './stand.js';
import { quoted, type Outcome, type TargetRow } from './targets.js';

export const QUICK: Effort = { rounds: 1, seconds: 3 };
/** Three bindings, idle and loaded, and the peers: four minutes, and some 2,000 samples a row, enough for the 99.9th percentile. */
export const FULL: Effort = { rounds: 5, seconds: 4 };

/** Before this each subscription has settled. */
const WARM_UP_MS = 500;
const PATH = '/m2m/applications/pmu-1/containers/measurements/contentInstances/latest/content';
/** Frames: SYNC 2, FRAMESIZE 2, IDCODE 2, SOC 4, FRACSEC 4 (its high byte is time quality) [C37.118.2 6.2]. */
const SOC_OFFSET = 6;
const FRACSEC_OFFSET = 10;
const FRACTION_MASK = 0xff_ffff;

/** T12: one PMU, one subscriber, machine otherwise idle. */
const TARGET_US = { p99: 300, p999: 1000 };

const BINDINGS = [
  { name: 'CoAP', scheme: 'coap' },
  { name: 'WebSocket, JSON', scheme: 'ws' },
  { name: 'HTTP long poll', scheme: 'http' },
] as const;

/** When each frame was written, by its time tag; both in microseconds. */
type Departures = Map<number, number>;

/** The network as it is, but noting when frames leave. */
function observed(departures: Departures): Network {
  const noting = (connection: TcpConnection): TcpConnection => ({
    ...connection,
    write(bytes) {
      const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      // The TIME_BASE of the simulator is 1,000,000: a fraction counts microseconds.
      departures.set(
        frame.readUInt32BE(SOC_OFFSET) * 1e6 + (frame.readUInt32BE(FRACSEC_OFFSET) & FRACTION_MASK),
        nowUs(),
      );
      return connection.write(bytes);
    },
  });
  return {
    ...systemNetwork,
    listenTcp: (at, accept) => systemNetwork.listenTcp(at, (connection) => accept(noting(connection))),
  };
}

interface Taken {
  /** Microseconds. */
  readonly ages: number[];
  readonly missed: number;
}

/** Subscribes over one binding and notes the age of what comes. */
async function take(uri: string, departures: Departures, seconds: number): Promise<Taken> {
  const client = await open(uri, { congestion: 'provisioned' });
  const ages: number[] = [];
  let missed = 0;
  const fromUs = nowUs() + WARM_UP_MS * 1000;
  const untilUs = fromUs + seconds * 1e6;
  try {
    for await (const notification of client.observe(PATH)) {
      const arrivedUs = nowUs();
      if (arrivedUs >= untilUs) break;
      const leftUs = departures.get(notification.timeUs ?? NaN);
      if (leftUs === undefined || leftUs < fromUs) continue;
      ages.push(arrivedUs - leftUs);
      missed += notification.missed;
    }
  } finally {
    await client.close();
  }
  departures.clear();
  return { ages, missed };
}

interface Row {
  readonly name: string;
  readonly scheme: (typeof BINDINGS)[number]['scheme'];
  readonly isLoaded: boolean;
  readonly rounds: Taken[];
}

/** Runs everything and tells it as Markdown. */
export async function latency({ rounds, seconds }: Effort, progress: (line: string) => void): Promise<Outcome> {
  const ages = await latencyBesidePeers({ rounds, seconds }, progress);
  const departures: Departures = new Map();
  const options = parsePmuServer({ listen: 'tcp://127.0.0.1:0', idcode: '1', rate: String(RATE_HZ), seed: '1' });
  if (isRefusal(options)) throw new Error(options.detail);
  const context = { clock: systemClock, network: observed(departures), random: systemRandom, log: silentLog };
  const simulator = await startPmuServer(options, context);
  if (isRefusal(simulator)) throw new Error(simulator.detail);
  const pmu = `${simulator.addresses[0]?.replace('tcp:', 'c37118+tcp:')}?idcode=1`;
  const stand = await Stand.open(['--congestion', 'provisioned', '--pmu', pmu]);
  const { http, coap } = stand.daemon.site;
  const rows: readonly Row[] = [false, true].flatMap((isLoaded) =>
    BINDINGS.map((binding) => ({ ...binding, isLoaded, rounds: [] })),
  );
  try {
    // The first warms up: code is compiled and buffers have grown.
    await stand.run('even', 1);
    for (let n = 0; n < rounds; n++) {
      for (const { name, scheme, isLoaded, rounds: taken } of rows) {
        const load = isLoaded ? stand.run('even', seconds + WARM_UP_MS / 1000) : undefined;
        const result = await take(`${scheme}://127.0.0.1:${scheme === 'coap' ? coap : http}`, departures, seconds);
        await load;
        taken.push(result);
        progress(
          `round ${n + 1} ${name}${isLoaded ? ' under load' : ''}: ${result.ages.length} samples, p50 ${microseconds(median(result.ages))}`,
        );
      }
    }
  } finally {
    await stand.close();
    await simulator.close();
  }
  return report(rows, ages, { rounds, seconds });
}

function report(rows: readonly Row[], ages: readonly Age[], { rounds, seconds }: Effort): Outcome {
  const cells = rows.map(({ name, isLoaded, rounds: taken }) => {
    const sorted = taken.map(({ ages }) => Float64Array.from(ages).sort());
    const of = (p: number): number => median(sorted.map((ages) => percentile(ages, p)));
    const all = Float64Array.from(taken.flatMap(({ ages }) => ages)).sort();
    const [p99, p999] = [of(0.99), percentile(all, 0.999)];
    const isMet = p99 <= TARGET_US.p99 && p999 <= TARGET_US.p999;
    return [
      name,
      isLoaded ? '30,000 deliveries/s' : 'idle',
      microseconds(of(0.5)),
      microseconds(p99),
      microseconds(p999),
      microseconds(all.at(-1) ?? NaN),
      String(all.length),
      String(taken.reduce((sum, { missed }) => sum + missed, 0)),
      isLoaded
        ? ''
        : isMet
          ? 'met'
          : `missed, p99 ${(p99 / TARGET_US.p99).toFixed(1)} x, p99.9 ${(p999 / TARGET_US.p999).toFixed(1)} x`,
    ];
  });
  const idle = cells.filter(([, broker]) => broker === 'idle');
  return {
    text: [
      `One PMU of ${RATE_HZ}/s over C37.118/TCP to one subscriber of the SDK; ${rounds} rounds of ${seconds} s; p50 and p99 are medians of the rounds, p99.9 and the longest are of all samples together.`,
      '',
      table(['binding', 'broker', 'p50', 'p99', 'p99.9', 'longest', 'samples', 'missed', 'T12: 0.3 ms, 1 ms'], cells),
      '',
      `The same without the SDK: 80 bytes from one publisher, ${RATE_HZ}/s, to one subscriber, both in the load generator, which is in C; brokers in turns, medians of ${rounds} rounds of ${seconds} s.`,
      '',
      agesTable(ages),
    ].join('\n'),
    figures: { bindings: rows.map(({ name, isLoaded, rounds: taken }) => ({ name, isLoaded, rounds: taken })), ages },
    targets: [
      ...idle.map(([name = '', , , p99 = '', p999 = '', , , , verdict = '']) => ({
        ...{ target: 'T12', what: `age of a sample over ${name}, idle`, figure: `p99 ${p99}, p99.9 ${p999}` },
        ...{ peers: '', ratio: '', wanted: 'p99 <= 0.3 ms, p99.9 <= 1 ms' },
        ...{ isMet: verdict === 'met', command: quoted('latency') },
      })),
      ...ages.filter(({ isOurs }) => isOurs).map((ours) => besideThe(ages, ours)),
    ],
  };
}

function besideThe(ages: readonly Age[], ours: Age): TargetRow {
  const [best] = ages.filter(({ isOurs }) => !isOurs).sort((a, b) => a.p99 - b.p99);
  return {
    ...{ target: 'T12', what: `${ours.name}: age of 80 bytes, idle, without the SDK: p99` },
    ...{ figure: microseconds(ours.p99), peers: best ? `${best.name} ${microseconds(best.p99)}` : '' },
    ...{ ratio: best ? `${(ours.p99 / best.p99).toFixed(2)} x` : '', wanted: 'p99 <= 0.3 ms' },
    ...{ isMet: ours.p99 <= TARGET_US.p99, command: quoted('latency') },
  };
}
