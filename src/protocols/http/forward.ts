/** Requests to applications at `http:` and `https:`, answered as they answer. */
import type { Clock } from '../../clock.js';
import { reasonOf, statusOfCode } from '../../errors.js';
import { FORMATS } from '../../routing/format.js';
import { passedOn, type Forwarder } from '../../routing/forward.js';
import { answer, refused, type Operation, type Request, type Response } from '../../routing/primitive.js';
import { httpDate, parseHttpDate } from './date.js';

const METHODS: Readonly<Record<Operation, string>> = {
  create: 'POST',
  retrieve: 'GET',
  update: 'PUT',
  delete: 'DELETE',
  notify: 'POST',
};
/** An answer is kept in memory as a whole. */
const MOST_BYTES = 1024 * 1024;

export const httpForwarder =
  (clock: Clock, self: string): Forwarder =>
  async (to, request, timeoutMs) => {
    const limit = new AbortController();
    const cancel = clock.after(timeoutMs, () => limit.abort());
    try {
      return await exchange(to, request, passedOn(request, self), limit.signal);
    } catch (error) {
      return limit.signal.aborted
        ? answer('STATUS_GATEWAY_TIMEOUT', { detail: `${to.origin} did not answer within ${timeoutMs / 1000} s.` })
        : answer('STATUS_BAD_GATEWAY', { detail: `${to.origin} is not reached: ${reasonOf(error)}.` });
    } finally {
      cancel();
    }
  };

async function exchange(to: URL, request: Request, via: readonly string[], signal: AbortSignal): Promise<Response> {
  const { op, body, accept } = request;
  const response = await fetch(to, {
    method: METHODS[op],
    headers: {
      ...(body && { 'content-type': body.mediaType }),
      ...(accept.length > 0 && { accept: accept.join(', ') }),
      ...conditionsOf(request),
      via: via.map((name) => `1.1 ${name}`).join(', '),
    },
    ...(body && { body: Buffer.from(body.bytes) }),
    // Where an application sends us on to is nobody's point of contact.
    redirect: 'manual',
    signal,
  });
  const bytes = await bytesOf(response);
  if (!bytes)
    return refused({ status: 'STATUS_BAD_GATEWAY', detail: `${to.origin} answered more than ${MOST_BYTES} bytes.` });
  const mediaType = response.headers.get('content-type') ?? FORMATS.octets.mediaType;
  const modifiedUs = parseHttpDate(response.headers.get('last-modified') ?? undefined);
  const etag = /^"(.*)"$/.exec(response.headers.get('etag') ?? '')?.[1];
  return answer(statusOfCode('http', response.status), {
    ...(bytes.length > 0 && { content: { kind: 'bytes', mediaType, bytes } }),
    ...(etag !== undefined && { etag }),
    ...(modifiedUs !== undefined && { modifiedUs }),
  });
}

/** They are for the application to hold against its own state. */
function conditionsOf({
  ifMatch,
  ifNoneMatch,
  ifModifiedSinceUs,
  ifUnmodifiedSinceUs,
}: Request): Record<string, string> {
  const tags = (list: readonly string[]): string => list.map((tag) => (tag === '*' ? tag : `"${tag}"`)).join(', ');
  return {
    ...(ifMatch && { 'if-match': tags(ifMatch) }),
    ...(ifNoneMatch && { 'if-none-match': tags(ifNoneMatch) }),
    ...(ifModifiedSinceUs !== undefined && { 'if-modified-since': httpDate(ifModifiedSinceUs) }),
    ...(ifUnmodifiedSinceUs !== undefined && { 'if-unmodified-since': httpDate(ifUnmodifiedSinceUs) }),
  };
}

/** Undefined for too many. */
async function bytesOf({ body }: globalThis.Response): Promise<Uint8Array | undefined> {
  const parts: Uint8Array[] = [];
  let count = 0;
  // Left early, the rest is not read.
  for await (const part of body ?? []) {
    const bytes = part as Uint8Array;
    count += bytes.length;
    if (count > MOST_BYTES) return undefined;
    parts.push(bytes);
  }
  return Buffer.concat(parts);
}
