/**
 * What does it cost to deliver a message, how old is it then, and how many can there be: Gridcast beside its peers.
 *
 *     pump: publishers ──> broker ──> pump: subscribers        the same pump, the same bodies of 80 bytes, for all
 *
 *     even, burst          100 topics x 30/s x 10 subscribers on 100 sockets; spread over the period, or all at once
 *     100 x 10             as fast as it goes: 10 subscribers of each of 100 topics; on 300 sockets over CoAP
 *     1 x 100              as fast as it goes: 100 subscribers of one topic, each on a socket of its own
 *
 * All brokers stand from the start and take their turns, so that a bad spell of the machine falls on all; figures are medians of
 * the rounds. Nothing is switched off in Gridcast. The CPU is the broker process's, and what it takes to receive is in it.
 */
import { between, checkBalance, type Accounts } from './daemon.js';
import { CONTENDERS, type Contender, type ContenderKind, type Way } from './contenders.js';
import { score } from './fanout-score.js';
import { machineCpu, median } from './figures.js';
import { RATE_HZ, SUBSCRIBERS, TOPICS, TOPICS_PER_SUBSCRIBER, topicsOf } from './load.js';
import { Absent, nativeProgram } from './native.js';
import { Pump, type Load, type Pumped } from './pump.js';
import type { Outcome } from './targets.js';

export interface FanoutEffort {
  readonly rounds: number;
  readonly pacedS: number;
  readonly saturatedS: number;
  /** Only those whose name has this in it. */
  readonly only?: string;
}
export const QUICK: FanoutEffort = { rounds: 1, pacedS: 1, saturatedS: 0.5 };
/** Six to seven minutes, most of them load. A second of it would be that of an engine that has just been idle. */
export const FULL: FanoutEffort = { rounds: 5, pacedS: 2, saturatedS: 0.5 };

export const SHAPES = ['even', 'burst', '100 x 10', '1 x 100'] as const;
export type Shape = (typeof SHAPES)[number];

/** With fewer sockets a pair of CoAP endpoints would run out of message ids at a million a second. */
const WIDE_SOCKETS = 300;
const FAN_OUT = (SUBSCRIBERS * TOPICS_PER_SUBSCRIBER) / TOPICS;
/** A publisher's ids, too, must not come back while they live. */
const SINGLE_PUBLISHERS = 8;
/** Each notification is a request: at 30/s it would be the polls that are measured. */
const POLLED_HZ = 3;

/** Topics: those of the paced shapes, those of CoAP's wide shape, and the single one. */
const WIDE_FROM = TOPICS;
const SINGLE = 2 * TOPICS;
const ALL_TOPICS = SINGLE + 1;

export interface Round {
  readonly pumped: Pumped;
  readonly cpuUs: number;
  readonly accounts?: Accounts;
  /** What neither broker nor pump used of the machine, and what its host withheld; microseconds. */
  readonly othersUs: number;
  readonly stolenUs: number;
}

/** A broker with its pump, and what came of it. */
export interface Standing {
  readonly kind: ContenderKind;
  readonly contender: Contender;
  readonly rounds: ReadonlyMap<Shape, Round[]>;
  rssMib: number;
}

export const shapesOf = ({ isFloor }: ContenderKind): readonly Shape[] => (isFloor ? SHAPES.slice(2) : SHAPES);
export const paceOf = (over: Way): number => (over === 'long polling' ? POLLED_HZ : RATE_HZ);

export interface Stood extends Standing {
  readonly pump: Pump;
}

export async function stand(kind: ContenderKind): Promise<Stood> {
  const contender = await kind.open(ALL_TOPICS);
  const pump = new Pump();
  try {
    const { speech } = contender;
    if (!kind.isFloor)
      for (let subscriber = 0; subscriber < SUBSCRIBERS; subscriber++)
        await speech.subscribe(pump, topicsOf(subscriber));
    if (kind.over === 'CoAP') {
      const relations = TOPICS * FAN_OUT;
      for (let socket = 0; socket < WIDE_SOCKETS; socket++) {
        const [from, to] = [socket, socket + 1].map((n) => Math.floor((n * relations) / WIDE_SOCKETS));
        const topics: number[] = [];
        for (let relation = from ?? 0; relation < (to ?? 0); relation++) topics.push(WIDE_FROM + (relation % TOPICS));
        await speech.subscribe(pump, topics);
      }
    }
    for (let subscriber = 0; subscriber < SUBSCRIBERS; subscriber++) await speech.subscribe(pump, [SINGLE]);
    for (let topic = 0; topic < TOPICS; topic++) speech.publish(pump, topic);
    for (let topic = 0; topic < TOPICS; topic++) speech.publish(pump, WIDE_FROM + topic);
    for (let n = 0; n < SINGLE_PUBLISHERS; n++) speech.publish(pump, SINGLE);
    await pump.sync();
    return { kind, contender, pump, rounds: new Map(shapesOf(kind).map((shape) => [shape, []])), rssMib: 0 };
  } catch (error) {
    pump.close();
    await contender.close();
    throw error;
  }
}

