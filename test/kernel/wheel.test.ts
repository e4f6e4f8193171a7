import fc from 'fast-check';
import { Wheel } from '../../src/kernel/wheel.js';
import { ManualClock } from '../support/manual-clock.js';

const TICK_MS = 10;
const DAY_MS = 86_400_000;

function turning(): { clock: ManualClock; wheel: Wheel; errors: unknown[] } {
  const clock = new ManualClock();
  const errors: unknown[] = [];
  return { clock, wheel: new Wheel(clock, (error) => void errors.push(error)), errors };
}

/** A clock that a test sets; its timers fire only then: late, as after a pause of the process. */
class LateClock extends ManualClock {
  private us = 0;
  private readonly armed = new Set<{ readonly atUs: number; readonly run: () => void }>();

  override monotonicUs = (): number => this.us;

  override after = (delayMs: number, run: () => void): (() => void) => {
    const timer = { atUs: this.us + delayMs * 1000, run };
    this.armed.add(timer);
    return () => void this.armed.delete(timer);
  };

  override get pending(): number {
    return this.armed.size;
  }

  jump(ms: number): void {
    this.us += ms * 1000;
    for (const timer of this.armed) if (timer.atUs <= this.us && this.armed.delete(timer)) timer.run();
  }
}

/** From a millisecond to half a year, as likely short as long. */
const delays = fc.integer({ min: 0, max: 34 }).chain((power) => fc.nat({ max: 2 ** power }));

