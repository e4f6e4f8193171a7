/**
 * All commands: accepted once per (issuer, commandId), sent to the device that is attached to the application, their outcome
 * told to the issuer and kept where he can read it.
 *
 *     CREATE .../commands/contentInstances ──> record ──> journal ──> 201 + Location: read it, observe it, or hear the outcome
 *                                                            └──> actor ──> journal ──> device's session
 *     device's word ──> actor ──> journal ──> acknowledged to the device, told to the issuer, seen in the container
 *
 * Nothing leaves, and nobody is told, before it is on disk. A restart finds every command where its row stands.
 */
import { isRefusal, type Refusal } from '../errors.js';
import { Population } from '../kernel/population.js';
import type { Log } from '../log.js';
import type { Random } from '../random.js';
import { NEEDS_POINT, type Command, type CommandState, type Word } from '../routing/command.js';
import type { Ask } from '../routing/dispatcher.js';
import { pathText, refused, type Body, type JsonObject } from '../routing/primitive.js';
import type { Peer } from '../routing/site.js';
import type { AuditEvent, Change, Row, Rows } from '../store/store.js';
import { commandKind, type CommandMessage, type CommandOptions, type Step } from './command.js';
import { CommandOutcomes, type Lanes, type OutcomesOptions } from './command-outcomes.js';
import { CommandQueues } from './command-queues.js';
import {
  acceptedUsOf,
  applicationOf,
  isFinal,
  isOver,
  keyOf,
  nobody,
  orderDocument,
  recordOfRow,
  rowOf,
  stateOf,
  wordOnStanding,
  type CommandRecord,
  type Due,
  type Entry,
} from './command-record.js';
import {
  accepted,
  ALL_UNDER_WAY,
  created,
  heldPoint,
  isOperateOf,
  isSame,
  issuerOf,
  nothingToCancel,
  readBody,
  saysNotWhose,
  takenId,
  told,
  unavailable,
  unknownCommand,
  waitAlso,
} from './command-requests.js';
import { CommandWindow } from './command-window.js';
import type { Schedule } from './notification-channel.js';
import type { Node } from './resources.js';

export type { Lanes } from './command-outcomes.js';

/** Who acts in the audit trail where nobody else does: a deadline passes, a command goes out. */
const BROKER = 'broker';

export interface CommandsOptions extends OutcomesOptions {
  readonly random: Random;
  readonly log: Log;
  readonly schedule: Schedule;
  readonly lanes: Lanes;
  /** Told of each outcome: the time since the acceptance, seconds. */
  readonly onOver?: (state: CommandState, seconds: number) => void;
}

/** Who waits for a command that is being journalled. */
type Waiting = (refusal?: Refusal) => void;

export class Commands {
  readonly population: Population<CommandMessage>;
  readonly outcomes = new Map<CommandState, number>();
  /** Told when a device has executed a command after its deadline, and the record and the audit trail say so. */
  onExecutedLate: (record: CommandRecord) => void = () => {};
  private readonly window = new CommandWindow();
  private readonly queues = new CommandQueues();
  private readonly told: CommandOutcomes;
  /** Of commands whose acceptance is being journalled. */
  private readonly waiting = new Map<CommandRecord, Waiting[]>();
  private readonly shared: CommandOptions;
  private lastNumber = 0;

  constructor(private readonly options: CommandsOptions) {
    const { clock, random, log, store } = options;
    this.shared = this.sharedOptions();
    this.population = new Population({
      name: 'commands',
      kind: (key) => this.kindOf(key),
      members: () => this.underWay(),
      clock,
      random,
      log,
    });
    this.told = new CommandOutcomes(options, this.window);
    store.provide('command', () => this.rows());
  }

