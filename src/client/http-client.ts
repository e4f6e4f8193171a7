/** The HTTP client. */
import { systemClock, type Clock } from '../clock.js';
import {
  bytesOf,
  DEFAULT_TIMEOUT_MS,
  FAREWELL_MS,
  type Client,
  type ClientOptions,
  type ClientRequest,
  type ClientResponse,
  type Notification,
  type ObserveTerms,
} from './client.js';
import { deadline } from './deadline.js';
import { GridcastError, reasonOf } from './error.js';
import { HttpConnections, type HttpAnswered } from './http-exchange.js';
import { pollNotifications, type Poller } from './long-poll.js';
import { refusalOf, statusOf } from './refusal.js';
import { authority, pathAndQuery, resolve, type Target } from './target.js';

const METHODS = { create: 'POST', retrieve: 'GET', update: 'PUT', delete: 'DELETE' } as const;

export class HttpClient implements Client, Poller {
  readonly binding = 'http';
  private readonly clock: Clock;
  private readonly connections: HttpConnections;
  private readonly headers: Readonly<Record<string, string>>;
  private readonly closing = new AbortController();
  /** What observations have made at the broker and not yet deleted, the newest last. */
  private readonly made = new Set<string>();

  constructor(
    private readonly base: Target,
    { clock = systemClock, token, tls }: ClientOptions = {},
  ) {
    this.connections = new HttpConnections(base.scheme === 'https', tls);
    this.clock = clock;
    this.headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  request(request: ClientRequest): Promise<ClientResponse> {
    return this.exchange(request, this.closing.signal);
  }

  async make(request: Omit<ClientRequest, 'op'>): Promise<ClientResponse> {
    const response = await this.request({ ...request, op: 'create' });
    if (response.location !== undefined) this.made.add(response.location);
    return response;
  }

  async discard(paths: readonly string[]): Promise<void> {
    for (const to of paths.toReversed()) {
      if (this.made.delete(to))
        await this.exchange({ op: 'delete', to, timeoutMs: FAREWELL_MS }).catch(() => undefined);
    }
  }

  observe(to: string, terms: ObserveTerms = {}): AsyncIterableIterator<Notification> {
    return pollNotifications(this, resolve(this.base, to), terms);
  }

  async close(): Promise<void> {
    this.closing.abort(new GridcastError('closed', 'This client has been closed.'));
    await this.discard([...this.made]);
    this.connections.close();
  }

  /** @param closing ends it before its time; none for a farewell, which is said after closing too */
  private async exchange(request: ClientRequest, closing?: AbortSignal): Promise<ClientResponse> {
    const { op, to, accept, body, signal, timeoutMs = DEFAULT_TIMEOUT_MS } = request;
    const target = resolve(this.base, to);
    const sent = body && bytesOf(body);
    const where = authority(target);
    const limit = deadline(this.clock, timeoutMs, `${where} did not answer`, signal);
    const signals = closing ? [closing, limit.signal] : [limit.signal];
    try {
      const response = await this.connections.ask(`${target.scheme}://${where}${pathAndQuery(target)}`, {
        method: METHODS[op],
        headers: {
          ...this.headers,
          ...(accept !== undefined && { accept }),
          ...(sent && { 'content-type': sent.mediaType }),
        },
        signal: AbortSignal.any(signals),
        body: sent?.bytes,
      });
      return read(response);
    } catch (error) {
      if (error instanceof GridcastError) throw error;
      for (const { aborted, reason } of signals) if (aborted) throw reason;
      throw new GridcastError('unreachable', `No HTTP answer from ${where}: ${reasonOf(error)}.`);
    } finally {
      limit.cancel();
    }
  }
}

function read({ status: code, header, bytes }: HttpAnswered): ClientResponse {
  const mediaType = header('content-type');
  // 204 is a 200 without a body, and in no row of the table.
  const status = code === 204 ? 'STATUS_OK' : statusOf('http', code);
  if (status === undefined || code >= 400) throw refusalOf(status, mediaType, bytes);
  const location = header('location');
  return { status, bytes, ...(mediaType !== undefined && { mediaType }), ...(location !== undefined && { location }) };
}
