/**
 * The pages for those who run the broker.
 *
 *     /livez, /readyz           for everybody: is it alive, is it ready
 *     /metrics, /openapi.json   for whoever is let in: its figures, its interface
 *     /supervision, /acl        for administrators: its supervision tree; why somebody may do something or not
 */
import { isRefusal, refuse, type Refusal } from '../../errors.js';
import type { JsonObject } from '../../json.js';
import type { HttpAnswer, HttpRequest } from '../transport/transport.js';

export interface Operations {
  /** Prometheus' exposition. */
  readonly expose: () => Promise<{ readonly mediaType: string; readonly text: string }>;
  /** Why the broker should be given no work; undefined when it is ready. */
  readonly unready: () => string | undefined;
  /** The supervision tree. */
  readonly tree: () => unknown;
  /** The interface described: made when it is first asked for. */
  readonly descriptions: Readonly<Record<string, () => unknown>>;
  /** Why somebody may do something or not; the query names `originator`, `op` and `path`. */
  readonly explain: (query: URLSearchParams) => JsonObject | Refusal;
  /** Who may see what is not for everybody. */
  readonly isOperator: (originator: string) => boolean;
}

const text = (status: number, body: string): HttpAnswer => ({
  status,
  headers: { 'content-type': 'text/plain; charset=utf-8' },
  body: `${body}\n`,
});

/** Asked by whatever runs the process, which has no token. */
export const HEALTH_PAGES: readonly string[] = ['/livez', '/readyz'];

/** The answer to a GET of one of the pages; undefined for any other path. */
export function operationsPage(path: string, operations: Operations): HttpAnswer | Promise<HttpAnswer> | undefined {
  switch (path) {
    case '/livez':
      // That it answers is the news: the event loop turns.
      return text(200, 'alive');
    case '/readyz': {
      const reason = operations.unready();
      return reason === undefined ? text(200, 'ready') : text(503, `not ready: ${reason}`);
    }
    case '/metrics':
      return operations
        .expose()
        .then(({ mediaType, text: body }) => ({ status: 200, headers: { 'content-type': mediaType }, body }));
    default: {
      const describe = operations.descriptions[path];
      return describe && json(describe());
    }
  }
}

/** The same for a page that is for administrators. */
export function operatorsPage(
  { path, query }: HttpRequest,
  originator: string,
  { tree, explain, isOperator }: Operations,
): HttpAnswer | Refusal | undefined {
  if (path !== '/supervision' && path !== '/acl') return undefined;
  if (!isOperator(originator)) return refuse('STATUS_PERMISSION_DENIED', `${path} is for administrators.`);
  const page = path === '/acl' ? explain(new URLSearchParams(query)) : tree();
  return isRefusal(page) ? page : json(page);
}

const json = (value: unknown): HttpAnswer => ({
  status: 200,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(value),
});
