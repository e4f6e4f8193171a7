/** The anti-aliasing filter: what it lets through and what not, on whole measurements, against the figures of what a mean would do. */
import fc from 'fast-check';
import { isRefusal } from '../../src/errors.js';
import { Cadence, dividingRates, slotOf } from '../../src/routing/cadence.js';
import { Fir, HOLD_SLOTS } from '../../src/routing/fir.js';
import { PASS_EDGE, STOP_EDGE, tapsOf } from '../../src/routing/fir-taps.js';
import type { Measurement } from '../../src/routing/measurement.js';
import { QUALITY, Sample } from '../../src/routing/sample.js';
import { DESCRIPTOR, measurementOf } from '../support/measurement.js';

const START_S = 1_700_000_000;
const NOMINAL_HZ = 50;
const MODIFIED = 0x0200;

const encoder = { encode: () => undefined };
const dB = (gain: number): number => 20 * Math.log10(gain);

const cadenceOf = (sourceRate: number, rate: number): Cadence => {
  const cadence = Cadence.of(sourceRate, { rate });
  if (isRefusal(cadence)) throw new Error(cadence.detail);
  return cadence;
};

interface Given extends Partial<Measurement> {
  readonly quality?: number;
}

/** Plays `seconds` of a PMU whose values are a function of time; slots for which that is undefined are missing. */
function play(sourceRate: number, rate: number, seconds: number, at: (t: number, slot: number) => Given | undefined) {
  const fir = new Fir(cadenceOf(sourceRate, rate));
  const out: { readonly t: number; readonly measurement: Measurement; readonly sample: Sample }[] = [];
  for (let slot = 0; slot < seconds * sourceRate; slot++) {
    const given = at(slot / sourceRate, slot);
    if (!given) continue;
    const { quality = 0, ...values } = given;
    const measuredUs = START_S * 1e6 + Math.round((slot * 1e6) / sourceRate);
    const content = { kind: 'measurement', measurement: measurementOf({ stat: 0, ...values }) } as const;
    const made = fir.pass(new Sample(content, measuredUs, 0, quality, encoder), slotOf(measuredUs, sourceRate));
    if (made?.content.kind === 'measurement')
      out.push({ t: made.measuredUs / 1e6 - START_S, measurement: made.content.measurement, sample: made });
  }
  return { out, fir };
}

/** Half of what the values swing over. */
const swing = (values: readonly number[]): number => (Math.max(...values) - Math.min(...values)) / 2;

const gainOf = (weights: Float64Array, delay: number, cyclesPerSlot: number): number =>
  Math.abs(
    weights.reduce((sum, weight, index) => sum + weight * Math.cos(2 * Math.PI * cyclesPerSlot * (index - delay)), 0),
  );

test('of every pair of rates the taps keep 0.15 dB in the pass band and 40 dB in the stop band', () => {
  const strides = new Set(
    [10, 12, 15, 20, 25, 30, 50, 60, 100, 120].flatMap((source) => dividingRates(source).map((rate) => source / rate)),
  );
  for (const stride of [...strides].filter((each) => each > 1)) {
    const { weights, delay } = tapsOf(stride);
    expect(weights).toHaveLength(2 * delay + 1);
    for (let step = 0; step <= 400; step++) {
      const cycles = step / 800;
      const gain = gainOf(weights, delay, cycles);
      if (cycles * stride <= PASS_EDGE) expect(Math.abs(dB(gain))).toBeLessThan(0.15);
      if (cycles * stride >= STOP_EDGE) expect(dB(gain)).toBeLessThan(-40);
    }
    expect(tapsOf(stride)).toBe(tapsOf(stride));
  }
});

/** [30 -> 5: 3, 4, 7 Hz appear at 2, 1, 2 Hz ...]: what a mean over the interval lets through of each. */
const FOLDED = [
  [30, 5, 3, -5.8],
  [30, 5, 4, -12.4],
  [30, 5, 7, -12.5],
  [30, 10, 6, -5.4],
  [30, 10, 8, -11.6],
  [30, 1, 0.7, -8.7],
  [30, 1, 1.5, -13.4],
  [60, 30, 20, -6.0],
] as const;

