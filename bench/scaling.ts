/**
 * Does the cost of a delivery stay what it is [T9]: with 10 to 10,000 subscribers of a topic, and with 1,000 to 1,000,000 resources
 * beside the topics?
 *
 * Subscribers: as many deliveries a second from fewer and fewer messages; what the same messages cost on a topic without
 * subscribers is taken off. Resources: the even fan-out of load.ts on brokers whose store has had the rows laid down in it.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CODE } from '../src/protocols/coap/message.js';
import { layDown } from '../test/crash/recovery.js';
import { furnish, pathOf, pathTo } from './contenders.js';
import { DaemonUnderTest } from './daemon.js';
import { median, table } from './figures.js';
import { RATE_HZ } from './load.js';
import { lines } from './plot.js';
import { Pump } from './pump.js';
import { coap, gridcastWs, type Speech } from './speech.js';
import { Stand, type Effort } from './stand.js';
import { quoted, type Outcome, type TargetRow } from './targets.js';

export interface ScalingEffort extends Effort {
  readonly subscribers: readonly number[];
  readonly resources: readonly number[];
}
export const QUICK: ScalingEffort = { rounds: 1, seconds: 1, subscribers: [10, 100, 1000], resources: [1e3, 1e4] };
/** Five minutes, of which one goes into laying down and reading a million rows. */
export const FULL: ScalingEffort = {
  ...{ rounds: 3, seconds: 2.5 },
  ...{ subscribers: [10, 100, 1000, 10_000], resources: [1e3, 1e4, 1e5, 1e6] },
};

const DELIVERIES_PER_S = 40_000;
const FLAT = 1.2;
/** Descriptors of the pump and the broker that are no subscribers. */
const FILES_BESIDE = 300;

interface Point {
  readonly size: number;
  /** Microseconds per delivery. */
  readonly netUs: number[];
  readonly grossUs: number[];
}
interface Series {
  readonly name: string;
  readonly points: readonly Point[];
}

const pointsOf = (sizes: readonly number[]): readonly Point[] =>
  sizes.map((size) => ({ size, netUs: [], grossUs: [] }));

/** One broker with a topic for each size, and one more that nobody subscribes to. */
async function subscriberSeries(
  name: string,
  speak: (daemon: DaemonUnderTest) => Partial<Speech>,
  { rounds, seconds, subscribers }: ScalingEffort,
  progress: (line: string) => void,
): Promise<Series> {
  const daemon = await DaemonUnderTest.start(['--congestion', 'provisioned']);
  const pump = new Pump();
  const points = pointsOf(subscribers);
  const unobserved = subscribers.length;
  try {
    await furnish(daemon.site.http, subscribers.length + 1);
    const places = {
      observed: (topic: number) => [...pathTo(topic), 'latest', 'content'],
      published: pathTo,
      method: CODE.post,
    };
    const speech: Speech = { ...coap(daemon.site.coap, places), ...speak(daemon) };
    for (const [topic, count] of subscribers.entries()) {
      for (let n = 0; n < count; n++) await speech.subscribe(pump, [topic]);
      speech.publish(pump, topic);
      await pump.sync();
    }
    speech.publish(pump, unobserved);
    const run = async (topic: number, fanOut: number, rateHz: number, forS: number) => {
      const before = daemon.cpuUs;
      const load = { shape: 'even', seconds: forS, rateHz, window: 1, batch: 1, count: 1 } as const;
      const { received } = await pump.run({ ...load, fanOut, first: topic });
      return { cpuUs: daemon.cpuUs - before, received };
    };
    for (let n = 0; n <= rounds; n++) {
      for (const [topic, { size, netUs, grossUs }] of points.entries()) {
        // The first warms up: code is compiled and buffers have grown.
        const forS = n === 0 ? 1 : seconds;
        const { cpuUs, received } = await run(topic, size, DELIVERIES_PER_S / size, forS);
        const alone = await run(unobserved, 0, DELIVERIES_PER_S / size, forS);
        if (n === 0) continue;
        grossUs.push(cpuUs / received);
        netUs.push((cpuUs - alone.cpuUs) / received);
      }
      progress(n === 0 ? `warm-up ${name}` : `round ${n} ${name}: ${told(points)}`);
    }
  } finally {
    pump.close();
    await daemon.stop();
  }
  return { name: `subscribers, ${name}`, points };
}

/** A folder of data with as many applications. */
async function folderWith(resources: number): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'gridcast-bench-'));
  const daemon = await DaemonUnderTest.start(['--data', folder]);
  const response = await fetch(`http://127.0.0.1:${daemon.site.http}/m2m/applications`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ application: { appId: 'gateway-0' } }),
  });
  if (!response.ok) throw new Error(`POST applications: ${response.status}`);
  await daemon.stop();
  await layDown(folder, resources);
  return folder;
}

interface Memory {
  readonly resources: number;
  readonly rssMib: number;
}

