/**
 * `method=fir`: one PMU's measurements at a lower rate without what would alias, each at the instant of its own tag.
 *
 *     slot          0  1  2 ...  23 ...  46  47            30 -> 5 per second: 47 samples make one
 *     window       [x  x  x ...  X  ...  x ]               taken when the last is in, tagged as the middle one:
 *                                └── out, tag of slot 23    the delay is in the waiting, not in the tag
 *
 * A phasor rotates while the frequency is off nominal, and a low-pass would take that for a signal. So its rotation is taken off
 * before, sample by sample, theta being the integral of 2 pi (f - nominal), and put on again afterwards; what is put on is
 * filtered as the phasor was, or an oscillation would come through in the angle alone.
 *
 *     out = exp(j sum(h theta)) x sum(h X exp(-j theta))          theta counted from the middle; h the weights
 *
 * Up to HOLD_SLOTS missing or invalid samples in a row are taken to be as the one before. After more the window begins anew, and
 * nothing comes until it is full.
 */
import type { Cadence } from './cadence.js';
import { tapsOf, type Taps } from './fir-taps.js';
import type { Measurement, PmuDescriptor, Processed, Processing } from './measurement.js';
import { QUALITY, Sample } from './sample.js';

/** The gap rule of oscillation monitoring: a tenth of a second at 30 per second. */
export const HOLD_SLOTS = 3;
const TURN = 2 * Math.PI;
/** In front of the phasors' parts and the analogs. */
const FREQUENCY = 0;
const ROCOF = 1;
const PHASORS = 2;

/** One slot of the window. */
interface Entry {
  /** Undefined: missing. */
  readonly sample: Sample | undefined;
  readonly values: Float64Array;
}

export class Fir {
  readonly processing: Processing;
  private readonly taps: Taps;
  /** Oldest first; as long as the taps when it is full. */
  private window: Entry[] = [];
  private lastSlot = -Infinity;
  private held = 0;
  private descriptor: PmuDescriptor | undefined;

  constructor(private readonly cadence: Cadence) {
    const { sourceRate, stride } = cadence;
    this.taps = tapsOf(stride);
    this.processing = {
      method: 'fir',
      inputRate: sourceRate,
      outputRate: sourceRate / stride,
      groupDelayS: this.taps.delay / sourceRate,
    };
  }

  /**
   * Takes the source's next sample.
   *
   * @param slot of `slotOf` at the source's rate, higher than the last one's or its clock has stepped
   * @returns the sample of the slot that is now in the middle, if that is of the cadence and its PMU sent it
   */
  pass(sample: Sample, slot: number): Sample | undefined {
    const { content } = sample;
    if (content.kind !== 'measurement') return undefined;
    const { measurement } = content;
    const isGood = (sample.quality & QUALITY.dataInvalid) === 0 && Number.isFinite(measurement.frequencyHz);
    const missing = slot - this.lastSlot - 1;
    const absent = this.held + missing + (isGood ? 0 : 1);
    this.lastSlot = slot;
    this.held = isGood ? 0 : absent;
    if (missing < 0 || absent > HOLD_SLOTS || measurement.descriptor !== this.descriptor) {
      this.window = [];
      this.descriptor = measurement.descriptor;
    }
    let made: Sample | undefined;
    for (let at = slot - missing; at < slot && this.window.length > 0; at++) made = this.hold(undefined, at) ?? made;
    made = (isGood ? this.enter({ sample, values: valuesOf(measurement) }, slot) : this.hold(sample, slot)) ?? made;
    if (made) made.sequence = sample.sequence;
    return made;
  }

  /** As the one before, turned on by its own frequency. */
  private hold(sample: Sample | undefined, slot: number): Sample | undefined {
    const before = this.window.at(-1);
    if (!before) return undefined;
    const values = Float64Array.from(before.values);
    const step = this.stepOf(before.values, before.values);
    for (let at = PHASORS; at < this.analogsAt; at += 2) turn(values, at, step);
    return this.enter({ sample, values }, slot);
  }

  private enter(entry: Entry, slot: number): Sample | undefined {
    const { weights, delay } = this.taps;
    this.window.push(entry);
    if (this.window.length > weights.length) this.window.shift();
    if (this.window.length < weights.length || !this.cadence.admits(slot - delay)) return undefined;
    const middle = this.window[delay]?.sample;
    return middle && this.make(middle);
  }

