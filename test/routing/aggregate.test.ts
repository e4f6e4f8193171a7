/** What is made of the samples of an interval, against a model that cuts the whole stream into intervals afterwards. */
import fc from 'fast-check';
import { senmlPacks } from '../../src/protocols/senml-pack.js';
import { readSenml } from '../../src/protocols/senml-reader.js';
import { aggregateKind } from '../../src/routing/aggregate.js';
import { Cadence } from '../../src/routing/cadence.js';
import { Router } from '../../src/routing/router.js';
import { Sample } from '../../src/routing/sample.js';
import { AGGREGATIONS, type Aggregation } from '../../src/routing/terms.js';
import { activeDelivery, CountingEncoder, RecordingPort } from '../support/deliveries.js';
import { ManualClock } from '../support/manual-clock.js';
import { measurementOf } from '../support/measurement.js';

const SECOND = 1_000_000;
const START = 1_800_000_000 * SECOND;
const encoder = new CountingEncoder();

interface Point {
  readonly slot: number;
  readonly value: number;
}
type Make = (value: number, measuredUs: number) => Sample;

const measured: Make = (value, measuredUs) => {
  const phasors = [{ magnitude: Math.abs(value), angle: 0.1 }];
  const measurement = measurementOf({ frequencyHz: value, rocofHzPerS: -value, phasors, analogs: [value] });
  return new Sample({ kind: 'measurement', measurement }, measuredUs, 0, 0, encoder);
};
const packed =
  (mediaType: 'application/senml+json' | 'application/senml+cbor'): Make =>
  (value, measuredUs) => {
    const records = [
      { name: 'meter-7/power', unit: 'W', value },
      { name: 'meter-7/on', value: true },
    ];
    const bytes = senmlPacks.write(mediaType, records, measuredUs);
    return new Sample({ kind: 'stored', mediaType, bytes }, measuredUs, 0, 0, encoder);
  };

const numberIn = ({ content }: Sample): number | undefined => {
  if (content.kind === 'measurement') return content.measurement.frequencyHz;
  if (content.kind !== 'stored') return undefined;
  const records = readSenml(content.mediaType, content.bytes);
  return 'status' in records ? undefined : (records[0]?.value as number);
};

/** What a subscriber at `rate` of a source of `sourceRate` is given. */
function given(method: Aggregation, sourceRate: number, rate: number, points: readonly Point[], make: Make) {
  const router = new Router(new ManualClock(), 0, () => {});
  const route = router.open('/m2m/x', sourceRate);
  const port = new RecordingPort();
  const delivery = activeDelivery(port, { rate, method });
  port.offer = (_delivery, sample) => void got.push(sample);
  const got: Sample[] = [];
  router.subscribe(route, delivery, Cadence.of(sourceRate, { rate }) as Cadence, aggregateKind(method, senmlPacks));
  for (const { slot, value } of points)
    router.publish(route, make(value, START + Math.round((slot * SECOND) / sourceRate)));
  return got.map((sample) => ({ us: sample.measuredUs - START, value: numberIn(sample) }));
}

function model(method: Aggregation, sourceRate: number, rate: number, points: readonly Point[]) {
  const stride = sourceRate / rate;
  const intervals = new Map<number, Point[]>();
  for (const point of points) {
    const end = Math.ceil(point.slot / stride) * stride;
    intervals.set(end, [...(intervals.get(end) ?? []), point]);
  }
  return [...intervals].flatMap(([end, of]) => {
    const values = of.map(({ value }) => value);
    const [first] = of;
    const at = method === 'first' ? first!.slot : end;
    if (method !== 'first' && of.at(-1)?.slot !== end) return [];
    const value = {
      first: () => values[0],
      last: () => values.at(-1),
      mean: () => values.reduce((sum, each) => sum + each, 0) / values.length,
      min: () => values.reduce((least, each) => (each < least ? each : least)),
      max: () => values.reduce((most, each) => (each > most ? each : most)),
    }[method]();
    return [{ us: Math.round((at * SECOND) / sourceRate), value }];
  });
}

const points = fc
  .array(fc.record({ skip: fc.constantFrom(0, 0, 0, 1, 4), value: fc.integer({ min: -50, max: 50 }) }), {
    maxLength: 90,
  })
  .map((steps) => {
    let slot = -1;
    return steps.map(({ skip, value }): Point => ({ slot: (slot += 1 + skip), value }));
  });
const rates = fc.constantFrom([30, 5], [50, 25], [50, 1], [10, 10]);

describe.each(AGGREGATIONS)('method=%s', (method) => {
  test.each<[string, Make]>([
    ['a PMU', measured],
    ['a pack in JSON', packed('application/senml+json')],
    ['a pack in CBOR', packed('application/senml+cbor')],
  ])('of %s equals the model, lost samples or not', (_what, make) => {
    fc.assert(
      fc.property(rates, points, ([sourceRate = 0, rate = 0], series) => {
        expect(given(method, sourceRate, rate, series, make)).toEqual(model(method, sourceRate, rate, series));
      }),
    );
  });
});

const filter = (method: Aggregation) =>
  aggregateKind(method, senmlPacks).start(Cadence.of(10, { rate: 5 }) as Cadence, 10, undefined);

test('of a phasor the mean angle goes round; the least has the angle that it had', () => {
  const at = (magnitude: number, angle: number) =>
    new Sample(
      { kind: 'measurement', measurement: measurementOf({ phasors: [{ magnitude, angle }] }) },
      0,
      0,
      0,
      encoder,
    );
  const phasor = (method: Aggregation) => {
    const made = filter(method);
    made.pass(at(3, 3.1), 1, false);
    const { content } = made.pass(at(1, -3.1), 2, true)!;
    return content.kind === 'measurement' ? content.measurement.phasors[0] : undefined;
  };
  expect(phasor('mean')?.magnitude).toBe(2);
  expect(Math.abs(phasor('mean')!.angle)).toBeCloseTo(Math.PI, 9);
  expect(phasor('min')).toEqual({ magnitude: 1, angle: -3.1 });
  expect(phasor('max')).toEqual({ magnitude: 3, angle: 3.1 });
});

test('points that were on at any time are on; what was made is told; invalid data is in no mean', () => {
  const sample = (digitals: number[], frequencyHz: number, quality: number) =>
    new Sample({ kind: 'measurement', measurement: measurementOf({ digitals, frequencyHz }) }, 0, 0, quality, encoder);
  const made = filter('mean');
  made.pass(sample([1], 99, 4), 1, false);
  const { content, quality } = made.pass(sample([2], 50, 1), 2, true)!;
  expect(content).toMatchObject({
    measurement: { digitals: [2], frequencyHz: 50, processing: { method: 'mean', inputRate: 10, outputRate: 5 } },
  });
  expect(quality).toBe(1);
});

test('what holds no numbers is given as it is', () => {
  const sample = new Sample({ kind: 'stored', mediaType: 'text/plain', bytes: Buffer.from('x') }, 0, 0, 0, encoder);
  expect(filter('mean').pass(sample, 2, true)).toBe(sample);
});
