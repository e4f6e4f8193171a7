import { ratesOf, readExposition } from '../../src/cli/top.js';

const exposition = (
  published: number,
  subscriptions: number,
): string => `# HELP gridcast_samples_published_total Samples taken in
# TYPE gridcast_samples_published_total counter
gridcast_samples_published_total ${published}

# TYPE gridcast_subscriptions gauge
gridcast_subscriptions{binding="coap"} ${subscriptions}
# TYPE gridcast_age_seconds histogram
gridcast_age_seconds_bucket{le="0.1"} 5
# TYPE other_total counter
other_total 9
# TYPE gridcast_nodejs_heap_bytes gauge
gridcast_nodejs_heap_bytes 9
`;

describe('rates out of two scrapes', () => {
  test('a counter per second, a gauge as it is, nothing foreign and no histogram', () => {
    const rows = ratesOf(readExposition(exposition(100, 1)), readExposition(exposition(160, 2)), 2);
    expect(rows).toEqual([
      { name: 'gridcast_samples_published_total', labels: '', figure: 30, unit: '/s' },
      { name: 'gridcast_subscriptions', labels: '{binding="coap"}', figure: 2, unit: '' },
    ]);
  });

  test('a counter of a broker that was restarted begins at 0', () => {
    expect(ratesOf(readExposition(exposition(100, 0)), readExposition(exposition(10, 0)), 2)).toEqual([
      { name: 'gridcast_samples_published_total', labels: '', figure: 5, unit: '/s' },
    ]);
  });

  test('what has no metrics is said to have none', () => {
    expect(() => readExposition('<html>')).toThrow('There are no metrics at this address: is it a Gridcast broker?');
  });
});
