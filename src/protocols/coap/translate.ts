/**
 * CoAP's spelling of the primitive: a message becomes a Request, a Response becomes a reply. Pure.
 *
 *     GET PUT POST DELETE        retrieve update create delete
 *     FETCH                      retrieve, its body a part of the query [fetch.ts]
 *     Uri-Path, Uri-Query        to, query
 *     Accept, Content-Format     media types [routing/format]; a number without one is refused: 4.06, 4.15
 *     If-Match, If-None-Match    ifMatch, ifNoneMatch; ETag on GET is ifNoneMatch, answered 2.03
 *     diagnostic payload         detail
 */
import { createHash } from 'node:crypto';
import { isRefusal, refuse, STATUSES, coapCode, type Refusal } from '../../errors.js';
import { FORMATS, formatOfCoap, formatOfMediaType } from '../../routing/format.js';
import { isSuccess, type Operation, type Request, type Response } from '../../routing/primitive.js';
import { bodyOfBytes, writeContent } from '../codec.js';
import type { Reply } from './exchange.js';
import type { Identity } from '../identity.js';
import { queryOfBody } from './fetch.js';
import { CODE, isConfirmablePost, type Message } from './message.js';
import { maxAgeOption } from './observe.js';
import { firstOf, OPTION, option, uintOption, valuesOf, type Option } from './options.js';

const OPERATIONS: ReadonlyMap<number, Operation> = new Map([
  [CODE.get, 'retrieve'],
  [CODE.post, 'create'],
  [CODE.put, 'update'],
  [CODE.delete, 'delete'],
  [CODE.fetch, 'retrieve'],
]);
/** A method that there is not is refused before its body has come in blocks. */
export const isMethod = (code: number): boolean => OPERATIONS.has(code);
export const NO_SUCH_METHOD = refuse(
  'STATUS_METHOD_NOT_ALLOWED',
  'The methods here are GET, POST, PUT, DELETE and FETCH; a resource is changed as a whole, or by one attribute, with PUT.',
);

/** Also what forwarding is refused with: [RFC7252-5.10.2] has a code for it that no other binding needs. */
export const PROXYING_NOT_SUPPORTED = coapCode(5, 5);
/** Of an ETag option, bytes. */
const LONGEST_ETAG = 8;
const FORBIDDEN_SEGMENT = /^\.{0,2}$|[/\0]/;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** What the options say of a request, whatever its body. */
interface Asked {
  readonly to: readonly string[];
  readonly query: URLSearchParams;
  readonly accept: readonly string[];
  /** Absent: a body is octets, and none is none. */
  readonly mediaType: string | undefined;
  readonly via: readonly string[];
  readonly ifMatch: readonly string[];
  readonly etags: readonly string[];
  readonly isIfNoneMatch: boolean;
}

/** By list: those of publishers come again and again [option-memory], those of confirmable POSTs once. */
const asked = new WeakMap<readonly Option[], Asked | Refusal>();

function askedOf(options: readonly Option[]): Asked | Refusal {
  let known = asked.get(options);
  if (!known) asked.set(options, (known = readAsked(options)));
  return known;
}

function readAsked(options: readonly Option[]): Asked | Refusal {
  const to = pathOf(options);
  if (isRefusal(to)) return to;
  const query = queryOf(options);
  if (isRefusal(query)) return query;
  const acceptNumber = uintOption(options, OPTION.accept);
  const accept = acceptNumber === undefined ? undefined : formatOfCoap(acceptNumber);
  if (acceptNumber !== undefined && !accept) {
    return refuse(
      'STATUS_NOT_ACCEPTABLE',
      `The format ${acceptNumber} of Accept is not written here; ${KNOWN_FORMATS}.`,
    );
  }
  const formatNumber = uintOption(options, OPTION.contentFormat);
  const format = formatNumber === undefined ? undefined : formatOfCoap(formatNumber);
  if (formatNumber !== undefined && !format) {
    return refuse(
      'STATUS_UNSUPPORTED_MEDIA_TYPE',
      `The Content-Format ${formatNumber} is not taken here; ${KNOWN_FORMATS}.`,
    );
  }
  return {
    to,
    query,
    accept: accept ? [accept.mediaType] : [],
    mediaType: format?.mediaType,
    via: valuesOf(options, OPTION.via).map((name) => Buffer.from(name).toString()),
    ifMatch: valuesOf(options, OPTION.ifMatch).map(tagText),
    etags: valuesOf(options, OPTION.etag).map(tagText),
    isIfNoneMatch: firstOf(options, OPTION.ifNoneMatch) !== undefined,
  };
}

