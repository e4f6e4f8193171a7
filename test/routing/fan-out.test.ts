import type { Clock } from '../../src/clock.js';
import { Cadence } from '../../src/routing/cadence.js';
import type { Delivery } from '../../src/routing/delivery.js';
import { accountOf } from '../../src/routing/group.js';
import { Router } from '../../src/routing/router.js';
import type { LatencyClass } from '../../src/routing/terms.js';
import { activeDelivery, RecordingPort, sampleAt } from '../support/deliveries.js';
import { ManualClock } from '../support/manual-clock.js';

/** A router on a clock on which each look costs `lookUs`: a slice ends at the first look of its own. */
function fanOut(lookUs = 0) {
  const manual = new ManualClock();
  let lookedUs = 0;
  const turns: (() => void)[] = [];
  const clock: Clock = {
    wallUs: manual.wallUs,
    after: manual.after,
    monotonicUs: () => (lookedUs += lookUs),
    atTurnEnd: (run) => void turns.push(run),
  };
  const ages: [LatencyClass, number][] = [];
  const router = new Router(clock, 0, (...age) => ages.push(age));
  const route = router.open('/m2m/pmu', 0);
  const log: string[] = [];
  const join = (latencyClass: LatencyClass, port: RecordingPort = new LoggingPort(latencyClass, log)): Delivery => {
    const delivery = activeDelivery(port, { latencyClass });
    router.subscribe(route, delivery, Cadence.of(0, {}) as Cadence);
    return delivery;
  };
  return {
    router,
    route,
    join,
    log,
    ages,
    wallUs: manual.wallUs,
    /** Something else takes so long. */
    pass: (us: number) => void (lookedUs += us),
    isAtRest: () => turns.length === 0,
    /** Fires the timers of so long. */
    fire: (ms: number) => manual.advance(ms),
    /** One turn of the event loop. */
    turn: () => turns.splice(0).forEach((run) => run()),
    settle: () => {
      while (turns.length > 0) turns.splice(0).forEach((run) => run());
    },
  };
}

/** Writes into a log that all share what it is offered and when it is flushed. */
class LoggingPort extends RecordingPort {
  constructor(
    private readonly name: string,
    private readonly log: string[],
  ) {
    super();
  }
  override flush(): void {
    super.flush();
    this.log.push(`flush ${this.name}`);
  }
}

