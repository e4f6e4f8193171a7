/**
 * Motions: how far a grid's frequency is off nominal, as closed formulas of time. Each gives the deviation, its integral
 * and its derivative together, so that a PMU's angle, frequency and ROCOF agree exactly at any tag, in any order, after any
 * gap: nothing is accumulated from sample to sample.
 *
 *     cycles(t) = integral of hz          hz(t)          hzPerS(t) = derivative of hz
 *
 * Two formulas and three ways of putting them together make every power disturbance of the simulator.
 */

export interface Deviation {
  /** Turns of the phasor since the motion began: the integral of `hz`. */
  readonly cycles: number;
  /** Off nominal. */
  readonly hz: number;
  readonly hzPerS: number;
}

/** A deviation at `t` seconds since the motion began. */
export type Motion = (t: number) => Deviation;

const NONE: Deviation = { cycles: 0, hz: 0, hzPerS: 0 };

/** hz = `hz` + `hzPerS` t. */
export function drift(hz: number, hzPerS: number): Motion {
  return (t) => ({ cycles: hz * t + (hzPerS * t * t) / 2, hz: hz + hzPerS * t, hzPerS });
}

/**
 * hz = exp(-decay t) (cosine cos(turn t) + sine sin(turn t)).
 *
 * @param decay per second, and `turn` radians per second; not both 0
 */
export function wave(cosine: number, sine: number, decay: number, turn: number): Motion {
  const square = decay * decay + turn * turn;
  return (t) => {
    const fading = Math.exp(-decay * t);
    const [cos, sin] = [fading * Math.cos(turn * t), fading * Math.sin(turn * t)];
    return {
      cycles: (cosine * (decay + turn * sin - decay * cos) + sine * (turn - decay * sin - turn * cos)) / square,
      hz: cosine * cos + sine * sin,
      hzPerS: (turn * sine - decay * cosine) * cos - (turn * cosine + decay * sine) * sin,
    };
  };
}

export function sum(...motions: readonly Motion[]): Motion {
  return (t) =>
    motions.reduce((total, motion) => {
      const { cycles, hz, hzPerS } = motion(t);
      return { cycles: total.cycles + cycles, hz: total.hz + hz, hzPerS: total.hzPerS + hzPerS };
    }, NONE);
}

/** Nothing before `seconds`, then the motion from its beginning. */
export function delayed(motion: Motion, seconds: number): Motion {
  return (t) => (t < seconds ? NONE : motion(t - seconds));
}

/** The motion, and `seconds` later the same against it: what makes a step end, or a sine of whole cycles stop. */
export function undoneAfter(motion: Motion, seconds: number): Motion {
  return sum(motion, delayed(scaled(motion, -1), seconds));
}

/** The motion from its beginning every `seconds`, the angle carried over; it must have come to rest by then. */
export function repeated(motion: Motion, seconds: number): Motion {
  const gained = motion(seconds).cycles;
  return (t) => {
    const over = Math.floor(t / seconds);
    const { cycles, hz, hzPerS } = motion(t - over * seconds);
    return { cycles: over * gained + cycles, hz, hzPerS };
  };
}

export function scaled(motion: Motion, factor: number): Motion {
  return (t) => {
    const { cycles, hz, hzPerS } = motion(t);
    return { cycles: factor * cycles, hz: factor * hz, hzPerS: factor * hzPerS };
  };
}

/** A swing that begins at 0 and rings down: `hz` its frequency, `ratio` its damping ratio (0 goes on for ever). */
export function swing(amplitudeHz: number, hz: number, ratio: number): Motion {
  const turn = 2 * Math.PI * hz;
  return wave(0, amplitudeHz, (ratio * turn) / Math.sqrt(1 - ratio * ratio), turn);
}

/** A step that takes its time: 63 % of `hz` after `riseS` seconds. */
export const step = (hz: number, riseS: number): Motion => sum(drift(hz, 0), wave(-hz, 0, 1 / riseS, 0));

/** Falls or rises at `hzPerS` for `seconds`, then stays. */
export const ramp = (hzPerS: number, seconds: number): Motion => undoneAfter(drift(0, hzPerS), seconds);

/** Inertia gives the first slope after a loss of generation, primary control the nadir and the new, lower frequency. */
const CONTROL_DECAY = 0.25;
const CONTROL_TURN = 2 * Math.PI * 0.08;

/** A lost generator: begins to fall with `hzPerS`, overshoots, settles `hz` below nominal (both positive). */
export function generatorTrip(hz: number, hzPerS: number): Motion {
  return sum(drift(-hz, 0), wave(hz, (hz * CONTROL_DECAY - hzPerS) / CONTROL_TURN, CONTROL_DECAY, CONTROL_TURN));
}
