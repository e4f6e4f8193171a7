import { checkTerms, conditionsText, termsOfConditions, termsOfQuery, type Terms } from '../../src/routing/terms.js';
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
    expect(of('rate=5&method=mean')).toEqual({ rate: 5, method: 'mean' });
    expect(of('field=VA/angle&c.gt=-0.5&c.lt=2&c.band&c.st=0.1&c.edge=0&c.epmin=1&c.epmax=2&rate=5&c.pmin=3')).toEqual({
      rate: 5,
      minSpacingS: 3,
      condition: {
        field: 'VA/angle',
        ...{ gt: -0.5, lt: 2, isBand: true, st: 0.1, edge: 'falling', epminS: 1, epmaxS: 2 },
      },
    });
    expect(of('')).toEqual({});
  });

  test.each([
    ['c.st=0', 'above 0'],
    ['c.st=1e3', 'decimal number'],
    ['c.gt=high', '"high"'],
    ['c.gt=', 'decimal number'],
    ['c.band', 'needs c.gt'],
    ['c.band&c.st=1', 'needs c.gt'],
    ['c.band=1&c.gt=2', 'no value'],
    ['c.band&c.gt=2&c.lt=2', 'differ'],
    ['c.edge=10', '1 for rising or 0'],
    ['c.epmin=1', 'give a condition'],
    ['field=frequency', 'give a condition'],
    ['c.st=1&c.epmin=0', 'above 0'],
    ['c.st=1&c.epmin=2&c.epmax=2', 'must be above c.epmin'],
    [`c.st=1&field=${'x'.repeat(200)}`, '128 characters'],
    ['method=median', 'first, last, mean, min, max, fir'],
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

  test.each(['field=I+A%2Fangle&c.gt=-0.5&c.band&c.pmin=0.2&c.pmax=10&c.con=1', 'c.st=0.1&c.edge=1', ''])(
    'of conditions can be written as they were read: %s',
    (text) => {
      const terms = termsOfConditions(text) as Terms;
      expect(termsOfConditions(conditionsText(terms) ?? '')).toEqual(terms);
    },
  );

  test.each(['rate=5', 'c.gt=1&to=/x'])('conditions hold conditions only: not %s', (text) => {
    expect(termsOfConditions(text)).toMatchObject({ status: 'STATUS_BAD_REQUEST' });
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
