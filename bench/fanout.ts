/**
 * What does it cost to deliver a sample, and how old is it then?
 *
 *     generator: 100 publishers ──CoAP NON──> broker ──CoAP | WebSocket──> 100 subscriber sockets x 10 topics of 30/s
 *
 * 3,000 samples and 30,000 deliveries a second, nothing switched off in the broker. All variants stand from the start and take
 * their turns, so that a bad spell of the machine falls on all; the figures are medians of the rounds. The CPU is the broker
 * process's, what it takes to receive the samples included.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { between, checkBalance, DaemonUnderTest, type Accounts } from './daemon.js';
import { machineCpu, median, microseconds, table } from './figures.js';
import {
  BODY_BYTES,
  RATE_HZ,
  SUBSCRIBERS,
  TOPICS,
  TOPICS_PER_SUBSCRIBER,
  type Done,
  type Order,
  type Report,
  type Shape,
} from './load.js';

const GENERATOR = fileURLToPath(new URL('./generator.ts', import.meta.url));

export interface Effort {
  readonly rounds: number;
  readonly seconds: number;
}
export const QUICK: Effort = { rounds: 1, seconds: 3 };
/** Four variants and two shapes: two minutes of load. */
export const FULL: Effort = { rounds: 5, seconds: 3 };

interface Variant {
  readonly name: string;
  readonly over: (Order & { order: 'open' })['over'];
  readonly flags: readonly string[];
  readonly targets?: Readonly<Record<Shape, Target | undefined>>;
}
interface Target {
  readonly name: string;
  readonly cpuUs: number;
  readonly p99Us?: number;
}

/**
 * What is to be reached: CPU per delivery and p99 of the age. Peers are not run here yet; until they are, a target is its
 * factor times the best peer's figure on a machine of this kind in a quiet spell: T1 0.8 x redis 5.7 us, p99 of mosquitto;
 * T2 0.9 x nats-server 1.8 us, all of a slot's deliveries out within 3 ms; T4 0.95 x redis 5.7 us.
 */
const COAP_TARGETS = {
  even: { name: 'T1', cpuUs: 4.6, p99Us: 205 },
  burst: { name: 'T2', cpuUs: 1.6, p99Us: 3000 },
};
const WS_TARGETS = { even: { name: 'T4', cpuUs: 5.4 }, burst: undefined };

const VARIANTS: readonly Variant[] = [
  { name: 'CoAP NON, provisioned', over: 'coap', flags: ['--congestion', 'provisioned'], targets: COAP_TARGETS },
  { name: 'CoAP NON, standard', over: 'coap', flags: ['--congestion', 'standard'] },
  { name: 'WebSocket, JSON', over: 'gridcast.v1+json', flags: [] },
  { name: 'WebSocket, protobuf', over: 'gridcast.v1', flags: [], targets: WS_TARGETS },
];
const SHAPES: readonly Shape[] = ['even', 'burst'];

/** A broker with a generator of its own. */
export class Stand {
  private constructor(
    readonly daemon: DaemonUnderTest,
    private readonly generator: ChildProcess,
  ) {}

  static async open(
    { over, flags }: Pick<Variant, 'over' | 'flags'>,
    nodeFlags: readonly string[] = [],
  ): Promise<Stand> {
    const daemon = await DaemonUnderTest.start(flags, nodeFlags);
    const stand = new Stand(daemon, fork(GENERATOR));
    await stand.ask({ order: 'open', site: daemon.site, over });
    const { subscriptions } = await daemon.accounts();
    if (subscriptions !== SUBSCRIBERS * TOPICS_PER_SUBSCRIBER)
      throw new Error(`only ${subscriptions} subscriptions stand`);
    return stand;
  }

  async run(shape: Shape, seconds: number): Promise<Done> {
    const done = await this.ask({ order: 'run', shape, seconds });
    if (done.report !== 'done') throw new Error('the generator lost its thread');
    return done;
  }

  async close(): Promise<void> {
    this.generator.kill();
    await this.daemon.stop();
  }

  private async ask(order: Order): Promise<Report> {
    this.generator.send(order);
    const told = new AbortController();
    const { signal } = told;
    const gone = once(this.generator, 'exit', { signal }).then(() =>
      Promise.reject(new Error('the generator has failed')),
    );
    try {
      const [report] = (await Promise.race([once(this.generator, 'message', { signal }), gone])) as [Report];
      return report;
    } finally {
      gone.catch(() => undefined);
      told.abort();
    }
  }
}

interface Round {
  readonly done: Done;
  readonly accounts: Accounts;
  readonly cpuUs: number;
  /** Microseconds that neither broker nor generator used, and that the machine's host withheld. */
  readonly othersUs: number;
  readonly stolenUs: number;
}

async function round(stand: Stand, shape: Shape, seconds: number): Promise<Round> {
  const { daemon } = stand;
  const before = await daemon.accounts();
  const machineBefore = machineCpu();
  const cpuBeforeUs = daemon.cpuUs;
  const done = await stand.run(shape, seconds);
  const cpuUs = daemon.cpuUs - cpuBeforeUs;
  const machine = machineCpu();
  const othersUs = machine.busyUs - machineBefore.busyUs - cpuUs - done.cpuUs;
  const stolenUs = machine.stolenUs - machineBefore.stolenUs;
  const accounts = between(before, await daemon.accounts());
  checkBalance(accounts);
  return { done, accounts, cpuUs, othersUs, stolenUs };
}

