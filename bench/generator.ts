/**
 * The load generator: publishers and subscribers of the fan-out benches in one process, apart from the broker's, so that one
 * clock dates both ends. Publishers send CoAP NON, a socket each; subscribers do as little with a message as can be.
 */
import { openCoapPublishers, openCoapSubscriber } from './load-coap.js';
import { openWsSubscriber } from './load-ws.js';
import {
  FOLDER,
  nowUs,
  RATE_HZ,
  SUBSCRIBERS,
  topicId,
  TOPICS,
  topicsOf,
  type Order,
  type Report,
  type Shape,
} from './load.js';
import { percentile } from './figures.js';
import type { Site } from './daemon.js';

const PERIOD_US = 1e6 / RATE_HZ;
/** For what is under way when the last sample has been sent. */
const SETTLE_MS = 300;
/** Many times what can come in one run. */
const MOST_AGES = 4_000_000;

const wait = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
const tell = (report: Report): void => void process.send?.(report);

let publish: (topic: number) => void = () => {};
const ages = new Float64Array(MOST_AGES);
let received = 0;
let startedUs = Infinity;

/** Heard of every message: those of the run bear its time. */
function arrived(stampUs: number): void {
  if (stampUs < startedUs) return;
  ages[received++ % MOST_AGES] = nowUs() - stampUs;
}

async function create(http: number, to: string, document: object): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${http}${to}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(document),
  });
  if (!response.ok) throw new Error(`POST ${to}: ${response.status} ${await response.text()}`);
}

async function open(site: Site, over: (Order & { order: 'open' })['over']): Promise<void> {
  await create(site.http, '/m2m/applications', { application: { appId: 'bench' } });
  const containers = `/${FOLDER.join('/')}`;
  for (let topic = 0; topic < TOPICS; topic++)
    // What is promised of a PMU's measurements.
    await create(site.http, containers, { container: { id: topicId(topic), durability: 'latest' } });
  publish = await openCoapPublishers(site.coap);
  // What is observed is the newest instance: there must be one.
  for (let topic = 0; topic < TOPICS; topic++) publish(topic);
  await wait(SETTLE_MS);
  for (let subscriber = 0; subscriber < SUBSCRIBERS; subscriber++) {
    if (over === 'coap') await openCoapSubscriber(site.coap, topicsOf(subscriber), arrived);
    else await openWsSubscriber(site.http, over, topicsOf(subscriber), arrived);
  }
}

/** Publishes until the time is over: whatever is due is sent, however late its timer. */
async function publishFor(seconds: number, shape: Shape): Promise<number> {
  const total = seconds * RATE_HZ * TOPICS;
  const dueUs = (n: number): number =>
    shape === 'even' ? (n * PERIOD_US) / TOPICS : Math.floor(n / TOPICS) * PERIOD_US;
  for (let sent = 0; sent < total;) {
    const elapsedUs = nowUs() - startedUs;
    for (; sent < total && dueUs(sent) <= elapsedUs; sent++) publish(sent % TOPICS);
    await wait(1);
  }
  return total;
}

async function run(shape: Shape, seconds: number): Promise<void> {
  received = 0;
  const cpu = process.cpuUsage();
  startedUs = nowUs();
  const published = await publishFor(seconds, shape);
  const elapsedUs = nowUs() - startedUs;
  await wait(SETTLE_MS);
  const { user, system } = process.cpuUsage(cpu);
  startedUs = Infinity;
  const sorted = ages.subarray(0, Math.min(received, MOST_AGES)).sort();
  const ageUs = { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99), p999: percentile(sorted, 0.999) };
  tell({ report: 'done', published, received, ageUs, cpuUs: user + system, elapsedUs });
}

process.on('message', (order: Order) => {
  const task =
    order.order === 'open'
      ? open(order.site, order.over).then(() => tell({ report: 'ready' }))
      : run(order.shape, order.seconds);
  task.catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
});
process.on('disconnect', () => process.exit(0));
