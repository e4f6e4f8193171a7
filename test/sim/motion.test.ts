import fc from 'fast-check';
import {
  delayed,
  drift,
  generatorTrip,
  ramp,
  repeated,
  scaled,
  step,
  sum,
  swing,
  undoneAfter,
  wave,
  type Motion,
} from '../../src/sim/motion.js';

const number = (min: number, max: number): fc.Arbitrary<number> => fc.double({ min, max, noNaN: true });

/** Motions without a corner between 0 and 5 s, so that differences converge. */
const smooth: fc.Arbitrary<Motion> = fc.oneof(
  fc.tuple(number(-1, 1), number(-1, 1)).map(([hz, slope]) => drift(hz, slope)),
  fc
    .tuple(number(-1, 1), number(-1, 1), number(0.1, 3), number(0, 12))
    .map(([a, b, decay, turn]) => wave(a, b, decay, turn)),
  fc.tuple(number(0, 1), number(0.05, 2), number(0, 0.5)).map(([amplitude, hz, ratio]) => swing(amplitude, hz, ratio)),
  fc.tuple(number(-1, 1), number(0.1, 2)).map(([hz, rise]) => step(hz, rise)),
  fc.tuple(number(0.01, 1), number(0.01, 1)).map(([hz, slope]) => generatorTrip(hz, slope)),
);
const composed = fc
  .tuple(smooth, smooth, number(-2, 2))
  .map(([first, second, factor]) => sum(first, scaled(second, factor)));

const SMALL_S = 1e-4;

describe('Motion', () => {
  test('ROCOF is the derivative of frequency', () => {
    fc.assert(
      fc.property(composed, number(0.1, 4.9), (motion, t) => {
        const slope = (motion(t + SMALL_S).hz - motion(t - SMALL_S).hz) / (2 * SMALL_S);
        expect(motion(t).hzPerS).toBeCloseTo(slope, 3);
      }),
    );
  });

  test('cycles are the integral of frequency from the beginning', () => {
    fc.assert(
      fc.property(composed, number(0.1, 4.9), (motion, t) => {
        const parts = 400;
        const simpson = Array.from({ length: parts + 1 }, (_, index) => {
          const weight = index === 0 || index === parts ? 1 : index % 2 === 1 ? 4 : 2;
          return (weight * motion((t * index) / parts).hz * t) / parts / 3;
        }).reduce((total, part) => total + part, 0);
        expect(motion(0).cycles).toBeCloseTo(0, 12);
        expect(motion(t).cycles).toBeCloseTo(simpson, 5);
      }),
    );
  });

  test('the angle has no jump where a motion begins, is undone, or begins again', () => {
    const motion = delayed(repeated(undoneAfter(ramp(-0.5, 1), 3), 10), 2);
    for (const corner of [2, 3, 5, 6, 12, 13, 22]) {
      expect(motion(corner + 1e-7).cycles).toBeCloseTo(motion(corner - 1e-7).cycles, 5);
      expect(motion(corner + 1e-7).hz).toBeCloseTo(motion(corner - 1e-7).hz, 5);
    }
    expect(motion(11).cycles).toBeCloseTo(-1.5, 9);
    expect(motion(21).cycles).toBeCloseTo(-3, 9);
  });

  test('a swing rings down by its damping ratio', () => {
    const motion = swing(0.02, 0.5, 0.05);
    const peak = (from: number): number =>
      Math.max(...Array.from({ length: 2000 }, (_, index) => motion(from + index / 1000).hz));
    // One period later the amplitude is exp(-2 pi ratio / sqrt(1 - ratio^2)) of what it was.
    expect(peak(2) / peak(0)).toBeCloseTo(Math.exp((-2 * Math.PI * 0.05) / Math.sqrt(1 - 0.05 ** 2)), 4);
  });

  test('a generator trip begins with its slope, goes below where it settles, and settles', () => {
    const motion = generatorTrip(0.1, 0.15);
    const course = Array.from({ length: 600 }, (_, index) => motion(index / 10).hz);
    expect(motion(0)).toMatchObject({ hz: 0, hzPerS: expect.closeTo(-0.15, 9) as number });
    expect(Math.min(...course)).toBeLessThan(-0.11);
    expect(course.at(-1)).toBeCloseTo(-0.1, 4);
  });
});
