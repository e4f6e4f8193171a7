/** What expires: resources by the thousand, each gone at its own time, and no earlier. */
import { Resources } from '../../src/actors/resources.js';
import { formatTime } from '../../src/clock.js';
import { isRefusal } from '../../src/errors.js';
import { Wheel } from '../../src/kernel/wheel.js';
import { silentLog } from '../../src/log.js';
import { seededRandom } from '../../src/random.js';
import { Router } from '../../src/routing/router.js';
import { volatileStore } from '../../src/store/volatile-store.js';
import { CountingEncoder } from '../support/deliveries.js';
import { ManualClock } from '../support/manual-clock.js';
import { noQuotas } from '../support/quotas.js';

const TICK_MS = 10;
const HOUR_MS = 3_600_000;
const MONTH_MS = 30 * 24 * HOUR_MS;
const CLERK = { kind: 'originator', id: 'clerk' } as const;

/** Resources with nothing around them. */
function stand() {
  const clock = new ManualClock();
  const wheel = new Wheel(clock, (error) => {
    throw error;
  });
  const encoder = new CountingEncoder();
  const resources = new Resources({
    ...{ clock, random: seededRandom(1), log: silentLog, schedule: wheel.schedule, leases: wheel.leases, encoder },
    router: new Router(clock, 1e6, () => {}),
    store: volatileStore(),
    stateEncoder: encoder,
    longPollHoldMs: 1000,
    quotas: noQuotas(),
    mayKnow: () => true,
    shows: () => true,
  });
  const gone = new Map<string, number>();
  resources.listen({
    created: () => undefined,
    written: () => {},
    updated: () => {},
    activated: () => {},
    rated: () => {},
    removed: ({ id, type }, ending) => {
      if (type === 'application' && ending === 'LEASE_EXPIRED') gone.set(id, clock.monotonicUs() / 1000);
    },
  });
  const applications = resources.tree.root.child('applications');
  if (!applications) throw new Error('no applications');
  const until = (ms: number): string => formatTime(clock.wallUs() + ms * 1000);
  return {
    clock,
    wheel,
    resources,
    /** When each application went, in milliseconds since the start. */
    gone,
    create(appId: string, leaseMs: number) {
      const written = resources.create(applications, { application: { appId, expirationTime: until(leaseMs) } }, CLERK);
      if (isRefusal(written)) throw new Error(written.detail);
      return written.node;
    },
    update(appId: string, application: { expirationTime?: string }): void {
      const node = applications.child(appId);
      if (!node) throw new Error(`no ${appId}`);
      const written = resources.update({ kind: 'resource', node }, { application }, CLERK);
      if (isRefusal(written)) throw new Error(written.detail);
    },
    until,
  };
}

test('a hundred thousand applications with leases over a month each go at their own time, and nothing of them stays', () => {
  const { clock, wheel, resources, gone, create } = stand();
  const due = new Map<string, number>();
  for (let n = 0; n < 100_000; n++) {
    const leaseMs = 60_000 + ((n * 7919 * 37) % (MONTH_MS - 60_000));
    due.set(`meter-${n}`, leaseMs);
    create(`meter-${n}`, leaseMs);
  }
  expect(wheel.size).toBe(100_000);
  expect(clock.pending).toBe(1);
  clock.advance(MONTH_MS + TICK_MS);
  const untimely = [...due].filter(([id, ms]) => {
    const lateMs = (gone.get(id) ?? Infinity) - ms;
    return lateMs < 0 || lateMs > TICK_MS;
  });
  expect(untimely).toEqual([]);
  expect(gone.size).toBe(100_000);
  expect([wheel.size, clock.pending]).toEqual([0, 0]);
  expect([...resources.tree].map(({ type }) => type)).toEqual(['sclBase', 'applications']);
});

test('a lease that is renewed counts from then; one that is taken away, or whose resource is deleted, never ends', () => {
  const { clock, wheel, resources, gone, create, update, until } = stand();
  create('renewed', HOUR_MS);
  create('shortened', 4 * HOUR_MS);
  create('endless', HOUR_MS);
  const deleted = create('deleted', HOUR_MS);
  clock.advance(HOUR_MS / 2);
  update('renewed', { expirationTime: until(HOUR_MS) });
  update('shortened', { expirationTime: until(HOUR_MS / 4) });
  update('endless', {});
  resources.remove(deleted);
  expect(wheel.size).toBe(2);
  clock.advance(10 * HOUR_MS);
  expect([...gone]).toEqual([
    ['shortened', 0.75 * HOUR_MS],
    ['renewed', 1.5 * HOUR_MS],
  ]);
  expect(wheel.size).toBe(0);
});

test('a lease ends with everything below it that has a lease of its own', () => {
  const { clock, wheel, resources, create, until } = stand();
  const containers = create('meter', HOUR_MS).child('containers');
  if (!containers) throw new Error('no containers');
  resources.create(containers, { container: { id: 'load', expirationTime: until(2 * HOUR_MS) } }, CLERK);
  expect(wheel.size).toBe(2);
  clock.advance(HOUR_MS + TICK_MS);
  expect(wheel.size).toBe(0);
});

test('when the broker stops no lease is left, and one that is ended after it is nobody else’s', () => {
  const { clock, wheel, resources, create } = stand();
  const node = create('meter', HOUR_MS);
  resources.closeAll();
  expect([wheel.size, clock.pending]).toEqual([0, 0]);
  const cancel = wheel.schedule(1000, () => {});
  resources.remove(node);
  expect(wheel.size).toBe(1);
  cancel();
});
