import { checkTerms, termsOfQuery } from '../../src/routing/terms.js';
import { parsePath } from '../../src/routing/primitive.js';

const of = (query: string): unknown => termsOfQuery(new URLSearchParams(query));

describe('terms of a subscription', () => {
  test('are read from a query', () => {
    expect(of('c.pmin=0.2&c.pmax=10&c.con=1&class=control&other=1')).toEqual({
      minSpacingS: 0.2,
      maxSpacingS: 10,
      isConfirmable: true,
      latencyClass: 'control',
    });
    expect(of('rate=5')).toEqual({ rate: 5 });
    expect(of('')).toEqual({});
  });

  test.each([
    ['c.st=1', 'c.st is not offered'],
    ['c.unknown=1', 'c.unknown'],
    ['c.pmin=0', 'above 0'],
    ['c.pmin=-1', 'decimal number'],
    ['c.pmin=abc', '"abc"'],
    ['c.pmin=1e3', 'decimal number'],
    ['c.pmin=2&c.pmax=1', 'below the smallest'],
    ['c.con=2', '0 or 1'],
    ['rate=0', 'positive'],
    ['rate=5&c.pmin=0.2', 'exclude'],
    ['class=urgent', 'protection, control, monitoring, reporting'],
  ])('%s is refused with 400, saying %s', (query, sentence) => {
    expect(of(query)).toMatchObject({ status: 'STATUS_BAD_REQUEST', detail: expect.stringContaining(sentence) });
  });

  test('are held to the same rules when they come as fields', () => {
    expect(checkTerms({ rate: Number.NaN })).toMatchObject({ status: 'STATUS_BAD_REQUEST' });
    expect(checkTerms({ rate: 5, latencyClass: 'protection' })).toEqual({ rate: 5, latencyClass: 'protection' });
  });
});

describe('a path', () => {
  test('is split and decoded once, segment by segment', () => {
    expect(parsePath('/m2m/applications/pmu%201%2525')).toEqual(['m2m', 'applications', 'pmu 1%25']);
    expect(parsePath('/')).toEqual([]);
  });

  test.each(['m2m', '/m2m//a', '/m2m/', '/m2m/../x', '/m2m/%2e%2e', '/m2m/%2E', '/a%2fb', '/a%00', '/a%zz', '/%'])(
    '%s is refused with 400',
    (path) => {
      expect(parsePath(path)).toMatchObject({ status: 'STATUS_BAD_REQUEST' });
    },
  );
});
