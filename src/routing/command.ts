/**
 * What a command says, in every binding the same: the content of a contentInstance created in an application's `commands`
 * container, and the words with which the device answers. Pure: reading and checking only.
 */
import { refuse, type Refusal } from '../errors.js';
import type { Json, JsonObject } from './primitive.js';

/** The container below an application whose contentInstances are commands to its device. */
export const COMMANDS_CONTAINER = 'commands';

/** The paper's control class is 100 ms; an operator who names no deadline gets one that a person can wait for. */
export const DEFAULT_DEADLINE_MS = 10_000;
const LONGEST_DEADLINE_MS = 3_600_000;
const ID = /^[A-Za-z0-9._:-]{1,64}$/;
const MAX_POINT_LENGTH = 128;

export interface Command {
  readonly commandId: string;
  readonly action: 'operate' | 'cancel';
  /** What is operated: a breaker, a set-point; absent only with `cancel`. */
  readonly point: string;
  readonly value: Json;
  /** From acceptance to execution; the device enforces it too. */
  readonly deadlineMs: number;
}

/** The states of a command; those after `acknowledged` are its outcome. */
export type CommandState =
  | 'accepted'
  | 'dispatched'
  | 'acknowledged'
  | 'executed'
  | 'rejected'
  | 'cancelled'
  /** The deadline passed before it went out: it was never sent. */
  | 'expired'
  /** The deadline passed after it went out: nobody knows yet. */
  | 'unknown'
  /** The device's word came after the deadline. */
  | 'executedLate';

/** What a device says of a command; these three words are its alone. */
export interface Word {
  readonly commandId: string;
  readonly state: 'acknowledged' | 'executed' | 'rejected';
  readonly reason?: string;
}

export function readCommand(document: JsonObject): Command | Refusal {
  const { commandId, action = 'operate', point, value = null, deadlineMs = DEFAULT_DEADLINE_MS } = document;
  const bad = (detail: string): Refusal => refuse('STATUS_BAD_REQUEST', detail);
  if (typeof commandId !== 'string' || !ID.test(commandId)) {
    return bad(
      'A command needs a "commandId" of 1 to 64 letters, digits, ".", "_", ":" or "-", unique for its issuer.',
    );
  }
  if (action === 'select')
    return refuse(
      'STATUS_NOT_IMPLEMENTED',
      'Select-before-operate is not offered; "action" may be "operate" or "cancel".',
    );
  if (action !== 'operate' && action !== 'cancel')
    return bad(`"action" is ${JSON.stringify(action)}; it must be "operate" or "cancel".`);
  if (action === 'operate' && (typeof point !== 'string' || point === '' || point.length > MAX_POINT_LENGTH)) {
    return bad(
      `A command needs a "point" of 1 to ${MAX_POINT_LENGTH} characters: what is to be operated, such as "breaker-1".`,
    );
  }
  if (typeof deadlineMs !== 'number' || !(deadlineMs > 0 && deadlineMs <= LONGEST_DEADLINE_MS)) {
    return bad(`"deadlineMs" is ${JSON.stringify(deadlineMs)}; it must be above 0 and at most ${LONGEST_DEADLINE_MS}.`);
  }
  return { commandId, action, point: typeof point === 'string' ? point : '', value, deadlineMs };
}

export function readWord(document: JsonObject): Word | Refusal {
  const { commandId, state, reason } = document;
  if (typeof commandId !== 'string')
    return refuse('STATUS_BAD_REQUEST', 'A device’s word needs the "commandId" it answers.');
  if (state !== 'acknowledged' && state !== 'executed' && state !== 'rejected') {
    return refuse(
      'STATUS_BAD_REQUEST',
      `"state" is ${JSON.stringify(state)}; a device says "acknowledged", "executed" or "rejected".`,
    );
  }
  if (reason !== undefined && typeof reason !== 'string') return refuse('STATUS_BAD_REQUEST', '"reason" must be text.');
  return { commandId, state, ...(reason !== undefined && { reason }) };
}