  /** Puts back what an earlier run has accepted; those under way go on when the population starts. */
  restore(rows: Rows): void {
    const { clock, log } = this.options;
    const now = { utcUs: clock.wallUs(), monotonicUs: clock.monotonicUs() };
    const records: CommandRecord[] = [];
    for (const [key, row] of rows) {
      const record = recordOfRow(key, row, now);
      if (record) records.push(record);
      else log.error({ command: key }, 'a row of the store is no command');
    }
    records.sort((a, b) => a.number - b.number);
    this.window.restore(records);
    for (const record of records) {
      this.lastNumber = record.number;
      if (!isOver(stateOf(record))) this.queues.add(record);
      this.told.note(record);
    }
    const changedUs = ({ states }: CommandRecord): number => states.at(-1)?.atUs ?? 0;
    for (const record of records.sort((a, b) => changedUs(a) - changedUs(b))) this.told.publish(record);
  }

  /** A CREATE in a commands container. */
  readonly accept = (ask: Ask, contentInstances: Node, body: Body): void => {
    const command = readBody(body);
    const issuer = issuerOf(ask);
    const { path } = contentInstances;
    if (isRefusal(command)) return this.refuse(ask, issuer, command);
    const { commandId } = command;
    const nowUs = this.options.clock.wallUs();
    const application = applicationOf(path);
    this.writeChanges(this.forget(this.window.sweep(nowUs)));
    const standing = this.window.get(keyOf(issuer, commandId));
    const waiting = standing && this.waiting.get(standing);
    if (waiting) {
      // Of one that is being journalled nothing can be said yet.
      waiting.push((refusal) => (refusal ? ask.reply(unavailable(refusal)) : this.accept(ask, contentInstances, body)));
      return;
    }
    const own = standing?.application === application ? standing : undefined;
    // The same command again is answered with what became of it; it never acts twice.
    if (own) waitAlso(own, ask);
    if (own && isSame(own.command, command)) return ask.reply(created(own));
    if (command.action === 'cancel') {
      if (!own) return this.refuse(ask, issuer, nothingToCancel(commandId), commandId);
      return this.tell(own, { type: 'CANCEL', reply: this.replyOf(ask, issuer, own, 'STATUS_OK') });
    }
    if (own && isOperateOf(own.command, command)) {
      const reply = this.replyOf(ask, issuer, own, 'STATUS_CREATED');
      return this.tell(own, { type: 'OPERATE', deadlineMs: command.deadlineMs, reply });
    }
    const refusal = this.refusalOf(command, application, standing, nowUs);
    if (refusal) return this.refuse(ask, issuer, refusal, commandId);
    const gone = this.forget(this.window.makeRoom());
    if (!this.window.hasRoom) return this.refuse(ask, issuer, ALL_UNDER_WAY, commandId);
    this.issue(ask, issuer, { ...command, value: command.value ?? null }, path, gone);
  };

  /** Why this is no new command that could be taken. */
  private refusalOf(
    command: Command,
    application: string,
    standing: CommandRecord | undefined,
    nowUs: number,
  ): Refusal | undefined {
    const { commandId, point, issuedUs } = command;
    // A device knows commands by their id alone: it would take another issuer's for the first.
    if (standing ?? this.window.heardAs(application, commandId)) return takenId(commandId);
    if (point === '') return NEEDS_POINT;
    const holder = this.queues.first(application, point);
    if (holder?.command.action === 'select') return heldPoint(point, holder);
    return issuedUs === undefined ? undefined : this.window.refusalOf(issuedUs, nowUs);
  }

  /** A device's word. Its refusal says that it changed nothing: for now (503), or ever. */
  word(peer: Peer, word: Word): Promise<Refusal | undefined> {
    const { originator } = peer;
    const meant = peer.attach.map(pathText).filter((path) => path === (word.application ?? path));
    const known = new Set(meant.flatMap((path) => this.window.heardAs(path, word.commandId) ?? []));
    const [record] = known;
    if (!record) return Promise.resolve(unknownCommand(word.commandId));
    if (known.size > 1) return Promise.resolve(saysNotWhose(word.commandId));
    return new Promise((resolve) => {
      const reply: Waiting = (refusal) => {
        if (refusal?.status === 'STATUS_CONFLICT')
          this.audit('command-word-refused', originator, record.application, { ...word, detail: refusal.detail });
        resolve(refusal);
      };
      if (this.population.get(record.key)) this.tell(record, { type: 'WORD', word, by: originator, reply });
      else reply(wordOnStanding(record, word));
    });
  }