/** Runs everything and tells it as Markdown. */
export async function fanout({ rounds, seconds }: Effort, progress: (line: string) => void): Promise<string> {
  const stands: {
    readonly variant: Variant;
    readonly stand: Stand;
    readonly rounds: Readonly<Record<Shape, Round[]>>;
  }[] = [];
  try {
    for (const variant of VARIANTS) {
      stands.push({ variant, stand: await Stand.open(variant), rounds: { even: [], burst: [] } });
      progress(`${variant.name}: stands`);
    }
    for (let n = 0; n <= rounds; n++) {
      for (const { variant, stand, rounds: taken } of stands) {
        for (const shape of SHAPES) {
          const result = await round(stand, shape, n === 0 ? 1 : seconds);
          // The first warms up: code is compiled and buffers have grown.
          if (n > 0) taken[shape].push(result);
          progress(
            `${n === 0 ? 'warm-up' : `round ${n}`} ${variant.name} ${shape}: ${perDelivery(result).toFixed(1)} us`,
          );
        }
      }
    }
    return report(stands, rounds, seconds);
  } finally {
    for (const { stand } of stands) await stand.close();
  }
}

const perDelivery = ({ cpuUs, accounts }: Round): number => cpuUs / accounts.delivered;

function report(
  stands: readonly {
    readonly variant: Variant;
    readonly stand: Stand;
    readonly rounds: Readonly<Record<Shape, readonly Round[]>>;
  }[],
  rounds: number,
  seconds: number,
): string {
  const rows = stands.flatMap(({ variant, stand, rounds: taken }) =>
    SHAPES.map((shape) => {
      const of = (figure: (round: Round) => number): number => median(taken[shape].map(figure));
      const cpu = of(perDelivery);
      const target = variant.targets?.[shape];
      const dropped = new Map<string, number>();
      for (const { accounts } of taken[shape])
        for (const [reason, count] of accounts.dropped)
          if (count > 0) dropped.set(reason, (dropped.get(reason) ?? 0) + count);
      const total = (figure: (accounts: Accounts) => number): number =>
        taken[shape].reduce((sum, { accounts }) => sum + figure(accounts), 0);
      const arrived = taken[shape].reduce((sum, { done }) => sum + done.received, 0);
      return [
        variant.name,
        shape,
        cpu.toFixed(1),
        `${(100 * of(({ cpuUs, done }) => cpuUs / done.elapsedUs)).toFixed(0)} %`,
        microseconds(of(({ done }) => done.ageUs.p50)),
        microseconds(of(({ done }) => done.ageUs.p99)),
        String(total(({ received }) => received)),
        String(total(({ delivered }) => delivered)),
        String(total(({ decimated }) => decimated)),
        dropped.size === 0 ? '0' : [...dropped].map(([reason, count]) => `${count} ${reason}`).join(', '),
        String(arrived),
        `${(100 * of(({ done }) => done.cpuUs / done.elapsedUs)).toFixed(0)} %`,
        stand.daemon.rssMib.toFixed(0),
        target
          ? standing(
              target,
              cpu,
              of(({ done }) => done.ageUs.p99),
            )
          : '',
      ];
    }),
  );
  const all = stands.flatMap(({ rounds: taken }) => SHAPES.flatMap((shape) => taken[shape]));
  const share = (figure: (round: Round) => number): string =>
    `${(100 * median(all.map((each) => figure(each) / each.done.elapsedUs))).toFixed(0)} %`;
  return [
    `${TOPICS} topics x ${RATE_HZ}/s x ${(SUBSCRIBERS * TOPICS_PER_SUBSCRIBER) / TOPICS} subscribers on ${SUBSCRIBERS} sockets, ${BODY_BYTES}-byte bodies, published as CoAP NON; ${rounds} rounds of ${seconds} s, medians; counts are of all rounds. Meanwhile other processes used ${share(({ othersUs }) => othersUs)} of a core, and the machine's host withheld ${share(({ stolenUs }) => stolenUs)}.`,
    '',
    table(
      [
        'variant',
        'shape',
        'CPU us per delivery',
        'broker CPU',
        'age p50',
        'age p99',
        'received',
        'delivered',
        'decimated',
        'dropped',
        'arrived',
        'generator CPU',
        'RSS MiB',
        'target',
      ],
      rows,
    ),
  ].join('\n');
}

/** Met or missed, and by how much. */
function standing({ name, cpuUs, p99Us }: Target, cpu: number, p99: number): string {
  const verdict = (reached: number, wanted: number): string =>
    reached <= wanted ? 'met' : `missed, ${(reached / wanted).toFixed(1)} x`;
  const age = p99Us === undefined ? '' : `; p99 ${microseconds(p99Us)}: ${verdict(p99, p99Us)}`;
  return `${name}: CPU ${cpuUs} us: ${verdict(cpu, cpuUs)}${age}`;
}
