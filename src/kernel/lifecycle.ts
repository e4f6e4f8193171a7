/**
 * Lifecycles: the bridge to xstate, its one import site. A machine decides what state something is in; an integer or a field
 * that its owner reads carries the decision to the hot path.
 *
 * What measuring xstate 5.33 forces [test/kernel/xstate-facts.test.ts]: `spawnChild` costs O(siblings) and an unhandled error
 * of a child kills its parent, so machines are made by `createActor` with `lifecycleRoot` as parent; `stop()` throws on such
 * children, so every machine accepts DISPOSE and goes to a final state; a machine as root keeps bytes for every child id it
 * ever saw, so the root is a transition function. In machines: no invoke, no spawn, no after, no async action: then a
 * machine moves only inside `send`, and looking at it after each `send` misses nothing and subscribes to nothing.
 */
import {
  createActor,
  fromTransition,
  initialTransition,
  transition,
  type Actor,
  type AnyEventObject,
  type AnyStateMachine,
  type EventFromLogic,
  type InputFrom,
  type SnapshotFrom,
} from 'xstate';

export { assign, setup } from 'xstate';

/** Its children's error and done events arrive here and end here; their owners have been told by `send`. */
const lifecycleRoot = createActor(fromTransition((state: null, _event: AnyEventObject) => state, null));
lifecycleRoot.start();

/** Every machine takes it, in every state, and goes to a final one: the end from outside. */
export interface Dispose {
  readonly type: 'DISPOSE';
}

export interface Lifecycle<Machine extends AnyStateMachine> {
  /** The state's name; nested ones as `outer.inner`. */
  readonly state: string;
  readonly snapshot: SnapshotFrom<Machine>;
  /**
   * Moves the machine; nothing happens after its end.
   *
   * @throws what an action or guard of the machine throws: the fault belongs to the cell whose message caused it
   */
  send(event: EventFromLogic<Machine>): void;
  /** Sends DISPOSE: the machine goes to its final state. Harmless after its end. */
  dispose(): void;
}

/**
 * Runs a machine.
 *
 * @param onChange called after each `send` that changed the state's name, the final one included
 * @throws what the machine's context or an entry action of its first state throws
 */
export function createLifecycle<Machine extends AnyStateMachine>(
  machine: Machine,
  input: InputFrom<Machine>,
  onChange: (state: string, before: string) => void = () => {},
): Lifecycle<Machine> {
  const actor: Actor<AnyStateMachine> = createActor<AnyStateMachine>(machine, { parent: lifecycleRoot, input });
  actor.start();
  throwFault(actor);
  let state = stateName(actor.getSnapshot().value);
  let isMoving = false;
  const send = (event: AnyEventObject): void => {
    if (actor.getSnapshot().status !== 'active') return;
    // Sent by an action of the machine itself: xstate takes it after the present event, and the outer `send` sees the end.
    if (isMoving) return actor.send(event);
    isMoving = true;
    actor.send(event);
    isMoving = false;
    throwFault(actor);
    const before = state;
    state = stateName(actor.getSnapshot().value);
    if (state !== before) onChange(state, before);
  };
  return {
    get state() {
      return state;
    },
    get snapshot() {
      return actor.getSnapshot() as SnapshotFrom<Machine>;
    },
    send,
    dispose() {
      send({ type: 'DISPOSE' });
      // A machine that lives on would never be collected: the root's system holds it.
      if (!isMoving && actor.getSnapshot().status === 'active')
        throw new Error(`machine ${machine.id} does not end on DISPOSE in ${state}`);
    },
  };
}

/**
 * Makes lifecycles of a machine that only moves, without context, action or guard: where an event leads to from a state is the
 * same for all of them, so xstate is asked once and the answer kept. Each is a reference then, 32 bytes, where an actor is 2 KB
 * and takes 10 us to make and as long to move. Whoever acts on a change compares `state` before and after.
 *
 * @throws when it is asked of a machine that acts, or acts where it moves to
 */
export function lifecyclesOf<Machine extends AnyStateMachine>(machine: Machine): () => Lifecycle<Machine> {
  const places = new Map<string, Place>();
  const placeOf = ([snapshot, actions]: readonly [SnapshotFrom<AnyStateMachine>, readonly unknown[]]): Place => {
    if (actions.length > 0) throw new Error(`machine ${machine.id} acts: it takes createLifecycle`);
    const state = stateName(snapshot.value);
    let place = places.get(state);
    if (!place) places.set(state, (place = new Place(state, snapshot, lead)));
    return place;
  };
  const lead: Lead = (snapshot, event) => placeOf(transition(machine as AnyStateMachine, snapshot, event));
  const first = placeOf(initialTransition(machine as AnyStateMachine));
  return () => new Moves<Machine>(first);
}

type Lead = (snapshot: SnapshotFrom<AnyStateMachine>, event: AnyEventObject) => Place;

/** A state of a machine that only moves, and where the events that came so far lead to from it: as many as the machine knows. */
class Place {
  private readonly next = new Map<string, Place>();

  constructor(
    readonly state: string,
    readonly snapshot: SnapshotFrom<AnyStateMachine>,
    private readonly lead: Lead,
  ) {}

  after(event: AnyEventObject): Place {
    if (this.snapshot.status !== 'active') return this;
    let place = this.next.get(event.type);
    if (!place) this.next.set(event.type, (place = this.lead(this.snapshot, event)));
    return place;
  }
}

class Moves<Machine extends AnyStateMachine> implements Lifecycle<Machine> {
  constructor(private place: Place) {}

  get state(): string {
    return this.place.state;
  }

  get snapshot(): SnapshotFrom<Machine> {
    return this.place.snapshot as SnapshotFrom<Machine>;
  }

  send(event: AnyEventObject): void {
    this.place = this.place.after(event);
  }

  dispose(): void {
    this.send({ type: 'DISPOSE' });
  }
}

function throwFault(actor: Actor<AnyStateMachine>): void {
  const { status, error } = actor.getSnapshot();
  if (status === 'error') throw error;
}

function stateName(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null) return '';
  return Object.entries(value)
    .map(([outer, inner]) => `${outer}.${stateName(inner)}`)
    .join('|');
}
