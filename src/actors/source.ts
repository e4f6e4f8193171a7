/**
 * A source: the actor behind one PMU stream. Its machine decides when to connect, ask, retry and give up; a port, given by
 * interface, moves the bytes; the measurements pass it by on their way to the broker.
 *
 *     idle ─> connecting ─> awaitingConfig ─> streaming <─> stale          DISPOSE, from anywhere ─> closed
 *                 ^──────────────┴────────────────┴───────────┘
 *              LOST, nothing answered, silent for too long: again after 50 ms, 100 ms, ... 5 s, ±20 %
 */
import type { Cancel } from '../clock.js';
import type { Behaviour, Cell, CellKind } from '../kernel/cell.js';
import { assign, createLifecycle, setup, type Dispose } from '../kernel/lifecycle.js';
import type { Random } from '../random.js';
import type { Measurement, PmuDescriptor } from '../routing/measurement.js';
import type { StreamEvent, StreamPort, StreamSink } from '../routing/stream.js';

export type SourceState = 'idle' | 'connecting' | 'awaitingConfig' | 'streaming' | 'stale' | 'closed';

/** What the broker makes of a source. */
export interface SourceOwner {
  /** A new configuration: each PMU becomes an application. Told again after a crash of the source. */
  onConfiguration(pmus: readonly PmuDescriptor[]): void;
  /** See StreamSink. */
  onMeasurement(index: number, measurement: Measurement, measuredUs: number, arrivedUs: number, quality: number): void;
  onState(state: SourceState): void;
}

export interface SourceOptions {
  readonly open: (sink: StreamSink) => StreamPort;
  readonly owner: SourceOwner;
  /** The shared timer wheel's. */
  readonly schedule: (delayMs: number, run: () => void) => Cancel;
  readonly random: Random;
  /** Without a data frame for so long a commanded device is connected to anew. */
  readonly giveUpMs?: number;
}

interface Measured {
  readonly type: 'MEASURED';
  readonly index: number;
  readonly measurement: Measurement;
  readonly measuredUs: number;
  readonly arrivedUs: number;
  readonly quality: number;
}

export type SourceMessage = StreamEvent | Measured | { readonly type: 'RETRY' };
type SourceEvent = StreamEvent | { readonly type: 'OPEN' } | { readonly type: 'RETRY' } | Dispose;

const GIVE_UP_MS = 10_000;
/** Times a configuration is asked for before the device is connected to anew. */
const LARGEST_ASKED = 3;
const FIRST_DELAY_MS = 50;
const LONGEST_DELAY_MS = 5_000;
/** Sources that were lost together must not come back together. */
const JITTER = 0.2;

interface SourceContext {
  readonly port: StreamPort;
  readonly giveUpMs: number;
  /** Arms RETRY after the back-off that so many failures in a row ask for. */
  readonly backOff: (failures: number) => void;
  /** Since data last flowed. */
  readonly failures: number;
  /** For the configuration, since CONNECTED. */
  readonly asked: number;
  /** One has been had; it may still hold where the device answers none. */
  readonly isConfigured: boolean;
}

type SourceInput = Pick<SourceContext, 'port' | 'giveUpMs' | 'backOff'>;

