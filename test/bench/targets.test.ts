/** What the benches bring home: the table of targets, the plots. */
import { median, percentile } from '../../bench/figures.js';
import { dots, lines } from '../../bench/plot.js';
import { targetTable, type TargetRow } from '../../bench/targets.js';

const row = (target: string, isMet: boolean): TargetRow => ({
  ...{ target, what: 'CPU per delivery', figure: '4.00 us', peers: 'redis 5.00 us', ratio: '0.80 x' },
  ...{ wanted: '<= 0.8 x', isMet, command: 'npm run bench -- fanout' },
});

test('targets stand in the order of their numbers, the missed ones named', () => {
  const table = targetTable([row('T12', false), row('T9', true), row('T1', true)]);
  const [, , ...rows] = table.split('\n');
  expect(rows.map((line) => /^\| (T\d+)/.exec(line)?.[1])).toEqual(['T1', 'T9', 'T12']);
  expect(rows.map((line) => line.includes('**missed**'))).toEqual([false, false, true]);
});

test('a plot is an SVG that names its series, and leaves out what has no figure', () => {
  const x = { name: 'subscribers', isLogarithmic: true };
  const plot = lines('Cost', x, { name: 'us' }, [{ name: 'CoAP', points: [[10, 1], [100, 1.1]] }]); // prettier-ignore
  expect(plot).toMatch(/^<svg /);
  for (const word of ['Cost', 'CoAP', 'subscribers']) expect(plot).toContain(word);
  const plotted = dots('Rates', { name: 'a second' }, ['one', 'two'], [{ name: 'saturated', values: [1, NaN] }]);
  expect(plotted).toContain('saturated');
  expect(plotted).not.toContain('NaN');
});

test('percentiles are of the nearest rank, medians of what is a number', () => {
  expect(percentile([1, 2, 3, 4], 0.5)).toBe(3);
  expect(median([3, NaN, 1, 2])).toBe(2);
});
