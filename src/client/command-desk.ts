/**
 * Where a device's commands arrive and its words come from; knows no socket.
 *
 *     command ──> "acknowledged" ──> handler ──> "executed" | "rejected"
 *                                      └─ deadline passed: its signal is aborted, and "rejected" said
 *
 * A command that comes again (the broker resends after a reconnect) is not executed again: it gets the words of the first time.
 */
import type { Cancel, Clock } from '../clock.js';
import { isRefusal } from '../errors.js';
import { readCommand, type Command, type Word } from '../routing/command.js';
import type { JsonObject } from '../routing/primitive.js';

export type DeviceCommand = Command;
/** What a handler says of a command that it has seen to. */
export type Verdict = Pick<Word, 'reason'> & { readonly state: 'executed' | 'rejected' };

/**
 * Executes a command. A throw is a rejection with the error's message.
 * @param signal aborted when the deadline has passed, or the command was cancelled: what is not yet done must not be done
 */
export type CommandHandler = (command: DeviceCommand, signal: AbortSignal) => Verdict | Promise<Verdict>;

/** Outcomes remembered; a broker resends within the deadline, an hour at most. */
const REMEMBERED = 1024;

interface Case {
  readonly controller: AbortController;
  last: Word | undefined;
}

export class CommandDesk {
  private readonly cases = new Map<string, Case>();

  constructor(
    private readonly handle: CommandHandler,
    private readonly clock: Clock,
    /** Says a word to the broker. Its failure is the session's: the broker asks again. */
    private readonly say: (word: Word) => Promise<void>,
  ) {}

  take(body: JsonObject): void {
    const command = readCommand(body);
    if (isRefusal(command)) {
      const { commandId } = body;
      if (typeof commandId === 'string') this.tell({ commandId, state: 'rejected', reason: command.detail });
      return;
    }
    const known = this.cases.get(command.commandId);
    if (command.action === 'cancel') return known?.controller.abort(new Error('cancelled'));
    if (known) return known.last && this.tell(known.last);
    void this.execute(command);
  }

  private async execute(command: Command): Promise<void> {
    const { commandId, deadlineMs } = command;
    const controller = new AbortController();
    const one: Case = { controller, last: undefined };
    this.remember(commandId, one);
    const conclude = (word: Word): void => this.tell((one.last = word));
    conclude({ commandId, state: 'acknowledged' });
    const cancelTimer: Cancel = this.clock.after(deadlineMs, () =>
      controller.abort(new Error('the deadline passed before it was done')),
    );
    const aborted = new Promise<never>((_, fail) =>
      controller.signal.addEventListener('abort', () => fail(controller.signal.reason as Error)),
    );
    try {
      const verdict = await Promise.race([
        Promise.resolve().then(() => this.handle(command, controller.signal)),
        aborted,
      ]);
      conclude({ commandId, ...verdict });
    } catch (error) {
      conclude({ commandId, state: 'rejected', reason: error instanceof Error ? error.message : String(error) });
    } finally {
      cancelTimer();
    }
  }

  private tell(word: Word): void {
    this.say(word).catch(() => {});
  }

  private remember(commandId: string, one: Case): void {
    this.cases.set(commandId, one);
    const [oldest] = this.cases.keys();
    if (this.cases.size > REMEMBERED && oldest !== undefined) this.cases.delete(oldest);
  }
}
