import fc from 'fast-check';
import { seededRandom } from '../../src/random.js';
import { parseDisturbances, type Disturbance } from '../../src/sim/disturbance.js';
import { Grid, LINE_OHMS, PHASE_VOLTS, wrapped, type BusState } from '../../src/sim/grid.js';

function disturbances(...texts: string[]): readonly Disturbance[] {
  const read = parseDisturbances(texts);
  if ('status' in read) throw new Error(read.detail);
  return read;
}

const gridOf = (pmus: number, seed: number, ...texts: string[]): Grid =>
  new Grid(50, pmus, disturbances(...texts), seededRandom(seed));
/** The PMU at place `pmu`, counted from 1. */
function stateOf(grid: Grid, t: number, pmu = 1): BusState {
  const state = grid.at(t)[pmu - 1];
  if (!state) throw new Error(`no PMU ${pmu}`);
  return state;
}

const names = [
  'ambient',
  'ringdown:at=0',
  'forced-oscillation:at=0',
  'frequency-step:at=0',
  'generator-trip:at=0',
] as const;
const anyGrid = fc
  .record({ pmus: fc.integer({ min: 1, max: 5 }), seed: fc.nat(), chosen: fc.subarray([...names]) })
  .map(({ pmus, seed, chosen }) => gridOf(pmus, seed, ...chosen));
const anyTime = fc.double({ min: 0.1, max: 8, noNaN: true });

describe('Grid', () => {
  test('every PMU: the angle from one tag to the next is the integral of 2 pi (f - f0)', () => {
    fc.assert(
      fc.property(anyGrid, anyTime, fc.constantFrom(10, 25, 30, 60), (grid, t, rate) => {
        const before = grid.at(t);
        const middle = grid.at(t + 0.5 / rate);
        grid.at(t + 1 / rate).forEach((after, pmu) => {
          const frequencies = [before[pmu], middle[pmu], after].map((state) => (state?.frequencyHz ?? NaN) - 50);
          const [first = NaN, second = NaN, third = NaN] = frequencies;
          const turned = (2 * Math.PI * (first + 4 * second + third)) / 6 / rate;
          const angle = (after.voltages[0]?.angle ?? NaN) - (before[pmu]?.voltages[0]?.angle ?? NaN);
          expect(wrapped(angle - turned)).toBeCloseTo(0, 4);
        });
      }),
    );
  });

  test('every PMU: ROCOF is the derivative of its frequency', () => {
    fc.assert(
      fc.property(anyGrid, anyTime, (grid, t) => {
        const [before, after] = [grid.at(t - 1e-4), grid.at(t + 1e-4)];
        grid.at(t).forEach(({ rocofHzPerS }, pmu) => {
          const slope = ((after[pmu]?.frequencyHz ?? NaN) - (before[pmu]?.frequencyHz ?? NaN)) / 2e-4;
          expect(rocofHzPerS).toBeCloseTo(slope, 3);
        });
      }),
    );
  });

  test('currents are what the line lets through between two buses', () => {
    fc.assert(
      fc.property(fc.nat(), anyTime, (seed, t) => {
        const grid = gridOf(3, seed, 'ambient', 'voltage-sag:at=1,for=3,depth=0.5');
        const [here, next] = [stateOf(grid, t, 1), stateOf(grid, t, 2)];
        const [v, w, i] = [here.voltages[0], next.voltages[0], here.currents[0]];
        if (!v || !w || !i) throw new Error('three phases');
        const drop = Math.hypot(
          v.magnitude * Math.cos(v.angle) - w.magnitude * Math.cos(w.angle),
          v.magnitude * Math.sin(v.angle) - w.magnitude * Math.sin(w.angle),
        );
        expect(i.magnitude * LINE_OHMS).toBeCloseTo(drop, 5);
        // V1 V2 sin(angle) / X, per phase.
        const watts = (3 * v.magnitude * w.magnitude * Math.sin(v.angle - w.angle)) / LINE_OHMS;
        expect(here.megawatts).toBeCloseTo(watts / 1e6, 6);
      }),
    );
  });

  test('without a disturbance it is exactly nominal, the buses 0.1 rad apart', () => {
    const [first, second] = gridOf(2, 1, 'steady').at(123.4);
    expect(first).toMatchObject({ frequencyHz: 50, rocofHzPerS: 0, isBreakerClosed: true });
    expect(first?.voltages[0]?.magnitude).toBe(PHASE_VOLTS);
    expect((first?.voltages[0]?.angle ?? NaN) - (second?.voltages[0]?.angle ?? NaN)).toBeCloseTo(0.1, 12);
    expect((first?.voltages[1]?.angle ?? NaN) - (first?.voltages[0]?.angle ?? NaN)).toBeCloseTo((-2 * Math.PI) / 3, 12);
  });

  test('equal seeds give equal grids, others do not', () => {
    const at = (seed: number): unknown => gridOf(2, seed, 'ambient').at(7.7);
    expect(at(5)).toEqual(at(5));
    expect(at(5)).not.toEqual(at(6));
  });

  test('ambient noise has the RMS that was asked for', () => {
    const grid = gridOf(1, 3, 'ambient:rms=0.001,wander=0');
    const samples = Array.from({ length: 30 * 600 }, (_, index) => stateOf(grid, index / 30).frequencyHz - 50);
    const rms = Math.sqrt(samples.reduce((total, hz) => total + hz * hz, 0) / samples.length);
    expect(rms).toBeGreaterThan(0.0009);
    expect(rms).toBeLessThan(0.0011);
  });

  test('a ringdown swings the two areas against each other, and only after it has begun', () => {
    const grid = gridOf(3, 1, 'ringdown:at=10,amplitude=0.02,hz=0.5');
    expect(stateOf(grid, 9.99).frequencyHz).toBe(50);
    const [near, far] = [stateOf(grid, 10.5, 1), stateOf(grid, 10.5, 3)];
    expect(near.frequencyHz).toBeGreaterThan(50.015);
    expect(far.frequencyHz).toBeLessThan(49.991);
  });

  test('a ramp, a step and a sag do what their names say, for as long as they say', () => {
    const grid = gridOf(
      2,
      1,
      'frequency-ramp:at=1,slope=-0.2,over=2,for=10',
      'voltage-sag:at=1,for=0.2,depth=0.4',
      'line-opening:at=1,for=2,pmu=2',
    );
    expect(stateOf(grid, 2).frequencyHz).toBeCloseTo(49.8, 9);
    expect(stateOf(grid, 2).rocofHzPerS).toBeCloseTo(-0.2, 9);
    expect(stateOf(grid, 5)).toMatchObject({ frequencyHz: expect.closeTo(49.6, 9) as number, rocofHzPerS: 0 });
    expect(stateOf(grid, 20).frequencyHz).toBeCloseTo(50, 9);
    expect(stateOf(grid, 1.1, 1).voltages[0]?.magnitude).toBeCloseTo(0.6 * PHASE_VOLTS, 6);
    expect(stateOf(grid, 1.1, 2).voltages[0]?.magnitude).toBeCloseTo(0.8 * PHASE_VOLTS, 6);
    expect(stateOf(grid, 1.3, 1).voltages[0]?.magnitude).toBe(PHASE_VOLTS);
    expect(stateOf(grid, 2, 2)).toMatchObject({ isBreakerClosed: false, megawatts: 0 });
    expect(stateOf(grid, 2, 1).isBreakerClosed).toBe(true);
  });
});
