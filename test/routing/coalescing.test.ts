import { Coalescing } from '../../src/routing/coalescing.js';
import { ManualClock } from '../support/manual-clock.js';

const US_PER_MS = 1000;
/** Within which it is seen how busy the turns are. */
const LOOK_MS = 50;
const LONGEST_MS = 2;
const ENOUGH = 256;

function coalescing() {
  const clock = new ManualClock();
  const woken: number[] = [];
  const coalesces = new Coalescing(clock, () => void woken.push(clock.monotonicUs()));
  /** Turns of one millisecond each for as long as it takes to be seen, of which each takes the given share. */
  const turns = (share: number): void => {
    for (let ms = 0; ms <= 2 * LOOK_MS; ms++) {
      const fromUs = clock.monotonicUs();
      clock.advance(1);
      coalesces.turned(fromUs, fromUs + share * US_PER_MS);
    }
  };
  return { clock, coalesces, turns, woken };
}

describe('what is not urgent', () => {
  test('goes at once where the turns take little of the time, however much it is', () => {
    const { clock, coalesces, turns } = coalescing();
    coalesces.add();
    expect(coalesces.mayWait(clock.monotonicUs())).toBe(false);
    turns(0.3);
    coalesces.add();
    expect(coalesces.mayWait(clock.monotonicUs())).toBe(false);
    expect(coalesces.goesWhole).toBe(false);
  });

  test('waits 2 ms where they take most of it, and is woken then though nothing comes', () => {
    const { clock, coalesces, turns, woken } = coalescing();
    turns(0.7);
    coalesces.add();
    const fromUs = clock.monotonicUs();
    expect(coalesces.mayWait(fromUs)).toBe(true);
    clock.advance(1);
    expect(coalesces.mayWait(clock.monotonicUs())).toBe(true);
    clock.advance(1);
    expect(woken).toEqual([fromUs + LONGEST_MS * US_PER_MS]);
    expect(coalesces.mayWait(clock.monotonicUs())).toBe(false);
    expect(coalesces.goesWhole).toBe(true);
  });

  test('goes when enough has gathered; what gathers next has its own 2 ms', () => {
    const { clock, coalesces, turns, woken } = coalescing();
    turns(0.7);
    coalesces.add();
    expect(coalesces.mayWait(clock.monotonicUs())).toBe(true);
    clock.advance(1);
    for (let n = 1; n < ENOUGH; n++) coalesces.add();
    expect(coalesces.mayWait(clock.monotonicUs())).toBe(false);
    coalesces.rest();
    expect(coalesces.goesWhole).toBe(false);

    coalesces.add();
    const fromUs = clock.monotonicUs();
    expect(coalesces.mayWait(fromUs)).toBe(true);
    clock.advance(1); // the timer of what has gone
    expect(woken).toEqual([]);
    expect(coalesces.mayWait(clock.monotonicUs())).toBe(true);
    clock.advance(1);
    expect(woken).toEqual([fromUs + LONGEST_MS * US_PER_MS]);
  });

  test('goes at once, and not as what has waited, where one turn has brought enough', () => {
    const { clock, coalesces, turns } = coalescing();
    turns(0.7);
    for (let n = 0; n < ENOUGH; n++) coalesces.add();
    expect(coalesces.mayWait(clock.monotonicUs())).toBe(false);
    expect(coalesces.goesWhole).toBe(false);
  });

  test('does not go whole where a burst has joined it', () => {
    const { clock, coalesces, turns } = coalescing();
    turns(0.7);
    coalesces.add();
    expect(coalesces.mayWait(clock.monotonicUs())).toBe(true);
    for (let n = 1; n < 2 * ENOUGH; n++) coalesces.add();
    expect(coalesces.mayWait(clock.monotonicUs())).toBe(false);
    expect(coalesces.goesWhole).toBe(false);
  });

  test('goes at once after a pause, however busy it was before', () => {
    const { clock, coalesces, turns } = coalescing();
    turns(0.7);
    clock.advance(2 * LOOK_MS);
    coalesces.add();
    expect(coalesces.mayWait(clock.monotonicUs())).toBe(false);
  });

  test('goes at once again when it is quieter', () => {
    const { clock, coalesces, turns } = coalescing();
    turns(0.7);
    turns(0.1);
    coalesces.add();
    expect(coalesces.mayWait(clock.monotonicUs())).toBe(false);
  });
});
