/**
 * A command and what is known of it: the record that outlives its actor, the row that outlives the broker, and the document that
 * its issuer reads. `states` holds only what the store has: a state that is being journalled is not true yet.
 */
import { formatTime } from '../clock.js';
import { isRefusal, refuse, type Refusal } from '../errors.js';
import { isObject, type Json, type JsonObject } from '../json.js';
import { isCommandState, type Command, type CommandState, type Word } from '../routing/command.js';
import { parsePath, pathText } from '../routing/primitive.js';
import type { Row } from '../store/store.js';

/** One state, from when (UTC, microseconds), and why. */
export interface Entry {
  readonly state: CommandState;
  readonly atUs: number;
  readonly reason?: string;
}

/** An instant on both clocks, microseconds: the wall's survives a restart, the monotonic one a step of the wall's. */
export interface Due {
  readonly utcUs: number;
  readonly monotonicUs: number;
}

export interface CommandRecord {
  /** Issuer and command id: what makes it one. */
  readonly key: string;
  /** Its place in the order of acceptance. */
  readonly number: number;
  readonly command: Command;
  readonly issuer: string;
  /** The session it came by. */
  readonly session: string | undefined;
  /** Others by which the same was given again: they wait for its outcome as well. Mostly there are none. */
  others: Set<string> | undefined;
  /** Of the contentInstances it was created in. */
  readonly path: readonly string[];
  /** Path text of the application whose device is meant. */
  readonly application: string;
  /** The oldest first; empty while its acceptance is being journalled. */
  readonly states: Entry[];
  /** When the newest was accepted that had given way by its own acceptance; -Infinity where none had. */
  readonly forgottenUs: number;
  /** The end of the deadline, or of the lease while it is selected. */
  due: Due;
  /** How many of its states the issuer is known to have. */
  told: number;
  /** Its device's present session has it. */
  isSent: boolean;
  /** A state of it is being journalled: one at a time. */
  isWriting: boolean;
  /** Called when that is over, one way or the other. */
  onWritten: () => void;
}

/** Waits for no writing. */
export const nobody = (): void => {};

export const keyOf = (issuer: string, commandId: string): string => `${issuer} ${commandId}`;
/** A name of one segment: an originator may have a `/`, and never a `~`. */
export const instanceIdOf = ({ issuer, command }: CommandRecord): string =>
  `${issuer.replaceAll('/', '~')}~${command.commandId}`;
export const stateOf = ({ states }: CommandRecord): CommandState => states.at(-1)?.state ?? 'accepted';
export const acceptedUsOf = ({ states }: CommandRecord): number => states[0]?.atUs ?? Infinity;

const FINAL: readonly CommandState[] = ['executed', 'rejected', 'cancelled', 'expired', 'executedLate'];
export const isFinal = (state: CommandState): boolean => FINAL.includes(state);
/** Its deadline has passed or its device has spoken: nobody waits for it any more, and its point is free. */
export const isOver = (state: CommandState): boolean => state === 'unknown' || isFinal(state);

const reached = ({ states }: CommandRecord, state: CommandState): number =>
  states.findIndex((entry) => entry.state === state);
/** It is a select that the device has not answered: its word `acknowledged` will mean `selected`. */
export const isSelecting = (record: CommandRecord): boolean =>
  record.command.action === 'select' && reached(record, 'selected') < 0;
/** It is a select whose operate has gone out. */
export const isOperated = (record: CommandRecord): boolean =>
  reached(record, 'selected') >= 0 && record.states.slice(reached(record, 'selected')).some(isDispatched);
const isDispatched = ({ state }: Entry): boolean => state === 'dispatched';

/** What a word means where it moves nothing: nothing new, or a contradiction to be refused. */
export function wordOnStanding(record: CommandRecord, { state: said }: Word): Refusal | undefined {
  const state = stateOf(record);
  const isKnown = said === 'acknowledged' || said === state || (said === 'executed' && state === 'executedLate');
  if (isKnown) return undefined;
  const { commandId } = record.command;
  return refuse(
    'STATUS_CONFLICT',
    `The command ${JSON.stringify(commandId)} is ${state}; it can not become ${said} any more.`,
  );
}

export function rowOf(record: CommandRecord): Row {
  const { number, command, issuer, session, path, states, forgottenUs, due, told } = record;
  const { commandId, action, point, value, deadlineMs, leaseMs } = command;
  return {
    document: {
      number,
      command: { commandId, action, point, value: value ?? null, deadlineMs, leaseMs },
      issuer,
      ...(session !== undefined && { session }),
      path: pathText(path),
      states: states.map((entry) => ({ ...entry })),
      ...(forgottenUs !== -Infinity && { forgottenUs }),
      dueUs: due.utcUs,
      told,
    },
  };
}

