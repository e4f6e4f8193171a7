/**
 * What the kernel relies on in xstate 5.33, and what made it take this way. Where one of these fails after an upgrade, the
 * rule that it stands for is to be thought over. That a machine as root keeps bytes for every child id, and a transition
 * function none, is measured in heap.test.ts.
 */
import { createRequire } from 'node:module';
import {
  createActor,
  fromCallback,
  fromTransition,
  setup,
  spawnChild,
  type Actor,
  type AnyActorRef,
  type AnyEventObject,
} from 'xstate';

const broken = (): never => {
  throw new Error('broken');
};

const fragile = setup({ actions: { broken } }).createMachine({
  initial: 'whole',
  states: { whole: { on: { BREAK: { actions: 'broken' }, DISPOSE: 'disposed' } }, disposed: { type: 'final' } },
});

const start = (parent: AnyActorRef, id = 'child'): Actor<typeof fragile> =>
  createActor(fragile, { parent, id }).start();

function transitionRoot(): { readonly root: AnyActorRef; readonly seen: string[] } {
  const seen: string[] = [];
  const note = (state: null, { type }: AnyEventObject): null => {
    seen.push(type);
    return state;
  };
  return { root: createActor(fromTransition(note, null)).start(), seen };
}

/** What we do not do: a machine that spawns its children. */
const nursery = setup({ types: { events: {} as { type: 'ADD'; id: string } }, actors: { fragile } }).createMachine({
  on: { ADD: { actions: spawnChild('fragile', { id: ({ event }) => event.id }) } },
});

test('the version is the one that was measured', () => {
  const { version } = createRequire(import.meta.url)('xstate/package.json') as { version: string };
  expect(version).toMatch(/^5\.33\./);
});

describe('a machine made by createActor with a transition function as parent', () => {
  test('that fails stops neither its parent nor its siblings; the error is in its snapshot', () => {
    const { root } = transitionRoot();
    const [child, sibling] = [start(root), start(root)];
    child.send({ type: 'BREAK' });
    expect(child.getSnapshot()).toMatchObject({ status: 'error', error: new Error('broken') });
    expect(sibling.getSnapshot().status).toBe('active');
    expect(root.getSnapshot()).toMatchObject({ status: 'active' });
  });

  test('tells its parent how it ended, and leaves nothing in the parent', () => {
    const { root, seen } = transitionRoot();
    const before = JSON.stringify(root.getSnapshot());
    start(root, 'a').send({ type: 'BREAK' });
    start(root, 'b').send({ type: 'DISPOSE' });
    expect(seen).toEqual(['xstate.error.actor.a', 'xstate.done.actor.b']);
    expect(JSON.stringify(root.getSnapshot())).toBe(before);
  });

  test('can not be stopped from outside, so it takes DISPOSE', () => {
    const child = start(transitionRoot().root);
    expect(() => child.stop()).toThrow('A non-root actor cannot be stopped directly');
    child.send({ type: 'DISPOSE' });
    expect(child.getSnapshot().status).toBe('done');
  });

  test('may share its id with others', () => {
    const { root } = transitionRoot();
    const [one, two] = [start(root, 'same'), start(root, 'same')];
    one.send({ type: 'DISPOSE' });
    expect(two.getSnapshot().status).toBe('active');
  });

  test('has moved when send returns: what its actions sent to it included', () => {
    const order: string[] = [];
    const machine = setup({}).createMachine({
      initial: 'a',
      states: {
        a: {
          on: {
            GO: {
              target: 'b',
              actions: ({ self }) => void (order.push('before'), self.send({ type: 'ON' }), order.push('after')),
            },
          },
        },
        b: { on: { ON: 'c' } },
        c: { entry: () => void order.push('c') },
      },
    });
    const child = createActor(machine, { parent: transitionRoot().root }).start();
    child.send({ type: 'GO' });
    expect(child.getSnapshot().value).toBe('c');
    expect(order).toEqual(['before', 'after', 'c']);
  });
});

describe('what is avoided', () => {
  test('spawn: an unhandled error of one child ends its parent and, with it, every sibling', () => {
    const root = createActor(nursery);
    root.subscribe({ error: () => {} });
    root.start();
    for (const id of ['a', 'b']) root.send({ type: 'ADD', id });
    const { a, b } = root.getSnapshot().children as Record<string, AnyActorRef>;
    a?.send({ type: 'BREAK' });
    expect(root.getSnapshot().status).toBe('error');
    expect(b?.getSnapshot().status).not.toBe('active');
  });

  test('spawn: each child copies the list of all its siblings', () => {
    const root = createActor(nursery).start();
    for (let n = 0; n < 50; n++) root.send({ type: 'ADD', id: `c${n}` });
    const before = root.getSnapshot().children;
    root.send({ type: 'ADD', id: 'one more' });
    expect(root.getSnapshot().children).not.toBe(before);
    expect(Object.keys(root.getSnapshot().children)).toHaveLength(51);
  });

  test('invoke: a machine that fails leaves open what it invoked', () => {
    let isOpen = false;
    const socket = fromCallback(() => {
      isOpen = true;
      return () => (isOpen = false);
    });
    const machine = setup({ actors: { socket }, actions: { broken } }).createMachine({
      invoke: { src: 'socket' },
      on: { BREAK: { actions: 'broken' } },
    });
    const child = createActor(machine, { parent: transitionRoot().root }).start();
    child.send({ type: 'BREAK' });
    expect(child.getSnapshot().status).toBe('error');
    expect(isOpen).toBe(true);
  });

  test('after: the timers of all machines stand in one list, which every end walks through', () => {
    const visited: string[] = [];
    const waiting = setup({}).createMachine({
      after: { 1000: {} },
      on: { DISPOSE: '.end' },
      initial: 'on',
      states: { on: {}, end: { type: 'final' } },
    });
    const clock = { setTimeout: () => 1, clearTimeout: () => {} };
    const root = createActor(
      fromTransition((state: null) => state, null),
      { clock },
    ).start();
    for (let n = 0; n < 10; n++) createActor(waiting, { parent: root }).start();
    // The list itself; what the system's getSnapshot gives is a copy.
    const { _snapshot } = root.system as unknown as { _snapshot: { _scheduledEvents: Record<string, unknown> } };
    const scheduled = _snapshot._scheduledEvents;
    expect(Object.keys(scheduled)).toHaveLength(10);
    for (const [key, event] of Object.entries(scheduled)) {
      Object.defineProperty(scheduled, key, {
        configurable: true,
        enumerable: true,
        get: () => (visited.push(key), event),
      });
    }
    // It has no timer of its own.
    start(root).send({ type: 'DISPOSE' });
    expect(visited).toHaveLength(10);
  });
});
