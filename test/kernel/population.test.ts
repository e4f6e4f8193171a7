import { Population, type PopulationOptions } from '../../src/kernel/population.js';
import { silentLog } from '../../src/log.js';
import { seededRandom } from '../../src/random.js';
import { ManualClock } from '../support/manual-clock.js';
import { crash, sample, ScriptedKind, step, type Step } from './scripted.js';

function populated(options: Partial<PopulationOptions<Step>> = {}): {
  clock: ManualClock;
  population: Population<Step>;
  kinds: Map<string, ScriptedKind>;
  kindOf: (key: string) => ScriptedKind;
} {
  const clock = new ManualClock();
  const kinds = new Map<string, ScriptedKind>();
  const kindOf = (key: string): ScriptedKind => {
    const kind = kinds.get(key) ?? new ScriptedKind();
    kinds.set(key, kind);
    return kind;
  };
  const population = new Population<Step>({
    name: 'things',
    kind: kindOf,
    clock,
    random: seededRandom(7),
    log: silentLog,
    ...options,
  });
  return { clock, population, kinds, kindOf };
}

/** Milliseconds until a cell that has just crashed is up again. */
function downtimeMs(clock: ManualClock, cell: { readonly state: string }): number {
  for (let ms = 0; ; ms++) {
    if (cell.state === 'up') return ms;
    clock.advance(1);
  }
}

