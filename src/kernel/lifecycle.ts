/**
 * Lifecycles: the bridge to xstate, its one import site. A machine decides what state something is in; an integer or a field
 * that its owner reads carries the decision to the hot path.
 *
 * What measuring xstate 5.33 forces [test/kernel/xstate-facts.test.ts]: `spawnChild` costs O(siblings) and an unhandled error
 * of a child kills its parent, so machines are made by `createActor` with `lifecycleRoot` as parent; `stop()` throws on such
 * children, so every machine accepts DISPOSE and goes to a final state; a machine as root keeps bytes for every child id it
 * ever saw, so the root is a transition function. In machines: no invoke, no spawn, no after, no async action.
 */
import { createActor, fromTransition, type AnyEventObject, type AnyStateMachine, type EventFromLogic, type InputFrom, type SnapshotFrom } from 'xstate';

export { assign, setup } from 'xstate';

const lifecycleRoot = createActor(fromTransition((state: null, _event: AnyEventObject) => state, null));
lifecycleRoot.start();

let serial = 0;

/** Every machine takes it: the end from outside. */
export interface Dispose {
  readonly type: 'DISPOSE';
}

export interface Lifecycle<Machine extends AnyStateMachine> {
  /** The state's name; nested ones as `outer.inner`. */
  readonly state: string;
  readonly snapshot: SnapshotFrom<Machine>;
  send(event: EventFromLogic<Machine>): void;
  /** Sends DISPOSE: the machine goes to its final state. */
  dispose(): void;
}

/**
 * Runs a machine.
 *
 * @param onChange called after each event that changed the state's name
 * @throws what an action of the machine throws: the fault belongs to the cell whose message caused it
 */
export function createLifecycle<Machine extends AnyStateMachine>(
  machine: Machine,
  input: InputFrom<Machine>,
  onChange: (state: string, before: string) => void = () => {},
): Lifecycle<Machine> {
  let fault: { readonly error: unknown } | undefined;
  const actor = createActor(machine as AnyStateMachine, { parent: lifecycleRoot, id: `m${serial++}`, input } as never);
  actor.subscribe({ error: (error: unknown) => void (fault = { error }) });
  actor.start();
  const nameOf = (): string => stateName((actor.getSnapshot() as { value: unknown }).value);
  let before = nameOf();
  const send = (event: EventFromLogic<Machine>): void => {
    actor.send(event as never);
    if (fault) throw fault.error;
    const after = nameOf();
    if (after === before) return;
    const left = before;
    before = after;
    onChange(after, left);
  };
  return {
    get state() {
      return before;
    },
    get snapshot() {
      return actor.getSnapshot() as SnapshotFrom<Machine>;
    },
    send,
    dispose: () => send({ type: 'DISPOSE' } as EventFromLogic<Machine>),
  };
}

function stateName(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null) return '';
  return Object.entries(value)
    .map(([outer, inner]) => `${outer}.${stateName(inner)}`)
    .join('|');
}

