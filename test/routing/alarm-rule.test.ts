/** Rules on samples: against a naive model, and that nothing chatters. */
import fc from 'fast-check';
import type { AlarmRule } from '../../src/resources/alarm-rules.js';
import { alarmRules } from '../../src/resources/alarm-rules.js';
import { RuleCheck } from '../../src/routing/alarm-rule.js';
import { Sample } from '../../src/routing/sample.js';
import { DESCRIPTOR, measurementOf } from '../support/measurement.js';
import { CountingEncoder } from '../support/deliveries.js';

const SECOND_US = 1_000_000;
const encoder = new CountingEncoder();

/** A sample whose content is one number. */
const numberAt = (value: number, atS: number, quality = 0): Sample =>
  new Sample(
    { kind: 'stored', mediaType: 'x', bytes: Buffer.from(String(value)) },
    atS * SECOND_US,
    0,
    quality,
    encoder,
  );
const check = (rule: Partial<AlarmRule>, isActive = false): RuleCheck =>
  new RuleCheck({ condition: 'c', kind: 'limit', field: 'x', ...rule }, isActive, (_type, bytes) =>
    Number(Buffer.from(bytes).toString()),
  );
/** Whether it is active after each of these, a second apart. */
const walk = (one: RuleCheck, values: readonly number[]): boolean[] =>
  values.map((value, index) => (one.see(numberAt(value, index)), one.isActive));

const values = fc.array(fc.integer({ min: -20, max: 20 }), { maxLength: 60 });
const limits = fc
  .record({
    high: fc.integer({ min: 0, max: 10 }),
    low: fc.integer({ min: -10, max: -1 }),
    hysteresis: fc.integer({ min: 0, max: 3 }),
  })
  .filter(({ high, low, hysteresis }) => high - hysteresis >= low + hysteresis);

describe('a limit', () => {
  test('equals the naive model: active since the last value beyond, unless one well inside came after it', () => {
    fc.assert(
      fc.property(limits, values, (limit, series) => {
        const { high, low, hysteresis } = limit;
        const model = series.map((_, end) => {
          const past = series.slice(0, end + 1);
          const beyond = past.findLastIndex((value) => value > high || value < low);
          const inside = past.findLastIndex((value) => value <= high - hysteresis && value >= low + hysteresis);
          return beyond > inside;
        });
        expect(walk(check(limit), series)).toEqual(model);
      }),
    );
  });

  test('never chatters: noise smaller than the hysteresis around either limit changes it at most once', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.1, max: 5, noNaN: true }),
        fc.constantFrom(1, -1),
        fc.array(fc.double({ min: -0.499, max: 0.499, noNaN: true }), { minLength: 2, maxLength: 100 }),
        (hysteresis, side, noise) => {
          const one = check({ high: 50, low: -50, hysteresis });
          const states = walk(
            one,
            noise.map((share) => side * (50 - hysteresis / 2) + share * hysteresis * 2 * 0.5),
          );
          const changes = states.filter((state, index) => state !== (states[index - 1] ?? false)).length;
          expect(changes).toBeLessThanOrEqual(1);
        },
      ),
    );
  });

  test('tells each change once', () => {
    const one = check({ high: 5 });
    expect([4, 6, 7, 6, 5, 4].map((value, index) => one.see(numberAt(value, index)))).toEqual([
      false,
      true,
      false,
      false,
      true,
      false,
    ]);
  });

  test('goes on from where an earlier life left it', () => {
    const one = check({ high: 5, hysteresis: 2 }, true);
    expect(walk(one, [4, 3, 4])).toEqual([true, false, false]);
  });

  test('with a delay must last so long without a break', () => {
    expect(walk(check({ high: 5, delayS: 2 }), [6, 6, 5, 6, 6, 6, 4])).toEqual([
      false,
      false,
      false,
      false,
      false,
      true,
      false,
    ]);
  });

  test('is not moved by a sample without a number', () => {
    expect(walk(check({ high: 5 }), [6, NaN, 6, NaN])).toEqual([true, true, true, true]);
  });
});

test('a rate of change is that of one sample to the next in time of measurement; a tag that steps back tells none', () => {
  const one = check({ kind: 'rateOfChange', perSecond: 10, hysteresis: 5 });
  const steps: [value: number, atS: number, isActive: boolean][] = [
    [0, 0, false],
    [10, 1, false],
    [30, 2, true],
    [38, 3, true],
    [40, 4, false],
    [100, 3, false],
    [101, 4, false],
    [-101, 24.2, false],
    [-90, 25.2, true],
  ];
  expect(steps.map(([value, atS]) => (one.see(numberAt(value, atS)), one.isActive))).toEqual(
    steps.map(([, , active]) => active),
  );
});

test('quality is active while samples are flagged', () => {
  const one = check({ kind: 'quality' });
  expect([0, 1, 4, 0].map((quality, at) => (one.see(numberAt(0, at, quality)), one.isActive))).toEqual([
    false,
    true,
    true,
    false,
  ]);
});

test.each([
  ['frequency', 50.5],
  ['rocof', 0.25],
  ['VA', 100],
  ['VA/magnitude', 100],
  ['power', 7],
  ['power/value', 7],
  ['nothing', NaN],
])('of a PMU, %s is read', (field, value) => {
  const descriptor = {
    ...DESCRIPTOR,
    phasors: [
      { name: 'VB', unit: 'V' as const },
      { name: 'VA  ', unit: 'V' as const },
    ],
    analogs: [{ name: 'power', kind: 'user' as const }],
  };
  const measurement = measurementOf({
    descriptor,
    frequencyHz: 50.5,
    rocofHzPerS: 0.25,
    phasors: [
      { magnitude: 1, angle: 0 },
      { magnitude: 100, angle: 0 },
    ],
    analogs: [7],
  });
  const one = check({ field, high: -1000 });
  one.see(new Sample({ kind: 'measurement', measurement }, 0, 0, 0, encoder));
  expect([one.isActive, one.value]).toEqual([!Number.isNaN(value), value]);
});

test.each([
  [[{ condition: 'a b', kind: 'quality' }], 'alarmRules[0].condition is "a b"'],
  [[{ condition: 'a', kind: 'limit', field: 'x' }], 'alarmRules[0] needs high, low or both'],
  [[{ condition: 'a', kind: 'limit', high: 1 }], 'needs field'],
  [[{ condition: 'a', kind: 'limit', field: 'x', high: 1, low: 0, hysteresis: 1 }], 'clears at no value'],
  [[{ condition: 'a', kind: 'stale' }], 'needs staleAfterS'],
  [[{ condition: 'a', kind: 'stale', staleAfterS: 3, high: 4 }], 'which has no high'],
  [
    [
      { condition: 'a', kind: 'quality' },
      { condition: 'a', kind: 'quality' },
    ],
    'the condition "a" twice',
  ],
  [Array.from({ length: 17 }, (_, n) => ({ condition: `c${n}`, kind: 'quality' })), '17 rules'],
])('rules that cannot hold are refused with a sentence: %#', (rules, sentence) => {
  expect(alarmRules.check(rules, 'alarmRules')).toContain(sentence);
});
