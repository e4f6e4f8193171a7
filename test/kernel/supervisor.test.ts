import { Population } from '../../src/kernel/population.js';
import { Supervisor, type Supervised } from '../../src/kernel/supervisor.js';
import { silentLog } from '../../src/log.js';
import { seededRandom } from '../../src/random.js';
import { ManualClock } from '../support/manual-clock.js';
import { crash, gate, ScriptedKind, step, type Step } from './scripted.js';

/** A child that writes down what is done with it. */
class Part implements Supervised {
  fail: (error: unknown) => void = () => {};
  onStart: () => void | Promise<void> = () => {};
  onStop: () => void | Promise<void> = () => {};

  constructor(
    readonly name: string,
    private readonly diary: string[],
  ) {}

  start(fail: (error: unknown) => void): void | Promise<void> {
    this.fail = fail;
    this.diary.push(`+${this.name}`);
    return this.onStart();
  }

  stop(): void | Promise<void> {
    this.diary.push(`-${this.name}`);
    return this.onStop();
  }
}

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 200; turn++) await Promise.resolve();
};

interface House {
  readonly clock: ManualClock;
  readonly diary: string[];
  readonly fatal: string[];
  readonly part: (name: string) => Part;
  readonly root: Supervisor;
  readonly start: () => Promise<void>;
}

/** A root over `a b c d`, restarted 3 times a minute, unless told otherwise. */
function house(
  strategy: 'one_for_one' | 'rest_for_one',
  children: (part: (name: string) => Part, clock: ManualClock) => readonly Supervised[] = (part) =>
    ['a', 'b', 'c', 'd'].map(part),
): House {
  const clock = new ManualClock();
  const diary: string[] = [];
  const fatal: string[] = [];
  const parts = new Map<string, Part>();
  const part = (name: string): Part => {
    const known = parts.get(name) ?? new Part(name, diary);
    parts.set(name, known);
    return known;
  };
  const intensity = { failures: 3, withinMs: 60_000 };
  const root = new Supervisor('root', strategy, intensity, children(part, clock), clock, silentLog);
  const start = (): Promise<void> => root.start((error) => void fatal.push((error as Error).message));
  return { clock, diary, fatal, part, root, start };
}

describe('Supervisor', () => {
  test('starts first to last and stops last to first, each waiting for the one before', async () => {
    const { clock, diary, part, root, start } = house('rest_for_one');
    const opening = gate();
    part('b').onStart = () => opening.promise;
    const started = start();
    await settle();
    expect(diary).toEqual(['+a', '+b']);
    opening.resolve();
    await started;
    expect(diary.splice(0)).toEqual(['+a', '+b', '+c', '+d']);

    const slow = gate();
    part('c').onStop = () => slow.promise;
    const stopped = root.stop();
    await settle();
    expect(diary).toEqual(['-d', '-c']);
    slow.resolve();
    await stopped;
    expect(diary).toEqual(['-d', '-c', '-b', '-a']);
    expect(clock.pending).toBe(0);
  });

  test('goes on without a child that does not stop in its time, or throws while it stops', async () => {
    const { clock, diary, part, root, start } = house('rest_for_one');
    part('c').onStop = () => new Promise<void>(() => {});
    part('b').onStop = () => {
      throw new Error('stuck');
    };
    await start();
    diary.splice(0);
    const stopped = root.stop();
    await settle();
    expect(diary).toEqual(['-d', '-c']);
    clock.advance(2_000);
    await stopped;
    expect(diary).toEqual(['-d', '-c', '-b', '-a']);
    expect(clock.pending).toBe(0);
  });

  test('rejects with the error of the first child that can not start, having stopped it and those before', async () => {
    const { diary, part, start, root } = house('rest_for_one');
    part('c').onStart = () => Promise.reject(new Error('port 5683 is taken'));
    await expect(start()).rejects.toThrow('port 5683 is taken');
    expect(diary).toEqual(['+a', '+b', '+c', '-c', '-b', '-a']);
    expect(root.tree().state).toBe('down');
  });

  test('counts a child that does not start in its time as one that can not', async () => {
    const { clock, part, start } = house('rest_for_one');
    part('c').onStart = () => new Promise<void>(() => {});
    const started = start();
    await settle();
    clock.advance(10_000);
    await expect(started).rejects.toThrow('c did not start within 10000 ms');
  });

  test('rest_for_one restarts the one that failed and those after it; those before do not notice', async () => {
    const { diary, part, start } = house('rest_for_one');
    await start();
    diary.splice(0);
    part('b').fail(new Error('broken'));
    await settle();
    expect(diary).toEqual(['-d', '-c', '-b', '+b', '+c', '+d']);
  });

  test('one_for_one restarts only the one that failed', async () => {
    const { diary, part, start, root } = house('one_for_one');
    await start();
    diary.splice(0);
    part('b').fail(new Error('broken'));
    await settle();
    expect(diary).toEqual(['-b', '+b']);
    expect(root.tree().children?.map(({ restarts }) => restarts)).toEqual([0, 1, 0, 0]);
  });

  test('failures at the same time make one restart where one takes the other with it', async () => {
    const { diary, part, start, fatal } = house('rest_for_one');
    await start();
    diary.splice(0);
    part('b').fail(new Error('broken'));
    part('c').fail(new Error('broken with it'));
    await settle();
    expect(diary).toEqual(['-d', '-c', '-b', '+b', '+c', '+d']);
    expect(fatal).toEqual([]);
  });

  test('what an earlier life of a child says is not heard, nor what it says twice', async () => {
    const { diary, part, root, start } = house('one_for_one');
    await start();
    const { fail } = part('b');
    fail(new Error('broken'));
    fail(new Error('broken again'));
    await settle();
    diary.splice(0);
    fail(new Error('an echo'));
    await settle();
    expect(diary).toEqual([]);
    expect(root.tree().children?.[1]).toEqual({ name: 'b', state: 'up', restarts: 1 });
  });

  test('a child that fails while it starts is restarted once it stands', async () => {
    const { diary, part, start } = house('one_for_one');
    let isFirst = true;
    part('b').onStart = () => {
      if (isFirst) part('b').fail(new Error('broken at birth'));
      isFirst = false;
    };
    await start();
    await settle();
    expect(diary).toEqual(['+a', '+b', '+c', '+d', '-b', '+b']);
  });

  test('a restart that fails counts as the next failure', async () => {
    const { diary, part, start, fatal } = house('one_for_one');
    await start();
    diary.splice(0);
    let attempts = 0;
    part('b').onStart = () => {
      if (++attempts <= 2) throw new Error('not yet');
    };
    part('b').fail(new Error('broken'));
    await settle();
    expect(diary).toEqual(['-b', '+b', '-b', '+b', '-b', '+b']);
    expect(fatal).toEqual([]);
  });

  test('the fourth failure within a minute is fatal: everything is stopped, then main is told, once', async () => {
    const { clock, diary, part, start, fatal, root } = house('rest_for_one');
    await start();
    for (let n = 1; n <= 3; n++) {
      part('d').fail(new Error(`failure ${n}`));
      await settle();
      clock.advance(15_000);
    }
    expect(fatal).toEqual([]);
    diary.splice(0);
    part('d').fail(new Error('failure 4'));
    await settle();
    expect(diary).toEqual(['-d', '-c', '-b', '-a']);
    expect(fatal).toEqual(['failure 4']);
    part('a').fail(new Error('too late'));
    await settle();
    expect(fatal).toHaveLength(1);
    expect(root.tree().state).toBe('failed');
  });

  test('failures further apart than the intensity are never fatal', async () => {
    const { clock, part, start, fatal } = house('one_for_one');
    await start();
    for (let n = 0; n < 20; n++) {
      part('d').fail(new Error('now and then'));
      await settle();
      clock.advance(20_001);
    }
    expect(fatal).toEqual([]);
  });

  test('a stop ends restarts that were on their way', async () => {
    const { diary, part, root, start, clock } = house('rest_for_one');
    await start();
    const opening = gate();
    part('c').onStart = () => opening.promise;
    part('b').fail(new Error('broken'));
    await settle();
    diary.splice(0);
    const stopped = root.stop();
    opening.resolve();
    await stopped;
    expect(diary).toEqual(['-c', '-b', '-a']);
    expect(clock.pending).toBe(0);
  });
});

