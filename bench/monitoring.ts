/**
 * The stand of T7, the paper's oscillation monitoring ten times as large: broker, pump, PMUs and applications, and their books.
 *
 *     pump: 1,000 PMUs x 30/s ──C37.118 over UDP──> broker ──CoAP NON, SenML──> 3 applications at 30/s, 3 at 5/s
 *           to one port; tags aligned, as GPS does it; spread over 27 ms        16 sockets each, all PMUs
 *
 * 105,000 deliveries a second. An age is counted from when the PMU's frame left.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { isRefusal } from '../src/errors.js';
import { COMMANDS } from '../src/protocols/c37118/command.js';
import { CODE, compose, TYPE } from '../src/protocols/coap/message.js';
import { encodeTail, OPTION, option } from '../src/protocols/coap/options.js';
import { seededRandom } from '../src/random.js';
import { Grid } from '../src/sim/grid.js';
import { SimulatedStream } from '../src/sim/simulated-stream.js';
import { parseRate } from '../src/sim/slot-grid.js';
import { nextPort, wait } from '../test/crash/broker-process.js';
import { DaemonUnderTest, type Accounts } from './daemon.js';
import { pathOptions } from './load-coap.js';
import { Pump, type Load, type Pumped } from './pump.js';

const RATE_HZ = 30;
const APPLICATIONS_HZ = [30, 30, 30, 5, 5, 5];
const SOCKETS_PER_APPLICATION = 16;
/** All phasors, analogs and frequencies floating, phasors polar. */
const FORMAT = 15;
const TIME_BASE = 1_000_000;
/** Until each PMU keeps as many frames as it ever will: ten seconds of them. */
const WARM_UP_S = 12;
const LOOK_MS = 500;
const MOST_SETTLE_MS = 20_000;
const NOTHING = new Uint8Array(0);

/** The broker process at one moment. */
export interface Standing {
  readonly rssMib: number;
  readonly heapMib: number;
  readonly descriptors: number;
  readonly subscriptions: number;
}
export interface Collector {
  readonly count: number;
  readonly seconds: number;
}

const placeOf = (pmu: number): readonly string[] => {
  const application = ['m2m', 'applications', `pmu-${pmu + 1}`];
  return [...application, 'containers', 'measurements', 'contentInstances', 'latest', 'content'];
};

export class Monitoring {
  private readonly pump = new Pump();

  private constructor(
    private readonly pmus: number,
    private readonly port: number,
    readonly daemon: DaemonUnderTest,
  ) {}

  /** Everything stands, and has warmed up. */
  static async open(
    pmus: number,
    progress: (line: string) => void,
    nodeFlags: readonly string[] = [],
  ): Promise<Monitoring> {
    const port = nextPort();
    const range = `c37118+udp://127.0.0.1:${port}?idcode=1-${pmus}&mode=spontaneous`;
    const daemon = await DaemonUnderTest.start(['--congestion', 'provisioned', '--pmu', range], nodeFlags);
    const monitoring = new Monitoring(pmus, port, daemon);
    try {
      await monitoring.begin(progress);
    } catch (error) {
      await monitoring.close();
      throw error;
    }
    return monitoring;
  }

  private async begin(progress: (line: string) => void): Promise<void> {
    const { daemon, pmus, pump } = this;
    for (let pmu = 0; pmu < pmus; pmu++) this.openPmu(pmu);
    // What is observed is the newest frame: there must be one.
    await this.run(1);
    this.subscribe();
    await pump.sync();
    const { subscriptions } = await daemon.accounts();
    const wanted = pmus * APPLICATIONS_HZ.length;
    if (subscriptions !== wanted) throw new Error(`${subscriptions} subscriptions stand, not ${wanted}`);
    progress(`${pmus} PMUs, ${subscriptions} subscriptions`);
    await this.run(WARM_UP_S);
    await this.settled();
    progress('warmed up');
  }

  /** What is observed. */
  get places(): readonly (readonly string[])[] {
    return Array.from({ length: this.pmus }, (_, pmu) => placeOf(pmu));
  }

  run(seconds: number): Promise<Pumped> {
    return this.pump.run(this.load(seconds));
  }

  /** Runs without a pause between them: streams that stop would be alarms, a thousand at once. */
  laps(seconds: number, laps: number): readonly Promise<Pumped>[] {
    return this.pump.laps(this.load(seconds), laps);
  }

  private load(seconds: number): Load {
    const load = { shape: 'spread', rateHz: RATE_HZ, fanOut: APPLICATIONS_HZ.length, window: 1, batch: 1 } as const;
    return { ...load, seconds, first: 0, count: this.pmus };
  }

  /** Until the broker's books stand still: it may be behind. */
  async settled(): Promise<void> {
    const untilMs = performance.now() + MOST_SETTLE_MS;
    let former = -1;
    for (;;) {
      const { received, delivered } = await this.daemon.accounts();
      if (received + delivered === former || performance.now() > untilMs) return;
      former = received + delivered;
      await wait(LOOK_MS);
    }
  }

