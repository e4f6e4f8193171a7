/**
 * The device's side of commands: attaches to an application and answers each command in the broker's three words.
 *
 *     command ──> "acknowledged" ──> handler ──> "executed" | "rejected"
 *                                      └─ deadline passed: its signal is aborted, and "rejected" said
 *
 * A command that comes again (the broker resends after a reconnect) is not executed again: it gets the words of the first time.
 */
import { systemClock, type Cancel, type Clock } from '../clock.js';
import { isRefusal } from '../errors.js';
import { readCommand, type Command, type Word } from '../routing/command.js';
import type { JsonObject } from '../routing/primitive.js';
import { parseTarget } from './target.js';
import { WsClient, type WsClientOptions } from './ws-client.js';

export type DeviceCommand = Command;
/** What a handler says of a command that it has seen to. */
export type Verdict = Pick<Word, 'reason'> & { readonly state: 'executed' | 'rejected' };

/**
 * Executes a command. A throw is a rejection with the error's message.
 * @param signal aborted when the deadline has passed, or the command was cancelled: what is not yet done must not be done
 */
export type CommandHandler = (command: DeviceCommand, signal: AbortSignal) => Verdict | Promise<Verdict>;

export interface Device {
  /** Resolves when the session has ended, from either side. */
  readonly closed: Promise<void>;
  close(): Promise<void>;
}

/** Outcomes remembered; a broker resends within the deadline, an hour at most. */
const REMEMBERED = 1024;

/** @param uri of the application, `ws://127.0.0.1:8080/m2m/applications/pmu-1`. Throws as `open` does. */
export async function attachDevice(uri: string, handle: CommandHandler, options: WsClientOptions = {}): Promise<Device> {
  const target = parseTarget(uri);
  const desk = new CommandDesk(handle, options.clock ?? systemClock, (word) => client.tell('outcome', { ...word }));
  const client = await WsClient.open(target, {
    ...options,
    attach: [target.path],
    received: (kind, body) => {
      if (kind === 'command') desk.take(body);
    },
  });
  return { closed: client.closed, close: () => client.close() };
}

interface Case {
  readonly controller: AbortController;
  last: Word | undefined;
}

/** Where commands arrive; knows no socket. */
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
    const cancelTimer: Cancel = this.clock.after(deadlineMs, () => controller.abort(new Error('the deadline passed before it was done')));
    const aborted = new Promise<never>((_, fail) => controller.signal.addEventListener('abort', () => fail(controller.signal.reason as Error)));
    try {
      const verdict = await Promise.race([Promise.resolve().then(() => this.handle(command, controller.signal)), aborted]);
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
