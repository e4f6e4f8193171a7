/**
 * Where a device's commands arrive and its words come from; knows no socket.
 *
 *     command ──> ledger: intent ──> "acknowledged" ──> handler ──> ledger: verdict ──> "executed" | "rejected"
 *                                                         └─ deadline passed: its signal is aborted
 *     select ───> "acknowledged" ── lease ──> operate, as above | cancel | released
 *
 * A command that comes again (the broker resends after a reconnect) is not executed again: it gets the words of the first time.
 * So it does where the device has died meanwhile: what the ledger has as an intent alone is asked of `recall`, and never done again.
 */
import { formatTime, type Cancel, type Clock } from '../clock.js';
import { isRefusal, reasonOf } from '../errors.js';
import { NEEDS_POINT, readCommand, type Command, type Word } from '../routing/command.js';
import type { JsonObject } from '../routing/primitive.js';
import { memoryLedger, type Ledger } from './ledger.js';
import { timeLeft, type TimeLeft } from './time-left.js';

export type DeviceCommand = Command;
/** What a handler says of a command that it has seen to. */
export type Verdict = Pick<Word, 'reason'> & { readonly state: 'executed' | 'rejected' };

/**
 * Executes a command. A throw is a rejection with the error's message.
 * @param signal aborted when the deadline has passed, or the command was cancelled: what is not yet done must not be done
 * @param leftMs the time left at this moment. A process that was stopped over the deadline may see its own timers fire before
 *   the signal's: one that waits before it acts asks here once more, just before
 */
export type CommandHandler = (
  command: DeviceCommand,
  signal: AbortSignal,
  leftMs: TimeLeft,
) => Verdict | Promise<Verdict>;

/**
 * Says what became of a command over which the device has died: whether the breaker is open, say. Undefined: that can not be known.
 */
export type Recall = (command: DeviceCommand) => Verdict | undefined | Promise<Verdict | undefined>;

/** Outcomes remembered; a broker resends within the deadline, an hour at most. */
const REMEMBERED = 1024;

const TOO_LATE = 'the deadline passed before it was done';
const NOT_SELECTED = 'it is not selected here: the lease is over, or the device has started anew';
const INTERRUPTED = 'interrupted: whether it was done is not known';

interface Case {
  command: Command;
  readonly controller: AbortController;
  isSelected: boolean;
  /** Said again to whoever asks again. */
  last: Word | undefined;
  isTold: boolean;
  cancelLease: Cancel;
}

export interface DeskOptions {
  readonly handle: CommandHandler;
  readonly clock: Pick<Clock, 'after' | 'monotonicUs' | 'wallUs'>;
  /** Says a word to the broker; resolves when he has it. Its failure is the session's: what was not heard is said by the next. */
  readonly say: (word: Word) => Promise<void>;
  readonly ledger?: Ledger;
  readonly recall?: Recall;
}

export class CommandDesk {
  private readonly cases = new Map<string, Case>();
  private readonly ledger: Ledger;

  constructor(private readonly options: DeskOptions) {
    this.ledger = options.ledger ?? memoryLedger;
  }

  /** Takes up what the ledger has. To be called once, before the first command. Words that nobody has heard are said. */
  async open(): Promise<void> {
    for (const { command, word, isTold } of await this.ledger.open()) {
      const one = newCase(command, word, isTold);
      this.cases.set(command.commandId, one);
      if (!word) void this.recall(one);
      else if (!isTold) this.tell(one, word);
    }
  }

  take(body: JsonObject): void {
    const { commandId, deadlineMs } = body;
    const known = typeof commandId === 'string' ? this.cases.get(commandId) : undefined;
    const command = readCommand(body);
    // One that comes again may come with no time left, and be known all the same.
    const isLate = typeof deadlineMs === 'number' && deadlineMs <= 0;
    if (isRefusal(command)) {
      if (known) this.sayAgain(known);
      else if (typeof commandId === 'string') this.reject(commandId, isLate ? TOO_LATE : command.detail);
    } else if (command.action === 'cancel') {
      if (known) this.cancel(known);
    } else if (command.action === 'select') {
      if (known) this.sayAgain(known);
      else this.select(command);
    } else this.operate(command, known);
  }

  private select(command: Command): void {
    const { commandId, point, leaseMs } = command;
    const late = this.overdue(command);
    if (late !== undefined) return this.reject(commandId, late);
    if (this.isHeld(point)) return this.reject(commandId, HELD);
    const one = newCase(command, undefined, true);
    one.isSelected = true;
    one.cancelLease = this.options.clock.after(leaseMs, () => this.release(one));
    this.remember(one);
    this.conclude(one, { commandId, state: 'acknowledged' });
  }

