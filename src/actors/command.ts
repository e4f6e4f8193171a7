/**
 * The command actor: one command from its acceptance to the device's last word.
 *
 *     accepted ── DISPATCH ──> dispatched ──> acknowledged ──> executed | rejected      the device's words
 *        │                      │  ^     └─────────┴── DEADLINE ──> unknown ── a late word ──> executedLate | rejected
 *        │        (a select) selected ── CANCEL ──> cancelled
 *        ├── CANCEL ──> cancelled    └── DEADLINE (its lease) ──> expired
 *        └── DEADLINE ──> expired: it never went out
 *
 * The device's words alone make `acknowledged`, `selected`, `executed` and `rejected`; that a socket took the bytes makes nothing.
 *
 * A state is true when it is in the journal. The machine moves, the move is written, and what comes meanwhile is held; if the
 * store refuses, the machine is walked again to where the record stands.
 */
import { refuse, type Refusal } from '../errors.js';
import type { Cancel, Clock } from '../clock.js';
import type { Behaviour, Cell, CellKind } from '../kernel/cell.js';
import { lifecyclesOf, setup, type Dispose, type Lifecycle } from '../kernel/lifecycle.js';
import type { CommandState, Word } from '../routing/command.js';
import {
  isOperated,
  isOver,
  isSelecting,
  nobody,
  stateOf,
  wordOnStanding,
  type CommandRecord,
  type Entry,
} from './command-record.js';
import type { Schedule } from './notification-channel.js';
import { FAULTS } from './resource.js';

/** Told when the message is done with: what it changed is durable, or why it changed nothing. */
type Reply = (refusal?: Refusal) => void;

export type CommandMessage =
  /** It is first at its point: it goes out if a device is there, or goes out again under the same id. */
  | { readonly type: 'DISPATCH' }
  | { readonly type: 'DEADLINE' }
  | { readonly type: 'CANCEL'; readonly reply: Reply }
  | { readonly type: 'OPERATE'; readonly deadlineMs: number; readonly reply: Reply }
  | { readonly type: 'WORD'; readonly word: Word; readonly by: string; readonly reply: Reply };

type CommandEvent =
  | { readonly type: 'DISPATCH' | 'CANCEL' | 'DEADLINE' | 'ACKNOWLEDGED' | 'SELECTED' | 'EXECUTED' | 'REJECTED' }
  | Dispose;

const commandMachine = setup({ types: { events: {} as CommandEvent } }).createMachine({
  id: 'command',
  initial: 'accepted',
  on: { DISPOSE: '.disposed' },
  states: {
    accepted: { on: { DISPATCH: 'dispatched', CANCEL: 'cancelled', DEADLINE: 'expired' } },
    dispatched: {
      on: {
        ACKNOWLEDGED: 'acknowledged',
        SELECTED: 'selected',
        EXECUTED: 'executed',
        REJECTED: 'rejected',
        DEADLINE: 'unknown',
      },
    },
    acknowledged: { on: { EXECUTED: 'executed', REJECTED: 'rejected', DEADLINE: 'unknown' } },
    selected: { on: { DISPATCH: 'dispatched', CANCEL: 'cancelled', REJECTED: 'rejected', DEADLINE: 'expired' } },
    unknown: { on: { EXECUTED: 'executedLate', REJECTED: 'rejected' } },
    executed: { type: 'final' },
    rejected: { type: 'final' },
    cancelled: { type: 'final' },
    expired: { type: 'final' },
    executedLate: { type: 'final' },
    disposed: { type: 'final' },
  },
});
const commandLifecycle = lifecyclesOf(commandMachine);

/** What the store refused because of the moment, not of a word that comes again, is tried again after so long. */
const RETRY_MS = 1_000;

/** How a state comes into a record. */
export interface Step {
  readonly entry: Entry;
  /** Whose doing it is, for the audit trail. */
  readonly by: string;
  /** Milliseconds from now to the end of what begins with it: the lease, or the deadline of an operate. */
  readonly dueMs?: number;
}

