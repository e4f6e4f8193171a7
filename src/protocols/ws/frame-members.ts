/**
 * The members of each frame, in the one table by which both subprotocols are read: how a frame is made of what has been read, or
 * why not. Pure.
 */
import { ENDINGS } from '../../routing/endings.js';
import { refuse, STATUSES, type Refusal } from '../../errors.js';
import type { Operation, ReliableKind } from '../../routing/primitive.js';
import { LATENCY_CLASSES, METHODS } from '../../routing/terms.js';
import type { Frame, FrameType } from './frame.js';

/** Why bytes are no frame. `id`: of the request inside, where it can be answered with a `res`. */
export interface FrameFault extends Refusal {
  readonly id?: number;
}

type Word = { readonly words: readonly string[] };
type Kind =
  'count' | 'counts' | 'number' | 'flag' | 'text' | 'texts' | 'time' | 'bytes' | 'payload' | 'object' | 'frames' | Word;
interface Member {
  readonly kind: Kind;
  readonly isOptional?: true;
}

const must = (kind: Kind): Member => ({ kind });
const may = (kind: Kind): Member => ({ kind, isOptional: true });
const OPERATIONS: Word = { words: ['create', 'retrieve', 'update', 'delete', 'notify'] satisfies Operation[] };
const KINDS: Word = { words: ['command', 'alarm', 'outcome'] satisfies ReliableKind[] };
const STATUS: Word = { words: Object.keys(STATUSES) };
const ENDING: Word = { words: Object.keys(ENDINGS) };
const CLASSES: Word = { words: LATENCY_CLASSES };
const METHOD: Word = { words: METHODS };

/** The members of each frame. Lists are optional everywhere: none is the empty one. */
const MEMBERS: { readonly [T in FrameType]: Readonly<Record<Exclude<keyof Extract<Frame, { t: T }>, 't'>, Member>> } = {
  hello: {
    originator: may('text'),
    token: may('text'),
    attach: may('texts'),
    resume: may('text'),
    heartbeatMs: may('count'),
  },
  welcome: {
    session: must('text'),
    resumed: must('flag'),
    heartbeatMs: may('count'),
    resumeWithinS: may('count'),
    heard: may('count'),
    subs: may('counts'),
  },
  req: {
    id: must('count'),
    op: must(OPERATIONS),
    to: must('text'),
    accept: may('text'),
    payload: may('payload'),
    ifMatch: may('texts'),
    ifNoneMatch: may('texts'),
  },
  res: {
    id: must('count'),
    status: must(STATUS),
    code: must('count'),
    payload: may('payload'),
    etag: may('text'),
    location: may('text'),
    allow: may('texts'),
    retryAfterS: may('number'),
    format: may('text'),
  },
  sub: {
    id: must('count'),
    to: must('text'),
    accept: may('text'),
    rate: may('number'),
    class: may(CLASSES),
    batchMs: may('number'),
    conditions: may('text'),
    method: may(METHOD),
  },
  ntf: {
    sub: must('count'),
    route: may('count'),
    n: must('count'),
    missed: must('count'),
    timeUs: must('time'),
    body: must('bytes'),
  },
  batch: { ntf: must('frames') },
  route: {
    sub: must('count'),
    route: may('count'),
    path: must('text'),
    format: may('text'),
    ending: may(ENDING),
    status: may(STATUS),
    reason: may('text'),
  },
  unsub: { id: must('count'), sub: must('count') },
  end: { sub: must('count'), ending: must(ENDING), status: may(STATUS), reason: must('text') },
  msg: { seq: must('count'), kind: must(KINDS), body: must('object') },
  ack: { seq: must('count') },
  ping: { id: may('count') },
  pong: { id: may('count') },
  error: { status: must(STATUS), reason: must('text'), id: may('count'), seq: may('count') },
};

export const isFrameType = (word: unknown): word is FrameType =>
  typeof word === 'string' && Object.hasOwn(MEMBERS, word);

/** `"hello", "welcome", ...`, for sentences. */
export const FRAME_TYPES = Object.keys(MEMBERS)
  .map((t) => `"${t}"`)
  .join(', ');

/** Makes a frame of members that have been read, or says which of them is wrong. Members that are `undefined` are absent. */
export function frameOf(t: FrameType, members: Readonly<Record<string, unknown>>): Frame | FrameFault {
  const rules: Readonly<Record<string, Member>> = MEMBERS[t];
  const fault = (detail: string): FrameFault => {
    const { id } = members;
    const isAnswerable = (t === 'req' || t === 'sub' || t === 'unsub') && isOfKind(id, 'count');
    return { ...refuse('STATUS_BAD_REQUEST', detail), ...(isAnswerable && { id: id as number }) };
  };
  for (const name of Object.keys(members)) {
    if (members[name] !== undefined && !Object.hasOwn(rules, name)) {
      return fault(`A "${t}" frame has no member ${JSON.stringify(name)}; it has ${Object.keys(rules).join(', ')}.`);
    }
  }
  const frame: Record<string, unknown> = { t };
  for (const [name, { kind, isOptional }] of Object.entries(rules)) {
    const value = members[name];
    if (value !== undefined && !isOfKind(value, kind))
      return fault(`"${name}" of a "${t}" frame must be ${nounOf(kind)}.`);
    if (value !== undefined) frame[name] = value;
    else if (kind === 'texts' || kind === 'counts') frame[name] = [];
    else if (!isOptional) return fault(`A "${t}" frame needs "${name}", ${nounOf(kind)}.`);
  }
  // The table above is typed by the frames: what agrees with a row is a frame of that row.
  return frame as unknown as Frame;
}

const MAX_COUNT = 2 ** 32 - 1;

function isOfKind(value: unknown, kind: Kind): boolean {
  if (typeof kind === 'object') return typeof value === 'string' && kind.words.includes(value);
  switch (kind) {
    case 'count':
      return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= MAX_COUNT;
    case 'counts':
      return Array.isArray(value) && value.every((item) => isOfKind(item, 'count'));
    case 'number':
      return Number.isFinite(value);
    case 'time':
      return Number.isSafeInteger(value);
    case 'flag':
      return typeof value === 'boolean';
    case 'text':
      return typeof value === 'string';
    case 'texts':
      return Array.isArray(value) && value.every((item) => typeof item === 'string');
    case 'frames':
      return Array.isArray(value) && value.every((item: Partial<Frame>) => item.t === 'ntf');
    case 'bytes':
      return value instanceof Uint8Array;
    case 'payload':
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
  }
}

function nounOf(kind: Kind): string {
  if (typeof kind === 'object') return `one of ${kind.words.join(', ')}`;
  return NOUNS[kind];
}
const NOUNS: Readonly<Record<Exclude<Kind, Word>, string>> = {
  count: `a whole number of 0 to ${MAX_COUNT}`,
  counts: `a list of whole numbers of 0 to ${MAX_COUNT}`,
  number: 'a number',
  time: 'an instant in UTC, such as "2026-11-23T08:15:00.033333Z"',
  flag: 'true or false',
  text: 'text',
  texts: 'a list of texts',
  frames: 'a list of notifications',
  bytes: 'a body',
  payload: 'a body',
  object: 'an object',
};
