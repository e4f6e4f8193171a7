import { idSeries, packId, randomId, seededRandom } from '../src/random.js';

test('the ids of a series look like drawn ones and do not come again, beyond its first million neither', () => {
  const next = idSeries(seededRandom(1));
  const seen = new Set<string>();
  const count = 2 ** 20 + 2_000;
  for (let n = 0; n < count; n++) seen.add(next());
  expect(seen.size).toBe(count);
  expect(next()).toHaveLength(randomId(seededRandom(2)).length);
  expect(packId(next())).toBeDefined();
});
