/**
 * The frames of the WebSocket binding, whichever subprotocol spells them, and the one table of their members by which
 * both are read. Pure.
 *
 *     client                              server
 *     hello ─────────────────────────────> welcome           optional; first
 *     req, sub, unsub  id ───────────────> res  id
 *                                          ntf, end  sub      sub is the id of the `sub` frame
 *                                          batch              several ntf
 *                                          route     sub      a resource that a path with * matches
 *     msg  seq <─────────────────────────> ack  seq           the reliable lane, both ways
 *     ping <─────────────────────────────> pong
 *                                          error              what was no frame
 */
import { ENDINGS, type Ending } from '../../routing/endings.js';
import { refuse, STATUSES, type Refusal, type Status } from '../../errors.js';
import type { JsonObject, Operation } from '../../routing/primitive.js';
import type { ReliableKind } from '../../routing/primitive.js';
import { LATENCY_CLASSES, METHODS, type LatencyClass, type Method } from '../../routing/terms.js';

/** A body and its media type, parameters included. */
export interface Payload {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/** First on a socket, if at all: without it the peer is who its upgrade request said. */
export interface HelloFrame {
  readonly t: 'hello';
  readonly originator?: string;
  readonly token?: string;
  /** Paths of applications whose device this session is. */
  readonly attach: readonly string[];
  /** The session whose connection broke, to go on with. */
  readonly resume?: string;
  /** How often the broker should ask for a sign of life. */
  readonly heartbeatMs?: number;
}

export interface WelcomeFrame {
  readonly t: 'welcome';
  readonly session: string;
  /** Whether the subscriptions and the lane of the former session go on. */
  readonly resumed: boolean;
  /** How often the broker pings; who is silent for three of these is cut off, on either side. */
  readonly heartbeatMs?: number;
  /** How long the session waits for its peer when the connection breaks. */
  readonly resumeWithinS?: number;
  /** The highest `seq` of the client that has been acknowledged: what is above it is to be sent again. */
  readonly heard?: number;
  /** Ids of the subscriptions that go on: one that is not here has ended meanwhile. */
  readonly subs: readonly number[];
}

export interface RequestFrame {
  readonly t: 'req';
  readonly id: number;
  readonly op: Operation;
  /** A path, percent-encoded where needed, with its query. */
  readonly to: string;
  /** As HTTP's Accept. */
  readonly accept?: string;
  readonly payload?: Payload;
  readonly ifMatch: readonly string[];
  readonly ifNoneMatch: readonly string[];
}

/** Answers `req`, `sub` and `unsub`. */
export interface ResponseFrame {
  readonly t: 'res';
  readonly id: number;
  readonly status: Status;
  /** HTTP's number for the status. */
  readonly code: number;
  readonly payload?: Payload;
  readonly etag?: string;
  readonly location?: string;
  readonly allow: readonly string[];
  readonly retryAfterS?: number;
  /** To `sub`: the media type of its notifications. */
  readonly format?: string;
}

/** Its id names the subscription from now on. */
export interface SubscribeFrame {
  readonly t: 'sub';
  readonly id: number;
  readonly to: string;
  readonly accept?: string;
  /** Samples per second. */
  readonly rate?: number;
  readonly class?: LatencyClass;
  /** How long a notification may wait for others to go with it. */
  readonly batchMs?: number;
  /** Conditional parameters, as a query spells them: `c.gt=50.2&field=frequency`. */
  readonly conditions?: string;
  readonly method?: Method;
}

export interface NotificationFrame {
  readonly t: 'ntf';
  readonly sub: number;
  /** Of a subscription to a path with `*`: whose sample it is. */
  readonly route?: number;
  /** The sample's sequence number, 24 bits, rising. */
  readonly n: number;
  /** Samples of the asked cadence lost since the last notification. */
  readonly missed: number;
  /** Instant of measurement, microseconds since the epoch. */
  readonly timeUs: number;
  /** In the format that the answer to `sub` named. */
  readonly body: Uint8Array;
}

/**
 * Of a subscription to a path with `*`: a resource that matches. With `format` its samples come from now on, as `route`; with `ending`
 * no more do; with `status` alone it is not to be had in the terms of the subscription.
 */
export interface RouteFrame {
  readonly t: 'route';
  readonly sub: number;
  readonly route?: number;
  /** Of the container, percent-encoded where needed. */
  readonly path: string;
  readonly format?: string;
  readonly ending?: Ending;
  readonly status?: Status;
  /** A sentence. */
  readonly reason?: string;
}

/** Several notifications at once, to a client whose subscriptions asked for `batchMs`. */
export interface BatchFrame {
  readonly t: 'batch';
  /** In the order in which they were due. */
  readonly ntf: readonly NotificationFrame[];
}

export interface UnsubscribeFrame {
  readonly t: 'unsub';
  readonly id: number;
  readonly sub: number;
}

/** The broker has ended a subscription. */
export interface EndFrame {
  readonly t: 'end';
  readonly sub: number;
  readonly ending: Ending;
  readonly status?: Status;
  /** A sentence. */
  readonly reason: string;
}

/** Kept by the sender until acknowledged. `seq` rises by one, from 1, per session and direction. */
export interface MessageFrame {
  readonly t: 'msg';
  readonly seq: number;
  readonly kind: ReliableKind;
  readonly body: JsonObject;
}

/** All messages up to and including `seq` have arrived. */
export interface AcknowledgementFrame {
  readonly t: 'ack';
  readonly seq: number;
}

export interface PingFrame {
  readonly t: 'ping' | 'pong';
  readonly id?: number;
}

/** What came was no frame that could be answered otherwise, or was refused after all. */
export interface ErrorFrame {
  readonly t: 'error';
  readonly status: Status;
  /** A sentence. */
  readonly reason: string;
  readonly id?: number;
  /** Of the `msg` that was refused. STATUS_SERVICE_UNAVAILABLE: not now; it is not acknowledged, and to be sent again. */
  readonly seq?: number;
}

export type Frame =
  | HelloFrame
  | WelcomeFrame
  | RequestFrame
  | ResponseFrame
  | SubscribeFrame
  | NotificationFrame
  | BatchFrame
  | RouteFrame
  | UnsubscribeFrame
  | EndFrame
  | MessageFrame
  | AcknowledgementFrame
  | PingFrame
  | ErrorFrame;
export type FrameType = Frame['t'];

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
