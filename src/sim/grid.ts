/**
 * The simulated power system: a chain of buses, a PMU at each but the last, a line from each to the next.
 *
 *     PMU 1      PMU 2      PMU 3
 *     bus 0 ──── bus 1 ──── bus 2 ──── bus 3          I of PMU n = (V of its bus - V of the next) / jX
 *     └── area A, swings ──┘└── area B, against ──┘
 *
 * Everything is a formula of the time of the tag [see motion.ts]: angle is the integral of 2 pi (f - f0), ROCOF the
 * derivative of f, currents follow from voltages and the line. Pure; equal seeds give equal grids.
 */
import type { Random } from '../random.js';
import type { Phasor } from '../routing/measurement.js';
import { isOn, named, type Disturbance } from './disturbance.js';
import {
  delayed,
  generatorTrip,
  ramp,
  repeated,
  scaled,
  step,
  sum,
  swing,
  undoneAfter,
  wave,
  type Deviation,
  type Motion,
} from './motion.js';

/** A 230 kV system: volts from phase to ground. */
export const PHASE_VOLTS = 230_000 / Math.sqrt(3);
/** Of each line: with 0.1 rad across it, 664 A flow. */
export const LINE_OHMS = 20;
const ANGLE_PER_LINE = 0.1;
/** Phases A, B, C. */
const PHASES = [0, (-2 * Math.PI) / 3, (2 * Math.PI) / 3] as const;
/** Two coherent areas swing against each other; the far one is the heavier. */
const NEAR_AREA = 1;
const FAR_AREA = -0.6;

/** The state a PMU reports, in engineering units, for one instant. */
export interface BusState {
  readonly frequencyHz: number;
  readonly rocofHzPerS: number;
  /** Phases A, B, C. */
  readonly voltages: readonly Phasor[];
  readonly currents: readonly Phasor[];
  /** Into the line, all three phases. */
  readonly megawatts: number;
  readonly isBreakerClosed: boolean;
}

export class Grid {
  /** All buses together. */
  private readonly system: Motion;
  /** One area against the other; the near area's, see `NEAR_AREA`. */
  private readonly interArea: Motion;

  /**
   * @param pmus how many, at least 1
   * @param random draws the ambient noise
   */
  constructor(
    readonly nominalHz: 50 | 60,
    readonly pmus: number,
    private readonly disturbances: readonly Disturbance[],
    random: Random,
  ) {
    const motions = disturbances.map((disturbance) => motionsOf(disturbance, random));
    this.system = sum(...motions.flatMap(({ system }) => system ?? []));
    this.interArea = sum(...motions.flatMap(({ interArea }) => interArea ?? []));
  }

  /** What every PMU measures `t` seconds after the grid's beginning. */
  at(t: number): readonly BusState[] {
    const [system, interArea] = [this.system(t), this.interArea(t)];
    const buses = Array.from({ length: this.pmus + 1 }, (_, bus) => {
      const part = bus < (this.pmus + 1) / 2 ? NEAR_AREA : FAR_AREA;
      return { deviation: combined(system, interArea, part), magnitude: PHASE_VOLTS * this.voltageLeft(t, bus) };
    });
    const volts = buses.map(({ deviation, magnitude }, bus) => ({
      magnitude,
      angle: 2 * Math.PI * deviation.cycles - bus * ANGLE_PER_LINE,
    }));
    return Array.from({ length: this.pmus }, (_, bus) => {
      // There are pmus + 1 buses, so `bus` and the next are in both lists.
      const { hz, hzPerS } = buses[bus]!.deviation;
      const isBreakerClosed = !this.isLineOpen(t, bus);
      const [here, next] = [volts[bus]!, volts[bus + 1]!]; // one more bus is computed than is shown
      const current = isBreakerClosed ? lineCurrent(here, next) : { magnitude: 0, angle: 0 };
      const watts = 3 * here.magnitude * current.magnitude * Math.cos(here.angle - current.angle);
      return {
        frequencyHz: this.nominalHz + hz,
        rocofHzPerS: hzPerS,
        voltages: threePhases(here),
        currents: threePhases(current),
        megawatts: watts / 1e6,
        isBreakerClosed,
      };
    });
  }

