/**
 * What can be made to go wrong, by name: `NAME` or `NAME:parameter=number,...`, as `--disturb` takes it.
 *
 *     ringdown:at=20,amplitude=0.05,every=60      twenty seconds after the start and every minute: 50 mHz, ringing down
 *
 * This table is all there is to know of a disturbance's form; what it does is in grid.ts (the power system), in
 * simulated-stream.ts (what a PMU says of itself) and in data-fault.ts (what happens to frames on their way).
 */
import { isRefusal, refuse, type Refusal } from '../errors.js';

/** One number of a disturbance: its value if not given, and what is taken. */
interface Parameter {
  readonly byDefault: number;
  readonly least: number;
  readonly most: number;
}

const number = (byDefault: number, least: number, most: number): Parameter => ({ byDefault, least, most });
const DAY_S = 86_400;
/** Seconds from the first slot to the first time. */
const at = number(10, 0, DAY_S);
/** Seconds from one beginning to the next; 0: only once. Long enough to come to rest between, or the frequency jumps. */
const every = number(0, 0, DAY_S);
/** Seconds that it lasts. */
const lasting = (seconds: number): Parameter => number(seconds, 0.001, DAY_S);
/** Which part of all frames, picked at random. */
const share = number(0.01, 0, 1);
/** Amplitudes and slopes end where a PMU's 16-bit deviation still holds them. */
const HZ_MOST = 5;

export const DISTURBANCES = {
  /** Nothing: exactly nominal. */
  steady: {},
  /** The noise of any grid: RMS of the electromechanical part (0.1 to 2 Hz) and of the slow wander below it, Hz. */
  ambient: { rms: number(0.000_76, 0, 1), wander: number(0.008, 0, 1) },
  /** An inter-area swing that dies away: its frequency and amplitude in Hz, its damping ratio. */
  ringdown: {
    at,
    every,
    hz: number(0.5, 0.05, 5),
    amplitude: number(0.02, 0, HZ_MOST),
    damping: number(0.03, 0.001, 0.9),
  },
  /** An inter-area swing somebody drives, for a whole number of cycles. */
  'forced-oscillation': { at, every, for: lasting(60), hz: number(0.7, 0.05, 5), amplitude: number(0.01, 0, HZ_MOST) },
  'frequency-step': { at, every, for: lasting(30), hz: number(-0.1, -HZ_MOST, HZ_MOST), rise: number(0.1, 0.001, 60) },
  /** `slope` in Hz/s over `over` seconds. */
  'frequency-ramp': { at, every, for: lasting(30), slope: number(-0.1, -HZ_MOST, HZ_MOST), over: number(2, 0.001, 60) },
  /** Settles `hz` lower; `slope` is how fast it begins to fall. */
  'generator-trip': {
    at,
    every,
    for: lasting(60),
    hz: number(0.1, 0.001, HZ_MOST),
    slope: number(0.15, 0.001, HZ_MOST),
  },
  /** Part of the voltage lost at PMU 1, less with every bus behind it. */
  'voltage-sag': { at, every, for: lasting(0.2), depth: number(0.4, 0, 1) },
  /** The line of the PMU with this place in the stream: no current, breaker point 0. */
  'line-opening': { at, every, for: lasting(5), pmu: number(1, 1, 65_534) },

  loss: { share },
  /** Frames leave up to `ms` late, in order. */
  jitter: { ms: number(20, 0, 60_000) },
  'bad-crc': { share },
  duplicate: { share },
  /** A frame leaves after the one behind it. */
  reorder: { share },
  /** Up to `bytes` bytes that belong to no frame, in front of one. */
  garbage: { share, bytes: number(40, 1, 1400) },
  /** STAT 13, unlocked time and time quality; the clock drifts by 1 us a second, which only they tell. */
  'loss-of-lock': { at, every, for: lasting(120) },
  /** STAT 10 is set `ahead` seconds before; then the analog channel goes (and comes back the next time). */
  'configuration-change': { at: number(90, 0, DAY_S), every, ahead: number(60, 0, DAY_S) },
} as const satisfies Record<string, Readonly<Record<string, Parameter>>>;

