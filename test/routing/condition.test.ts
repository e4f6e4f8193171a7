/** Conditions against a model that looks at the whole past each time, and on what numbers there are in samples. */
import fc from 'fast-check';
import { isRefusal } from '../../src/errors.js';
import { senmlValues } from '../../src/protocols/senml-values.js';
import { Cadence } from '../../src/routing/cadence.js';
import {
  conditionKind,
  conditionOf,
  conditionText,
  type Condition,
  type Spacing,
} from '../../src/routing/condition.js';
import { Field } from '../../src/routing/field.js';
import type { Measurement } from '../../src/routing/measurement.js';
import { recordsOf } from '../../src/routing/records.js';
import { Sample } from '../../src/routing/sample.js';
import { CountingEncoder } from '../support/deliveries.js';
import { anyMeasurement, DESCRIPTOR, measurementOf } from '../support/measurement.js';

const SECOND = 1_000_000;
const encoder = new CountingEncoder();
const cadence = Cadence.of(0, {}) as Cadence;

/** A sample whose content is one number, or none. */
const numberAt = (value: number | undefined, atS: number): Sample => {
  const bytes = Buffer.from(value === undefined ? 'none' : String(value));
  return new Sample({ kind: 'stored', mediaType: 'text/plain', bytes }, atS * SECOND, 0, 0, encoder);
};
const measured = (values: Partial<Measurement>, atS = 0): Sample =>
  new Sample({ kind: 'measurement', measurement: measurementOf(values) }, atS * SECOND, 0, 0, encoder);
const conditionFrom = (query: string): Condition => conditionOf(new URLSearchParams(query)) as Condition;

/** Which of the samples pass, by index. */
function passing(query: string, samples: readonly Sample[], spacing: Spacing = {}, latest?: Sample): number[] {
  const filter = conditionKind(conditionFrom(query), spacing, senmlValues()).start(cadence, 0, latest);
  return samples.flatMap((sample, index) => (filter.pass(sample, 0, true) === sample ? [index] : []));
}
const series = (...values: readonly (number | undefined)[]): Sample[] => values.map(numberAt);

interface Event {
  readonly value: number | undefined;
  readonly atS: number;
}

/** The rules, word by word, each looking over all that has been. */
function model(
  condition: Condition,
  { minSpacingS = 0, maxSpacingS }: Spacing,
  events: readonly Event[],
  latest?: Event,
) {
  const { gt, lt, st, isBand, edge, epminS = 0 } = condition;
  const judged: Event[] = [];
  const reported: Event[] = [];
  for (const event of events) {
    if (judged.length > 0 && event.atS - judged.at(-1)!.atS < epminS) continue;
    judged.push(event);
    const { value, atS } = event;
    const told = [...(latest ? [latest] : []), ...reported];
    const last = told.findLast((each) => each.value !== undefined)?.value;
    const since = reported.at(-1) ?? latest;
    const met = (): boolean => {
      if (value === undefined) return false;
      if (edge !== undefined) {
        const isRight = (each: number) => (each !== 0) === (edge === 'rising');
        // What was told without a number says nothing of where it stood.
        const from = told.findLast((each) => each.value !== undefined);
        const seen = [...(from ? [from] : []), ...judged.filter((each) => !from || each.atS > from.atS)];
        if (isRight(value) && seen.some((each) => each.value !== undefined && !isRight(each.value))) return true;
      }
      if (isBand) {
        if (gt !== undefined && lt !== undefined && gt > lt && (value > gt || value < lt)) return true;
        if (gt !== undefined && lt !== undefined && gt < lt && value >= gt && value <= lt) return true;
        if (lt === undefined && value <= gt!) return true;
        if (gt === undefined && value >= lt!) return true;
      } else if (gt !== undefined || lt !== undefined) {
        if (last === undefined) return true;
        if (gt !== undefined && value > gt !== last > gt) return true;
        if (lt !== undefined && value < lt !== last < lt) return true;
      }
      return st !== undefined && (last === undefined || Math.abs(value - last) >= st);
    };
    const isNews = met() && !reported.some((each) => atS - each.atS < minSpacingS);
    const start = since?.atS ?? judged[0]!.atS;
    if (isNews || (maxSpacingS !== undefined && atS - start >= maxSpacingS)) reported.push(event);
  }
  return reported;
}

