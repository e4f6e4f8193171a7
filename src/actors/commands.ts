/**
 * All commands: accepted once per (issuer, commandId), sent to the device that is attached to the application, their outcome
 * told to the issuer and kept where he can read it.
 *
 *     CREATE .../commands/contentInstances ──> record ──> actor ──> device's session ──> its words
 *        └── 201 + Location: read it, observe it, or hear the outcome on the session it came by
 *
 * In memory: a broker that stops forgets commands under way, and their deadline ends them at the device.
 */
import { formatTime, type Clock } from '../clock.js';
import { isRefusal, refuse, type Refusal } from '../errors.js';
import { Population } from '../kernel/population.js';
import type { Log } from '../log.js';
import type { Random } from '../random.js';
import { isObject, type Json } from '../resources/values.js';
import { readCommand, type Command, type CommandState, type Word } from '../routing/command.js';
import type { Ask } from '../routing/dispatcher.js';
import { FORMATS } from '../routing/format.js';
import {
  answer,
  pathText,
  refused,
  type Body,
  type Content,
  type JsonObject,
  type Response,
} from '../routing/primitive.js';
import type { Router } from '../routing/router.js';
import { Sample, type SampleEncoder } from '../routing/sample.js';
import type { Peer, ReliableBody, ReliableKind } from '../routing/site.js';
import { commandKind, isFinal, stateOf, type CommandMessage, type CommandRecord } from './command.js';
import type { Schedule } from './notification-channel.js';
import type { Node, Resources } from './resources.js';

/** Outcomes kept to answer a repeated command with; the oldest that is over gives way. */
const REMEMBERED = 10_000;
/** Room for a schedule of set-points. What is larger would fill a device's lane, and could nest deeper than a stack. */
const LARGEST_COMMAND_BYTES = 4096;
const RETRY_AFTER_S = 1;

/** Sends on the reliable lane of whoever is meant; false when nobody is there. */
export interface Lanes {
  /** @param acknowledged called once the peer has it; never where its session ends before */
  toDevice(application: string, kind: ReliableKind, body: ReliableBody, acknowledged?: () => void): boolean;
  toIssuer(
    issuer: string,
    session: string | undefined,
    kind: ReliableKind,
    body: ReliableBody,
    acknowledged?: () => void,
  ): boolean;
}

export interface CommandsOptions {
  readonly resources: Resources;
  readonly router: Router;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly schedule: Schedule;
  readonly encoder: SampleEncoder;
  readonly lanes: Lanes;
}

interface Issued extends CommandRecord {
  readonly key: string;
  readonly instanceId: string;
  readonly contentInstances: Node;
  readonly session: string | undefined;
}

export class Commands {
  readonly population: Population<CommandMessage>;
  readonly outcomes = new Map<CommandState, number>();
  /** By issuer and id, in order of acceptance. */
  private readonly issued = new Map<string, Issued>();
  /** By application and id: what a device's word is about. */
  private readonly heard = new Map<string, Issued>();

  constructor(private readonly options: CommandsOptions) {
    const { clock, random, log } = options;
    this.population = new Population({
      name: 'commands',
      kind: (key) => this.kindOf(key),
      members: () => this.underWay(),
      clock,
      random,
      log,
    });
  }

  /** A CREATE in a commands container. */
  readonly accept = (ask: Ask, contentInstances: Node, body: Body): void => {
    if (body.bytes.length > LARGEST_COMMAND_BYTES)
      return ask.reply(refused(refuse('STATUS_TOO_LARGE', `A command has at most ${LARGEST_COMMAND_BYTES} bytes.`)));
    const document = commandDocument(body);
    const command = isRefusal(document) ? document : readCommand(document);
    if (isRefusal(command)) return ask.reply(refused(command));
    const issuer = issuerOf(ask);
    const key = `${issuer} ${command.commandId}`;
    const standing = this.issued.get(key);
    if (command.action === 'cancel') return ask.reply(this.cancel(command, standing, key));
    // The same command again is answered with what became of it; it never acts twice.
    const isRepeated = standing?.contentInstances === contentInstances && isSame(standing.command, command);
    if (standing) return ask.reply(isRepeated ? created(standing) : refused(takenId(command)));
    // A device knows commands by their id alone: it would take the second one for the first.
    if (this.heard.has(wordKey(applicationOf(contentInstances), command.commandId)))
      return ask.reply(refused(takenId(command)));
    if (!this.hasRoom()) return ask.reply(refused(ALL_UNDER_WAY, { retryAfterS: RETRY_AFTER_S }));
    const record = this.issue(ask, command, issuer, key, contentInstances);
    ask.reply(created(record));
    this.population.activate(key);
  };

