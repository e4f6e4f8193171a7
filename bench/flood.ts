/**
 * The alarm flood, a process of its own: devices that report alarms on the reliable lanes of their sessions, each condition by
 * turns active and normal, as fast as is asked or as the broker takes them.
 */
import { open, WsClient } from '../src/client/index.js';

export interface FloodOrder {
  readonly broker: string;
  /** One session each. */
  readonly applications: readonly string[];
  readonly perSecond: number;
  readonly seconds: number;
}

export interface FloodReport {
  readonly sent: number;
  /** Acknowledged by the broker, which says that they are on disk: these it must account for. */
  readonly answered: number;
  /** By the broker, or because the session ended. */
  readonly refused: number;
  readonly cpuUs: number;
  readonly elapsedUs: number;
}

const CONDITIONS = 1_000;
/** Of one session: what the broker owes an answer for. Above it the pace is the broker's. */
const MOST_UNDER_WAY = 500;
const TICK_MS = 2;
const SETTLE_MS = 20_000;

const wait = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

interface Reporter {
  readonly client: WsClient;
  reports: number;
  underWay: number;
}

async function run({ broker, applications, perSecond, seconds }: FloodOrder): Promise<FloodReport> {
  const reporters: Reporter[] = [];
  for (const application of applications) {
    const client = await open(broker, {
      originator: `device-of-${application}`,
      attach: [`/m2m/applications/${application}`],
      // A starved machine stops this process for longer than three heart-beats: a device comes back.
      reconnect: true,
    });
    if (!(client instanceof WsClient)) throw new Error(`${broker} is no WebSocket`);
    reporters.push({ client, reports: 0, underWay: 0 });
  }
  const count = { sent: 0, answered: 0, refused: 0 };
  const report = (reporter: Reporter): void => {
    const n = reporter.reports++;
    reporter.underWay++;
    count.sent++;
    reporter.client
      .tell('alarm', {
        condition: `condition-${n % CONDITIONS}`,
        state: Math.floor(n / CONDITIONS) % 2 === 0 ? 'active' : 'normal',
        priority: 1 + (n % 4),
      })
      .then(
        () => count.answered++,
        () => count.refused++,
      )
      .finally(() => reporter.underWay--);
  };
  const cpu = process.cpuUsage();
  const from = performance.now();
  for (let elapsedMs = 0; elapsedMs < seconds * 1000; elapsedMs = performance.now() - from) {
    // What finds every session full is not made up for.
    const owed = Math.min((elapsedMs * perSecond) / 1000 - count.sent, perSecond / 10);
    for (let n = 0; n < owed; n++) {
      const reporter = reporters[n % reporters.length];
      if (reporter && reporter.underWay < MOST_UNDER_WAY) report(reporter);
    }
    await wait(TICK_MS);
  }
  const elapsedUs = (performance.now() - from) * 1000;
  for (const until = performance.now() + SETTLE_MS; performance.now() < until;) {
    if (count.answered + count.refused === count.sent) break;
    await wait(TICK_MS);
  }
  const { user, system } = process.cpuUsage(cpu);
  await Promise.all(reporters.map(({ client }) => client.close()));
  return { ...count, cpuUs: user + system, elapsedUs };
}

process.on('message', (order: FloodOrder) => {
  run(order).then(
    (report) => process.send?.(report),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => process.exit(0));