  async standing(): Promise<Standing & { readonly gc: Collector }> {
    const { daemon } = this;
    const figures = await daemon.figures();
    const sum = (name: string): number => [...figures(name).values()].reduce((total, value) => total + value, 0);
    // The connection that they came by closes.
    await wait(LOOK_MS);
    return {
      rssMib: daemon.rssMib,
      heapMib: sum('gridcast_nodejs_heap_size_used_bytes') / 2 ** 20,
      descriptors: readdirSync(`/proc/${daemon.pid}/fd`).length,
      subscriptions: sum('gridcast_subscriptions'),
      gc: {
        count: sum('gridcast_nodejs_gc_duration_seconds_count'),
        seconds: sum('gridcast_nodejs_gc_duration_seconds_sum'),
      },
    };
  }

  /** Frames that the kernel has thrown away because the socket's buffer was full: the last column. */
  get unread(): number {
    let unread = 0;
    for (const line of readFileSync('/proc/net/udp', 'latin1').split('\n').slice(1)) {
      const columns = line.trim().split(/ +/);
      if (parseInt(columns[1]?.split(':')[1] ?? '', 16) === this.port) unread += Number(columns.at(-1));
    }
    return unread;
  }

  async close(): Promise<void> {
    this.pump.close();
    await this.daemon.stop();
  }

  private openPmu(pmu: number): void {
    const { pump, port } = this;
    const slots = parseRate(String(RATE_HZ));
    if (isRefusal(slots)) throw new Error(slots.detail);
    const nowUs = Date.now() * 1000;
    const shape = { idCode: pmu + 1, format: FORMAT, timeBase: TIME_BASE, slots };
    const stream = new SimulatedStream(shape, new Grid(60, 1, [], seededRandom(pmu)), [], nowUs);
    const configuration = stream.answer(COMMANDS.sendConfiguration2, nowUs);
    if (!configuration) throw new Error('a stream without a configuration');
    const socket = pump.socket('udp', port);
    pump.say(socket, configuration);
    pump.frame(socket, stream.frame(slots.firstFrom(nowUs)));
  }

  /** Each application has all PMUs, spread over its sockets. */
  private subscribe(): void {
    const { pump } = this;
    let relation = 0;
    for (const rateHz of APPLICATIONS_HZ) {
      for (let n = 0; n < SOCKETS_PER_APPLICATION; n++) {
        const socket = pump.socket('udp', this.daemon.site.coap);
        for (let pmu = n; pmu < this.pmus; pmu += SOCKETS_PER_APPLICATION) {
          const token = Buffer.alloc(4);
          token.writeUInt32BE(relation++);
          const options = [
            option(OPTION.observe, 0),
            ...pathOptions(...placeOf(pmu)),
            option(OPTION.uriQuery, `rate=${rateHz}`),
          ];
          pump.relation(pmu, RATE_HZ / rateHz);
          const send = compose(TYPE.nonConfirmable, CODE.get, pmu, token, encodeTail(options, NOTHING));
          pump.ask(socket, { send, until: token, tries: 10 });
        }
        pump.read(socket, 'coap');
      }
    }
  }
}

export const describeLoad = (pmus: number): string =>
  `${pmus} PMUs x ${RATE_HZ}/s, C37.118 over UDP, to ${APPLICATIONS_HZ.length} applications (${APPLICATIONS_HZ.join(', ')} a second) on ${SOCKETS_PER_APPLICATION} sockets each, CoAP NON, SenML+CBOR`;

/** What was sent, and what became of it. */
export interface Books {
  readonly pumped: Pick<Pumped, 'published' | 'refused' | 'received' | 'skipped' | 'again' | 'outOfOrder'>;
  readonly accounts: Accounts;
  /** Frames that found the broker's buffers full. */
  readonly unread: number;
  /** Arrived elsewhere than at the applications. */
  readonly elsewhere: number;
}

export const droppedBy = ({ dropped }: Accounts): number =>
  [...dropped.values()].reduce((total, count) => total + count, 0);
export const lostOf = ({ pumped, accounts, elsewhere }: Books): number =>
  accounts.delivered - pumped.received - elsewhere;

export function bookRows(books: Books): readonly (readonly string[])[] {
  const { pumped, accounts, unread, elsewhere } = books;
  const dropped = [...accounts.dropped].filter(([, count]) => count > 0);
  const reasons = dropped.length > 0 ? ` (${dropped.map(([reason, count]) => `${count} ${reason}`).join(', ')})` : '';
  return [
    [
      'published',
      `${pumped.published} frames, ${pumped.refused} more that the pump could not send; ${unread} found the broker's buffers full`,
    ],
    [
      'by the broker',
      `${accounts.received} received = ${accounts.delivered} delivered + ${accounts.decimated} decimated + ${droppedBy(accounts)} dropped${reasons} + ${accounts.held} held`,
    ],
    [
      'by the applications',
      `${pumped.received} arrived, ${pumped.skipped} sequence numbers skipped, ${pumped.again} twice, ${pumped.outOfOrder} out of order`,
    ],
    ['delivered, not arrived', `${lostOf(books)}${elsewhere > 0 ? ', those who come and go included' : ''}`],
  ];
}

export const standingRow = (
  when: string,
  { rssMib, heapMib, descriptors, subscriptions }: Standing,
): readonly string[] => [
  when,
  `${rssMib.toFixed(0)} MiB resident, ${heapMib.toFixed(0)} MiB of heap, ${descriptors} descriptors, ${subscriptions} subscriptions`,
];