describe('Wheel', () => {
  test('fires each once, never early, at most a tick late, in order of its ticks', () => {
    const moves = fc.record({ pauseMs: delays, delayMs: delays });
    fc.assert(
      fc.property(fc.array(moves, { minLength: 1, maxLength: 40 }), (all) => {
        const { clock, wheel } = turning();
        const nowMs = (): number => clock.monotonicUs() / 1000;
        const fired: { dueMs: number; atMs: number }[] = [];
        for (const { pauseMs, delayMs } of all) {
          clock.advance(pauseMs);
          const dueMs = nowMs() + delayMs;
          wheel.schedule(delayMs, () => void fired.push({ dueMs, atMs: nowMs() }));
        }
        clock.advance(2 ** 35);
        expect(fired).toHaveLength(all.length);
        for (const { dueMs, atMs } of fired) {
          expect(atMs).toBeGreaterThanOrEqual(dueMs);
          expect(atMs).toBeLessThanOrEqual(dueMs + TICK_MS);
        }
        expect(wheel.size).toBe(0);
        expect(clock.pending).toBe(0);
      }),
    );
  });

  test('what is cancelled never fires, and nothing else is lost with it', () => {
    const entries = fc.array(fc.record({ delayMs: delays, isCancelled: fc.boolean(), afterMs: delays }), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(entries, (all) => {
        const { clock, wheel } = turning();
        const fired = new Set<number>();
        const cancels = all.map(({ delayMs }, index) => wheel.schedule(delayMs, () => void fired.add(index)));
        const expected = new Set(all.keys());
        let nowMs = 0;
        const inTime = [...all.entries()].sort(([, a], [, b]) => a.afterMs - b.afterMs);
        for (const [index, { isCancelled, afterMs, delayMs }] of inTime) {
          clock.advance(afterMs - nowMs);
          nowMs = afterMs;
          if (!isCancelled) continue;
          const wasWaiting = !fired.has(index);
          if (afterMs < delayMs) expect(wasWaiting).toBe(true);
          if (wasWaiting) expected.delete(index);
          cancels[index]?.();
          cancels[index]?.();
        }
        clock.advance(2 ** 35);
        expect([...fired].sort()).toEqual([...expected].sort());
        expect(wheel.size).toBe(0);
        expect(clock.pending).toBe(0);
      }),
    );
  });

  test('fires in order of its ticks when the clock jumps over all of them at once', () => {
    fc.assert(
      fc.property(fc.array(delays, { minLength: 1, maxLength: 60 }), (all) => {
        let nowUs = 0;
        let wake: (() => void) | undefined;
        const { wallUs, atTurnEnd } = new ManualClock();
        const wheel = new Wheel(
          {
            wallUs,
            atTurnEnd,
            monotonicUs: () => nowUs,
            after: (_, run) => {
              wake = run;
              return () => (wake = undefined);
            },
          },
          () => {},
        );
        const fired: number[] = [];
        for (const delayMs of all) wheel.schedule(delayMs, () => void fired.push(delayMs));
        nowUs = 2 ** 35 * 1000;
        wake?.();
        const ticks = fired.map((delayMs) => Math.max(1, Math.ceil(delayMs / TICK_MS)));
        expect(ticks).toEqual([...ticks].sort((a, b) => a - b));
        expect(fired).toHaveLength(all.length);
      }),
    );
  });

  test('what a late turn schedules does not land in the slot that it empties', () => {
    const clock = new LateClock();
    const wheel = new Wheel(clock, () => {});
    const firedMs: number[] = [];
    const note = (): void => void firedMs.push(clock.monotonicUs() / 1000);
    wheel.schedule(10, () => (note(), wheel.schedule(10, note)));
    // One turn of the lowest level and no more: the same slot again.
    clock.jump(32 * TICK_MS);
    clock.jump(TICK_MS);
    expect(firedMs).toEqual([320, 330]);
  });

  test('under a clock that jumps nothing is early, lost or later than the jump, whatever callbacks schedule', () => {
    const movesOf = (ms: fc.Arbitrary<number>) =>
      fc.array(fc.record({ jumpMs: ms, delayMs: ms, againMs: fc.array(ms, { maxLength: 3 }) }), { maxLength: 40 });
    // Long spans among short ones, and short ones alone: two turns of the lowest level.
    fc.assert(
      fc.property(fc.oneof(movesOf(delays), movesOf(fc.nat(640))), (all) => {
        const clock = new LateClock();
        const wheel = new Wheel(clock, (error) => {
          throw error;
        });
        const nowMs = (): number => clock.monotonicUs() / 1000;
        const waiting = new Set<{ readonly dueMs: number }>();
        const schedule = (delayMs: number, [againMs, ...later]: readonly number[]): void => {
          const entry = { dueMs: nowMs() + delayMs };
          waiting.add(entry);
          wheel.schedule(delayMs, () => {
            expect(nowMs()).toBeGreaterThanOrEqual(entry.dueMs);
            expect(waiting.delete(entry)).toBe(true);
            if (againMs !== undefined) schedule(againMs, later);
          });
        };
        for (const { jumpMs, delayMs, againMs } of all) {
          schedule(delayMs, againMs);
          clock.jump(jumpMs);
          for (const { dueMs } of waiting) expect(dueMs + TICK_MS).toBeGreaterThan(nowMs());
          expect(wheel.size).toBe(waiting.size);
        }
        for (let round = 0; round < 4; round++) clock.jump(2 ** 35);
        expect(waiting.size).toBe(0);
        expect(clock.pending).toBe(0);
      }),
    );
  });

  test('a timer that comes too early, as those of the system may, fires nothing early', () => {
    let nowUs = 5_000;
    const wakes: (() => void)[] = [];
    const after = (_: number, run: () => void): (() => void) => {
      wakes.push(run);
      return () => {};
    };
    const { wallUs, atTurnEnd } = new ManualClock();
    const wheel = new Wheel({ wallUs, atTurnEnd, monotonicUs: () => nowUs, after }, () => {});
    let hasFired = false;
    wheel.schedule(100, () => (hasFired = true));
    nowUs += 99_400;
    wakes.shift()?.();
    expect(hasFired).toBe(false);
    nowUs += 10_600;
    wakes.shift()?.();
    expect(hasFired).toBe(true);
  });

  test('a lease of half a year wakes nobody until its end is near', () => {
    const { clock, wheel } = turning();
    let wakeUps = 0;
    const { after } = clock;
    clock.after = (delayMs, run) =>
      after(delayMs, () => {
        wakeUps++;
        run();
      });
    let hasFired = false;
    wheel.schedule(182 * DAY_MS, () => (hasFired = true));
    clock.advance(182 * DAY_MS - 1);
    expect(hasFired).toBe(false);
    clock.advance(TICK_MS + 1);
    expect(hasFired).toBe(true);
    expect(wakeUps).toBeLessThanOrEqual(8);
  });

  test('arms a timer of the system only while something waits', () => {
    const { clock, wheel } = turning();
    const cancels = [50, 500, DAY_MS].map((delayMs) => wheel.schedule(delayMs, () => {}));
    expect(clock.pending).toBe(1);
    cancels.forEach((cancel) => cancel());
    expect(clock.pending).toBe(0);
  });

  test('an earlier entry is not kept waiting by a later one', () => {
    const { clock, wheel } = turning();
    const fired: string[] = [];
    wheel.schedule(DAY_MS, () => void fired.push('late'));
    wheel.schedule(20, () => void fired.push('soon'));
    clock.advance(30);
    expect(fired).toEqual(['soon']);
  });

  test('a callback may schedule, and cancel what is due in the same tick', () => {
    const { clock, wheel } = turning();
    const fired: string[] = [];
    const cancels: (() => void)[] = [];
    const once = (name: string): void => {
      fired.push(name);
      cancels.forEach((cancel) => cancel());
      wheel.schedule(0, () => void fired.push('again'));
    };
    cancels.push(
      wheel.schedule(30, () => once('a')),
      wheel.schedule(30, () => once('b')),
    );
    clock.advance(30);
    expect(fired).toEqual(['a']);
    clock.advance(TICK_MS);
    expect(fired).toEqual(['a', 'again']);
    expect(clock.pending).toBe(0);
  });

  test('a callback that throws hinders no other', () => {
    const { clock, wheel, errors } = turning();
    let hasFired = false;
    wheel.schedule(30, () => {
      throw new Error('bug');
    });
    wheel.schedule(30, () => (hasFired = true));
    clock.advance(30);
    expect(hasFired).toBe(true);
    expect(errors).toEqual([new Error('bug')]);
  });

  test('refuses a delay that is no number', () => {
    const { wheel } = turning();
    expect(() => wheel.schedule(NaN, () => {})).toThrow(RangeError);
    expect(() => wheel.schedule(Infinity, () => {})).toThrow(RangeError);
    expect(wheel.size).toBe(0);
  });

  test('takes a million leases and cancels them, in any order, in little time', () => {
    const { clock, wheel } = turning();
    const cancels = Array.from({ length: 1_000_000 }, (_, n) => wheel.schedule((n * 7919) % (30 * DAY_MS), () => {}));
    expect(wheel.size).toBe(1_000_000);
    expect(clock.pending).toBe(1);
    for (let n = 0; n < 1_000_000; n++) cancels[(n * 7919) % 1_000_000]?.();
    expect(wheel.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  test('ends a million leases spread over a month, each once, at its own tick', () => {
    const { clock, wheel } = turning();
    const nowMs = (): number => clock.monotonicUs() / 1000;
    let [ended, untimely] = [0, 0];
    const leases = wheel.leases<{ dueMs: number }>((subject) => {
      ended++;
      const lateMs = nowMs() - subject.dueMs;
      if (lateMs < 0 || lateMs > TICK_MS) untimely++;
      subject.dueMs = NaN;
    });
    for (let n = 0; n < 1_000_000; n++) {
      const dueMs = (n * 7919 * 37) % (30 * DAY_MS);
      leases.grant({ dueMs }, dueMs);
    }
    expect(clock.pending).toBe(1);
    clock.advance(30 * DAY_MS);
    expect([ended, untimely]).toEqual([1_000_000, 0]);
    expect([wheel.size, clock.pending]).toEqual([0, 0]);
  }, 180_000);

  test('a lease that is revoked never ends, and its number is given out again', () => {
    const { clock, wheel } = turning();
    const ended: string[] = [];
    const leases = wheel.leases<{ name: string }>(({ name }) => void ended.push(name));
    const others = wheel.leases<{ name: string }>(({ name }) => void ended.push(`other ${name}`));
    const first = leases.grant({ name: 'first' }, 50);
    leases.revoke(first);
    expect(others.grant({ name: 'second' }, 50)).toBe(first);
    leases.grant({ name: 'third' }, 50);
    clock.advance(60);
    expect(ended).toEqual(['other second', 'third']);
  });

  test('who cancels what has fired does not end what has its place now', () => {
    const { clock, wheel } = turning();
    const cancel = wheel.schedule(10, () => {});
    clock.advance(20);
    let hasFired = false;
    wheel.schedule(10, () => (hasFired = true));
    cancel();
    clock.advance(20);
    expect(hasFired).toBe(true);
  });
});
