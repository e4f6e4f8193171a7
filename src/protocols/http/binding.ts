/**
 * The HTTP binding: CRUD on the tree, long polling, and the pages that machines look at.
 *
 *     POST GET PUT DELETE ──> Request ──> Site.request ──> Response ──> status, headers, body
 *     GET /livez /readyz /metrics /supervision             see operations.ts
 *
 * A long poll is a GET like any other: its Response comes late, and the request's signal lets go of it when the asker leaves.
 */
import { isRefusal, refuse, STATUSES } from '../../errors.js';
import type { Log } from '../../log.js';
import { randomId, type Random } from '../../random.js';
import { FORMATS } from '../../routing/format.js';
import {
  isSuccess,
  parsePath,
  pathText,
  refused,
  type Operation,
  type Request,
  type Response,
} from '../../routing/primitive.js';
import type { Site } from '../../routing/site.js';
import { bodyOfBytes, readAccept, writeContent } from '../codec.js';
import type { HttpAnswer, HttpRequest } from '../transport/transport.js';
import { operationsPage, type Operations } from './operations.js';

const OPERATIONS: Readonly<Record<string, Operation>> = { POST: 'create', GET: 'retrieve', PUT: 'update', DELETE: 'delete' };
const METHODS: Readonly<Record<Operation, string>> = { create: 'POST', retrieve: 'GET', update: 'PUT', delete: 'DELETE', notify: 'POST' };
/** What a body is taken as whose sender does not say. */
const DEFAULT_MEDIA_TYPE = FORMATS.json.mediaType;
/** A proxy must not keep what changes with the next sample. */
const NO_CACHE = { 'cache-control': 'no-cache' };
/** Without security configured everybody is. */
const ANONYMOUS = 'anonymous';

export class HttpBinding {
  private readonly idPrefix: string;
  private requests = 0;

  constructor(
    private readonly site: Site,
    private readonly operations: Operations,
    random: Random,
    private readonly log: Log,
  ) {
    this.idPrefix = randomId(random);
  }

  readonly handle = async (http: HttpRequest): Promise<HttpAnswer> => {
    const page = http.method === 'GET' ? operationsPage(http.path, this.operations) : undefined;
    if (page) return page;
    const accept = readAccept(http.header('accept'));
    const request = await this.read(http, accept);
    if ('status' in request) return write(request, 'retrieve', accept);
    const response = await this.site.request(request);
    if (response.status === 'STATUS_INTERNAL_SERVER_ERROR') this.log.error({ requestId: request.requestId, to: pathText(request.to) }, 'http: a request failed');
    return write(response, request.op, accept);
  };

  private async read(http: HttpRequest, accept: readonly string[]): Promise<Request | Response> {
    const op = OPERATIONS[http.method];
    if (!op) {
      const detail = `${http.method} is not offered; POST, GET, PUT and DELETE are.`;
      return refused(refuse('STATUS_METHOD_NOT_ALLOWED', detail), { allow: Object.values(OPERATIONS) });
    }
    const to = parsePath(http.path);
    if (isRefusal(to)) return refused(to);
    const bytes = await http.body();
    if (isRefusal(bytes)) return refused(bytes);
    const ifMatch = entityTags(http.header('if-match'));
    const ifNoneMatch = entityTags(http.header('if-none-match'));
    return {
      op,
      to,
      query: new URLSearchParams(http.query),
      originator: ANONYMOUS,
      requestId: `${this.idPrefix}-${++this.requests}`,
      binding: 'http',
      accept,
      defaultFormat: FORMATS.senmlJson,
      ...(bytes.length > 0 && { body: bodyOfBytes(http.header('content-type') ?? DEFAULT_MEDIA_TYPE, bytes) }),
      ...(ifMatch && { ifMatch }),
      ...(ifNoneMatch && { ifNoneMatch }),
      signal: http.signal,
    };
  }
}

function write(response: Response, op: Operation, accept: readonly string[]): HttpAnswer {
  const { status, etag, location, allow, retryAfterS, maxAgeS } = response;
  const written = status === 'STATUS_NOT_MODIFIED' ? undefined : writeContent(response, accept);
  const hasNothingToSay = status === 'STATUS_OK' && !written && op !== 'retrieve';
  return {
    status: hasNothingToSay ? 204 : STATUSES[status].http,
    headers: {
      ...(written && { 'content-type': written.mediaType }),
      ...(etag !== undefined && { etag: `"${etag}"` }),
      ...(location && { location: pathText(location) }),
      ...(allow && { allow: [...new Set(allow.map((each) => METHODS[each]))].join(', ') }),
      ...(retryAfterS !== undefined && { 'retry-after': String(retryAfterS) }),
      ...(maxAgeS !== undefined ? { 'cache-control': `max-age=${maxAgeS}` } : isSuccess(response) && op === 'retrieve' ? NO_CACHE : {}),
    },
    ...(written && { body: written.bytes }),
  };
}

/** Strong tags without quotes [RFC9110-8.8.3]; a weak one never matches a strong comparison and is left out. */
function entityTags(header: string | undefined): readonly string[] | undefined {
  if (header === undefined) return undefined;
  if (header.trim() === '*') return ['*'];
  return [...header.matchAll(/(W\/)?"([^"]*)"/g)].filter(([, weak]) => weak === undefined).map(([, , tag = '']) => tag);
}
