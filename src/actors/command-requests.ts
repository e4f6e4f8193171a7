/**
 * What a CREATE in a commands container asks for, and the answers to it: reading, comparing, and a sentence for each refusal.
 */
import { isRefusal, refuse, type Refusal } from '../errors.js';
import { readCommand, type Command } from '../routing/command.js';
import type { Ask } from '../routing/dispatcher.js';
import { answer, refused, type Body, type Content, type Response } from '../routing/primitive.js';
import { instanceIdOf, outcomeDocument, stateOf, type CommandRecord } from './command-record.js';
import { REMEMBERED } from './command-window.js';
import { contentDocument } from './content-document.js';

/** Room for a schedule of set-points. What is larger would fill a device's lane, and could nest deeper than a stack. */
const LARGEST_COMMAND_BYTES = 4096;
const RETRY_AFTER_S = 1;

export const ALL_UNDER_WAY = refuse(
  'STATUS_SERVICE_UNAVAILABLE',
  `${REMEMBERED} commands are under way, which is the limit.`,
);
export const unavailable = (refusal: Refusal): Response => refused(refusal, { retryAfterS: RETRY_AFTER_S });

export const issuerOf = ({ request, session }: Ask): string =>
  request.originator === 'anonymous' && session !== undefined ? `anonymous-${session}` : request.originator;

/** Sessions that are told of one command; a client that opens more for it hears of it where it opened the first. */
const MOST_SESSIONS = 16;

/** Whoever gives a command again hears of its outcome by his session too. */
export function waitAlso(record: CommandRecord, { session }: Ask): void {
  if (session === undefined || session === record.session) return;
  const others = (record.others ??= new Set());
  if (others.size < MOST_SESSIONS) others.add(session);
}

/** One that names no value means the one that was named. */
const isAbout = (standing: Command, { point, value }: Command): boolean =>
  (point === '' || point === standing.point) &&
  (value === undefined || JSON.stringify(value) === JSON.stringify(standing.value));

export const isSame = (standing: Command, command: Command): boolean =>
  command.action === standing.action &&
  command.point !== '' &&
  isAbout(standing, { ...command, value: command.value ?? null });

/** It operates what was selected under the same id. */
export const isOperateOf = (standing: Command, command: Command): boolean =>
  command.action === 'operate' && standing.action === 'select' && isAbout(standing, command);

export const takenId = (commandId: string): Refusal =>
  refuse(
    'STATUS_CONFLICT',
    `The commandId ${JSON.stringify(commandId)} was used for another command; choose a new one.`,
  );

export const unknownCommand = (commandId: string): Refusal =>
  refuse(
    'STATUS_NOT_FOUND',
    `No command ${JSON.stringify(commandId)} is known for an application this session is attached to.`,
  );

/** Two issuers may use one id for two applications, and a gateway be the device of both. */
export const saysNotWhose = (commandId: string): Refusal =>
  refuse(
    'STATUS_BAD_REQUEST',
    `Several applications of this session have a command ${JSON.stringify(commandId)}; say whose it is in "application".`,
  );

export const nothingToCancel = (commandId: string): Refusal =>
  refuse('STATUS_NOT_FOUND', `There is no command ${JSON.stringify(commandId)} of yours to cancel.`);

export const heldPoint = (point: string, holder: CommandRecord): Refusal =>
  refuse(
    'STATUS_CONFLICT',
    `The point ${JSON.stringify(point)} is held by a select, which is ${stateOf(holder)}; it is free when that is over.`,
  );

export function readBody(body: Body): Command | Refusal {
  if (body.bytes.length > LARGEST_COMMAND_BYTES)
    return refuse('STATUS_TOO_LARGE', `A command has at most ${LARGEST_COMMAND_BYTES} bytes.`);
  const document = contentDocument(body, 'A command');
  return isRefusal(document) ? document : readCommand(document);
}

const outcomeContent = (record: CommandRecord): Content => ({ kind: 'document', document: outcomeDocument(record) });

export const created = (record: CommandRecord): Response =>
  answer('STATUS_CREATED', {
    location: [...record.path, instanceIdOf(record)],
    content: outcomeContent(record),
  });

/** The first answer tells that it is accepted, whatever went to disk with that. */
export const accepted = (record: CommandRecord): Response => created({ ...record, states: record.states.slice(0, 1) });

export const told = (record: CommandRecord): Response => answer('STATUS_OK', { content: outcomeContent(record) });