test.each(FOLDED)(
  '%d to %d per second: of %d Hz a mean would leave %d dB, and this not -40',
  (source, rate, hz, mean) => {
    const stride = source / rate;
    const boxcar = Math.sin((Math.PI * hz * stride) / source) / (stride * Math.sin((Math.PI * hz) / source));
    expect(dB(Math.abs(boxcar))).toBeCloseTo(mean, 1);
    const [depthHz, depthShare, depthRad] = [0.05, 0.02, 0.01];
    const seconds = Math.ceil((2 * tapsOf(stride).delay) / source + 8 / rate);
    const { out } = play(source, rate, seconds, (t) => {
      const phase = 2 * Math.PI * hz * t + 0.3;
      return {
        // What the angle does, the frequency tells.
        frequencyHz: NOMINAL_HZ + depthRad * hz * Math.cos(phase),
        rocofHzPerS: depthHz * Math.sin(phase),
        phasors: [
          { magnitude: 100 * (1 + depthShare * Math.sin(phase)), angle: 1 },
          { magnitude: 10, angle: 2 + depthRad * Math.sin(phase) },
        ],
        analogs: [depthHz * Math.sin(phase)],
      };
    });
    expect(out.length).toBeGreaterThanOrEqual(6);
    const gains = [
      swing(out.map(({ measurement }) => measurement.frequencyHz)) / (depthRad * hz),
      swing(out.map(({ measurement }) => measurement.rocofHzPerS)) / depthHz,
      swing(out.map(({ measurement }) => measurement.analogs[0]!)) / depthHz,
      swing(out.map(({ measurement }) => measurement.phasors[0]!.magnitude)) / (100 * depthShare),
      swing(out.map(({ measurement }) => measurement.phasors[1]!.angle)) / depthRad,
    ];
    for (const gain of gains) expect(dB(gain)).toBeLessThan(-40);
  },
);

test.each([
  [30, 5, 0.9],
  [30, 10, 1.9],
  [60, 30, 5],
  [50, 1, 0.15],
])('%d to %d per second: %d Hz comes through as it is, at the instant of its own tag', (source, rate, hz) => {
  const wanted = (t: number) => 0.1 * Math.sin(2 * Math.PI * hz * t);
  const angle = (t: number) => 0.2 * Math.sin(2 * Math.PI * hz * t + 1);
  const frequency = (t: number) => NOMINAL_HZ + 0.2 * hz * Math.cos(2 * Math.PI * hz * t + 1);
  const seconds = (2 * tapsOf(source / rate).delay) / source + 10 / hz;
  const { out } = play(source, rate, seconds, (t) => ({
    frequencyHz: frequency(t),
    rocofHzPerS: wanted(t),
    phasors: [
      { magnitude: 100 + wanted(t), angle: angle(t) },
      { magnitude: 10, angle: 0 },
    ],
  }));
  for (const { t, measurement } of out) {
    expect(Math.abs(t * rate - Math.round(t * rate))).toBeLessThan(1e-4);
    expect(Math.abs(measurement.frequencyHz - frequency(t))).toBeLessThan(0.2 * hz * 0.015);
    expect(Math.abs(measurement.rocofHzPerS - wanted(t))).toBeLessThan(0.1 * 0.015);
    expect(Math.abs(measurement.phasors[0]!.magnitude - 100 - wanted(t))).toBeLessThan(0.1 * 0.015);
    expect(Math.abs(measurement.phasors[0]!.angle - angle(t))).toBeLessThan(0.2 * 0.015);
  }
});

test('a phasor that rotates far off nominal keeps its magnitude and the angle of its tag', () => {
  const offHz = 1.3;
  const { out, fir } = play(30, 1, 20, (t) => ({
    frequencyHz: NOMINAL_HZ + offHz,
    phasors: [
      { magnitude: 100, angle: Math.atan2(Math.sin(2 * Math.PI * offHz * t), Math.cos(2 * Math.PI * offHz * t)) },
      { magnitude: 5, angle: 2 * Math.PI * offHz * t - 0.5 },
    ],
  }));
  expect(out.length).toBeGreaterThanOrEqual(10);
  for (const { t, measurement } of out) {
    const [one, two] = measurement.phasors;
    expect([one!.magnitude, two!.magnitude].map((each) => Math.round(each * 1e6) / 1e6)).toEqual([100, 5]);
    for (const [phasor, behind] of [
      [one!, 0],
      [two!, -0.5],
    ] as const)
      expect(Math.cos(phasor.angle - 2 * Math.PI * offHz * t - behind)).toBeCloseTo(1, 9);
    expect(measurement.frequencyHz).toBeCloseTo(NOMINAL_HZ + offHz, 9);
  }
  const { delay } = tapsOf(30);
  expect(fir.processing).toEqual({ method: 'fir', inputRate: 30, outputRate: 1, groupDelayS: delay / 30 });
  // What is given out first has the tag of a whole group delay ago.
  expect(out[0]!.t).toBe(Math.ceil(delay / 30));
});

