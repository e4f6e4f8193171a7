/**
 * What a command says, in every binding the same: the content of a contentInstance created in an application's `commands`
 * container, and the words with which the device answers. Pure: reading and checking only.
 */
import { parseTime } from '../clock.js';
import { isRefusal, refuse, type Refusal } from '../errors.js';
import type { Json, JsonObject } from './primitive.js';

/** The container below an application whose contentInstances are commands to its device. */
export const COMMANDS_CONTAINER = 'commands';

/** The paper's control class is 100 ms; an operator who names no deadline gets one that a person can wait for. */
export const DEFAULT_DEADLINE_MS = 10_000;
const LONGEST_DEADLINE_MS = 3_600_000;
/** From `selected` to the operate: for a person who looks once more at what he has selected. */
export const DEFAULT_LEASE_MS = 30_000;
/** A point that is selected is withheld from all others. */
const LONGEST_LEASE_MS = 300_000;
const ID = /^[A-Za-z0-9._:-]{1,64}$/;
const MAX_POINT_LENGTH = 128;

export interface Command {
  readonly commandId: string;
  /** `cancel`, and `operate` without a point, speak of a command that was given before under the same id. */
  readonly action: 'operate' | 'select' | 'cancel';
  /** What is operated: a breaker, a set-point; empty where none is named. */
  readonly point: string;
  /** Undefined where none is named. */
  readonly value: Json | undefined;
  /** From acceptance to execution, or to `selected`; the device enforces it too. */
  readonly deadlineMs: number;
  /** Of a select: how long it waits for the operate. */
  readonly leaseMs: number;
  /** The broker's word to the device: the end of `deadlineMs` in UTC microseconds, by its clock as the command went out. */
  readonly dueUs: number | undefined;
  /** When it was issued, UTC microseconds, where the issuer says so: an old one that is sent again is known by it. */
  readonly issuedUs: number | undefined;
  /** The broker's word to the device: it operates what was selected under this id, and nothing else. */
  readonly isSelected: boolean;
}

/** The states of a command. */
export const COMMAND_STATES = [
  'accepted',
  'dispatched',
  'acknowledged',
  /** The device holds the point for its issuer, until he operates or cancels it or the lease is over. */
  'selected',
  'executed',
  'rejected',
  'cancelled',
  /** The deadline passed before it went out: it was never sent. Or the lease of a select is over: it was not operated. */
  'expired',
  /** The deadline passed after it went out: nobody knows yet. */
  'unknown',
  /** The device's word came after the deadline. */
  'executedLate',
] as const;
export type CommandState = (typeof COMMAND_STATES)[number];
export const isCommandState = (value: Json | undefined): value is CommandState =>
  COMMAND_STATES.some((state) => state === value);

/** What a device says of a command; these three words are its alone. */
export interface Word {
  readonly commandId: string;
  /** Path of the application whose command it is; to be told by a session that is attached to several. */
  readonly application?: string;
  readonly state: 'acknowledged' | 'executed' | 'rejected';
  readonly reason?: string;
}

const bad = (detail: string): Refusal => refuse('STATUS_BAD_REQUEST', detail);

/** Of a command that speaks of no earlier one. */
export const NEEDS_POINT = bad(
  `A command needs a "point" of 1 to ${MAX_POINT_LENGTH} characters: what is to be operated, such as "breaker-1".`,
);

export function readCommand(document: JsonObject): Command | Refusal {
  const { commandId, action = 'operate', point = '', value, deadlineMs = DEFAULT_DEADLINE_MS } = document;
  const { leaseMs = DEFAULT_LEASE_MS, issuedAt, dueAt, selected = false } = document;
  if (typeof commandId !== 'string' || !ID.test(commandId)) {
    return bad(
      'A command needs a "commandId" of 1 to 64 letters, digits, ".", "_", ":" or "-", unique for its issuer.',
    );
  }
  if (action !== 'operate' && action !== 'select' && action !== 'cancel')
    return bad(`"action" is ${JSON.stringify(action)}; it must be "operate", "select" or "cancel".`);
  if (typeof point !== 'string' || point.length > MAX_POINT_LENGTH || (action === 'select' && point === ''))
    return NEEDS_POINT;
  if (!isWithin(deadlineMs, LONGEST_DEADLINE_MS))
    return bad(`"deadlineMs" is ${JSON.stringify(deadlineMs)}; it must be above 0 and at most ${LONGEST_DEADLINE_MS}.`);
  if (!isWithin(leaseMs, LONGEST_LEASE_MS))
    return bad(`"leaseMs" is ${JSON.stringify(leaseMs)}; it must be above 0 and at most ${LONGEST_LEASE_MS}.`);
  const issuedUs = readTime('issuedAt', issuedAt);
  if (isRefusal(issuedUs)) return issuedUs;
  const dueUs = readTime('dueAt', dueAt);
  if (isRefusal(dueUs)) return dueUs;
  return { commandId, action, point, value, deadlineMs, leaseMs, dueUs, issuedUs, isSelected: selected === true };
}

function readTime(name: string, value: Json | undefined): number | undefined | Refusal {
  if (value === undefined) return undefined;
  const us = typeof value === 'string' ? parseTime(value) : undefined;
  return us ?? bad(`"${name}" is ${JSON.stringify(value)}; it must be a date and time such as 2026-11-23T08:15:00Z.`);
}

const isWithin = (value: Json, longest: number): value is number =>
  typeof value === 'number' && value > 0 && value <= longest;

export function readWord(document: JsonObject): Word | Refusal {
  const { commandId, application, state, reason } = document;
  if (typeof commandId !== 'string') return bad('A device’s word needs the "commandId" it answers.');
  if (state !== 'acknowledged' && state !== 'executed' && state !== 'rejected')
    return bad(`"state" is ${JSON.stringify(state)}; a device says "acknowledged", "executed" or "rejected".`);
  if (reason !== undefined && typeof reason !== 'string') return bad('"reason" must be text.');
  if (application !== undefined && typeof application !== 'string')
    return bad('"application" must be the path of one, as the command had it.');
  return {
    commandId,
    ...(application !== undefined && { application }),
    state,
    ...(reason !== undefined && { reason }),
  };
}
