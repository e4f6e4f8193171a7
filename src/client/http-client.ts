/** The HTTP client, on the platform's `fetch`. */
import { systemClock, type Clock } from '../clock.js';
import {
  bytesOf,
  DEFAULT_TIMEOUT_MS,
  type Client,
  type ClientOptions,
  type ClientRequest,
  type ClientResponse,
  type Notification,
  type ObserveTerms,
} from './client.js';
import { deadline } from './deadline.js';
import { GridcastError, reasonOf } from './error.js';
import { pollNotifications } from './long-poll.js';
import { refusalOf, statusOf } from './refusal.js';
import { authority, pathAndQuery, resolve, type Target } from './target.js';

const METHODS = { create: 'POST', retrieve: 'GET', update: 'PUT', delete: 'DELETE' } as const;

export class HttpClient implements Client {
  readonly binding = 'http';
  private readonly clock: Clock;
  private readonly headers: Readonly<Record<string, string>>;
  private readonly closing = new AbortController();

  constructor(
    private readonly base: Target,
    { clock = systemClock, token }: ClientOptions = {},
  ) {
    this.clock = clock;
    this.headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  async request({
    op,
    to,
    accept,
    body,
    signal,
    timeoutMs = DEFAULT_TIMEOUT_MS,
  }: ClientRequest): Promise<ClientResponse> {
    const target = resolve(this.base, to);
    const sent = body && bytesOf(body);
    const where = authority(target);
    const limit = deadline(this.clock, timeoutMs, `${where} did not answer`, signal);
    try {
      this.closing.signal.throwIfAborted();
      const response = await fetch(`${target.scheme}://${where}${pathAndQuery(target)}`, {
        method: METHODS[op],
        headers: {
          ...this.headers,
          ...(accept !== undefined && { accept }),
          ...(sent && { 'content-type': sent.mediaType }),
        },
        signal: AbortSignal.any([limit.signal, this.closing.signal]),
        redirect: 'error',
        ...(sent && { body: sent.bytes }),
      });
      return await read(response);
    } catch (error) {
      if (error instanceof GridcastError) throw error;
      for (const { aborted, reason } of [this.closing.signal, limit.signal]) if (aborted) throw reason;
      throw new GridcastError('unreachable', `No HTTP answer from ${where}: ${reasonOf(error)}.`);
    } finally {
      limit.cancel();
    }
  }

  observe(to: string, terms: ObserveTerms = {}): AsyncIterableIterator<Notification> {
    return pollNotifications(this, resolve(this.base, to), terms);
  }

  close(): Promise<void> {
    this.closing.abort(new GridcastError('closed', 'This client has been closed.'));
    return Promise.resolve();
  }
}

async function read(response: Response): Promise<ClientResponse> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  const mediaType = response.headers.get('content-type') ?? undefined;
  const status = statusOf('http', response.status);
  if (status === undefined || response.status >= 400) throw refusalOf(status, mediaType, bytes);
  const location = response.headers.get('location') ?? undefined;
  return { status, bytes, ...(mediaType !== undefined && { mediaType }), ...(location !== undefined && { location }) };
}