/** What all commands have in common. */
export interface CommandOptions {
  readonly schedule: Schedule;
  readonly clock: Pick<Clock, 'wallUs' | 'monotonicUs'>;
  /** Whether it is first at its point, and a device attached. */
  readonly canGo: (record: CommandRecord) => boolean;
  /** To its device. */
  readonly send: (record: CommandRecord) => void;
  readonly sendCancel: (record: CommandRecord) => void;
  /** Journals a state. @param done the record has it, or the store has refused it */
  readonly write: (record: CommandRecord, step: Step, done: Reply) => void;
  /** The broker's own id in the audit trail. */
  readonly broker: string;
}

export function commandKind(record: CommandRecord, options: CommandOptions): CellKind<CommandMessage> {
  return {
    start: (cell) => new CommandBehaviour(record, options, cell),
    undelivered(message, fault) {
      if ('reply' in message) message.reply(FAULTS[fault]);
    },
  };
}

/** What moved the machine into each state. */
const REPLAY: Partial<Record<CommandState, CommandEvent['type']>> = {
  dispatched: 'DISPATCH',
  acknowledged: 'ACKNOWLEDGED',
  selected: 'SELECTED',
  executed: 'EXECUTED',
  rejected: 'REJECTED',
  cancelled: 'CANCEL',
  expired: 'DEADLINE',
  unknown: 'DEADLINE',
  executedLate: 'EXECUTED',
};

function walked({ states }: CommandRecord): Lifecycle<typeof commandMachine> {
  const lifecycle = commandLifecycle();
  for (const { state } of states) {
    const type = REPLAY[state];
    if (type) lifecycle.send({ type });
  }
  return lifecycle;
}

class CommandBehaviour implements Behaviour<CommandMessage> {
  private lifecycle: Lifecycle<typeof commandMachine>;
  private readonly held: CommandMessage[] = [];
  private cancelDue: Cancel = () => {};

  constructor(
    private readonly record: CommandRecord,
    private readonly options: CommandOptions,
    private readonly cell: Cell<CommandMessage>,
  ) {
    // A new life begins where the last one stood, without telling anybody.
    this.lifecycle = walked(record);
    record.onWritten = () => this.written();
    cell.own(() => {
      this.cancelDue();
      this.lifecycle.dispose();
      // The record outlives this life by a day, and must not keep it.
      record.onWritten = nobody;
    });
    this.awaitDue();
    cell.tell({ type: 'DISPATCH' });
  }

  private get state(): CommandState {
    return this.lifecycle.state as CommandState;
  }

  private get isDue(): boolean {
    return this.options.clock.monotonicUs() >= this.record.due.monotonicUs;
  }

  receive(message: CommandMessage): void {
    if (this.record.isWriting) return this.hold(message);
    switch (message.type) {
      case 'DISPATCH':
        return this.dispatch(message);
      case 'DEADLINE':
        if (this.isDue)
          this.step('DEADLINE', message, this.options.broker, this.state === 'selected' ? LEASE_OVER : {});
        return;
      case 'CANCEL':
        return this.cancel(message);
      case 'OPERATE':
        return this.operate(message);
      case 'WORD':
        return this.hear(message);
    }
  }

  private dispatch(message: CommandMessage): void {
    const { record, options } = this;
    if (this.isDue || !options.canGo(record)) return;
    // What the device has acknowledged it has; anything else goes again, and the device knows the id.
    if (this.state === 'dispatched' && !record.isSent) options.send(record);
    if (this.state === 'accepted') this.step('DISPATCH', message, options.broker, { then: () => options.send(record) });
  }

  private cancel(message: CommandMessage & { readonly reply: Reply }): void {
    const { record, options, state } = this;
    const then = state === 'selected' ? () => options.sendCancel(record) : undefined;
    if (state === 'cancelled') return message.reply();
    if (state === 'accepted' || state === 'selected') return this.step('CANCEL', message, record.issuer, { then });
    message.reply(this.conflict('only one that has not gone out, or is selected, can be cancelled'));
  }

