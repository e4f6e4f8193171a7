/**
 * The one primitive: what every binding translates its own requests into [TS 102 921 requestIndication, responseConfirm].
 * What one binding can do, all can.
 */
import type { Cancel } from '../clock.js';
import type { Refusal, Status } from '../errors.js';
import type { Json, JsonObject } from '../json.js';
import type { ContentFormat } from './format.js';

export type Operation = 'create' | 'retrieve' | 'update' | 'delete' | 'notify';
export type BindingName = 'http' | 'coap' | 'ws' | 'c37118';
/** What travels on the reliable lane: acknowledged by the receiver, in order, never conflated. */
export type ReliableKind = 'command' | 'alarm' | 'outcome';

export type { Json, JsonObject };

/** A request's body. The bytes are kept as they came; `document` reads them as JSON or CBOR when a representation is wanted. */
export interface Body {
  /** As sent, parameters included. */
  readonly mediaType: string;
  readonly bytes: Uint8Array;
  /** What it says as JSON or CBOR, or why it cannot be read (415 for a type that is neither, 400 for a broken one). */
  value(): { readonly parsed: Json } | Refusal;
  /** The same where only an object will do, as for every representation; 400 for anything else. */
  document(): JsonObject | Refusal;
}

export interface Request {
  readonly op: Operation;
  /** Decoded path segments from the root: `['m2m', 'applications', 'pmu-61']`. None is empty, `.` or `..`, none holds `/` or NUL. */
  readonly to: readonly string[];
  readonly query: URLSearchParams;
  /** Who asks: an application's or SCL's id, or `anonymous`. */
  readonly originator: string;
  /** For logs and traces, unique per broker. */
  readonly requestId: string;
  readonly binding: BindingName;
  /** Media types in order of preference; empty: anything, which means the default of the binding. */
  readonly accept: readonly string[];
  /** What `latest/content` of a PMU is written as where `accept` leaves it open [design: spellings per binding]. */
  readonly defaultFormat: ContentFormat;
  readonly body?: Body;
  /** Strong entity tags without quotes; `*` for any. */
  readonly ifMatch?: readonly string[];
  readonly ifNoneMatch?: readonly string[];
  /** Microseconds since the epoch, of whole seconds: only HTTP has them. */
  readonly ifModifiedSinceUs?: number;
  readonly ifUnmodifiedSinceUs?: number;
  /** When what proves the originator ceases to, UTC microseconds; absent: not by itself. Nothing is held longer for him. */
  readonly expiresUs?: number;
  /** The brokers it has come through, by the name that each gave itself. */
  readonly via?: readonly string[];
  /** Calls `run` once when the asker goes, now if he has gone: a held long poll lets go. */
  readonly onGone?: (run: () => void) => Cancel;
}

/** What an answer carries: a representation that the binding writes as JSON or CBOR by Accept, or bytes as they are. */
export type Content =
  | { readonly kind: 'document'; readonly document: JsonObject }
  | { readonly kind: 'bytes'; readonly mediaType: string; readonly bytes: Uint8Array };

export interface Response {
  readonly status: Status;
  readonly content?: Content;
  /** errorInfo's additionalInfo: what was wrong, where, and what would be right. */
  readonly detail?: string;
  /** Strong entity tag without quotes: the resource's revision. */
  readonly etag?: string;
  /** When it was last modified, microseconds since the epoch. */
  readonly modifiedUs?: number;
  /** Decoded path segments of what was created. */
  readonly location?: readonly string[];
  /** Its query, each `name=value`, where it has one. */
  readonly locationQuery?: readonly string[];
  /** With 405: what the resource does take. */
  readonly allow?: readonly Operation[];
  /** With 503 and 429, seconds. */
  readonly retryAfterS?: number;
  /** How long the answer stays fresh, seconds; absent: the binding's default. */
  readonly maxAgeS?: number;
  /** The sequence of the sample that was read: an Observe registration's first value. */
  readonly sequence?: number;
}

export const answer = (status: Status, rest: Omit<Response, 'status'> = {}): Response => ({ status, ...rest });
export const refused = (refusal: Refusal, rest: Omit<Response, 'status' | 'detail'> = {}): Response => ({
  ...rest,
  ...refusal,
});

export const isSuccess = ({ status }: Response): boolean =>
  status === 'STATUS_OK' ||
  status === 'STATUS_CREATED' ||
  status === 'STATUS_ACCEPTED' ||
  status === 'STATUS_NOT_MODIFIED';

/** `/m2m/applications/pmu-61`, percent-encoded where a segment needs it. */
export const pathText = (segments: readonly string[]): string => `/${segments.map(encodeURIComponent).join('/')}`;

const FORBIDDEN_SEGMENT = /^\.{0,2}$|[/\0]/;
/** A path whose segments are what they stand for, and none of them forbidden. */
const PLAIN_PATH = /^(?:\/(?!\.{1,2}(?:\/|$))[^/\0%]+)+$/;

/**
 * Splits and decodes a path once, segment by segment; a query must have been taken off.
 * Refused with 400: an empty segment, `.` and `..`, an encoded slash or NUL, a broken escape.
 */
export function parsePath(path: string): readonly string[] | Refusal {
  if (PLAIN_PATH.test(path)) return path.slice(1).split('/');
  const broken = (why: string): Refusal => ({
    status: 'STATUS_BAD_REQUEST',
    detail: `The path ${JSON.stringify(path.slice(0, 200))} ${why}.`,
  });
  if (!path.startsWith('/')) return broken('must start with "/"');
  if (path === '/') return [];
  const segments: string[] = [];
  for (const encoded of path.slice(1).split('/')) {
    let segment: string;
    try {
      segment = decodeURIComponent(encoded);
    } catch {
      return broken(`has a broken percent escape in ${JSON.stringify(encoded)}`);
    }
    if (FORBIDDEN_SEGMENT.test(segment))
      return broken(`has a segment ${JSON.stringify(segment)}, which is never a name`);
    segments.push(segment);
  }
  return segments;
}