  /**
   * A device has attached: what waits for it goes out, in the order it was accepted. One that has `resumed` its session has
   * been sent again what had gone out before.
   */
  deviceAttached(application: string, how: 'anew' | 'resumed' = 'anew'): void {
    for (const record of [...this.queues.firsts(application)]) {
      if (how === 'anew') record.isSent = false;
      this.population.get(record.key)?.tell({ type: 'DISPATCH' });
    }
  }

  /** A session of this originator has begun or ended: what he was not told, or was told there, is told again. */
  tellIssuer(originator: string): void {
    this.told.tellAll(originator);
  }

  /** @param gone what has given way to it: forgotten in the same write that says until when */
  private issue(ask: Ask, issuer: string, command: Command, path: readonly string[], gone: readonly Change[]): void {
    const { clock, lanes } = this.options;
    const atUs = clock.wallUs();
    const record: CommandRecord = {
      key: keyOf(issuer, command.commandId),
      number: ++this.lastNumber,
      command,
      issuer,
      session: ask.session,
      others: undefined,
      path,
      application: applicationOf(path),
      states: [],
      forgottenUs: this.window.forgottenUs,
      due: this.dueIn(command.deadlineMs),
      told: 1, // its acceptance, by the answer
      isSent: false,
      isWriting: false,
      onWritten: nobody,
    };
    this.window.add(record);
    this.queues.add(record);
    const waiting: Waiting[] = [(refusal) => ask.reply(refusal ? unavailable(refusal) : accepted(record))];
    this.waiting.set(record, waiting);
    const steps: Step[] = [{ entry: { state: 'accepted', atUs }, by: issuer }];
    // It goes out with the same fsync if nothing stands before it.
    if (this.isFirst(record) && lanes.hasDevice(record.application))
      steps.push({ entry: { state: 'dispatched', atUs }, by: BROKER });
    const done: Waiting = (refusal) => {
      this.waiting.delete(record);
      if (refusal) {
        this.window.forget(record);
        this.leavePoint(record);
      } else this.population.activate(record.key);
      for (const tell of waiting) tell(refusal);
    };
    this.write(record, steps, done, gone);
  }

  /** Journals states of a command with their audit; they are true, and told, when the store has them. */
  private write(record: CommandRecord, steps: readonly Step[], done: Waiting, gone: readonly Change[] = []): void {
    const entries = steps.map(({ entry }) => entry);
    const states = [...record.states, ...entries];
    const dueMs = steps.at(-1)?.dueMs;
    const due = dueMs === undefined ? record.due : this.dueIn(dueMs);
    const change: Change = { table: 'command', key: record.key, row: rowOf({ ...record, states, due }) };
    record.isWriting = true;
    this.options.store.write(
      {
        changes: [...gone, change],
        audit: steps.map((step) => auditOf(record, step)),
        durability: 'synced',
        // What becomes of an accepted command is recorded even where the disk takes no new ones.
        isVital: record.states.length > 0,
      },
      (refusal) => {
        record.isWriting = false;
        if (!refusal) {
          record.due = due;
          for (const entry of entries) this.changed(record, entry);
        }
        done(refusal);
        record.onWritten();
      },
    );
  }

  private changed(record: CommandRecord, entry: Entry): void {
    const { state, reason } = entry;
    const { log, schedule, onOver } = this.options;
    const isNews = isOver(state) && !isOver(stateOf(record));
    record.states.push(entry);
    this.told.publish(record);
    if (state === 'accepted' || state === 'dispatched') return;
    this.told.note(record);
    this.told.tell(record);
    if (!isOver(state)) return;
    this.outcomes.set(state, (this.outcomes.get(state) ?? 0) + 1);
    if (isNews) onOver?.(state, (entry.atUs - acceptedUsOf(record)) / 1e6);
    const { command, issuer, application } = record;
    log.info({ command: command.commandId, issuer, application, state, reason }, 'command outcome');
    this.leavePoint(record);
    if (state === 'executedLate') this.onExecutedLate(record);
    // Its actor is done; a late word still finds one that is unknown.
    if (isFinal(state)) schedule(0, () => this.population.end(record.key));
  }