describe('Population', () => {
  test('activates a key once and forgets it when it is ended', () => {
    const { population, kindOf } = populated();
    const cell = population.activate('a');
    expect(population.activate('a')).toBe(cell);
    expect(population.get('a')).toBe(cell);
    population.end('a');
    expect(population.get('a')).toBeUndefined();
    expect(population.size).toBe(0);
    expect(kindOf('a').disposed).toEqual(['life 1']);
  });

  test('a crash touches one cell: its neighbours handle every message, in the same life', () => {
    const { clock, population, kindOf } = populated();
    const cells = ['a', 'b', 'c'].map((key) => population.activate(key));
    for (let n = 0; n < 20; n++) {
      cells[1]?.tell(crash('poison'));
      cells[0]?.tell(step(`a${n}`));
      cells[2]?.tell(step(`c${n}`));
      clock.advance(100);
    }
    for (const key of ['a', 'c']) {
      expect(kindOf(key).received).toHaveLength(20);
      expect(kindOf(key).opened).toEqual(['life 1']);
      expect(kindOf(key).undeliveredMessages).toEqual([]);
    }
    expect(kindOf('b').opened.length).toBeGreaterThan(2);
    population.stop();
    for (const { opened, disposed } of ['a', 'b', 'c'].map(kindOf)) expect(disposed.sort()).toEqual(opened.sort());
    expect(clock.pending).toBe(0);
  });

  test('restarts after 50 ms, doubling to 5 s, each ±20 %, where crashes are too rare for a quarantine', () => {
    const { clock, population } = populated();
    const cell = population.activate('a');
    for (const nominal of [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]) {
      cell.tell(crash('poison'));
      const ms = downtimeMs(clock, cell);
      expect(ms).toBeGreaterThanOrEqual(0.8 * nominal);
      expect(ms).toBeLessThanOrEqual(1.2 * nominal + 1);
      clock.advance(20_000);
    }
    expect(population.quarantines).toBe(0);
  });

  test('begins its back-off anew after a minute without a crash, and then remembers nothing', () => {
    const { clock, population } = populated();
    const cell = population.activate('a');
    for (let n = 0; n < 4; n++) {
      cell.tell(crash('poison'));
      downtimeMs(clock, cell);
    }
    clock.advance(60_000);
    expect(clock.pending).toBe(0);
    cell.tell(crash('poison'));
    expect(downtimeMs(clock, cell)).toBeLessThanOrEqual(61);
  });

  test('cells that crash together do not restart together', () => {
    const { clock, population } = populated();
    const cells = [...Array(200).keys()].map((key) => population.activate(String(key)));
    cells.forEach((cell) => cell.tell(crash('poison')));
    clock.advance(39);
    expect(cells.filter(({ state }) => state === 'up')).toHaveLength(0);
    clock.advance(11);
    const early = cells.filter(({ state }) => state === 'up').length;
    expect(early).toBeGreaterThan(50);
    expect(early).toBeLessThan(150);
    clock.advance(11);
    expect(cells.filter(({ state }) => state === 'up')).toHaveLength(200);
  });

  test('quarantines a cell at its fifth crash within a minute; meanwhile it answers at once', () => {
    const { clock, population, kindOf } = populated();
    const cell = population.activate('a');
    for (let n = 1; n <= 4; n++) {
      cell.tell(crash('poison'));
      expect(cell.state).toBe('restarting');
      downtimeMs(clock, cell);
    }
    cell.tell(crash('poison'));
    expect(cell.state).toBe('quarantined');
    cell.tell(step('request'));
    cell.tell(sample('sample'));
    expect(kindOf('a').undeliveredMessages.slice(5)).toEqual([
      ['request', 'down'],
      ['sample', 'down'],
    ]);
    clock.advance(29_999);
    expect(cell.state).toBe('quarantined');
    clock.advance(1);
    expect(cell.state).toBe('up');
    expect(population).toMatchObject({ crashes: 5, restarts: 5, quarantines: 1 });
    expect(population.undelivered).toEqual({ crashed: 5, down: 2, full: 0 });
  });

  test('a start that always throws ends in quarantine too, time and again, and never in a loop', () => {
    const { clock, population, kindOf } = populated();
    kindOf('a').onStart = () => {
      throw new Error('no start');
    };
    population.activate('a');
    clock.advance(10 * 60_000);
    // Ten minutes of quarantines of 30 s, five starts between them.
    expect(population.quarantines).toBeGreaterThan(10);
    expect(population.crashes).toBeLessThan(10 * 2 * 6);
    expect(kindOf('a').disposed).toEqual(kindOf('a').opened);
  });

  test('references stay good over restarts and quarantines', () => {
    const { clock, population, kindOf } = populated();
    const cell = population.activate('a');
    for (let n = 0; n < 7; n++) {
      cell.tell(crash('poison'));
      downtimeMs(clock, cell);
      cell.tell(step(`after ${n}`));
    }
    expect(population.get('a')).toBe(cell);
    expect(kindOf('a').received).toHaveLength(7);
  });

  test('a cell that is ended while it waits for its restart stays ended', () => {
    const { clock, population, kindOf } = populated();
    population.activate('a').tell(crash('poison'));
    population.end('a');
    clock.advance(60_000);
    expect(kindOf('a').opened).toEqual(['life 1']);
    expect(clock.pending).toBe(0);
  });

  test('a temporary cell is never restarted: its crash is its end', () => {
    const { clock, population, kindOf } = populated({ isTemporary: true });
    const cell = population.activate('a');
    population.activate('b');
    cell.tell(crash('poison'));
    clock.advance(60_000);
    expect(population.crashes).toBe(1);
    expect(cell.state).toBe('stopped');
    expect(population.get('a')).toBeUndefined();
    expect(population.get('b')?.state).toBe('up');
    expect(kindOf('a').disposed).toEqual(['life 1']);
    expect(clock.pending).toBe(0);
  });

  test('once stopped it activates nothing: what it gives is down', () => {
    const { population, kindOf } = populated();
    population.stop();
    population.activate('a').tell(step('late'));
    expect(kindOf('a').opened).toEqual([]);
    expect(kindOf('a').undeliveredMessages).toEqual([['late', 'down']]);
    population.start();
    expect(population.activate('a').state).toBe('up');
  });

  test('a crash costs the same among a hundred thousand siblings', () => {
    const { clock, population } = populated();
    for (let n = 0; n < 100_000; n++) population.activate(String(n));
    const before = clock.pending;
    population.get('77')?.tell(crash('poison'));
    expect(clock.pending - before).toBe(1);
    const { children, size } = population.tree();
    expect(size).toBe(100_000);
    expect(children).toHaveLength(100);
    expect(children?.[0]).toEqual({ name: '77', state: 'restarting', restarts: 0, waiting: 0 });
  });
});