  private operate(message: CommandMessage & { readonly type: 'OPERATE' }): void {
    const { record, options } = this;
    if (isOperated(record)) return message.reply();
    if (this.state !== 'selected' || this.isDue)
      return message.reply(this.conflict('only one that is selected can be operated'));
    if (!options.canGo(record)) return message.reply(DEVICE_AWAY);
    const { deadlineMs: dueMs } = message;
    this.step('DISPATCH', message, record.issuer, { dueMs, then: () => options.send(record) });
  }

  private conflict(rule: string): Refusal {
    const { commandId } = this.record.command;
    return refuse('STATUS_CONFLICT', `The command ${JSON.stringify(commandId)} is ${this.state}; ${rule}.`);
  }

  private hear(message: CommandMessage & { readonly type: 'WORD' }): void {
    const { record } = this;
    const { word, by } = message;
    const { reason } = word;
    const because = reason === undefined ? {} : { reason };
    if (word.state === 'acknowledged' && isSelecting(record))
      return this.step('SELECTED', message, by, { ...because, dueMs: record.command.leaseMs });
    const isOutOfPlace = word.state === 'executed' && isSelecting(record);
    if (isOutOfPlace) return message.reply(wordOnStanding(record, word));
    this.step(WORDS[word.state], message, by, because);
  }

  /** Moves the machine. A new state is written, and then whatever follows from it. */
  private step(
    type: CommandEvent['type'],
    message: CommandMessage,
    by: string,
    { reason, dueMs, then }: { reason?: string; dueMs?: number; then?: (() => void) | undefined } = {},
  ): void {
    const { record, options, cell } = this;
    if ('reply' in message && !cell.owe(message)) return;
    const before = this.state;
    this.lifecycle.send({ type });
    const answer = (refusal?: Refusal): void => {
      if ('reply' in message && cell.settle(message)) message.reply(refusal);
    };
    if (this.state === before)
      return answer(message.type === 'WORD' ? wordOnStanding(record, message.word) : undefined);
    const entry = { state: this.state, atUs: options.clock.wallUs(), ...(reason !== undefined && { reason }) };
    options.write(record, { entry, by, ...(dueMs !== undefined && { dueMs }) }, (refusal) => {
      // No message is handled when the store answers: what throws here ends this life, and nobody else's.
      try {
        if (!refusal) then?.();
        else if (!('reply' in message)) this.tellAgain(message);
      } catch (error) {
        cell.fail(error);
      }
      answer(refusal);
    });
  }

  private tellAgain(message: CommandMessage): void {
    const release = this.cell.own(
      this.options.schedule(RETRY_MS, () => {
        release();
        this.cell.tell(message);
      }),
    );
  }

  private hold(message: CommandMessage): void {
    if ('reply' in message) {
      if (this.cell.owe(message)) this.held.push(message);
    } else if (!this.held.some(({ type }) => type === message.type)) this.held.push(message);
  }

  /** Whatever was being written, by this life or the one before, is done with. */
  private written(): void {
    const { record, cell } = this;
    if (this.state !== stateOf(record)) {
      this.lifecycle.dispose();
      this.lifecycle = walked(record);
    }
    // What the store did not take at its end is tried again by itself.
    if (!this.isDue) this.awaitDue();
    for (const message of this.held.splice(0)) if (!('reply' in message) || cell.settle(message)) cell.tell(message);
  }

  private awaitDue(): void {
    const { due } = this.record;
    this.cancelDue();
    if (isOver(this.state)) return;
    const leftMs = (due.monotonicUs - this.options.clock.monotonicUs()) / 1000;
    this.cancelDue = this.options.schedule(leftMs, () => this.cell.tell({ type: 'DEADLINE' }));
  }
}

const WORDS = { acknowledged: 'ACKNOWLEDGED', executed: 'EXECUTED', rejected: 'REJECTED' } as const;
const LEASE_OVER = { reason: 'the lease is over; it was not operated' };
const DEVICE_AWAY = refuse(
  'STATUS_SERVICE_UNAVAILABLE',
  'The device is not connected; operate again when it is, within the lease.',
);
