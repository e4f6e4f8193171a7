import fc from 'fast-check';
import { isRefusal } from '../../src/errors.js';
import { Cadence, dividingRates, slotOf } from '../../src/routing/cadence.js';
import type { Terms } from '../../src/routing/terms.js';

const SECOND = 1_000_000;
const cadence = (source: number, terms: Pick<Terms, 'rate' | 'minSpacingS'>, limits = {}): Cadence => {
  const made = Cadence.of(source, terms, limits);
  if (isRefusal(made)) throw new Error(made.detail);
  return made;
};
const admits = (made: Cadence, us: number): boolean => made.admits(slotOf(us, made.sourceRate));
/** A device's tag for a slot: FRACSEC truncated, as most do. */
const tag = (second: number, slot: number, rate: number): number =>
  second * SECOND + Math.floor((slot * SECOND) / rate);

const periodic = fc
  .constantFrom(10, 12, 25, 30, 50, 60, 120)
  .chain((source) => fc.record({ source: fc.constant(source), wanted: fc.constantFrom(...dividingRates(source)) }));

describe('Cadence', () => {
  test.each([
    [60, 30],
    [30, 5],
    [50, 25],
    [50, 10],
  ])('%d/s reselected to %d/s gives exactly that many in every second', (source, wanted) => {
    for (let second = 0; second < 5; second++) {
      const admitted = [...Array(source).keys()].filter((slot) =>
        admits(cadence(source, { rate: wanted }), tag(second, slot, source)),
      );
      expect(admitted).toHaveLength(wanted);
      expect(admitted[0]).toBe(0);
    }
  });

  test('gives exactly the wanted number in every second of any source', () => {
    fc.assert(
      fc.property(periodic, fc.nat(2_000_000_000), ({ source, wanted }, second) => {
        const slots = [...Array(source).keys()];
        expect(
          slots.filter((slot) => admits(cadence(source, { rate: wanted }), tag(second, slot, source))),
        ).toHaveLength(wanted);
      }),
    );
  });

  test('picks the same instants on PMUs of different rates', () => {
    const instants = (source: number): number[] =>
      [...Array(source).keys()]
        .filter((slot) => admits(cadence(source, { rate: 10 }), tag(9, slot, source)))
        .map((slot) => slot / source);
    expect(instants(60)).toEqual(instants(30));
    expect(instants(60)).toEqual(instants(10));
  });

  test('picks the same instants when decimated twice as when decimated once', () => {
    const once = cadence(30, { rate: 5 });
    const [gateway, centre] = [cadence(30, { rate: 15 }), cadence(15, { rate: 5 })];
    for (let slot = 0; slot < 30; slot++) {
      const us = tag(7, slot, 30);
      expect(admits(gateway, us) && admits(centre, us)).toBe(admits(once, us));
    }
  });

  test('keeps its phase under tag error of up to a quarter of a slot, also over the second', () => {
    fc.assert(
      fc.property(
        periodic,
        fc.nat(119),
        fc.double({ min: -0.25, max: 0.25, noNaN: true }),
        ({ source, wanted }, n, error) => {
          const made = cadence(source, { rate: wanted });
          const exact = 1_000 * SECOND + Math.round(((n % source) * SECOND) / source);
          const skewed = Math.round(exact + (error * SECOND) / source);
          expect(admits(made, skewed)).toBe(admits(made, exact));
        },
      ),
    );
  });

  test('a tag that rounds up to the next second is that second’s slot 0', () => {
    expect(slotOf(7 * SECOND + 999_999, 50)).toBe(8 * 50);
    expect(admits(cadence(50, { rate: 1 }), 7 * SECOND + 999_999)).toBe(true);
  });

  test.each([
    [50, 0.2, 5],
    [30, 0.033, 30],
    [60, 0.016, 60],
    [30, 0.05, 15],
    [25, 0.09, 5],
    [50, 0.001, 50],
  ])('%d/s with a smallest spacing of %d s becomes %d/s', (source, minSpacingS, rate) => {
    expect(cadence(source, { minSpacingS }).periodS).toBeCloseTo(1 / rate, 9);
  });

  test('a spacing above a second becomes whole seconds that divide the hour', () => {
    expect(cadence(30, { minSpacingS: 6.5 }).periodS).toBe(8);
    expect(cadence(30, { minSpacingS: 7 }).periodS).toBe(8);
    expect(cadence(30, { rate: 0.1 }).periodS).toBe(10);
    const tenth = cadence(30, { rate: 0.1 });
    expect([...Array(7200).keys()].filter((second) => admits(tenth, second * SECOND))).toHaveLength(720);
    expect(admits(tenth, 10 * SECOND)).toBe(true);
    expect(admits(tenth, 10 * SECOND + 33_333)).toBe(false);
  });

  test('refuses a rate that does not divide, and names those that do', () => {
    expect(Cadence.of(50, { rate: 20 })).toMatchObject({
      status: 'STATUS_BAD_REQUEST',
      detail: expect.stringContaining('50, 25, 10, 5, 2, 1'),
    });
    expect(Cadence.of(30, { rate: 60 })).toMatchObject({ status: 'STATUS_BAD_REQUEST' });
    expect(Cadence.of(30, { rate: 1 / 7 })).toMatchObject({ status: 'STATUS_BAD_REQUEST' });
  });

  test('obeys the container’s default and highest rate', () => {
    expect(cadence(50, {}, { defaultRate: 10 }).periodS).toBe(0.1);
    expect(cadence(50, {}, { highestRate: 25 }).periodS).toBe(0.04);
    expect(cadence(50, { minSpacingS: 0.02 }, { highestRate: 25 }).periodS).toBe(0.04);
    expect(Cadence.of(50, { rate: 50 }, { highestRate: 25 })).toMatchObject({
      detail: expect.stringContaining('highest allowed'),
    });
  });
});