  private make(middle: Sample): Sample | undefined {
    if (middle.content.kind !== 'measurement') return undefined;
    const { measurement } = middle.content;
    const from: Measurement[] = [];
    let quality = 0;
    for (const { sample } of this.window) {
      if (sample?.content.kind !== 'measurement') continue;
      from.push(sample.content.measurement);
      quality |= sample.quality;
    }
    const values = { ...this.filtered(measurement), digitals: this.points() };
    return middle.with(
      { kind: 'measurement', measurement: measurement.remade(values, from, this.processing) },
      quality,
    );
  }

  /** The weighted sum of the window. */
  private filtered({ descriptor }: Measurement): Omit<Processed, 'digitals'> {
    const { weights } = this.taps;
    const { analogsAt } = this;
    const thetas = this.thetas();
    const sums = new Float64Array(analogsAt + descriptor.analogs.length);
    let turned = 0;
    this.window.forEach(({ values }, index) => {
      const [weight, theta] = [within(weights, index), within(thetas, index)];
      const [cos, sin] = [weight * Math.cos(theta), weight * Math.sin(theta)];
      turned += weight * theta;
      for (let at = 0; at < PHASORS; at++) add(sums, at, weight * within(values, at));
      for (let at = PHASORS; at < analogsAt; at += 2) {
        const [re, im] = [within(values, at), within(values, at + 1)];
        add(sums, at, re * cos + im * sin);
        add(sums, at + 1, im * cos - re * sin);
      }
      for (let at = analogsAt; at < sums.length; at++) add(sums, at, weight * within(values, at));
    });
    return {
      frequencyHz: descriptor.nominalHz + within(sums, FREQUENCY),
      rocofHzPerS: within(sums, ROCOF),
      phasors: descriptor.phasors.map((_, index) => {
        turn(sums, PHASORS + 2 * index, turned);
        const [re, im] = [within(sums, PHASORS + 2 * index), within(sums, PHASORS + 2 * index + 1)];
        return { magnitude: Math.hypot(re, im), angle: Math.atan2(im, re) };
      }),
      analogs: [...sums.subarray(analogsAt)],
    };
  }

  /** How far the phasors of each slot have turned since the middle one, radians. */
  private thetas(): Float64Array {
    let theta = 0;
    const thetas = Float64Array.from(this.window, ({ values }, index) => {
      const before = this.window[index - 1];
      return before ? (theta += this.stepOf(before.values, values)) : theta;
    });
    const middle = within(thetas, this.taps.delay);
    return thetas.map((each) => each - middle);
  }

  private stepOf(before: Float64Array, after: Float64Array): number {
    return (TURN * (within(before, FREQUENCY) + within(after, FREQUENCY))) / 2 / this.cadence.sourceRate;
  }

  /** Points that were on at any time since the last output: a mean of them would be no state at all. */
  private points(): readonly number[] {
    const { delay } = this.taps;
    const words: number[] = [];
    for (const { sample } of this.window.slice(Math.max(0, delay + 1 - this.cadence.stride), delay + 1)) {
      if (sample?.content.kind !== 'measurement') continue;
      sample.content.measurement.digitals.forEach((word, index) => (words[index] = (words[index] ?? 0) | word));
    }
    return words;
  }

  private get analogsAt(): number {
    return PHASORS + 2 * (this.descriptor?.phasors.length ?? 0);
  }
}

/** Deviation from nominal, ROCOF, real and imaginary part of each phasor, analogs. */
function valuesOf({ descriptor, frequencyHz, rocofHzPerS, phasors, analogs }: Measurement): Float64Array {
  const analogsAt = PHASORS + 2 * phasors.length;
  const values = new Float64Array(analogsAt + analogs.length);
  values[FREQUENCY] = frequencyHz - descriptor.nominalHz;
  values[ROCOF] = rocofHzPerS;
  phasors.forEach(({ magnitude, angle }, index) => {
    values[PHASORS + 2 * index] = magnitude * Math.cos(angle);
    values[PHASORS + 2 * index + 1] = magnitude * Math.sin(angle);
  });
  values.set(analogs, analogsAt);
  return values;
}

/** Turns the complex number at `at` by `angle` radians. */
function turn(values: Float64Array, at: number, angle: number): void {
  const [re, im, cos, sin] = [within(values, at), within(values, at + 1), Math.cos(angle), Math.sin(angle)];
  values[at] = re * cos - im * sin;
  values[at + 1] = re * sin + im * cos;
}

const within = (values: Float64Array, at: number): number => values[at]!; // lengths are those of one descriptor and its window
const add = (values: Float64Array, at: number, more: number): void => void (values[at] = within(values, at) + more);
