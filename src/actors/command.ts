/**
 * The command actor: one command from its acceptance to the device's last word.
 *
 *     accepted ── DISPATCH ──> dispatched ──> acknowledged ──> executed | rejected      the device's words
 *        │                         └──────────────┴── DEADLINE ──> unknown ── a late word ──> executedLate | rejected
 *        ├── CANCEL ──> cancelled
 *        └── DEADLINE ──> expired: it never went out
 *
 * The device's words alone make `acknowledged`, `executed` and `rejected`; that a socket took the bytes makes nothing.
 */
import type { Behaviour, CellKind } from '../kernel/cell.js';
import { createLifecycle, setup, type Dispose, type Lifecycle } from '../kernel/lifecycle.js';
import type { Command, CommandState, Word } from '../routing/command.js';
import type { Schedule } from './notification-channel.js';

export type CommandMessage =
  /** A device is there: it goes out, or goes out again under the same id. */
  | { readonly type: 'DISPATCH' }
  | { readonly type: 'CANCEL' }
  | { readonly type: 'DEADLINE' }
  | { readonly type: 'WORD'; readonly word: Word };

type CommandEvent =
  { readonly type: 'DISPATCH' | 'CANCEL' | 'DEADLINE' | 'ACKNOWLEDGED' | 'EXECUTED' | 'REJECTED' } | Dispose;

const commandMachine = setup({ types: { events: {} as CommandEvent } }).createMachine({
  id: 'command',
  initial: 'accepted',
  on: { DISPOSE: '.disposed' },
  states: {
    accepted: { on: { DISPATCH: 'dispatched', CANCEL: 'cancelled', DEADLINE: 'expired' } },
    dispatched: {
      on: { ACKNOWLEDGED: 'acknowledged', EXECUTED: 'executed', REJECTED: 'rejected', DEADLINE: 'unknown' },
    },
    acknowledged: { on: { EXECUTED: 'executed', REJECTED: 'rejected', DEADLINE: 'unknown' } },
    unknown: { on: { EXECUTED: 'executedLate', REJECTED: 'rejected' } },
    executed: { type: 'final' },
    rejected: { type: 'final' },
    cancelled: { type: 'final' },
    expired: { type: 'final' },
    executedLate: { type: 'final' },
    disposed: { type: 'final' },
  },
});

const FINAL: readonly CommandState[] = ['executed', 'rejected', 'cancelled', 'expired', 'executedLate'];
export const isFinal = (state: CommandState): boolean => FINAL.includes(state);
const WORDS = { acknowledged: 'ACKNOWLEDGED', executed: 'EXECUTED', rejected: 'REJECTED' } as const;

/** A command and what is known of it; kept while its actor is restarted. */
export interface CommandRecord {
  readonly command: Command;
  readonly issuer: string;
  /** Path text of the application whose device is meant. */
  readonly application: string;
  /** Monotonic microseconds. */
  readonly deadlineUs: number;
  /** Each state with its instant (UTC, microseconds), the first first. */
  readonly states: { readonly state: CommandState; readonly atUs: number; readonly reason?: string }[];
}

export const stateOf = ({ states }: CommandRecord): CommandState => states.at(-1)?.state ?? 'accepted';

export interface CommandOptions {
  readonly schedule: Schedule;
  readonly monotonicUs: () => number;
  /** Sends it to the device; false when none is attached. */
  readonly send: (record: CommandRecord) => boolean;
  readonly changed: (record: CommandRecord, state: CommandState, reason: string | undefined) => void;
}

export function commandKind(record: CommandRecord, options: CommandOptions): CellKind<CommandMessage> {
  return {
    start(cell) {
      const lifecycle = createLifecycle(commandMachine, undefined);
      // A new life begins where the last one stood: the machine is walked there without telling anybody.
      for (const { state } of record.states) for (const event of REPLAY[state] ?? []) lifecycle.send({ type: event });
      cell.own(() => lifecycle.dispose());
      const leftMs = (record.deadlineUs - options.monotonicUs()) / 1000;
      cell.own(
        options.schedule(leftMs, () => {
          cell.tell({ type: 'DEADLINE' });
        }),
      );
      // Whatever life this is: what the device has not acknowledged goes out, when this one stands.
      cell.tell({ type: 'DISPATCH' });
      return new CommandBehaviour(record, options, lifecycle);
    },
    undelivered() {},
  };
}

const REPLAY: Partial<Record<CommandState, readonly CommandEvent['type'][]>> = {
  dispatched: ['DISPATCH'],
  acknowledged: ['ACKNOWLEDGED'],
  executed: ['EXECUTED'],
  rejected: ['REJECTED'],
  cancelled: ['CANCEL'],
  expired: ['DEADLINE'],
  unknown: ['DEADLINE'],
  executedLate: ['EXECUTED'],
};

class CommandBehaviour implements Behaviour<CommandMessage> {
  constructor(
    private readonly record: CommandRecord,
    private readonly options: CommandOptions,
    private readonly lifecycle: Lifecycle<typeof commandMachine>,
  ) {}

  private get state(): CommandState {
    return this.lifecycle.state as CommandState;
  }

  receive(message: CommandMessage): void {
    switch (message.type) {
      case 'DISPATCH':
        // What the device has acknowledged it has; anything else goes again, and the device knows the id.
        if ((this.state === 'accepted' || this.state === 'dispatched') && this.options.send(this.record)) {
          this.step('DISPATCH', undefined);
        }
        return;
      case 'CANCEL':
      case 'DEADLINE':
        this.step(message.type, undefined);
        return;
      case 'WORD':
        this.step(WORDS[message.word.state], message.word.reason);
    }
  }

  /** Moves the machine; a new state is told on. */
  private step(type: CommandEvent['type'], reason: string | undefined): void {
    const before = this.state;
    this.lifecycle.send({ type });
    const after = this.state;
    if (after !== before) this.options.changed(this.record, after, reason);
  }
}