/** A whole message as a request, or what is wrong with it. */
export function requestOf(message: Message, { originator, expiresUs }: Identity, requestId: string): Request | Refusal {
  const { code, options, payload } = message;
  const op = OPERATIONS.get(code);
  if (!op) return NO_SUCH_METHOD;
  const said = isConfirmablePost(message) ? readAsked(options) : askedOf(options);
  if (isRefusal(said)) return said;
  const { to, accept, mediaType, via, ifMatch, etags, isIfNoneMatch } = said;
  const hasBody = payload.length > 0 || mediaType !== undefined;
  const body = hasBody ? bodyOfBytes(mediaType ?? FORMATS.octets.mediaType, payload) : undefined;
  const query = code === CODE.fetch ? queryOfBody(body, said.query) : said.query;
  if (isRefusal(query)) return query;
  const ifNoneMatch = isIfNoneMatch ? ['*'] : op === 'retrieve' ? etags : [];
  return {
    op,
    to,
    query,
    originator,
    requestId,
    binding: 'coap',
    accept,
    defaultFormat: FORMATS.senmlCbor,
    ...(body && code !== CODE.fetch && { body }),
    ...(expiresUs !== undefined && { expiresUs }),
    ...(via.length > 0 && { via }),
    ...(ifMatch.length > 0 && { ifMatch }),
    ...(ifNoneMatch.length > 0 && { ifNoneMatch }),
  };
}

const KNOWN_FORMATS = `known: ${Object.values(FORMATS)
  .map(({ coap, mediaType }) => `${coap} ${mediaType}`)
  .join(', ')}`;

function pathOf(options: readonly Option[]): readonly string[] | Refusal {
  const to: string[] = [];
  for (const value of valuesOf(options, OPTION.uriPath)) {
    const segment = textOf(value);
    if (segment === undefined || FORBIDDEN_SEGMENT.test(segment)) {
      return refuse(
        'STATUS_BAD_REQUEST',
        `Uri-Path has a segment ${JSON.stringify(segment ?? 'that is not UTF-8')}, which is never a name.`,
      );
    }
    to.push(segment);
  }
  return to;
}

function queryOf(options: readonly Option[]): URLSearchParams | Refusal {
  const query = new URLSearchParams();
  for (const value of valuesOf(options, OPTION.uriQuery)) {
    const argument = textOf(value);
    if (argument === undefined) return refuse('STATUS_BAD_REQUEST', 'A Uri-Query is not UTF-8.');
    const equals = argument.indexOf('=');
    if (equals < 0) query.append(argument, '');
    else query.append(argument.slice(0, equals), argument.slice(equals + 1));
  }
  return query;
}

function textOf(value: Uint8Array): string | undefined {
  try {
    return utf8.decode(value);
  } catch {
    return undefined;
  }
}

/** An entity tag is opaque: latin1 keeps its bytes. Empty: any [RFC7252-5.10.8.1]. */
const tagText = (value: Uint8Array): string => (value.length === 0 ? '*' : Buffer.from(value).toString('latin1'));

function tagBytes(etag: string): Uint8Array {
  const bytes = Buffer.from(etag, 'latin1');
  return bytes.length <= LONGEST_ETAG ? bytes : createHash('sha256').update(etag).digest().subarray(0, LONGEST_ETAG);
}

/** The code of an answer: STATUS_OK is spelt by what was asked [TS 102 921]. */
export function codeOf(status: Response['status'], op: Operation): number {
  if (status !== 'STATUS_OK') return STATUSES[status].coap;
  return op === 'retrieve' ? coapCode(2, 5) : op === 'delete' ? coapCode(2, 2) : coapCode(2, 4);
}

/** The reply to a request; a refusal's sentence is its diagnostic payload [RFC7252-5.5.2]. */
export function replyOf(
  response: Response,
  request: Pick<Request, 'op' | 'accept' | 'ifNoneMatch'>,
  extra: readonly Option[] = [],
): Reply {
  const { status, location = [], locationQuery = [], maxAgeS, retryAfterS } = response;
  const code = codeOf(status, request.op);
  if (!isSuccess(response)) {
    const payload = Buffer.from(response.detail ?? STATUSES[status].sentence);
    return { code, payload, options: retryAfterS === undefined ? [] : maxAgeOption(Math.ceil(retryAfterS)) };
  }
  const written = status === 'STATUS_NOT_MODIFIED' ? undefined : writeContent(response, request.accept);
  // [RFC7252-5.9.1.3] 2.03 names the tag that is still good.
  const etag = response.etag ?? (status === 'STATUS_NOT_MODIFIED' ? request.ifNoneMatch?.[0] : undefined);
  const format = written && formatOfMediaType(written.mediaType);
  const options = [
    ...extra,
    ...(etag === undefined ? [] : [option(OPTION.etag, tagBytes(etag))]),
    ...location.map((segment) => option(OPTION.locationPath, segment)),
    ...locationQuery.map((argument) => option(OPTION.locationQuery, argument)),
    ...(format ? [option(OPTION.contentFormat, format.coap)] : []),
    ...(maxAgeS === undefined ? [] : maxAgeOption(Math.max(1, Math.ceil(maxAgeS)))),
  ];
  return { code, options, ...(written && { payload: written.bytes }) };
}