export type DisturbanceName = keyof typeof DISTURBANCES;

type Values<N extends DisturbanceName> = { readonly [P in keyof (typeof DISTURBANCES)[N]]: number };
export type Disturbance = { [N in DisturbanceName]: { readonly name: N } & Values<N> }[DisturbanceName];
export type DisturbanceOf<N extends DisturbanceName> = Extract<Disturbance, { readonly name: N }>;

/** Those of a list that have one name. */
export function named<N extends DisturbanceName>(list: readonly Disturbance[], name: N): readonly DisturbanceOf<N>[] {
  return list.filter((disturbance): disturbance is DisturbanceOf<N> => disturbance.name === name);
}

const isName = (name: string): name is DisturbanceName => Object.hasOwn(DISTURBANCES, name);

/** Reads `NAME` or `NAME:parameter=number,...`. */
export function parseDisturbance(text: string): Disturbance | Refusal {
  const [name = '', list = ''] = text.split(/:(.*)/s);
  if (!isName(name)) {
    const known = Object.keys(DISTURBANCES).join(', ');
    return refuse('STATUS_BAD_REQUEST', `There is no disturbance ${JSON.stringify(name)}; there are ${known}.`);
  }
  const parameters: Readonly<Record<string, Parameter>> = DISTURBANCES[name];
  const values = Object.fromEntries(Object.entries(parameters).map(([key, { byDefault }]) => [key, byDefault]));
  for (const pair of list === '' ? [] : list.split(',')) {
    const [key = '', value] = pair.split('=');
    const parameter = Object.hasOwn(parameters, key) ? parameters[key] : undefined;
    if (!parameter)
      return refuse('STATUS_BAD_REQUEST', `${name} has no parameter ${JSON.stringify(key)}; ${takes(name)}.`);
    const read = readNumber(value, parameter);
    if (read === undefined) {
      const { least, most } = parameter;
      return refuse(
        'STATUS_BAD_REQUEST',
        `${name}:${key} must be a number from ${least} to ${most}, not ${JSON.stringify(value ?? '')}.`,
      );
    }
    values[key] = read;
  }
  const { every: period = 0, for: duration = 0 } = values;
  if (period > 0 && period < duration) {
    return refuse('STATUS_BAD_REQUEST', `${name} lasts ${duration} s and so can not begin every ${period} s.`);
  }
  // The table's keys with a number each: what the mapped type says, but not provable from Object.fromEntries.
  return { name, ...values } as Disturbance;
}

export function parseDisturbances(texts: readonly string[]): readonly Disturbance[] | Refusal {
  const read = texts.map(parseDisturbance);
  return read.find(isRefusal) ?? read.filter((one): one is Disturbance => !isRefusal(one));
}

function takes(name: DisturbanceName): string {
  const keys = Object.keys(DISTURBANCES[name]);
  return keys.length === 0 ? 'it takes none' : `it takes ${keys.join(', ')}`;
}

function readNumber(text: string | undefined, { least, most }: Parameter): number | undefined {
  const value = text === undefined || text.trim() === '' ? NaN : Number(text);
  return value >= least && value <= most ? value : undefined;
}

/** When something happens; both in seconds. */
interface Timing {
  readonly at: number;
  readonly every: number;
}

/** How many times it has begun by `t`, and for how long the last one has lasted. */
export function occurrence(t: number, timing: Timing): { readonly count: number; readonly elapsed: number } {
  if (t < timing.at) return { count: 0, elapsed: NaN };
  const over = timing.every > 0 ? Math.floor((t - timing.at) / timing.every) : 0;
  return { count: over + 1, elapsed: t - timing.at - over * timing.every };
}

/** Whether it is going on at `t`. */
export const isOn = (t: number, timing: Timing & { readonly for: number }): boolean =>
  occurrence(t, timing).elapsed < timing.for;