  private operate(command: Command, known: Case | undefined): void {
    const { commandId, point } = command;
    const late = this.overdue(command);
    if (command.isSelected) {
      if (known?.isSelected === true) {
        this.release(known);
        if (late === undefined) void this.execute(known, command);
        else this.conclude(known, { commandId, state: 'rejected', reason: late });
      } else if (known?.command.action === 'operate') this.sayAgain(known);
      else this.reject(commandId, NOT_SELECTED);
    } else if (known) this.sayAgain(known);
    else if (point === '') this.reject(commandId, NEEDS_POINT.detail);
    else if (late !== undefined) this.reject(commandId, late);
    else if (this.isHeld(point)) this.reject(commandId, HELD);
    else {
      const one = newCase(command, undefined, false);
      this.remember(one);
      void this.execute(one, command);
    }
  }

  private async execute(one: Case, command: Command): Promise<void> {
    const { commandId } = command;
    const { signal } = one.controller;
    const { clock, handle } = this.options;
    one.command = command;
    one.last = undefined;
    one.isTold = false;
    const leftMs = timeLeft(clock, command);
    const cancelTimer = clock.after(leftMs(), () => one.controller.abort(new Error(TOO_LATE)));
    let verdict: Verdict;
    try {
      await this.ledger.write({ command, word: undefined, isTold: false }, 'synced');
      signal.throwIfAborted();
      if (leftMs() <= 0) throw new Error(TOO_LATE);
      this.conclude(one, { commandId, state: 'acknowledged' });
      verdict = await handle(command, signal, leftMs);
    } catch (error) {
      verdict = { state: 'rejected', reason: reasonOf(error) };
    }
    cancelTimer();
    await this.settle(one, verdict);
  }

  private async recall(one: Case): Promise<void> {
    let verdict: Verdict | undefined;
    try {
      verdict = await this.options.recall?.(one.command);
    } catch (error) {
      verdict = { state: 'rejected', reason: `${INTERRUPTED} (${reasonOf(error)})` };
    }
    await this.settle(one, verdict ?? { state: 'rejected', reason: INTERRUPTED });
  }

  /** Where the ledger can not be written the word is as true; only a next life would not know it. */
  private async settle(one: Case, { state, reason }: Verdict): Promise<void> {
    const { command } = one;
    const word = { commandId: command.commandId, state, ...(reason !== undefined && { reason }) };
    await this.ledger.write({ command, word, isTold: false }, 'synced').catch(() => {});
    this.conclude(one, word);
  }

  private conclude(one: Case, word: Word): void {
    one.last = word;
    this.tell(one, word);
  }

  private sayAgain(one: Case): void {
    if (one.last) this.tell(one, one.last);
  }

  private tell(one: Case, word: Word): void {
    const { command } = one;
    const heard = (): void => {
      if (word.state === 'acknowledged' || one.isTold || one.last !== word) return;
      one.isTold = true;
      void this.ledger.write({ command, word, isTold: true }, 'grouped').catch(() => {});
    };
    this.options.say(word).then(heard, () => {});
  }

  /** Of what is not taken on: nothing was done, and so nothing is written. */
  private reject(commandId: string, reason: string): void {
    this.options.say({ commandId, state: 'rejected', reason }).catch(() => {});
  }

  private cancel(one: Case): void {
    if (!one.isSelected) return one.controller.abort(new Error('cancelled'));
    this.release(one);
  }

  private release(one: Case): void {
    one.isSelected = false;
    one.cancelLease();
    one.last = { commandId: one.command.commandId, state: 'rejected', reason: NOT_SELECTED };
  }

  /** Why one that has just come is too late. Both clocks are named: where everything is refused so, one of them is wrong. */
  private overdue(command: Command): string | undefined {
    const { clock } = this.options;
    if (command.dueUs === undefined || timeLeft(clock, command)() > 0) return undefined;
    return `it came after its deadline: due at ${formatTime(command.dueUs)}, and here it is ${formatTime(clock.wallUs())}`;
  }

  private isHeld(point: string): boolean {
    for (const one of this.cases.values()) if (one.isSelected && one.command.point === point) return true;
    return false;
  }

  private remember(one: Case): void {
    this.cases.set(one.command.commandId, one);
    if (this.cases.size <= REMEMBERED) return;
    for (const [commandId, { isTold, isSelected }] of this.cases) {
      if (!isTold || isSelected) continue;
      this.cases.delete(commandId);
      this.ledger.forget(commandId);
      return;
    }
  }
}

const HELD = 'the point is selected under another command';

const newCase = (command: Command, last: Word | undefined, isTold: boolean): Case => ({
  command,
  controller: new AbortController(),
  isSelected: false,
  last,
  isTold,
  cancelLease: () => {},
});