describe('the tree', () => {
  /** root > store, things (a population), listeners > http, coap */
  function broker(): House & { kind: ScriptedKind; things: Population<Step> } {
    const kind = new ScriptedKind();
    const seen: { things?: Population<Step> } = {};
    const built = house('rest_for_one', (part, clock) => {
      seen.things = new Population({
        name: 'things',
        kind: () => kind,
        clock,
        random: seededRandom(1),
        log: silentLog,
      });
      const listeners = [part('http'), part('coap')];
      const intensity = { failures: 5, withinMs: 10_000 };
      return [
        part('store'),
        seen.things,
        new Supervisor('listeners', 'one_for_one', intensity, listeners, clock, silentLog),
      ];
    });
    if (!seen.things) throw new Error('no population');
    return { ...built, kind, things: seen.things };
  }

  test('a crash stays on its level: cell, listener, store', async () => {
    const { diary, part, start, things, kind, fatal, clock } = broker();
    await start();
    diary.splice(0);
    const cell = things.activate('a');

    cell.tell(crash('poison'));
    await settle();
    expect(diary).toEqual([]);
    clock.advance(100);
    cell.tell(step('on'));
    expect(kind.received).toEqual(['on']);

    part('http').fail(new Error('socket'));
    await settle();
    expect(diary.splice(0)).toEqual(['-http', '+http']);
    expect(cell.state).toBe('up');

    part('store').fail(new Error('disk'));
    await settle();
    expect(diary).toEqual(['-coap', '-http', '-store', '+store', '+http', '+coap']);
    expect(cell.state).toBe('stopped');
    expect(things.activate('a').state).toBe('up');
    expect(kind.disposed).toHaveLength(2);
    expect(fatal).toEqual([]);
  });

  test('a listener that keeps failing restarts all listeners, then the process', async () => {
    const { part, start, fatal, diary, root } = broker();
    await start();
    let rounds = 0;
    for (; fatal.length === 0 && rounds < 100; rounds++) {
      part('coap').fail(new Error('socket'));
      await settle();
    }
    // Six failures exhaust the listeners; the fourth such exhausts the root.
    expect(rounds).toBe(4 * 6);
    expect(diary.filter((line) => line === '+store')).toHaveLength(1);
    expect(diary.filter((line) => line === '+http')).toHaveLength(4);
    expect(diary.at(-1)).toBe('-store');
    expect(root.tree().children?.map(({ state }) => state)).toEqual(['down', 'down', 'down']);
  });

  test('can be written down', async () => {
    const { start, root, things, part } = broker();
    await start();
    things.activate('a');
    part('coap').fail(new Error('socket'));
    await settle();
    const up = { state: 'up', restarts: 0 };
    const expected = {
      name: 'root',
      ...up,
      children: [
        { name: 'store', ...up },
        { name: 'things', ...up, size: 1, children: [{ name: 'a', ...up, waiting: 0 }] },
        {
          name: 'listeners',
          ...up,
          children: [
            { name: 'http', ...up },
            { name: 'coap', ...up, restarts: 1 },
          ],
        },
      ],
    };
    expect(JSON.parse(JSON.stringify(root.tree()))).toEqual(expected);
  });
});
