/**
 * Measures what the kernel keeps. Run by heap.test.ts in a process of its own, because only there can garbage be collected
 * on demand: `node --expose-gc --import tsx test/kernel/heap.ts`. Prints one JSON object, in bytes.
 */
import { createActor, createMachine, fromTransition, type AnyActorLogic, type AnyActorRef } from 'xstate';
import type { Behaviour, Cell } from '../../src/kernel/cell.js';
import { createLifecycle } from '../../src/kernel/lifecycle.js';
import { Population } from '../../src/kernel/population.js';
import { Wheel } from '../../src/kernel/wheel.js';
import { silentLog } from '../../src/log.js';
import { seededRandom } from '../../src/random.js';
import { ManualClock } from '../support/manual-clock.js';
import { switchMachine } from './switch.js';

const CYCLES = 100_000;
const LEASES = 1_000_000;
const { gc } = globalThis;
if (!gc) throw new Error('run with --expose-gc');
const heap = (): number => {
  gc();
  return process.memoryUsage().heapUsed;
};

const clock = new ManualClock();
const wheel = new Wheel(clock, (error) => {
  throw error;
});
let opened = 0;
let received = 0;

/** As the actors are: a machine, something open, a lease. */
function start(cell: Cell<string>): Behaviour<string> {
  opened++;
  cell.own(() => (opened -= 1));
  const machine = createLifecycle(switchMachine, () => {});
  cell.own(() => machine.dispose());
  cell.own(wheel.schedule(3_600_000, () => cell.tell('EXPIRED')));
  return {
    receive(message) {
      received++;
      if (message === 'ON') machine.send({ type: 'ON' });
      if (message === 'BREAK') machine.send({ type: 'BREAK' });
    },
  };
}

const kind = { start, undelivered: () => {}, isConflatable: (message: string) => message === 'sample' };
const population = new Population<string>({
  name: 'things',
  kind: () => kind,
  clock,
  random: seededRandom(1),
  log: silentLog,
});

/** Every tenth one crashes, and every twentieth is ended while it waits for its restart. */
function cycle(from: number, to: number): void {
  for (let n = from; n < to; n++) {
    const key = `thing ${n}`;
    const cell = population.activate(key);
    cell.tell('ON');
    if (n % 10 === 0) cell.tell('BREAK');
    if (n % 20 === 0) clock.advance(100);
    population.end(key);
  }
}

/** Growth per child of a root that outlives them. */
function keptPerChild(rootLogic: AnyActorLogic): number {
  const root: AnyActorRef = createActor(rootLogic).start();
  const child = createMachine({ on: { DISPOSE: '.end' }, initial: 'on', states: { on: {}, end: { type: 'final' } } });
  const run = (from: number, to: number): void => {
    for (let n = from; n < to; n++)
      createActor(child, { parent: root, id: `child ${n}` })
        .start()
        .send({ type: 'DISPOSE' });
  };
  run(0, 2_000);
  const before = heap();
  run(2_000, 22_000);
  const kept = (heap() - before) / 20_000;
  root.send({ type: 'stay' });
  return kept;
}

/** What is allocated, garbage included: nothing is collected in between. */
function allocatedPerSample(): number {
  const cell = population.activate('streamed');
  // Until the compiler has nothing more to do.
  for (let n = 0; n < 2_000_000; n++) cell.tell('sample');
  gc?.();
  const before = process.memoryUsage().heapUsed;
  for (let n = 0; n < 200_000; n++) cell.tell('sample');
  const allocated = (process.memoryUsage().heapUsed - before) / 200_000;
  population.end('streamed');
  return allocated;
}

/** A cell at rest, its path and its place in the population included; what its behaviour keeps is not the kernel's. */
function bytesPerIdleCell(): number {
  const behaviour = { receive: () => {} };
  const idleKind = { start: () => behaviour, undelivered: () => {} };
  const idle = new Population<string>({
    name: 'idle',
    kind: () => idleKind,
    clock,
    random: seededRandom(1),
    log: silentLog,
  });
  const before = heap();
  for (let n = 0; n < 100_000; n++)
    idle.activate(`/m2m/applications/pmu-${String(n).padStart(8, '0')}/containers/measurements`);
  const kept = heap() - before;
  return kept / idle.size;
}

/** The columns of integers are outside the heap; those that were outgrown are let go of after the second collection. */
function bytesPerLease(): number {
  const bytes = (): number => Math.min(heap(), heap()) + process.memoryUsage().arrayBuffers;
  const subjects = Array.from({ length: LEASES }, () => ({ lease: 0 }));
  const leases = wheel.leases<{ lease: number }>(() => {});
  const before = bytes();
  subjects.forEach((subject, n) => (subject.lease = leases.grant(subject, n * 1000)));
  const kept = (bytes() - before) / LEASES;
  for (const { lease } of subjects) leases.revoke(lease);
  return kept;
}

cycle(0, 10_000);
const before = heap();
cycle(10_000, 10_000 + CYCLES);
const growth = heap() - before;
const perLease = bytesPerLease();
console.log(
  JSON.stringify({
    growth,
    received,
    opened,
    timers: clock.pending,
    leases: wheel.size,
    perSample: allocatedPerSample(),
    perIdleCell: bytesPerIdleCell(),
    perLease,
    transitionRootKeeps: keptPerChild(fromTransition((state: null) => state, null)),
    machineRootKeeps: keptPerChild(createMachine({})),
  }),
);
