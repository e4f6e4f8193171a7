/** The simulation itself: that it repeats, that what stands holds, and that it finds what is broken. */
import { readFileSync } from 'node:fs';
import type { Change, Store } from '../../src/store/store.js';
import { failureOf } from './failure.js';
import { simulate, type SimulationOptions } from './simulation.js';
import { Timeline, HostClock, Life } from './timeline.js';

/** A minute and a half of virtual time each: the main suite's share; CI runs a thousand by `npm run test:simulation`. */
const SEEDS = Array.from({ length: 50 }, (_, index) => index + 1);

/** A machine that is busy with other suites simulates ten times slower. */
const LIMIT_MS = 300_000;

test(
  'equal seeds give equal traces, different ones do not',
  async () => {
    const hashes = new Set<string>();
    for (const seed of [11, 12, 13]) {
      const [once, again] = [await simulate(seed), await simulate(seed)];
      expect(again).toEqual(once);
      hashes.add(once.hash);
    }
    expect(hashes.size).toBe(3);
  },
  LIMIT_MS,
);

test(
  'a trace is the same whoever asks for it: a callback of the event loop, or what waits for a promise',
  async () => {
    const fromCallback = new Promise((resolve, reject) => setImmediate(() => void simulate(14).then(resolve, reject)));
    expect(await fromCallback).toEqual(await simulate(14));
  },
  LIMIT_MS,
);

test(
  'every invariant holds in 50 seeds',
  async () => {
    const failures: string[] = [];
    for (const seed of SEEDS) {
      const { failure } = await simulate(seed);
      if (failure !== undefined) failures.push(`npm run test:simulation -- --seed ${seed} --trace: ${failure}`);
    }
    expect(failures).toEqual([]);
  },
  LIMIT_MS,
);

test('the reference model imports nothing but itself', () => {
  for (const file of ['model.ts', 'alarm-model.ts']) {
    const text = readFileSync(`test/simulation/${file}`, 'utf8');
    const imported = [...text.matchAll(/(?:from|import\() ?'([^']*)'/g)].map(([, name]) => name);
    expect(['./alarm-model.js', './model.js']).toEqual(expect.arrayContaining(imported));
  }
});

test(
  'a failure is told with its seed, the sentence, and the command that repeats it',
  async () => {
    const flawedStore = (store: Store): Store =>
      writingStore(store, ({ audit: _audit, ...writing }, done) => store.write(writing, done));
    const outcome = await simulate(4, { flawedStore });
    const lines = failureOf(outcome).split('\n');
    expect(lines[1]).toMatch(/^seed 4 FAILED: .* was accepted, and the audit trail does not say so$/);
    expect(lines.at(-2)).toBe('repeat: npm run test:simulation -- --seed 4 --trace');
    expect(outcome.tail.length).toBeGreaterThan(0);
  },
  LIMIT_MS,
);

/** The sentence of the first invariant that a flaw breaks, in as many seeds at most. */
async function found(flaw: SimulationOptions, seeds: number): Promise<string | undefined> {
  for (let seed = 1; seed <= seeds; seed++) {
    const { failure } = await simulate(seed, flaw);
    if (failure !== undefined) return failure;
  }
  return undefined;
}

/** A store whose writes go through `write`, and that is otherwise as it was. */
const writingStore = (store: Store, write: Store['write']): Store => ({
  get trouble() {
    return store.trouble;
  },
  write,
  open: () => store.open(),
  provide: (table, rows) => store.provide(table, rows),
  onTrouble: (listener) => store.onTrouble(listener),
  close: () => store.close(),
});

/** Whether a row is that of a command, or alarm, in one of these states. */
const isIn = ({ row }: Change, states: readonly string[]): boolean => {
  const last = (row?.document.states as readonly { readonly state: string }[] | undefined)?.at(-1)?.state;
  return last !== undefined && states.includes(last);
};

describe('it finds', () => {
  test(
    'a store that answers before it has synced',
    async () => {
      const flawedStore = (store: Store): Store =>
        writingStore(store, (writing, done) => {
          store.write(writing, () => {});
          done();
        });
      expect(await found({ flawedStore }, 60)).toMatch(
        /the broker (does not know it|holds it as)|the newest that it holds/,
      );
    },
    LIMIT_MS,
  );

  test(
    'a broker that does not journal what it has dispatched',
    async () => {
      const flawedStore = (store: Store): Store =>
        writingStore(store, ({ changes = [], ...writing }, done) =>
          store.write({ ...writing, changes: changes.filter((change) => !isIn(change, ['dispatched'])) }, done),
        );
      expect(await found({ flawedStore }, 60)).toMatch(
        /was accepted, and the broker does not know it|holds it as accepted/,
      );
    },
    LIMIT_MS,
  );

  test(
    'a broker that does not journal alarms',
    async () => {
      const flawedStore = (store: Store): Store =>
        writingStore(store, ({ changes = [], ...writing }, done) =>
          store.write({ ...writing, changes: changes.filter(({ table }) => table !== 'alarm') }, done),
        );
      expect(await found({ flawedStore }, 60)).toMatch(
        /was reported \w+ and that is kept|was acknowledged at its count/,
      );
    },
    LIMIT_MS,
  );

  test(
    'a broker that does not journal that an alarm is shelved',
    async () => {
      const flawedStore = (store: Store): Store =>
        writingStore(store, ({ changes = [], ...writing }, done) =>
          store.write({ ...writing, changes: changes.filter(({ row }) => row?.document.state !== 'shelved') }, done),
        );
      expect(await found({ flawedStore }, 60)).toMatch(/was shelved until|was unshelved/);
    },
    LIMIT_MS,
  );

  test(
    'a broker that does not audit commands',
    async () => {
      const flawedStore = (store: Store): Store =>
        writingStore(store, ({ audit: _audit, ...writing }, done) => store.write(writing, done));
      expect(await found({ flawedStore }, 3)).toMatch(/the audit trail does not say so/);
    },
    LIMIT_MS,
  );

  test(
    'a device that forgets with its process what it did',
    async () => {
      expect(await found({ hasForgetfulDevices: true }, 40)).toMatch(/is executed twice/);
    },
    LIMIT_MS,
  );

  test(
    'a device that counts a deadline from the arrival, however long the command was on its way',
    async () => {
      expect(await found({ hasClocklessDevices: true }, 60)).toMatch(/is executed [\d.]+ ms after its deadline/);
    },
    LIMIT_MS,
  );
});

test('time is a queue: events of one instant come in the order they were planned, and a dead life has none', async () => {
  const timeline = new Timeline((error) => {
    throw error;
  });
  const life = new Life(timeline, new HostClock(), 0);
  const heard: string[] = [];
  timeline.after(5, () => heard.push('second'));
  timeline.after(5, () => heard.push('third'));
  timeline.after(1, () => heard.push('first'));
  const cancel = timeline.after(2, () => heard.push('cancelled'));
  timeline.after(9, () => heard.push('of the dead'), life);
  cancel();
  timeline.after(8, () => life.end());
  while (await timeline.step(20));
  expect(heard).toEqual(['first', 'second', 'third']);
  expect(timeline.nowUs).toBe(20);
});