/** What is said once, by the issuer to the broker or by the broker to the device, and not kept. */
const OF_ONE_MESSAGE = { dueUs: undefined, issuedUs: undefined, isSelected: false };

/** Undefined for a row that this version cannot have written. @param now the instant of the restart, on both clocks */
export function recordOfRow(key: string, { document }: Row, now: Due): CommandRecord | undefined {
  const { number, command, issuer, session, path: text, states, forgottenUs, dueUs, told } = document;
  if (typeof number !== 'number' || typeof issuer !== 'string' || typeof text !== 'string') return undefined;
  if (!isObject(command) || !Array.isArray(states) || typeof dueUs !== 'number' || typeof told !== 'number')
    return undefined;
  const path = parsePath(text);
  const { commandId, action, point, value, deadlineMs, leaseMs } = command;
  const entries = states.map(entryOf).filter((entry) => entry !== undefined);
  if (entries.length === 0 || isRefusal(path) || typeof commandId !== 'string' || typeof point !== 'string')
    return undefined;
  if ((action !== 'operate' && action !== 'select') || typeof deadlineMs !== 'number' || typeof leaseMs !== 'number')
    return undefined;
  return {
    key,
    number,
    command: { commandId, action, point, value, deadlineMs, leaseMs, ...OF_ONE_MESSAGE },
    issuer,
    session: typeof session === 'string' ? session : undefined,
    others: undefined,
    path,
    application: applicationOf(path),
    states: entries,
    forgottenUs: typeof forgottenUs === 'number' ? forgottenUs : -Infinity,
    due: { utcUs: dueUs, monotonicUs: now.monotonicUs + leftUs(entries, dueUs, now) },
    told,
    isSent: false,
    isWriting: false,
    onWritten: nobody,
  };
}

/**
 * The time that the broker was down counts. Where the clock was set back meanwhile it would be less than none: what is left is
 * never more than there was at first, lest a point stays selected for the hour that the clock was wrong by.
 */
function leftUs(states: readonly Entry[], dueUs: number, { utcUs }: Due): number {
  const selected = states.findIndex(({ state }) => state === 'selected');
  const operated =
    selected < 0 ? -1 : states.findIndex(({ state }, index) => index > selected && state === 'dispatched');
  // A span begins with the acceptance, with the lease of a select, with its operate.
  const begun = states[Math.max(0, selected, operated)]?.atUs ?? dueUs;
  return Math.min(dueUs - utcUs, dueUs - begun);
}

function entryOf(kept: Json): Entry | undefined {
  if (!isObject(kept)) return undefined;
  const { state, atUs, reason } = kept;
  if (!isCommandState(state) || typeof atUs !== 'number') return undefined;
  return { state, atUs, ...(typeof reason === 'string' && { reason }) };
}

/** `/m2m/applications/a` of `/m2m/applications/a/containers/commands/contentInstances`. */
export const applicationOf = (contentInstances: readonly string[]): string => pathText(contentInstances.slice(0, -3));

/**
 * What goes to the device, with the time that is left each time it goes out: the device enforces it too. The span and the instant
 * say the same, whichever way the wall clock was stepped since the acceptance.
 *
 * @returns undefined where it should not go any more
 */
export function orderDocument(record: CommandRecord, now: Due): JsonObject | undefined {
  const { commandId, action, point, value, leaseMs } = record.command;
  const leftUs = record.due.monotonicUs - now.monotonicUs;
  const deadlineMs = Math.round(leftUs / 1000);
  if (deadlineMs <= 0 || stateOf(record) !== 'dispatched') return undefined;
  const { application } = record;
  const order = { application, commandId, point, value, deadlineMs, dueAt: formatTime(now.utcUs + leftUs) };
  if (isSelecting(record)) return { ...order, action: 'select', leaseMs };
  return { ...order, action: 'operate', ...(action === 'select' && { selected: true }) };
}

export function outcomeDocument({ command, issuer, application, states }: CommandRecord): JsonObject {
  const { state = 'accepted', reason } = states.at(-1) ?? {};
  return {
    commandId: command.commandId,
    action: command.action,
    point: command.point,
    value: command.value,
    issuer,
    application,
    state,
    ...(reason !== undefined && { reason }),
    states: states.map((entry) => ({
      state: entry.state,
      at: formatTime(entry.atUs),
      ...(entry.reason !== undefined && { reason: entry.reason }),
    })),
  };
}
