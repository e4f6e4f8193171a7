import fc from 'fast-check';
import { createLifecycle, lifecyclesOf, setup, type Dispose, type Lifecycle } from '../../src/kernel/lifecycle.js';
import { switchMachine } from './switch.js';

interface SwitchUnderTest {
  readonly machine: Lifecycle<typeof switchMachine>;
  readonly changes: string[];
  readonly actions: string[];
}

function started(act: (action: string) => void = () => {}): SwitchUnderTest {
  const changes: string[] = [];
  const actions: string[] = [];
  const input = (action: string): void => {
    actions.push(action);
    act(action);
  };
  const machine = createLifecycle(switchMachine, input, (state, before) => void changes.push(`${before} -> ${state}`));
  return { machine, changes, actions };
}

describe('lifecycle', () => {
  test('tells each change of state, and the state now', () => {
    const { machine, changes } = started();
    machine.send({ type: 'ON' });
    machine.send({ type: 'ON' });
    machine.send({ type: 'OFF' });
    expect(changes).toEqual(['off -> on.idle', 'on.idle -> off']);
    expect(machine.state).toBe('off');
    expect(machine.snapshot.context.count).toBe(1);
  });

  test('DISPOSE ends it from any state, once, and nothing happens afterwards', () => {
    const { machine, changes, actions } = started();
    machine.send({ type: 'ON' });
    machine.dispose();
    machine.dispose();
    machine.send({ type: 'OFF' });
    expect(changes.at(-1)).toBe('on.idle -> disposed');
    expect(actions).toEqual(['begin', 'tell', 'end']);
  });

  test('its own end is a change like any other', () => {
    const { machine, changes } = started();
    machine.send({ type: 'ON' });
    machine.send({ type: 'TRIP' });
    expect(changes.at(-1)).toBe('on.idle -> tripped');
    expect(machine.snapshot.status).toBe('done');
  });

  test('a throw of an action reaches whoever sent the event, and no other machine', () => {
    const broken = started();
    const neighbour = started();
    expect(() => broken.machine.send({ type: 'BREAK' })).toThrow('broken');
    broken.machine.send({ type: 'ON' });
    broken.machine.dispose();
    expect(broken.changes).toEqual([]);
    neighbour.machine.send({ type: 'ON' });
    expect(neighbour.machine.state).toBe('on.idle');
    expect(started().machine.state).toBe('off');
  });

  test('a throw while it starts reaches whoever starts it', () => {
    expect(() =>
      started(() => {
        throw new Error('no beginning');
      }),
    ).toThrow('no beginning');
    const contextless = setup({}).createMachine({
      context: () => {
        throw new Error('no context');
      },
    });
    expect(() => createLifecycle(contextless, undefined)).toThrow('no context');
  });

  test('an action may send to its own machine: that event comes next', () => {
    const built: { test?: SwitchUnderTest } = {};
    built.test = started((action) => {
      if (action === 'tell') built.test?.machine.send({ type: 'TRIP' });
    });
    built.test.machine.send({ type: 'ON' });
    expect(built.test.changes).toEqual(['off -> tripped']);
  });

  test('an action may dispose its own machine', () => {
    const built: { test?: SwitchUnderTest } = {};
    built.test = started((action) => {
      if (action === 'tell') built.test?.machine.dispose();
    });
    built.test.machine.send({ type: 'ON' });
    expect(built.test.changes).toEqual(['off -> disposed']);
  });

  test('a machine that does not end on DISPOSE is found out', () => {
    const stubborn = setup({}).createMachine({ id: 'stubborn', initial: 'idle', states: { idle: {} } });
    expect(() => createLifecycle(stubborn, undefined).dispose()).toThrow(
      'machine stubborn does not end on DISPOSE in idle',
    );
  });
});

/** One that only moves, as alarms and commands do. */
const doorMachine = setup({
  types: { events: {} as { readonly type: (typeof DOOR_EVENTS)[number] } | Dispose },
}).createMachine({
  id: 'door',
  initial: 'shut',
  on: { DISPOSE: '.disposed' },
  states: {
    shut: { on: { OPEN: 'open', LOCK: 'locked' } },
    open: { initial: 'ajar', states: { ajar: { on: { OPEN: 'wide' } }, wide: {} }, on: { SHUT: 'shut' } },
    locked: { on: { SHUT: 'shut', BREAK: 'broken' } },
    broken: { type: 'final' },
    disposed: { type: 'final' },
  },
});
const DOOR_EVENTS = ['OPEN', 'SHUT', 'LOCK', 'BREAK'] as const;

describe('lifecycles of a machine that only moves', () => {
  const begin = lifecyclesOf(doorMachine);

  test('go where an actor of their own would have gone', () => {
    const events = fc.array(fc.constantFrom(...DOOR_EVENTS, 'DISPOSE' as const), { maxLength: 12 });
    fc.assert(
      fc.property(events, (types) => {
        const [kept, actor] = [begin(), createLifecycle(doorMachine, undefined)];
        for (const type of types) {
          kept.send({ type });
          actor.send({ type });
          expect(kept.state).toBe(actor.state);
          expect(kept.snapshot.status).toBe(actor.snapshot.status);
          for (const next of DOOR_EVENTS)
            expect(kept.snapshot.can({ type: next })).toBe(actor.snapshot.can({ type: next }));
        }
      }),
    );
  });

  test('do not move each other', () => {
    const [one, other] = [begin(), begin()];
    one.send({ type: 'OPEN' });
    expect([one.state, other.state]).toEqual(['open.ajar', 'shut']);
    one.dispose();
    expect([one.state, other.state]).toEqual(['disposed', 'shut']);
  });

  test('are refused to a machine that acts', () => {
    expect(() => lifecyclesOf(switchMachine)).toThrow('machine switch acts: it takes createLifecycle');
  });
});