const STEADY: Given = {
  frequencyHz: 50.2,
  phasors: [
    { magnitude: 100, angle: 0 },
    { magnitude: 1, angle: 0 },
  ],
};
const tagsOf = (out: readonly { readonly t: number }[]): number[] => out.map(({ t }) => Math.round(t * 30));

test('what is missing or bad is held for three samples; after more nothing comes until the window is full again', () => {
  const { delay } = tapsOf(6);
  const without = (lost: number) =>
    play(30, 5, 10, (_, slot) => (slot >= 122 && slot < 122 + lost ? undefined : STEADY)).out;
  const whole = tagsOf(without(0));
  expect(tagsOf(without(HOLD_SLOTS))).toEqual(whole);
  expect(tagsOf(without(HOLD_SLOTS + 1))).toEqual(
    whole.filter((slot) => slot + delay < 122 || slot - delay >= 122 + HOLD_SLOTS + 1),
  );
  // A slot whose own sample is missing has no tag to be given out under.
  expect(tagsOf(play(30, 5, 10, (_, slot) => (slot === 120 ? undefined : STEADY)).out)).toEqual(
    whole.filter((slot) => slot !== 120),
  );
  const bad = { ...STEADY, frequencyHz: 17, quality: QUALITY.dataInvalid, stat: 0x4000 };
  const { out } = play(30, 5, 10, (_, slot) => (slot >= 122 && slot < 124 ? bad : STEADY));
  expect(tagsOf(out)).toEqual(whole);
  for (const { t, measurement, sample } of out) {
    const isTouched = Math.abs(t * 30 - 122.5) < delay + 0.6;
    expect(measurement.frequencyHz).toBeCloseTo(50.2, 9);
    expect(measurement.stat).toBe(isTouched ? MODIFIED | 0x4000 : MODIFIED);
    expect(sample.quality).toBe(isTouched ? QUALITY.dataInvalid : 0);
  }
});

test('another configuration and a clock that steps back begin the window anew', () => {
  const other = { ...DESCRIPTOR, phasors: DESCRIPTOR.phasors.slice(1) };
  const { delay } = tapsOf(6);
  const { out } = play(30, 5, 10, (_, slot) =>
    slot < 150 ? STEADY : { ...STEADY, descriptor: other, phasors: [{ magnitude: 1, angle: 0 }] },
  );
  expect(tagsOf(out).filter((slot) => slot + delay >= 150 && slot - delay < 150)).toEqual([]);
  expect(tagsOf(out).some((slot) => slot - delay >= 150)).toBe(true);
});

test('a digital point that was on between two outputs is on in the second one, once', () => {
  const { out } = play(30, 5, 10, (_, slot) => ({ ...STEADY, digitals: [slot === 121 ? 4 : 1] }));
  expect(out.filter(({ measurement }) => measurement.digitals[0] === 5).map(({ t }) => Math.round(t * 30))).toEqual([
    126,
  ]);
  expect(new Set(out.map(({ measurement }) => measurement.digitals[0]))).toEqual(new Set([1, 5]));
});

test('whatever is lost, each output is of the grid, has the tag of a sample that came, and rises', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 60, maxLength: 400 }), (kept) => {
      const { out } = play(30, 10, kept.length / 30, (_, slot) => (kept[slot] ? STEADY : undefined));
      const tags = tagsOf(out);
      for (const [index, slot] of tags.entries()) {
        expect([slot % 3, kept[slot]]).toEqual([0, true]);
        if (index > 0) expect(slot).toBeGreaterThan(tags[index - 1]!);
      }
      for (const { measurement } of out) expect(measurement.frequencyHz).toBeCloseTo(50.2, 9);
    }),
  );
});
