import { Gathering } from '../../src/routing/gathering.js';
import { ManualClock } from '../support/manual-clock.js';

const US_PER_MS = 1000;
/** Within which it is seen how busy the turns are. */
const LOOK_MS = 50;
const LONGEST_MS = 2;
const ENOUGH = 256;

function gathering() {
  const clock = new ManualClock();
  const woken: number[] = [];
  const gathers = new Gathering(clock, () => void woken.push(clock.monotonicUs()));
  /** Turns of one millisecond each for as long as it takes to be seen, of which each takes the given share. */
  const turns = (share: number): void => {
    for (let ms = 0; ms <= 2 * LOOK_MS; ms++) {
      const fromUs = clock.monotonicUs();
      clock.advance(1);
      gathers.turned(fromUs, fromUs + share * US_PER_MS);
    }
  };
  return { clock, gathers, turns, woken };
}

describe('what is not urgent', () => {
  test('goes at once where the turns take little of the time, however much it is', () => {
    const { clock, gathers, turns } = gathering();
    gathers.add();
    expect(gathers.mayWait(clock.monotonicUs())).toBe(false);
    turns(0.3);
    gathers.add();
    expect(gathers.mayWait(clock.monotonicUs())).toBe(false);
    expect(gathers.goesWhole).toBe(false);
  });

  test('waits 2 ms where they take most of it, and is woken then though nothing comes', () => {
    const { clock, gathers, turns, woken } = gathering();
    turns(0.7);
    gathers.add();
    const fromUs = clock.monotonicUs();
    expect(gathers.mayWait(fromUs)).toBe(true);
    clock.advance(1);
    expect(gathers.mayWait(clock.monotonicUs())).toBe(true);
    clock.advance(1);
    expect(woken).toEqual([fromUs + LONGEST_MS * US_PER_MS]);
    expect(gathers.mayWait(clock.monotonicUs())).toBe(false);
    expect(gathers.goesWhole).toBe(true);
  });

  test('goes when enough has gathered; what gathers next has its own 2 ms', () => {
    const { clock, gathers, turns, woken } = gathering();
    turns(0.7);
    gathers.add();
    expect(gathers.mayWait(clock.monotonicUs())).toBe(true);
    clock.advance(1);
    for (let n = 1; n < ENOUGH; n++) gathers.add();
    expect(gathers.mayWait(clock.monotonicUs())).toBe(false);
    gathers.rest();
    expect(gathers.goesWhole).toBe(false);

    gathers.add();
    const fromUs = clock.monotonicUs();
    expect(gathers.mayWait(fromUs)).toBe(true);
    clock.advance(1); // the timer of what has gone
    expect(woken).toEqual([]);
    expect(gathers.mayWait(clock.monotonicUs())).toBe(true);
    clock.advance(1);
    expect(woken).toEqual([fromUs + LONGEST_MS * US_PER_MS]);
  });

  test('goes at once, and not as what has waited, where one turn has brought enough', () => {
    const { clock, gathers, turns } = gathering();
    turns(0.7);
    for (let n = 0; n < ENOUGH; n++) gathers.add();
    expect(gathers.mayWait(clock.monotonicUs())).toBe(false);
    expect(gathers.goesWhole).toBe(false);
  });

  test('does not go whole where a burst has joined it', () => {
    const { clock, gathers, turns } = gathering();
    turns(0.7);
    gathers.add();
    expect(gathers.mayWait(clock.monotonicUs())).toBe(true);
    for (let n = 1; n < 2 * ENOUGH; n++) gathers.add();
    expect(gathers.mayWait(clock.monotonicUs())).toBe(false);
    expect(gathers.goesWhole).toBe(false);
  });

  test('goes at once after a pause, however busy it was before', () => {
    const { clock, gathers, turns } = gathering();
    turns(0.7);
    clock.advance(2 * LOOK_MS);
    gathers.add();
    expect(gathers.mayWait(clock.monotonicUs())).toBe(false);
  });

  test('goes at once again when it is quieter', () => {
    const { clock, gathers, turns } = gathering();
    turns(0.7);
    turns(0.1);
    gathers.add();
    expect(gathers.mayWait(clock.monotonicUs())).toBe(false);
  });
});