  /** Which part of its voltage a bus has left. */
  private voltageLeft(t: number, bus: number): number {
    return named(this.disturbances, 'voltage-sag')
      .filter((sag) => isOn(t, sag))
      .reduce((left, { depth }) => left * (1 - depth / (1 + bus)), 1);
  }

  private isLineOpen(t: number, bus: number): boolean {
    return named(this.disturbances, 'line-opening').some((opening) => opening.pmu === bus + 1 && isOn(t, opening));
  }
}

const combined = (system: Deviation, interArea: Deviation, part: number): Deviation => ({
  cycles: system.cycles + part * interArea.cycles,
  hz: system.hz + part * interArea.hz,
  hzPerS: system.hzPerS + part * interArea.hzPerS,
});

function lineCurrent(from: Phasor, to: Phasor): Phasor {
  const real = from.magnitude * Math.cos(from.angle) - to.magnitude * Math.cos(to.angle);
  const imaginary = from.magnitude * Math.sin(from.angle) - to.magnitude * Math.sin(to.angle);
  return { magnitude: Math.hypot(real, imaginary) / LINE_OHMS, angle: Math.atan2(imaginary, real) - Math.PI / 2 };
}

const threePhases = ({ magnitude, angle }: Phasor): readonly Phasor[] =>
  PHASES.map((phase) => ({ magnitude, angle: wrapped(angle + phase) }));

/** Into -pi .. pi, where phasors on the wire live. */
export const wrapped = (angle: number): number => angle - 2 * Math.PI * Math.round(angle / (2 * Math.PI));

interface Motions {
  readonly system?: Motion;
  readonly interArea?: Motion;
}

function motionsOf(disturbance: Disturbance, random: Random): Motions {
  switch (disturbance.name) {
    case 'ambient':
      return {
        system: noise(disturbance.wander, WANDER_BAND_HZ, random),
        interArea: noise(disturbance.rms, AMBIENT_BAND_HZ, random),
      };
    case 'ringdown':
      return { interArea: timed(disturbance, swing(disturbance.amplitude, disturbance.hz, disturbance.damping)) };
    case 'forced-oscillation': {
      const cycles = Math.max(1, Math.floor(disturbance.for * disturbance.hz));
      const driven = swing(disturbance.amplitude, disturbance.hz, 0);
      return { interArea: timed(disturbance, undoneAfter(driven, cycles / disturbance.hz)) };
    }
    case 'frequency-step':
      return { system: timed(disturbance, undoneAfter(step(disturbance.hz, disturbance.rise), disturbance.for)) };
    case 'frequency-ramp':
      return { system: timed(disturbance, undoneAfter(ramp(disturbance.slope, disturbance.over), disturbance.for)) };
    case 'generator-trip':
      return {
        system: timed(disturbance, undoneAfter(generatorTrip(disturbance.hz, disturbance.slope), disturbance.for)),
      };
    default:
      return {};
  }
}

const timed = ({ at, every }: { readonly at: number; readonly every: number }, motion: Motion): Motion =>
  delayed(every > 0 ? repeated(motion, every) : motion, at);

/** Where recorded ambient frequency has its electromechanical part, and the wander of load and control below it. */
const AMBIENT_BAND_HZ = [0.1, 2] as const;
const WANDER_BAND_HZ = [0.004, 0.1] as const;
/** Enough sinusoids that no pattern is seen within minutes. */
const SINUSOIDS = 24;

/** Noise of a given RMS as a sum of sinusoids of random frequency and phase, amplitude falling as 1/f: it can be integrated. */
function noise(rmsHz: number, [low, high]: readonly [number, number], random: Random): Motion {
  const unit = (): number => random.below(2 ** 32) / 2 ** 32;
  const tones = Array.from({ length: SINUSOIDS }, (_, index) => {
    const hz = low * (high / low) ** ((index + unit()) / SINUSOIDS);
    return { hz, amplitude: low / hz, phase: 2 * Math.PI * unit() };
  });
  const rms = Math.sqrt(tones.reduce((square, { amplitude }) => square + (amplitude * amplitude) / 2, 0));
  const waves = tones.map(({ hz, amplitude, phase }) =>
    wave(amplitude * Math.cos(phase), amplitude * Math.sin(phase), 0, 2 * Math.PI * hz),
  );
  return scaled(sum(...waves), rmsHz / rms);
}
