/**
 * The sample path makes no garbage: bytes allocated are counted over a million deliveries, and the work of one is compared with that
 * of a plain loop in the same process. Neither depends on how busy the machine is.
 */
import { getHeapStatistics } from 'node:v8';
import { Cadence } from '../../src/routing/cadence.js';
import { Delivery, MODE, Port } from '../../src/routing/delivery.js';
import { FORMATS } from '../../src/routing/format.js';
import { Router, type Route } from '../../src/routing/router.js';
import { Sample } from '../../src/routing/sample.js';
import type { LatencyClass, Terms } from '../../src/routing/terms.js';

const RATE = 50;
const SUBSCRIBERS = 1_000;
const SECOND_US = 1_000_000;

/** Takes everything and keeps nothing. */
class NullPort extends Port {
  taken = 0;
  override end(): void {}
  protected override transmit(_delivery: Delivery, _sample: Sample, body: Uint8Array): boolean {
    this.taken += body.length;
    return true;
  }
}

/** Makes an object for each delivery: what shall not happen. */
class WastefulPort extends NullPort {
  last: object = {};
  protected override transmit(...[delivery, sample, body]: Parameters<NullPort['transmit']>): boolean {
    this.last = { delivery, sample };
    return super.transmit(delivery, sample, body);
  }
}

/** A router with a crowd, and samples whose bodies have been made. */
function crowd(terms: readonly Terms[], PortKind = NullPort) {
  const turns: (() => void)[] = [];
  let nowUs = 0;
  const clock = {
    wallUs: () => nowUs,
    monotonicUs: () => (nowUs += 1),
    after: () => () => {},
    atTurnEnd: (run: () => void) => void turns.push(run),
  };
  const router = new Router(clock, 0, () => {});
  const route = router.open('/m2m/pmu', RATE);
  const ports = Array.from({ length: 100 }, () => new PortKind());
  for (let n = 0; n < SUBSCRIBERS; n++) {
    const delivery = new Delivery(ports[n % ports.length]!, 'content', FORMATS.octets, terms[n % terms.length]!);
    delivery.mode = MODE.active;
    router.subscribe(route, delivery, Cadence.of(RATE, delivery.terms) as Cadence);
  }
  const encoder = { encode: () => Buffer.alloc(100) };
  const content = { kind: 'stored', mediaType: FORMATS.octets.mediaType, bytes: Buffer.alloc(100) } as const;
  let slot = 0;
  const samples = (count: number): Sample[] =>
    Array.from({ length: count }, () => {
      const sample = new Sample(content, Math.round((slot++ * SECOND_US) / RATE), 0, 0, encoder);
      sample.body('content', FORMATS.octets);
      return sample;
    });
  const settle = (): void => {
    for (let run = turns.pop(); run; run = turns.pop()) run();
  };
  return { router, route, ports, samples, settle };
}

const publish = (router: Router, route: Route, samples: readonly Sample[], settle: () => void): void => {
  for (const sample of samples) {
    router.publish(route, sample);
    settle();
  }
};

const median = (numbers: readonly number[]): number => [...numbers].sort((a, b) => a - b)[numbers.length >> 1]!;

describe('the sample path', () => {
  test.each<[string, readonly Terms[]]>([
    ['of one class', [{}]],
    ['at several rates', [{ rate: 50 }, { rate: 25 }]],
    [
      'of all classes',
      (['protection', 'control', 'monitoring', 'reporting'] as LatencyClass[]).map((latencyClass) => ({
        latencyClass,
      })),
    ],
  ])('allocates nothing per delivery to subscribers %s', (_who, terms) => {
    expect(bytesPerDelivery(crowd(terms))).toBeLessThan(1);
  });

  test('an object for each delivery would be seen', () => {
    expect(bytesPerDelivery(crowd([{}], WastefulPort))).toBeGreaterThan(10);
  });

  test('costs a small multiple of a loop that does nothing but call each subscriber’s port', () => {
    const { router, route, samples, settle } = crowd([{}]);
    const ports: Callee[] = Array.from({ length: SUBSCRIBERS }, (_, n) => (n % 2 === 0 ? new Adder() : new Counter()));
    const body = Buffer.alloc(100);
    const costs = Array.from({ length: 60 }, () => {
      const batch = samples(50);
      const through = timed(() => publish(router, route, batch, settle));
      const loop = timed(() => {
        for (const { id: _ } of batch) for (const port of ports) port.take(body);
      });
      return { through, loop };
    }).slice(10);
    // The least of each: what else the machine does only adds.
    const ratio = Math.min(...costs.map(({ through }) => through)) / Math.min(...costs.map(({ loop }) => loop));
    expect(ratio).toBeLessThan(MOST_TIMES);
  });
});

function bytesPerDelivery({ router, route, ports, samples, settle }: ReturnType<typeof crowd>): number {
  publish(router, route, samples(500), settle);
  const before = ports.reduce((sum, { taken }) => sum + taken, 0);
  const grown: number[] = [];
  for (let round = 0; round < 20; round++) {
    const batch = samples(50);
    const used = getHeapStatistics().used_heap_size;
    publish(router, route, batch, settle);
    grown.push(getHeapStatistics().used_heap_size - used);
  }
  const deliveries = (ports.reduce((sum, { taken }) => sum + taken, 0) - before) / 100;
  // A round in which the collector ran says nothing; most have none.
  return median(grown) / (deliveries / grown.length);
}

/** What a delivery may cost in calls of an interface; 4 when this was written. */
const MOST_TIMES = 12;

interface Callee {
  take(body: Uint8Array): void;
}
class Adder implements Callee {
  private bytes = 0;
  take(body: Uint8Array): void {
    this.bytes += body.length;
  }
}
class Counter implements Callee {
  private count = 0;
  take(): void {
    this.count++;
  }
}
function timed(run: () => void): number {
  const startMs = performance.now();
  run();
  return performance.now() - startMs;
}