const sourceMachine = setup({
  types: { context: {} as SourceContext, events: {} as SourceEvent, input: {} as SourceInput },
  actions: {
    connect: ({ context }) => context.port.connect(),
    backOff: ({ context }) => context.backOff(context.failures),
    stopData: ({ context }) => context.port.stopData(),
    startData: ({ context }) => context.port.startData(),
    ask: ({ context }) => context.port.requestConfiguration(),
    close: ({ context }) => context.port.close(),
    fail: assign({ failures: ({ context }) => context.failures + 1 }),
    recover: assign({ failures: 0 }),
    countAsked: assign({ asked: ({ context }) => context.asked + 1 }),
    forgetAsked: assign({ asked: 0 }),
    remember: assign({ isConfigured: true }),
  },
  guards: {
    mayAskAgain: ({ context }) => context.asked < LARGEST_ASKED,
    isConfigured: ({ context }) => context.isConfigured,
    isHopeless: ({ context, event }) =>
      event.type === 'SILENT' && context.port.isCommanded && event.silentMs >= context.giveUpMs,
  },
}).createMachine({
  id: 'source',
  initial: 'idle',
  context: ({ input }) => ({ ...input, failures: 0, asked: 0, isConfigured: false }),
  on: { DISPOSE: '.closed' },
  states: {
    idle: { on: { OPEN: { target: 'connecting', actions: 'connect' } } },
    connecting: {
      on: {
        RETRY: { actions: 'connect' },
        LOST: { actions: ['fail', 'backOff'] },
        CONNECTED: 'awaitingConfig',
      },
    },
    awaitingConfig: {
      entry: ['forgetAsked', 'countAsked', 'stopData', 'ask'],
      on: {
        CONFIGURED: { target: 'streaming', actions: ['remember', 'startData'] },
        // It sends already, and what it sends fits the configuration it had.
        FLOWING: { target: 'streaming', actions: ['recover', 'startData'] },
        UNANSWERED: [
          { guard: 'mayAskAgain', actions: ['countAsked', 'ask'] },
          // Some devices do not answer over UDP, or not always.
          { guard: 'isConfigured', target: 'streaming', actions: 'startData' },
          { target: 'connecting', actions: ['fail', 'backOff'] },
        ],
        LOST: { target: 'connecting', actions: ['fail', 'backOff'] },
      },
    },
    streaming: {
      on: {
        FLOWING: { actions: 'recover' },
        OUTDATED: { actions: 'ask' },
        UNANSWERED: { actions: 'ask' },
        SILENT: 'stale',
        LOST: { target: 'connecting', actions: ['fail', 'backOff'] },
      },
    },
    stale: {
      on: {
        FLOWING: { target: 'streaming', actions: 'recover' },
        OUTDATED: { actions: 'ask' },
        UNANSWERED: { actions: 'ask' },
        SILENT: [
          { guard: 'isHopeless', target: 'connecting', actions: ['fail', 'backOff'] },
          // The command itself may have been lost.
          { actions: 'startData' },
        ],
        LOST: { target: 'connecting', actions: ['fail', 'backOff'] },
      },
    },
    closed: { type: 'final', entry: 'close' },
  },
});

/** Milliseconds before the attempt that follows `failures` failures, 1 or more. */
export function backOffMs(failures: number, random: Random): number {
  const delayMs = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(failures - 1, 16));
  const spread = 2 * JITTER * delayMs;
  return delayMs - spread / 2 + random.below(spread + 1);
}

/** What all of one broker's source cells have in common but their options. */
export function sourceKind(options: SourceOptions): CellKind<SourceMessage> {
  return {
    start: (cell) => startSource(cell, options),
    // Nobody waits for an answer: what a source that is down missed, its port tells again.
    undelivered: () => {},
    isConflatable: ({ type }) => type === 'MEASURED',
  };
}

function startSource(cell: Cell<SourceMessage>, options: SourceOptions): Behaviour<SourceMessage> {
  const { owner, schedule, random } = options;
  let cancelRetry: Cancel | undefined;
  const { generation } = cell;
  const tell = (message: SourceMessage): void => {
    if (cell.generation === generation) cell.tell(message);
  };
  const port = options.open({
    event: tell,
    measurement: (index, measurement, measuredUs, arrivedUs, quality) =>
      tell({ type: 'MEASURED', index, measurement, measuredUs, arrivedUs, quality }),
  });
  cell.own(() => port.close());
  cell.own(() => cancelRetry?.());
  const backOff = (failures: number): void => {
    cancelRetry?.();
    cancelRetry = schedule(backOffMs(failures, random), () => tell({ type: 'RETRY' }));
  };
  const input = { port, backOff, giveUpMs: options.giveUpMs ?? GIVE_UP_MS };
  const lifecycle = createLifecycle(sourceMachine, input, (state) => owner.onState(state as SourceState));
  cell.own(() => lifecycle.dispose());
  lifecycle.send({ type: 'OPEN' });
  return {
    receive(message) {
      if (message.type === 'MEASURED') {
        const { index, measurement, measuredUs, arrivedUs, quality } = message;
        owner.onMeasurement(index, measurement, measuredUs, arrivedUs, quality);
        return;
      }
      // The applications stand before the machine says `streaming`.
      if (message.type === 'CONFIGURED' && message.isNew) owner.onConfiguration(message.pmus);
      lifecycle.send(message);
    },
  };
}