  /** A device's word; refused when it speaks of a command that is not its own. */
  word(peer: Peer, word: Word): Refusal | undefined {
    for (const application of peer.attach.map(pathText)) {
      const record = this.heard.get(wordKey(application, word.commandId));
      if (!record) continue;
      this.population.get(record.key)?.tell({ type: 'WORD', word });
      return undefined;
    }
    return refuse(
      'STATUS_NOT_FOUND',
      `No command ${JSON.stringify(word.commandId)} is under way for an application this session is attached to.`,
    );
  }

  /**
   * A device has attached: what waits for it goes out, in the order it was accepted. One that has `resumed` its session has
   * been sent again what had gone out before.
   */
  deviceAttached(application: string, how: 'anew' | 'resumed' = 'anew'): void {
    for (const [key, record] of this.issued) {
      const state = stateOf(record);
      const isDue = how === 'anew' ? !isFinal(state) : state === 'accepted';
      if (record.application === application && isDue) this.population.get(key)?.tell({ type: 'DISPATCH' });
    }
  }

  private issue(ask: Ask, command: Command, issuer: string, key: string, contentInstances: Node): Issued {
    const { clock } = this.options;
    const record: Issued = {
      command,
      issuer,
      key,
      application: applicationOf(contentInstances),
      deadlineUs: clock.monotonicUs() + command.deadlineMs * 1000,
      states: [{ state: 'accepted', atUs: clock.wallUs() }],
      instanceId: `${issuer}~${command.commandId}`,
      contentInstances,
      session: ask.session,
    };
    this.issued.set(key, record);
    this.heard.set(wordKey(record.application, command.commandId), record);
    this.store(record);
    return record;
  }

  private cancel(command: Command, standing: Issued | undefined, key: string): Response {
    if (!standing)
      return refused(
        refuse('STATUS_NOT_FOUND', `There is no command ${JSON.stringify(command.commandId)} of yours to cancel.`),
      );
    this.population.get(key)?.tell({ type: 'CANCEL' });
    const state = stateOf(standing);
    if (state === 'cancelled') return answer('STATUS_OK', { content: outcomeContent(standing) });
    return refused(
      refuse(
        'STATUS_CONFLICT',
        `The command ${JSON.stringify(command.commandId)} is ${state}; only one that has not gone out can be cancelled.`,
      ),
    );
  }

  private kindOf(key: string) {
    const record = this.issued.get(key);
    if (!record) throw new Error(`a command ${key} that nobody issued`);
    const { clock, schedule, lanes } = this.options;
    return commandKind(record, {
      schedule,
      monotonicUs: () => clock.monotonicUs(),
      send: ({ command, application, deadlineUs }) =>
        lanes.toDevice(application, 'command', () => {
          // What is left, each time it goes out: the device enforces it too.
          const deadlineMs = Math.round((deadlineUs - clock.monotonicUs()) / 1000);
          const { commandId, action, point, value } = command;
          return deadlineMs > 0 ? { commandId, action, point, value, deadlineMs } : undefined;
        }),
      changed: (_record, state, reason) => this.changed(record, state, reason),
    });
  }

  private changed(record: Issued, state: CommandState, reason: string | undefined): void {
    record.states.push({ state, atUs: this.options.clock.wallUs(), ...(reason !== undefined && { reason }) });
    this.store(record);
    if (state === 'dispatched') return;
    this.options.lanes.toIssuer(record.issuer, record.session, 'outcome', outcomeDocument(record));
    if (!isOver(state)) return;
    this.outcomes.set(state, (this.outcomes.get(state) ?? 0) + 1);
    this.options.log.info(
      { command: record.command.commandId, issuer: record.issuer, application: record.application, state, reason },
      'command outcome',
    );
    // Its actor is done; a late word still finds one that is unknown.
    if (isFinal(state)) this.options.schedule(0, () => this.population.end(record.key));
  }