  private kindOf(key: string) {
    const record = this.window.get(key);
    if (!record) throw new Error(`a command ${key} that nobody issued`);
    return commandKind(record, this.shared);
  }

  private sharedOptions(): CommandOptions {
    const { clock, schedule, lanes } = this.options;
    return {
      schedule,
      clock,
      broker: BROKER,
      canGo: (record) => this.isFirst(record) && lanes.hasDevice(record.application),
      send: (record) =>
        (record.isSent = lanes.toDevice(record.application, 'command', () => orderDocument(record, this.dueIn(0)))),
      sendCancel: ({ command: { commandId }, application }) =>
        lanes.toDevice(application, 'command', { application, commandId, action: 'cancel' }),
      write: (record, step, done) => this.write(record, [step], done),
    };
  }

  private isFirst(record: CommandRecord): boolean {
    return this.queues.first(record.application, record.command.point) === record;
  }

  /** The next at its point may go. */
  private leavePoint(record: CommandRecord): void {
    this.queues.remove(record);
    const next = this.queues.first(record.application, record.command.point);
    if (next) this.population.get(next.key)?.tell({ type: 'DISPATCH' });
  }

  private tell(record: CommandRecord, message: CommandMessage): void {
    this.population.activate(record.key).tell(message);
  }

  private replyOf(ask: Ask, issuer: string, record: CommandRecord, status: 'STATUS_OK' | 'STATUS_CREATED'): Waiting {
    return (refusal) => {
      if (refusal) this.refuse(ask, issuer, refusal, record.command.commandId);
      else ask.reply(status === 'STATUS_OK' ? told(record) : created(record));
    };
  }

  /** Refusals are audited, whatever they are refused for. */
  private refuse(ask: Ask, issuer: string, refusal: Refusal, commandId?: string): void {
    const { status, detail } = refusal;
    const target = pathText(ask.request.to);
    this.audit('command-refused', issuer, target, { ...(commandId !== undefined && { commandId }), status, detail });
    ask.reply(status === 'STATUS_SERVICE_UNAVAILABLE' ? unavailable(refusal) : refused(refusal));
  }

  private audit(event: string, originator: string, target: string, details: JsonObject): void {
    this.options.store.write({ audit: [{ event, originator, target, details }], durability: 'grouped' }, () => {});
  }

  private forget(records: readonly CommandRecord[]): readonly Change[] {
    for (const record of records) {
      this.told.forget(record);
      this.population.end(record.key);
    }
    return records.map(({ key }): Change => ({ table: 'command', key, row: undefined }));
  }

  private writeChanges(changes: readonly Change[]): void {
    if (changes.length > 0) this.options.store.write({ changes, durability: 'grouped' }, () => {});
  }

  private dueIn(ms: number): Due {
    const { clock } = this.options;
    return { utcUs: clock.wallUs() + ms * 1000, monotonicUs: clock.monotonicUs() + ms * 1000 };
  }

  private *underWay(): Iterable<string> {
    for (const record of this.window) if (!this.waiting.has(record) && !isFinal(stateOf(record))) yield record.key;
  }

  private *rows(): Iterable<readonly [string, Row]> {
    for (const record of this.window) if (!this.waiting.has(record)) yield [record.key, rowOf(record)];
  }
}

function auditOf({ command, issuer, application }: CommandRecord, { entry, by }: Step): AuditEvent {
  const { state, reason } = entry;
  const { commandId, action, point, value } = command;
  return {
    event: `command-${state}`,
    originator: by,
    target: application,
    details: {
      commandId,
      issuer,
      ...(state === 'accepted' && { action, point, value }),
      ...(reason !== undefined && { reason }),
    },
  };
}
