/** WebSocket's spelling of the primitive: `req` and `sub` become a Request, a Response becomes a `res`. Pure. */
import type { Cancel } from '../../clock.js';
import { isRefusal, STATUSES, type Refusal } from '../../errors.js';
import { FORMATS } from '../../routing/format.js';
import { parsePath, pathText, type Request, type Response } from '../../routing/primitive.js';
import { checkTerms, termsOfConditions, termsOfQuery, type Terms } from '../../routing/terms.js';
import { bodyOfBytes, readAccept, writeContent } from '../codec.js';
import type { FrameCodec, RequestFrame, ResponseFrame, SubscribeFrame } from './frames.js';

/** What a request has from its connection. */
export interface Asker {
  readonly originator: string;
  readonly requestId: string;
  readonly codec: FrameCodec;
  readonly onGone: (run: () => void) => Cancel;
}

export function requestOf(frame: RequestFrame | SubscribeFrame, { codec, ...asker }: Asker): Request | Refusal {
  const mark = frame.to.indexOf('?');
  const [path, query] = mark < 0 ? [frame.to, ''] : [frame.to.slice(0, mark), frame.to.slice(mark + 1)];
  const to = parsePath(path);
  if (isRefusal(to)) return to;
  const common = {
    ...asker,
    to,
    query: new URLSearchParams(query),
    binding: 'ws' as const,
    accept: readAccept(frame.accept),
    defaultFormat: codec.isBinary ? FORMATS.protobuf : FORMATS.senmlJson,
  };
  if (frame.t === 'sub') return { ...common, op: 'retrieve' };
  const { op, payload, ifMatch, ifNoneMatch } = frame;
  return {
    ...common,
    op,
    ...(payload && { body: bodyOfBytes(payload.mediaType, payload.bytes) }),
    ...(ifMatch.length > 0 && { ifMatch }),
    ...(ifNoneMatch.length > 0 && { ifNoneMatch }),
  };
}

/** The terms of a subscription: members of the frame go before parameters of its path. */
export function termsOf(
  { rate, class: latencyClass, batchMs, conditions, method }: SubscribeFrame,
  query: URLSearchParams,
): Terms | Refusal {
  const asked = termsOfQuery(query);
  if (isRefusal(asked)) return asked;
  const said = termsOfConditions(conditions ?? '');
  if (isRefusal(said)) return said;
  return checkTerms({
    ...asked,
    ...said,
    ...(rate !== undefined && { rate }),
    ...(latencyClass && { latencyClass }),
    ...(method && { method }),
    ...(batchMs && { batchMs }),
  });
}

/** @param format to `sub`: the media type of its notifications */
export function responseOf(id: number, response: Response, accept: readonly string[], format?: string): ResponseFrame {
  const { status, etag, location, locationQuery = [], allow = [], retryAfterS } = response;
  const written = status === 'STATUS_NOT_MODIFIED' ? undefined : writeContent(response, accept);
  const query = locationQuery.length > 0 ? `?${locationQuery.join('&')}` : '';
  return {
    t: 'res',
    id,
    status,
    code: STATUSES[status].http,
    allow,
    ...(etag !== undefined && { etag }),
    ...(location && { location: pathText(location) + query }),
    ...(retryAfterS !== undefined && { retryAfterS }),
    ...(format !== undefined && { format }),
    ...(written && { payload: written }),
  };
}
