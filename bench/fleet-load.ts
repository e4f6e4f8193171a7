/** The fleet of bench `fleet`, a process of its own: registers when it is told to, posts when it is told to, and reads back what came. */
import { HttpClient } from '../src/client/http-client.js';
import { jsonOf } from '../src/client/client.js';
import { parseTarget } from '../src/client/target.js';
import { systemClock } from '../src/clock.js';
import { isRefusal } from '../src/errors.js';
import { silentLog } from '../src/log.js';
import { systemNetwork } from '../src/network.js';
import { seededRandom } from '../src/random.js';
import { idOf, LOAD } from '../src/sim/fleet.js';
import { openFleet, type FleetRun, type FleetRunOptions } from '../src/sim/fleet-run.js';

export type FleetOrder =
  | { readonly order: 'register'; readonly options: FleetRunOptions; readonly readBack: number }
  | { readonly order: 'post'; readonly seconds: number };

export type FleetReport =
  | { readonly report: 'registered'; readonly registered: number; readonly elapsedUs: number; readonly cpuUs: number }
  | {
      readonly report: 'posted';
      readonly counters: FleetRun['fleet']['counters'];
      /** By status, of `refused`. */
      readonly refusals: readonly (readonly [status: number, count: number])[];
      readonly underWay: number;
      /** Messages sent again; their readings are counted once. */
      readonly resent: number;
      /** Microseconds from the post to its answer. */
      readonly p50: number;
      readonly p99: number;
      readonly cpuUs: number;
      readonly elapsedUs: number;
      /** Gateways whose latest reading was read, and those of them where it was older than what had been acknowledged. */
      readonly read: number;
      readonly forgotten: number;
    };

/** Longer than CoAP takes to give up [RFC7252-4.8.2 MAX_TRANSMIT_WAIT]: then each reading has come to something. */
const SETTLE_MS = 120_000;

let run: FleetRun | undefined;
let [broker, readBack] = ['', 0];

async function register(options: FleetRunOptions): Promise<FleetReport> {
  const context = { clock: systemClock, network: systemNetwork, random: seededRandom(1), log: silentLog };
  const opened = await openFleet(options, context);
  if (isRefusal(opened)) throw new Error(opened.detail);
  run = opened;
  broker = options.broker;
  const [cpu, from] = [process.cpuUsage(), performance.now()];
  await run.fleet.register();
  const { user, system } = process.cpuUsage(cpu);
  const { registered } = run.fleet.counters;
  return { report: 'registered', registered, elapsedUs: (performance.now() - from) * 1000, cpuUs: user + system };
}

async function post(seconds: number): Promise<FleetReport> {
  if (!run) throw new Error('nobody has registered');
  const { fleet } = run;
  const [cpu, from] = [process.cpuUsage(), performance.now()];
  fleet.start();
  await new Promise((done) => setTimeout(done, seconds * 1000));
  const { user, system } = process.cpuUsage(cpu);
  const elapsedUs = (performance.now() - from) * 1000;
  await run.settle(SETTLE_MS);
  const { answerTimes, underWay, resent } = fleet;
  // As they are before what is under way is given up.
  const [counters, refusals] = [{ ...fleet.counters }, [...fleet.refusals]];
  const [p50, p99] = [answerTimes.percentile(0.5), answerTimes.percentile(0.99)];
  const kept = await readingsBack();
  await run.close();
  const times = { p50, p99, cpuUs: user + system, elapsedUs };
  return { report: 'posted', counters, refusals, underWay, resent, ...times, ...kept };
}

/** Asks the broker for the latest reading of gateways all over the fleet. */
async function readingsBack(): Promise<{ readonly read: number; readonly forgotten: number }> {
  const client = new HttpClient(parseTarget(broker));
  const { acknowledged } = run?.fleet ?? { acknowledged: [] };
  const gateways = Array.from({ length: readBack }, (_, n) => Math.floor((n * acknowledged.length) / readBack));
  let [read, forgotten] = [0, 0];
  for (const gateway of gateways.filter((each) => (acknowledged[each] ?? 0) > 0)) {
    const to = `/m2m/applications/${idOf(gateway)}/containers/${LOAD}/contentInstances/latest/content`;
    const { bytes } = await client.request({ op: 'retrieve', to });
    const [, { v: sequence } = { v: 0 }] = jsonOf(bytes) as unknown as readonly { v: number }[];
    read++;
    if (sequence < (acknowledged[gateway] ?? 0)) forgotten++;
  }
  await client.close();
  return { read, forgotten };
}

process.on('message', (order: FleetOrder) => {
  if (order.order === 'register') readBack = order.readBack;
  const task = order.order === 'register' ? register(order.options) : post(order.seconds);
  task.then(
    (report) => process.send?.(report),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => process.exit(0));
