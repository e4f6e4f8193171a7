import fc from 'fast-check';
import { Cadence } from '../../src/routing/cadence.js';
import { MODE, type Delivery } from '../../src/routing/delivery.js';
import { FORMATS } from '../../src/routing/format.js';
import { accountOf, type Account } from '../../src/routing/group.js';
import type { FilterKind } from '../../src/routing/filter.js';
import { Router } from '../../src/routing/router.js';
import type { Sample } from '../../src/routing/sample.js';
import { activeDelivery, CountingEncoder, RecordingPort, sampleAt } from '../support/deliveries.js';
import { ManualClock } from '../support/manual-clock.js';

const LAG_US = 10_000_000;
const SECOND = 1_000_000;

/** @param lookUs what passes on the monotonic clock from one look to the next: with much of it a slice ends at every look */
function table(sourceRate = 30, lookUs = 0) {
  const clock = new ManualClock();
  const ages: number[] = [];
  let looks = 0;
  const { wallUs, after, atTurnEnd } = clock;
  const ticking = { wallUs, after, atTurnEnd, monotonicUs: () => clock.monotonicUs() + ++looks * lookUs };
  const router = new Router(ticking, LAG_US, (_class, ageS) => ages.push(ageS));
  const route = router.open('/m2m/pmu', sourceRate);
  const join = (port: RecordingPort, rate?: number): Delivery => {
    const delivery = activeDelivery(port, rate === undefined ? {} : { rate });
    router.subscribe(route, delivery, Cadence.of(sourceRate, delivery.terms) as Cadence);
    return delivery;
  };
  return { clock, router, route, join, ages };
}

const balance = ({ received, delivered, decimated, dropped, held }: Account): number =>
  received - delivered - decimated - held - Object.values(dropped).reduce((sum, n) => sum + n, 0);
const tag = (n: number, rate = 30): number => Math.floor(n / rate) * SECOND + Math.floor(((n % rate) * SECOND) / rate);