  /** The newest state takes the place of the one before, in the container and at its observers. */
  private store(record: Issued): void {
    const { resources, router, clock, encoder } = this.options;
    const { contentInstances, instanceId } = record;
    const { history } = contentInstances;
    if (!history) return;
    const standing = history.find(instanceId);
    if (standing) history.delete(standing, clock.wallUs());
    const bytes = Buffer.from(JSON.stringify(outcomeDocument(record)));
    const content = { kind: 'stored', mediaType: FORMATS.json.mediaType, bytes } as const;
    const sample = new Sample(content, clock.wallUs(), clock.monotonicUs(), 0, encoder, instanceId);
    resources.append(contentInstances, sample, bytes.length);
    const route = resources.routeOf(contentInstances);
    if (route) router.publish(route, sample);
  }

  private *underWay(): Iterable<string> {
    for (const [key, record] of this.issued) if (!isFinal(stateOf(record))) yield key;
  }

  /** Whether one more can be remembered; the oldest that is over, be it unknown how, is forgotten for it. */
  private hasRoom(): boolean {
    if (this.issued.size < REMEMBERED) return true;
    for (const [key, record] of this.issued) {
      if (!isOver(stateOf(record))) continue;
      this.issued.delete(key);
      this.heard.delete(wordKey(record.application, record.command.commandId));
      this.population.end(key);
      return true;
    }
    return false;
  }
}

/** Its deadline has passed or its device has spoken: nobody waits for it any more. */
const isOver = (state: CommandState): boolean => state === 'unknown' || isFinal(state);

const ALL_UNDER_WAY = refuse('STATUS_SERVICE_UNAVAILABLE', `${REMEMBERED} commands are under way, which is the limit.`);

const issuerOf = ({ request, session }: Ask): string =>
  request.originator === 'anonymous' && session !== undefined ? `anonymous-${session}` : request.originator;

/** Path text of the application that a commands container belongs to. */
const applicationOf = (contentInstances: Node): string => contentInstances.parent?.parent?.parent?.reference ?? '';
const wordKey = (application: string, commandId: string): string => `${application} ${commandId}`;

const isSame = (a: Command, b: Command): boolean =>
  a.action === b.action && a.point === b.point && JSON.stringify(a.value) === JSON.stringify(b.value);

const takenId = ({ commandId }: Command): Refusal =>
  refuse(
    'STATUS_CONFLICT',
    `The commandId ${JSON.stringify(commandId)} was used for another command; choose a new one.`,
  );

/** The command may come bare or inside a contentInstance document. */
function commandDocument(body: Body): JsonObject | Refusal {
  const document = body.document();
  if (isRefusal(document)) return document;
  const instance = document.contentInstance;
  if (instance === undefined) return document;
  const content = isObject(instance) ? instance.content : undefined;
  const text = isObject(content) ? content.textContent : undefined;
  if (typeof text !== 'string')
    return refuse('STATUS_BAD_REQUEST', 'A command inside a contentInstance is its content.textContent, in JSON.');
  let parsed: Json | undefined;
  try {
    parsed = JSON.parse(text) as Json;
  } catch {
    parsed = undefined;
  }
  return isObject(parsed)
    ? parsed
    : refuse('STATUS_BAD_REQUEST', 'The textContent of a command must be a JSON object.');
}

function outcomeDocument({ command, issuer, application, states }: CommandRecord): JsonObject {
  const last = states.at(-1);
  return {
    commandId: command.commandId,
    action: command.action,
    point: command.point,
    value: command.value,
    issuer,
    application,
    state: last?.state ?? 'accepted',
    ...(last?.reason !== undefined && { reason: last.reason }),
    states: states.map(({ state, atUs, reason }) => ({
      state,
      at: formatTime(atUs),
      ...(reason !== undefined && { reason }),
    })),
  };
}

const outcomeContent = (record: CommandRecord): Content => ({ kind: 'document', document: outcomeDocument(record) });

const created = (record: Issued): Response =>
  answer('STATUS_CREATED', {
    location: [...record.contentInstances.path, record.instanceId],
    content: outcomeContent(record),
  });