/** A broker for each size, all standing at once. */
async function resourceSeries(
  { rounds, seconds, resources }: ScalingEffort,
  progress: (line: string) => void,
): Promise<{ readonly series: Series; readonly memory: readonly Memory[] }> {
  const points = pointsOf(resources);
  const stands: { readonly folder: string; readonly stand: Stand }[] = [];
  const memory: Memory[] = [];
  try {
    for (const count of resources) {
      const folder = await folderWith(count);
      const stand = await Stand.open(['--congestion', 'provisioned', '--data', folder]);
      stands.push({ folder, stand });
      memory.push({ resources: count, rssMib: stand.daemon.rssMib });
      progress(`${count} resources: stands, ${stand.daemon.rssMib.toFixed(0)} MiB`);
    }
    for (let n = 0; n <= rounds; n++) {
      for (const [index, { stand }] of stands.entries()) {
        const before = stand.daemon.cpuUs;
        const { received } = await stand.run('even', n === 0 ? 1 : seconds);
        const perDeliveryUs = (stand.daemon.cpuUs - before) / received;
        if (n === 0) continue;
        points[index]?.grossUs.push(perDeliveryUs);
        points[index]?.netUs.push(perDeliveryUs);
      }
      progress(n === 0 ? 'warm-up resources' : `round ${n} resources: ${told(points)}`);
    }
  } finally {
    for (const { folder, stand } of stands) {
      await stand.close();
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return { series: { name: 'resources, CoAP', points }, memory };
}

const told = (points: readonly Point[]): string =>
  points.map(({ size, netUs }) => `${size} ${(netUs.at(-1) ?? NaN).toFixed(2)} us`).join(', ');

const filesAllowed = (): number =>
  Number(/Max open files\s+\d+\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1] ?? Infinity);

export async function scaling(effort: ScalingEffort, progress: (line: string) => void): Promise<Outcome> {
  const most = filesAllowed() - FILES_BESIDE - effort.subscribers.reduce((sum, count) => sum + count, 0);
  const subscribers = effort.subscribers.filter((_, index) => most >= 0 || index < effort.subscribers.length - 1);
  const able = { ...effort, subscribers };
  const series = [
    await subscriberSeries('CoAP', () => ({}), able, progress),
    await subscriberSeries(
      'WebSocket',
      ({ site }) => ({
        subscribe: gridcastWs(site.http, 'gridcast.v1', (topic) => `${pathOf(topic)}/latest/content`),
      }),
      able,
      progress,
    ),
  ];
  const { series: ofResources, memory } = await resourceSeries(able, progress);
  series.push(ofResources);
  return report(series, memory, able, subscribers.length < effort.subscribers.length);
}

function report(
  series: readonly Series[],
  memory: readonly Memory[],
  { rounds, seconds }: Effort,
  isCut: boolean,
): Outcome {
  const rows = series.flatMap(({ name, points }) =>
    points.map(({ size, netUs, grossUs }, index) => [
      name,
      String(size),
      `${median(netUs).toFixed(2)} us`,
      `${median(grossUs).toFixed(2)} us`,
      name.startsWith('resources') ? `${memory[index]?.rssMib.toFixed(0)} MiB` : '',
    ]),
  );
  const [few, many] = [memory[0], memory.at(-1)];
  const perResource =
    few && many && many !== few ? ((many.rssMib - few.rssMib) * 2 ** 20) / (many.resources - few.resources) : NaN;
  const targets = series.map(({ name, points }): TargetRow => {
    const costs = points.map(({ netUs }) => median(netUs));
    const spread = Math.max(...costs) / Math.min(...costs);
    const range = `${points[0]?.size} to ${points.at(-1)?.size}`;
    return {
      ...{ target: 'T9', what: `CPU per delivery, ${range} ${name}`, peers: '' },
      figure: `${Math.min(...costs).toFixed(2)} to ${Math.max(...costs).toFixed(2)} us`,
      ...{
        ratio: `${spread.toFixed(2)} x`,
        wanted: `<= ${FLAT} x`,
        isMet: costs.every((cost) => cost > 0) && spread <= FLAT,
        command: quoted('scaling'),
      },
    };
  });
  const title = 'CPU of a delivery';
  return {
    text: [
      `Subscribers: each on a socket of its own, ${DELIVERIES_PER_S} deliveries a second. Resources: applications in the store beside 100 topics x ${RATE_HZ}/s x 10 subscribers over CoAP. ${rounds} rounds of ${seconds} s, medians.${isCut ? ' The longest row of subscribers is left out: the limit of open files is too low.' : ''}`,
      `Net: without what the same messages cost on a topic that nobody subscribes to. An idle application takes ${perResource.toFixed(0)} bytes of resident memory, from the first size to the last.`,
      '',
      table(['series', 'size', 'net', 'gross', 'RSS'], rows),
    ].join('\n'),
    figures: { series, memory },
    targets,
    plots: {
      'scaling-subscribers': lines(
        title,
        { name: 'subscribers of the topic', isLogarithmic: true },
        { name: 'microseconds' },
        plotted(series.filter(({ name }) => !name.startsWith('resources'))),
      ),
      'scaling-resources': lines(
        title,
        { name: 'resources', isLogarithmic: true },
        { name: 'microseconds' },
        plotted(series.filter(({ name }) => name.startsWith('resources'))),
      ),
    },
  };
}

const plotted = (series: readonly Series[]) =>
  series.map(({ name, points }) => ({
    name,
    points: points.map(({ size, netUs }) => [size, Number(median(netUs).toFixed(3))] as const),
  }));