describe('Router', () => {
  test('gives each subscriber its rate at the common instants, encodes once, flushes once per turn', () => {
    const { clock, router, route, join } = table();
    const [fast, slow, slow2] = [new RecordingPort(), new RecordingPort(), new RecordingPort()];
    const all = join(fast);
    const fifth = join(slow, 5);
    join(slow2, 5);
    const encoder = new CountingEncoder();
    for (let n = 0; n < 60; n++) router.publish(route, sampleAt(tag(n), encoder));
    clock.endTurn();
    expect(fast.sent).toHaveLength(60);
    expect(slow.times).toEqual(
      [0, 200_000, 400_000, 600_000, 800_000].flatMap((us) => [us, us + SECOND]).sort((a, b) => a - b),
    );
    expect(slow2.times).toEqual(slow.times);
    expect(encoder.encodings).toBe(60);
    expect(fast.flushes).toBe(1);
    expect(accountOf(all)).toMatchObject({ received: 60, delivered: 60, decimated: 0 });
    expect(accountOf(fifth)).toMatchObject({ received: 60, delivered: 10, decimated: 50 });
  });

  test('a congested endpoint gets the newest, is told how many it missed, and the accounts balance', () => {
    const { router, route, join } = table();
    const port = new RecordingPort();
    const delivery = join(port);
    port.isCongested = true;
    for (let n = 0; n < 5; n++) router.publish(route, sampleAt(tag(n)));
    expect(accountOf(delivery)).toMatchObject({ received: 5, delivered: 0, held: 1, dropped: { conflated: 4 } });
    port.isCongested = false;
    port.drain();
    expect(port.sent).toMatchObject([{ missed: 4, sample: { measuredUs: tag(4) } }]);
    expect(delivery.missed).toBe(0);
    expect(balance(accountOf(delivery))).toBe(0);
  });

  test('nothing overtakes the answer to a registration: an opening delivery holds the newest', () => {
    const { router, route, join } = table();
    const port = new RecordingPort();
    const delivery = join(port);
    delivery.mode = MODE.opening;
    router.publish(route, sampleAt(tag(0)));
    router.publish(route, sampleAt(tag(1)));
    expect(port.sent).toEqual([]);
    delivery.mode = MODE.active;
    port.drain();
    expect(port.times).toEqual([tag(1)]);
  });

  test('a slot that comes twice or late is offered to nobody and counted', () => {
    const { router, route, join } = table();
    const port = new RecordingPort();
    const delivery = join(port);
    for (const n of [0, 1, 1, 3, 2, 4]) router.publish(route, sampleAt(tag(n)));
    expect(port.times).toEqual([0, 1, 3, 4].map((n) => tag(n)));
    expect(accountOf(delivery)).toMatchObject({
      received: 6,
      delivered: 4,
      dropped: { duplicate: 1, 'out-of-order': 1 },
    });
  });

  test('a source whose clock steps back beyond the lag limit starts a new grid', () => {
    const { router, route, join } = table();
    const port = new RecordingPort();
    join(port, 5);
    router.publish(route, sampleAt(100 * SECOND));
    router.publish(route, sampleAt(50 * SECOND));
    router.publish(route, sampleAt(50 * SECOND + 33_333));
    router.publish(route, sampleAt(50 * SECOND + 200_000));
    expect(port.times).toEqual([100 * SECOND, 50 * SECOND, 50 * SECOND + 200_000]);
    expect(route.clockSteps).toBe(1);
  });

  test('a source without a rate is thinned by measured time', () => {
    const { router, route, join } = table(0);
    const port = new RecordingPort();
    join(port, 0.5);
    for (const second of [0, 1, 2, 3, 3.9995, 7]) router.publish(route, sampleAt(second * SECOND));
    expect(port.times).toEqual([0, 2, 3.9995, 7].map((second) => second * SECOND));
  });

  test('a deletion in the middle of a walk disturbs no other subscriber', () => {
    const { router, route, join } = table();
    const ports = [0, 1, 2, 3].map(() => new RecordingPort());
    const deliveries = ports.map((port) => join(port));
    const leaver = new (class extends RecordingPort {
      override offer(delivery: Delivery): void {
        router.unsubscribe(delivery);
      }
    })();
    const leaving = activeDelivery(leaver);
    router.subscribe(route, leaving, Cadence.of(30, {}) as Cadence);
    router.publish(route, sampleAt(tag(0)));
    expect(ports.map(({ sent }) => sent.length)).toEqual([1, 1, 1, 1]);
    expect(leaving.mode).toBe(MODE.ended);
    router.unsubscribe(deliveries[1]!);
    router.publish(route, sampleAt(tag(1)));
    expect(ports.map(({ sent }) => sent.length)).toEqual([2, 1, 2, 2]);
  });

  test('the last one out leaves no group behind', () => {
    const { router, route, join } = table();
    const deliveries = [30, 15, 15, 5].map((rate) => join(new RecordingPort(), rate));
    expect(route.groups).toHaveLength(3);
    for (const delivery of deliveries) router.unsubscribe(delivery);
    expect(route.groups).toHaveLength(0);
  });

  test('a filter decides once for all who ask the same, and may hand on another sample', () => {
    const { router, route } = table();
    const seen: [number, boolean][] = [];
    let started = 0;
    const everyOther: FilterKind = {
      key: 'every other, an hour later',
      start: () => {
        started++;
        return {
          pass: ({ measuredUs }, slot, isDue) => {
            seen.push([slot, isDue]);
            return slot % 2 === 0 ? sampleAt(measuredUs + 3600 * SECOND) : undefined;
          },
        };
      },
    };
    const ports = [new RecordingPort(), new RecordingPort(), new RecordingPort()];
    const deliveries = ports.map((port) => activeDelivery(port));
    const cadence = Cadence.of(30, { rate: 10 }) as Cadence;
    for (const [index, delivery] of deliveries.entries())
      router.subscribe(route, delivery, cadence, index === 2 ? undefined : everyOther);
    for (let n = 0; n < 6; n++) router.publish(route, sampleAt(tag(n)));
    expect(started).toBe(1);
    expect(seen).toEqual([0, 1, 2, 3, 4, 5].map((slot) => [slot, slot % 3 === 0]));
    for (const port of ports.slice(0, 2)) {
      expect(port.times).toEqual([0, 2, 4].map((n) => tag(n) + 3600 * SECOND));
      expect(port.sent.map(({ sample }) => sample.sequence)).toEqual([1, 3, 5]);
    }
    expect(ports[2]!.times).toEqual([0, 3].map((n) => tag(n)));
    expect(accountOf(deliveries[0]!)).toMatchObject({ received: 6, delivered: 3, decimated: 3 });
  });

  test('ten thousand filters on one container: each is found, and goes without disturbing the others', () => {
    const { clock, router, route } = table();
    const port = new RecordingPort();
    const cadence = Cadence.of(30, {}) as Cadence;
    const deliveries = Array.from({ length: 20_000 }, (_, n) => {
      const delivery = activeDelivery(port);
      const kind = { key: String(n % 10_000), start: () => ({ pass: (sample: Sample) => sample }) };
      router.subscribe(route, delivery, cadence, kind);
      return delivery;
    });
    expect(route.groups).toHaveLength(10_000);
    for (const [n, delivery] of deliveries.entries()) if (n % 3 !== 0) router.unsubscribe(delivery);
    router.publish(route, sampleAt(0));
    clock.endTurn();
    expect(new Set(port.sent.map(({ delivery }) => delivery))).toEqual(
      new Set(deliveries.filter((_, n) => n % 3 === 0)),
    );
    for (const delivery of deliveries) if (delivery.membership) router.unsubscribe(delivery);
    expect([route.groups.length, route.byKey.size]).toEqual([0, 0]);
  });

  test('samples that are not to be trusted stay out of the age figures', () => {
    const { clock, router, route, join, ages } = table();
    join(new RecordingPort());
    const now = clock.wallUs();
    for (let n = 0; n < 64; n++) router.publish(route, sampleAt(now + tag(n), undefined, 2));
    expect(ages).toEqual([]);
    for (let n = 64; n < 128; n++) router.publish(route, sampleAt(now + tag(n)));
    expect(ages.length).toBeGreaterThan(2);
  });

  test('whatever is lost, late, repeated, held or ended: received = delivered + decimated + dropped + held', () => {
    type Step =
      | readonly ['publish', number]
      | readonly ['turn', number]
      | readonly ['congest', boolean]
      | readonly ['join', number]
      | readonly ['leave', number];
    const step: fc.Arbitrary<Step> = fc.oneof(
      fc.tuple(fc.constant('turn' as const), fc.constant(0)),
      fc.tuple(fc.constant('publish' as const), fc.integer({ min: -3, max: 4 })),
      fc.tuple(fc.constant('congest' as const), fc.boolean()),
      fc.tuple(fc.constant('join' as const), fc.constantFrom(1, 5, 15, 30)),
      fc.tuple(fc.constant('leave' as const), fc.nat(10)),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), fc.constantFrom(0, 1_000), (steps, lookUs) => {
        const { clock, router, route, join } = table(30, lookUs);
        // A crowd, so that a walk is longer than a slice.
        const crowd = Array.from({ length: 200 }, () => join(new RecordingPort(), 15));
        const port = new RecordingPort();
        const deliveries: Delivery[] = [];
        let slot = 1000;
        for (const [what, value] of steps) {
          if (what === 'publish') router.publish(route, sampleAt(tag((slot += value))));
          if (what === 'join') deliveries.push(join(port, value));
          if (what === 'turn') clock.endTurn();
          if (what === 'leave') expect(balance(router.unsubscribe(crowd.splice(value, 1)[0]!))).toBe(0);
          if (what === 'leave' && deliveries.length > 0) {
            const [gone] = deliveries.splice(value % deliveries.length, 1);
            expect(balance(router.unsubscribe(gone!))).toBe(0);
          }
          if (what === 'congest') {
            port.isCongested = value;
            if (!value) port.drain();
          }
        }
        for (const delivery of [...crowd, ...deliveries]) expect(balance(accountOf(delivery))).toBe(0);
        clock.endTurn();
        if (!port.isCongested) for (const delivery of deliveries) expect(accountOf(delivery).held).toBe(0);
        const times = new Map<Delivery, number>();
        for (const { delivery, sample } of port.sent) {
          expect(sample.measuredUs).toBeGreaterThan(times.get(delivery) ?? -1);
          times.set(delivery, sample.measuredUs);
        }
      }),
    );
  });

  test('the Observe value rises by one for each sample of the resource and wraps at 24 bits', () => {
    const { router, route, join } = table();
    const port = new RecordingPort();
    join(port);
    route.sequence = 0xff_fffe;
    for (let n = 0; n < 3; n++) router.publish(route, sampleAt(tag(n)));
    expect(port.sent.map(({ sample }) => sample.sequence)).toEqual([0xff_ffff, 0, 1]);
  });

  test('a format that a sample has no form of is a counted drop', () => {
    const { router, route } = table();
    const port = new RecordingPort();
    const delivery = activeDelivery(port, {}, FORMATS.xml);
    router.subscribe(route, delivery, Cadence.of(30, {}) as Cadence);
    router.publish(route, sampleAt(tag(0)));
    expect(accountOf(delivery)).toMatchObject({ received: 1, delivered: 0, dropped: { 'no-such-format': 1 } });
  });
});
