/**
 * HTTP's spelling of the primitive: a request becomes a Request, a Response becomes an answer. Pure.
 *
 *     POST GET PUT DELETE                 create retrieve update delete
 *     path, query                         to, query
 *     Accept, Content-Type                accept, body
 *     If-Match, If-None-Match             ifMatch, ifNoneMatch; failed: 304 to a read, 412 to a write
 *     If-(Un)Modified-Since               ifModifiedSinceUs, ifUnmodifiedSinceUs; likewise
 *     Via                                 via
 *     Location, Allow, Retry-After, ETag  location, allow, retryAfterS, etag
 *     Last-Modified                       modifiedUs
 */
import { isRefusal, refuse, STATUSES, type Refusal } from '../../errors.js';
import { FORMATS } from '../../routing/format.js';
import { parsePath, pathText, type Operation, type Request, type Response } from '../../routing/primitive.js';
import { bodyOfBytes, readAccept, writeContent } from '../codec.js';
import type { Identity } from '../identity.js';
import type { HttpAnswer, HttpRequest } from '../transport/transport.js';
import { httpDate, parseHttpDate } from './date.js';

const OPERATIONS: ReadonlyMap<string, Operation> = new Map([
  ['POST', 'create'],
  ['GET', 'retrieve'],
  ['PUT', 'update'],
  ['DELETE', 'delete'],
]);
const METHODS: Readonly<Record<Operation, string>> = {
  create: 'POST',
  retrieve: 'GET',
  update: 'PUT',
  delete: 'DELETE',
  notify: 'POST',
};

/** All methods that there are here, for Allow. */
export const ALL_OPERATIONS: readonly Operation[] = [...OPERATIONS.values()];

/** Whether a request's body says something. */
export const takesBody = ({ method }: HttpRequest): boolean => method === 'POST' || method === 'PUT';

/** A request and its body as the primitive, or what is wrong with it. */
export function requestOf(
  http: HttpRequest,
  bytes: Uint8Array | Refusal | undefined,
  { originator, expiresUs }: Identity,
  requestId: string,
): Request | Refusal {
  const op = OPERATIONS.get(http.method);
  if (!op) return refuse('STATUS_METHOD_NOT_ALLOWED', `The methods here are ${[...OPERATIONS.keys()].join(', ')}.`);
  const to = parsePath(http.path);
  if (isRefusal(to)) return to;
  const ifMatch = entityTags('If-Match', http.header('if-match'));
  if (isRefusal(ifMatch)) return ifMatch;
  const ifNoneMatch = entityTags('If-None-Match', http.header('if-none-match'));
  if (isRefusal(ifNoneMatch)) return ifNoneMatch;
  const ifModifiedSinceUs = parseHttpDate(http.header('if-modified-since'));
  const ifUnmodifiedSinceUs = parseHttpDate(http.header('if-unmodified-since'));
  const via = http.header('via');
  const encoding = http.header('content-encoding') ?? 'identity';
  if (encoding !== 'identity')
    return refuse('STATUS_UNSUPPORTED_MEDIA_TYPE', `Bodies are taken as they are, not as ${encoding}.`);
  if (isRefusal(bytes)) return bytes;
  const mediaType = http.header('content-type') ?? FORMATS.json.mediaType;
  return {
    op,
    to,
    query: http.query === '' ? NO_QUERY : new URLSearchParams(http.query),
    originator,
    requestId,
    binding: 'http',
    accept: readAccept(http.header('accept')),
    defaultFormat: FORMATS.senmlJson,
    onGone: (run) => http.onGone(run),
    ...(expiresUs !== undefined && { expiresUs }),
    ...(bytes && bytes.length > 0 && { body: bodyOfBytes(mediaType, bytes) }),
    ...(ifMatch && { ifMatch }),
    ...(ifNoneMatch && { ifNoneMatch }),
    ...(via !== undefined && { via: receivedBy(via) }),
    ...(ifModifiedSinceUs !== undefined && { ifModifiedSinceUs }),
    ...(ifUnmodifiedSinceUs !== undefined && { ifUnmodifiedSinceUs }),
  };
}

/** Whoever takes parameters out of a query copies it first. */
const NO_QUERY = new URLSearchParams();
const ENTITY_TAGS = /^\s*(?:W\/)?"[^"\s]*"(?:\s*,\s*(?:W\/)?"[^"\s]*")*\s*$/;

/**
 * The tags of If-Match or If-None-Match without quotes. Weak ones match no If-Match [RFC9110-13.1.1]; all of ours are strong,
 * and what an intermediary made weak still tells a reader what it holds.
 */
function entityTags(
  field: 'If-Match' | 'If-None-Match',
  text: string | undefined,
): readonly string[] | undefined | Refusal {
  if (text === undefined) return undefined;
  if (text.trim() === '*') return ['*'];
  if (!ENTITY_TAGS.test(text)) {
    return refuse('STATUS_BAD_REQUEST', `${field} must be "*" or entity tags in quotes, such as ${field}: "17", "18".`);
  }
  const tags = [...text.matchAll(/(W\/)?"([^"]*)"/g)];
  return tags.filter(([, weak]) => field === 'If-None-Match' || weak === undefined).map(([, , tag = '']) => tag);
}

/** Of each protocol and name in Via, the name [RFC9110-7.6.3]. */
const receivedBy = (via: string): readonly string[] => via.split(',').map((hop) => hop.trim().split(/\s+/)[1] ?? '');

/** Stored content comes back as it was sent: no browser may take it for a page of ours, or guess at what it is. */
const GUARDS = { 'x-content-type-options': 'nosniff', 'content-security-policy': "default-src 'none'; sandbox" };
const FIELD_TEXT = /^[\x20-\x7e]+$/;

/** The answer for a response; `accept` as the request had it. */
export function answerOf(response: Response, accept: readonly string[]): HttpAnswer {
  const { status, etag, modifiedUs, location, locationQuery = [], allow, retryAfterS, maxAgeS } = response;
  const written = status === 'STATUS_NOT_MODIFIED' ? undefined : writeContent(response, accept);
  const query = locationQuery.length > 0 ? `?${locationQuery.map(encodeURI).join('&')}` : '';
  return {
    // What has no body says so [TS 102 921: 200 with, 204 without].
    status: status === 'STATUS_OK' && !written ? NO_CONTENT : STATUSES[status].http,
    headers: {
      ...(written && GUARDS),
      'cache-control': maxAgeS === undefined ? 'no-cache' : `max-age=${Math.ceil(maxAgeS)}`,
      // A stored media type came inside a body, where CR and LF are nothing special.
      ...(written && {
        'content-type': FIELD_TEXT.test(written.mediaType) ? written.mediaType : FORMATS.octets.mediaType,
      }),
      ...(etag !== undefined && { etag: `"${etag}"` }),
      ...(modifiedUs !== undefined && { 'last-modified': httpDate(modifiedUs) }),
      ...(location && { location: pathText(location) + query }),
      ...(allow && { allow: [...new Set(allow.map((op) => METHODS[op]))].join(', ') }),
      ...(retryAfterS !== undefined && { 'retry-after': String(Math.ceil(retryAfterS)) }),
      // [RFC9110-15.5.2]
      ...(STATUSES[status].http === UNAUTHORIZED && { 'www-authenticate': 'Bearer' }),
    },
    ...(written && { body: written.bytes }),
  };
}

const NO_CONTENT = 204;
const UNAUTHORIZED = 401;
