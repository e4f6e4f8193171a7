/**
 * The HTTP binding: the resource tree, and beside it what an operator's tools read.
 *
 *     HttpRequest ──> own origin? ──> who? ──> requestOf ──> Site.request ──> answerOf
 *          ├─ /livez, /readyz           └─ /metrics, /supervision, /acl
 *          └─ a long poll is a request that the site answers late; it is told when the asker has gone
 */
import { isRefusal, refuse, type Refusal } from '../../errors.js';
import type { Log } from '../../log.js';
import { randomId, type Random } from '../../random.js';
import { answer, refused } from '../../routing/primitive.js';
import type { Site } from '../../routing/site.js';
import { readAccept } from '../codec.js';
import { believe, claimOf, isOwnOrigin, type Identify } from '../identity.js';
import type { HttpAnswer, HttpRequest } from '../transport/transport.js';
import { HEALTH_PAGES, operationsPage, operatorsPage, type Operations } from './operations.js';
import { ALL_OPERATIONS, answerOf, requestOf, takesBody } from './translate.js';

export class HttpBinding {
  private readonly idPrefix: string;
  private requests = 0;

  constructor(
    private readonly site: Site,
    private readonly operations: Operations,
    random: Random,
    private readonly log: Log,
    private readonly identify: Identify = believe,
  ) {
    this.idPrefix = randomId(random);
  }

  /** The transport's handler. */
  readonly handle = (http: HttpRequest): HttpAnswer | Promise<HttpAnswer> =>
    (HEALTH_PAGES.includes(http.path) ? this.page(http) : undefined) ?? this.serve(http);

  private page({ method, path }: HttpRequest): HttpAnswer | Promise<HttpAnswer> | undefined {
    return method === 'GET' ? operationsPage(path, this.operations) : undefined;
  }

  private async serve(http: HttpRequest): Promise<HttpAnswer> {
    const accept = readAccept(http.header('accept'));
    const refusedWith = (refusal: Refusal): HttpAnswer => {
      const allow = refusal.status === 'STATUS_METHOD_NOT_ALLOWED' ? { allow: ALL_OPERATIONS } : {};
      return answerOf(refused(refusal, allow), accept);
    };
    if (!isOwnOrigin(http.header('origin'), http.header('host'))) return refusedWith(FOREIGN_ORIGIN);
    // Without a token it is known at once: a promise for each request is felt at 30,000 of them a second.
    const claimed = this.identify(claimOf(http));
    const identity = claimed instanceof Promise ? await claimed : claimed;
    if (isRefusal(identity)) return refusedWith(identity);
    const { originator } = identity;
    const page =
      this.page(http) ?? (http.method === 'GET' ? operatorsPage(http, originator, this.operations) : undefined);
    if (page) return isRefusal(page) ? refusedWith(page) : page;
    const bytes = takesBody(http) ? await http.body() : undefined;
    const request = requestOf(http, bytes, identity, `${this.idPrefix}-${++this.requests}`);
    if (isRefusal(request)) return refusedWith(request);
    try {
      return answerOf(await this.site.request(request), accept);
    } catch (error) {
      this.log.error({ err: error, to: request.to }, 'http: a request failed by a fault of the broker');
      return answerOf(answer('STATUS_INTERNAL_SERVER_ERROR'), accept);
    }
  }
}

const FOREIGN_ORIGIN = refuse('STATUS_FORBIDDEN', 'Pages of another origin may not use this broker from a browser.');