describe('the fan-out', () => {
  test('flushes the ports of the more urgent class first, each once', () => {
    const { router, route, join, log, settle } = fanOut();
    for (const name of ['reporting', 'monitoring', 'protection', 'control'] as const) join(name);
    router.publish(route, sampleAt(1));
    router.publish(route, sampleAt(2));
    settle();
    expect(log).toEqual(['flush protection', 'flush control', 'flush monitoring', 'flush reporting']);
  });

  test('a port with deliveries of two classes is flushed with the more urgent one', () => {
    const { router, route, join, log, settle } = fanOut();
    const both = new LoggingPort('both', log);
    join('control');
    join('reporting', both);
    join('protection', both);
    router.publish(route, sampleAt(1));
    settle();
    expect(log).toEqual(['flush both', 'flush control']);
    expect(both.sent).toHaveLength(2);
  });

  test('protection waits for no walk, and is flushed in the turn that brings it', () => {
    const { router, route, join, turn, settle, isAtRest } = fanOut(1_000);
    const reporting = new RecordingPort();
    const crowd = Array.from({ length: 10_000 }, () => join('reporting', reporting));
    router.publish(route, sampleAt(1));
    expect(reporting.sent.length).toBeLessThan(100);
    const protection = new RecordingPort();
    join('protection', protection);
    router.publish(route, sampleAt(2));
    expect(protection.times).toEqual([2]);
    turn();
    expect(protection.flushes).toBe(1);
    expect(reporting.sent.length).toBeLessThan(300);
    expect(isAtRest()).toBe(false);
    settle();
    expect(reporting.sent).toHaveLength(20_000);
    for (const delivery of crowd) expect(accountOf(delivery)).toMatchObject({ received: 2, delivered: 2, held: 0 });
  });

  test('what gathers is flushed before the whole burst has been walked', () => {
    const { router, route, join, turn } = fanOut(1_000);
    const port = new RecordingPort();
    for (let n = 0; n < 10_000; n++) join('monitoring', port);
    router.publish(route, sampleAt(1));
    for (let turns = 0; turns < 40; turns++) turn();
    expect(port.sent.length).toBeLessThan(10_000);
    expect(port.flushes).toBeGreaterThan(0);
  });

  describe('a slice', () => {
    /** How many are walked in a turn that lasts `us` before its end. */
    function walkedAfter(us: number, { isBegun = true, urgent = undefined as LatencyClass | undefined } = {}): number {
      const { router, route, join, pass, turn } = fanOut(100);
      const port = new RecordingPort();
      for (let n = 0; n < 4000; n++) join('reporting', port);
      if (urgent) join(urgent);
      router.publish(route, sampleAt(1));
      if (!isBegun) turn();
      pass(us);
      const before = port.sent.length;
      turn();
      return port.sent.length - before;
    }
    const shortest = walkedAfter(0);

    test('is as long as what its turn has taken in took, but no longer than 3 ms', () => {
      const [asLong, longest] = [walkedAfter(1000), walkedAfter(1_000_000)];
      expect(asLong).toBeGreaterThan(3 * shortest);
      expect(longest).toBeGreaterThan(asLong);
      // 64 deliveries from one look at the clock to the next, 100 us.
      expect(longest).toBeLessThanOrEqual(31 * 64);
    });

    test('is short where its turn has taken in nothing, whatever else took long', () => {
      const walked = walkedAfter(1_000_000, { isBegun: false });
      expect(walked).toBeGreaterThan(0);
      expect(walked).toBeLessThanOrEqual(shortest);
    });

    test('knows nothing of what was begun at the end of an earlier turn', () => {
      const LOOK_US = 10;
      const { router, route, join, pass, turn, isAtRest } = fanOut(LOOK_US);
      const further = router.open('/m2m/further', 0);
      const heard = activeDelivery(new RecordingPort(), { latencyClass: 'reporting' });
      router.subscribe(further, heard, Cadence.of(0, {}) as Cadence);
      // As a group's snapshot, which is published when its members have been told.
      class Publishing extends RecordingPort {
        override flush(): void {
          if (this.flushes++ === 0) router.publish(further, sampleAt(1));
        }
      }
      join('reporting', new Publishing());
      router.publish(route, sampleAt(1));
      turn();
      expect(isAtRest()).toBe(true);
      expect(accountOf(heard).delivered).toBe(1);
      pass(1_000_000);
      const port = new RecordingPort();
      for (let n = 0; n < 4000; n++) join('reporting', port);
      router.publish(route, sampleAt(2));
      const before = port.sent.length;
      turn();
      expect(port.sent.length - before).toBeLessThanOrEqual((150 / LOOK_US + 1) * 64);
    });

    test.each<LatencyClass>(['protection', 'control'])('is short while there are samples of class %s', (urgent) => {
      expect(walkedAfter(100_000, { urgent })).toBeLessThanOrEqual(shortest);
      expect(walkedAfter(10_000_000, { urgent })).toBeGreaterThan(3 * shortest);
    });
  });

  describe('where turns take all of the time', () => {
    function busy() {
      const stage = fanOut();
      const { router, route, join, pass, turn } = stage;
      const monitoring = new RecordingPort();
      join('monitoring', monitoring);
      for (const timeUs of [1, 2]) {
        router.publish(route, sampleAt(timeUs));
        pass(60_000);
        turn();
      }
      expect(monitoring.flushes).toBe(2);
      return { ...stage, monitoring };
    }

    test('what is not urgent gathers over several of them; protection and control do not', () => {
      const { router, route, join, pass, turn, monitoring } = busy();
      const [protection, control] = [new RecordingPort(), new RecordingPort()];
      join('protection', protection);
      join('control', control);
      for (const timeUs of [3, 4]) {
        router.publish(route, sampleAt(timeUs));
        pass(500);
        turn();
      }
      expect([monitoring, protection, control].map(({ flushes }) => flushes)).toEqual([2, 2, 2]);
      pass(2_000);
      router.publish(route, sampleAt(5));
      turn();
      expect([monitoring, protection, control].map(({ flushes }) => flushes)).toEqual([3, 3, 3]);
      expect(monitoring.times).toEqual([1, 2, 3, 4, 5]);
    });

    test('what has gathered goes after 2 ms though nothing more comes', () => {
      const { router, route, pass, turn, fire, isAtRest, monitoring } = busy();
      router.publish(route, sampleAt(3));
      turn();
      expect([monitoring.flushes, isAtRest()]).toEqual([2, true]);
      pass(2_000);
      fire(2);
      turn();
      expect([monitoring.flushes, isAtRest()]).toEqual([3, true]);
    });

    test('a burst that joins what waits is sent slice by slice', () => {
      const { router, route, join, pass, turn, settle } = busy();
      router.publish(route, sampleAt(3));
      turn();
      let flushes = 0;
      class SlowPort extends RecordingPort {
        override flush(): void {
          flushes++;
          pass(1_000);
        }
      }
      for (let n = 0; n < 600; n++) join('monitoring', new SlowPort());
      router.publish(route, sampleAt(4));
      turn();
      expect(flushes).toBeLessThan(10);
      settle();
      expect(flushes).toBe(600);
    });
  });

  test('each subscriber gets the samples of his class in their order, however many wait', () => {
    const { router, route, join, settle } = fanOut(1_000);
    const ports = Array.from({ length: 150 }, (_, n) => {
      const port = new RecordingPort();
      join(n % 2 === 0 ? 'control' : 'reporting', port);
      return port;
    });
    // More than may wait: the oldest are walked to their end to make room.
    const times = Array.from({ length: 4_200 }, (_, n) => n);
    for (const us of times) router.publish(route, sampleAt(us));
    settle();
    for (const port of ports) expect(port.times).toEqual(times);
  });

  test('who joins while a walk is under way is not given what is from before; who leaves has it counted', () => {
    const { router, route, join, settle } = fanOut(1_000);
    const crowd = Array.from({ length: 200 }, () => join('monitoring'));
    router.publish(route, sampleAt(1));
    router.publish(route, sampleAt(2));
    const port = new RecordingPort();
    const joiner = join('monitoring', port);
    expect(router.unsubscribe(crowd[0]!)).toMatchObject({ received: 2, delivered: 0, dropped: { ended: 2 } });
    router.publish(route, sampleAt(3));
    settle();
    expect(port.times).toEqual([3]);
    expect(accountOf(joiner)).toMatchObject({ received: 1, delivered: 1, held: 0 });
    for (const delivery of crowd.slice(1)) expect(accountOf(delivery)).toMatchObject({ received: 3, delivered: 3 });
  });

  test('what is older than its class allows is counted for the class', () => {
    const { router, route, join, wallUs, ages } = fanOut();
    for (const name of ['protection', 'control', 'control'] as const) join(name);
    const aged = (ms: number) => router.publish(route, sampleAt(wallUs() - ms * 1000));
    for (const ms of [5, 50, 500]) aged(ms);
    expect(router.classes).toMatchObject([
      { latencyClass: 'protection', timed: 3, late: 2 },
      { latencyClass: 'control', timed: 6, late: 2 },
      { latencyClass: 'monitoring', timed: 0, late: 0 },
      { latencyClass: 'reporting', timed: 0, late: 0 },
    ]);
    for (let n = 0; n < 16; n++) aged(7);
    expect(ages.map(([name]) => name).sort()).toEqual(['control', 'protection']);
    expect(ages[0]?.[1]).toBeCloseTo(0.007, 6);
  });
});