function loadOf({ over, window }: ContenderKind, shape: Shape, { pacedS, saturatedS }: FanoutEffort): Load {
  const paced = { rateHz: paceOf(over), window: 1, batch: 1, seconds: pacedS };
  const many = { fanOut: FAN_OUT, first: 0, count: TOPICS };
  switch (shape) {
    case 'even':
    case 'burst':
      return { ...paced, ...many, shape };
    case '100 x 10': {
      const first = over === 'CoAP' ? WIDE_FROM : 0;
      const batch = Math.min(window.batch, 4);
      return { ...paced, ...many, shape: 'saturate', seconds: saturatedS, first, window: window.wide, batch };
    }
    case '1 x 100': {
      const single = { fanOut: SUBSCRIBERS, first: SINGLE, count: over === 'TCP' ? 1 : SINGLE_PUBLISHERS };
      return {
        ...paced,
        ...single,
        shape: 'saturate',
        seconds: saturatedS,
        window: window.single,
        batch: window.batch,
      };
    }
  }
}

/** @param watched runs the load, and may do so under a watch of its own */
export async function round(
  { kind, contender, pump }: Stood,
  shape: Shape,
  effort: FanoutEffort,
  watched: (run: () => Promise<Pumped>) => Promise<Pumped> = (run) => run(),
): Promise<Round> {
  const before = await contender.accounts?.();
  const machineBefore = machineCpu();
  const cpuBeforeUs = contender.cpuUs;
  const pumped = await watched(() => pump.run(loadOf(kind, shape, effort)));
  const cpuUs = contender.cpuUs - cpuBeforeUs;
  const machine = machineCpu();
  const othersUs = machine.busyUs - machineBefore.busyUs - cpuUs - pumped.cpuUs;
  const stolenUs = machine.stolenUs - machineBefore.stolenUs;
  const after = await contender.accounts?.();
  if (!before || !after) return { pumped, cpuUs, othersUs, stolenUs };
  const accounts = between(before, after);
  checkBalance(accounts);
  return { pumped, cpuUs, accounts, othersUs, stolenUs };
}

/** Of its broker, per message that has reached a subscriber. */
export const perDeliveryUs = ({ cpuUs, pumped }: Round): number => cpuUs / pumped.received;

/** Runs everything. Who can not be had is named and left out. */
export async function fanout(effort: FanoutEffort, progress: (line: string) => void): Promise<Outcome> {
  const absent: string[] = [];
  const leaveOut = (name: string, error: unknown): void => {
    const line = `${name} is left out: ${error instanceof Error ? error.message : String(error)}`;
    absent.push(line);
    progress(line);
  };
  try {
    nativeProgram('pump');
  } catch (error) {
    if (!(error instanceof Absent)) throw error;
    return { text: `Nothing was measured: ${error.message}` };
  }
  const stood: Stood[] = [];
  try {
    for (const kind of CONTENDERS.filter(({ name }) => name.includes(effort.only ?? ''))) {
      try {
        stood.push(await stand(kind));
        progress(`${kind.name}: stands`);
      } catch (error) {
        if (kind.isOurs) throw error;
        leaveOut(kind.name, error);
      }
    }
    for (let n = 0; n <= effort.rounds; n++) {
      for (const one of [...stood]) {
        try {
          // The first warms up: code is compiled and buffers have grown.
          await turn(one, n, n === 0 ? QUICK : effort, progress);
        } catch (error) {
          if (one.kind.isOurs) throw error;
          stood.splice(stood.indexOf(one), 1);
          leaveOut(one.kind.name, error);
          await close(one);
        }
      }
    }
    return score(stood, effort, absent);
  } finally {
    for (const one of stood) await close(one);
  }
}

async function turn(one: Stood, n: number, effort: FanoutEffort, progress: (line: string) => void): Promise<void> {
  const told: string[] = [];
  for (const [shape, taken] of one.rounds) {
    const result = await round(one, shape, effort);
    if (n > 0) taken.push(result);
    told.push(`${shape} ${perDeliveryUs(result).toFixed(2)} us`);
  }
  one.rssMib = one.contender.rssMib;
  progress(`${n === 0 ? 'warm-up' : `round ${n}`} ${one.kind.name}: ${told.join(', ')}`);
}

export async function close({ pump, contender }: Stood): Promise<void> {
  pump.close();
  await contender.close();
}

/** The median of the rounds of a shape; NaN where there were none. */
export const medianOf = ({ rounds }: Standing, shape: Shape, figure: (round: Round) => number): number =>
  median((rounds.get(shape) ?? []).map(figure));