const number = fc.integer({ min: -4, max: 4 });
const anyCondition: fc.Arbitrary<Condition> = fc
  .record(
    {
      gt: number,
      lt: number,
      st: fc.integer({ min: 1, max: 6 }),
      isBand: fc.constant(true),
      edge: fc.constantFrom('rising' as const, 'falling' as const),
      epminS: fc.integer({ min: 1, max: 4 }),
    },
    { requiredKeys: [] },
  )
  .map((condition) => ({ field: '', ...condition }))
  .filter((condition) => {
    const read = conditionOf(new URLSearchParams(conditionText(condition)));
    return read !== undefined && !isRefusal(read);
  });
const anySpacing = fc.record(
  { minSpacingS: fc.integer({ min: 1, max: 5 }), maxSpacingS: fc.integer({ min: 5, max: 12 }) },
  { requiredKeys: [] },
);
const value = fc.option(number, { nil: undefined, freq: 6 });
const anyEvents = fc
  .array(fc.record({ value, waitS: fc.integer({ min: 1, max: 3 }) }), { maxLength: 60 })
  .map((steps) => {
    let atS = 10;
    return steps.map((step): Event => ({ value: step.value, atS: (atS += step.waitS) }));
  });

describe('a condition', () => {
  test('equals the naive model', () => {
    fc.assert(
      fc.property(
        anyCondition,
        anySpacing,
        anyEvents,
        fc.option(value, { nil: null }),
        (condition, spacing, events, first) => {
          const latest = first === null ? undefined : { value: first, atS: 9 };
          const samples = events.map((event) => numberAt(event.value, event.atS));
          const indexes = passing(
            conditionText(condition),
            samples,
            spacing,
            latest && numberAt(first ?? undefined, 9),
          );
          expect(indexes.map((index) => events[index])).toEqual(model(condition, spacing, events, latest));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test('c.gt tells of each crossing, either way, and of the first number', () => {
    expect(passing('c.gt=5', series(3, 6, 7, 5, 4, 6))).toEqual([0, 1, 3, 5]);
    expect(passing('c.gt=5', series(3, 4, 6), {}, numberAt(2, 0))).toEqual([2]);
  });

  test('c.st counts from what was last told, so that a slow drift is told of', () => {
    expect(passing('c.st=1', series(0, 0.4, 0.8, 1.2, 1.6, 2.2))).toEqual([0, 3, 5]);
  });

  test('c.band tells of all inside, or of all outside', () => {
    expect(passing('c.band&c.gt=2&c.lt=4', series(1, 2, 3, 4, 5))).toEqual([1, 2, 3]);
    expect(passing('c.band&c.gt=4&c.lt=2', series(1, 2, 3, 4, 5))).toEqual([0, 4]);
    expect(passing('c.band&c.lt=4', series(3, 4, 5))).toEqual([1, 2]);
    expect(passing('c.band&c.gt=4', series(3, 4, 5))).toEqual([0, 1]);
  });

  test('c.edge tells of one edge only', () => {
    expect(passing('c.edge=1', series(1, 0, 0, 1, 1, 0, 1))).toEqual([3, 6]);
    expect(passing('c.edge=0', series(1, 0, 0, 1, 1, 0, 1))).toEqual([1, 5]);
  });

  test('beside c.pmin the first goes at once, and what still holds when it has passed goes then', () => {
    expect(passing('c.gt=5', series(3, 6, 4, 4, 4, 6), { minSpacingS: 3 }, numberAt(3, 0))).toEqual([1, 4]);
    expect(passing('c.gt=5', series(3, 6, 4, 6, 6, 6), { minSpacingS: 3 }, numberAt(3, 0))).toEqual([1]);
  });

  test('c.pmax tells of what is unchanged', () => {
    expect(passing('c.st=9', series(0, 0, 0, 0, 0, 0, 0), { maxSpacingS: 3 })).toEqual([0, 3, 6]);
  });

  test('c.epmin is how often it is judged', () => {
    expect(passing('c.st=1&c.epmin=2', series(0, 5, 0, 5, 9))).toEqual([0, 4]);
  });

  test('an angle that goes round has made a small step', () => {
    const angles = [3.1, -3.1, -2.5].map((angle, at) => measured({ phasors: [{ magnitude: 1, angle }] }, at));
    expect(passing('c.st=0.5&field=VA/angle', angles)).toEqual([0, 2]);
  });

  test('a source whose clock steps back is not waited for', () => {
    expect(
      passing('c.st=1&c.epmin=5', [numberAt(0, 1_000), numberAt(5, 10), numberAt(9, 12)], { minSpacingS: 5 }),
    ).toEqual([0, 1]);
  });
});

describe('a field', () => {
  test('is every record of a measurement’s pack, by its name, with or without the base name', () => {
    fc.assert(
      fc.property(anyMeasurement, (measurement) => {
        const { descriptor, stat, timeQuality, frequencyHz, rocofHzPerS, phasors, analogs, digitals } = measurement;
        const numbers = [stat, timeQuality, frequencyHz, rocofHzPerS];
        for (const { magnitude, angle } of phasors) numbers.push(magnitude, angle);
        numbers.push(...analogs, ...digitals);
        const sample = new Sample({ kind: 'measurement', measurement }, 0, 0, 0, encoder);
        const names = recordsOf(descriptor).map(({ name }) => name);
        const reader = senmlValues();
        expect(names.map((name) => new Field(name, reader).read(sample))).toEqual(numbers);
        expect(names.map((name) => new Field(`pmu-${descriptor.idCode}/${name}`, reader).read(sample))).toEqual(
          numbers,
        );
      }),
    );
  });

  test.each([
    ['', 50.01],
    ['VA', Math.fround(100.077583)],
    ['I A', 12.5],
    ['I_A/magnitude', 12.5],
    ['load', -7.25],
    ['point 0', 1],
    ['point 1', 0],
    ['point 15', 1],
    ['nothing', NaN],
  ])('%j of a PMU is %d', (name, number) => {
    expect(new Field(name, senmlValues()).read(measured({}))).toBe(number);
  });

  test('is looked up anew when the configuration changes', () => {
    const field = new Field('load', senmlValues());
    expect(field.read(measured({}))).toBe(-7.25);
    const analogs = [{ name: 'other', kind: 'rms' as const }, ...DESCRIPTOR.analogs];
    expect(field.read(measured({ descriptor: { ...DESCRIPTOR, analogs }, analogs: [1, 2] }))).toBe(2);
  });

  test.each([
    ['power', '[{"bn":"meter-7/","n":"power","v":3.5},{"n":"on","vb":true}]', 3.5],
    ['meter-7/power', '[{"bn":"meter-7/","n":"power","v":3.5},{"n":"on","vb":true}]', 3.5],
    ['on', '[{"bn":"meter-7/","n":"power","v":3.5},{"n":"on","vb":true}]', 1],
    ['', '[{"n":"name","vs":"x"},{"n":"power","v":3.5}]', 3.5],
    ['power', '[{"n":"power","vs":"much"}]', NaN],
    ['power', 'no pack', NaN],
  ])('%j of the pack %s is %d', (name, pack, number) => {
    const content = { kind: 'stored', mediaType: 'application/senml+json', bytes: Buffer.from(pack) } as const;
    expect(new Field(name, senmlValues()).read(new Sample(content, 0, 0, 0, encoder))).toBe(number);
  });

  test.each([
    ['text/plain', '-3.5', -3.5],
    ['application/json', 'true', 1],
    ['text/plain;charset=utf-8', ' 1e3 ', 1000],
    ['application/json', '{"a":1}', NaN],
    ['text/plain', '0x10', NaN],
  ])('of a bare %s %s is %d', (mediaType, text, number) => {
    const content = { kind: 'stored', mediaType, bytes: Buffer.from(text) } as const;
    expect(new Field('', senmlValues()).read(new Sample(content, 0, 0, 0, encoder))).toBe(number);
  });
});
