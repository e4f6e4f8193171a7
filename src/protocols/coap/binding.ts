/**
 * The CoAP server: one endpoint joined to the site.
 *
 *     Exchange ──> Blockwise ──> requestOf ──> Site.request ──────────> replyOf ──> respond
 *                                    ├───────> /.well-known/core ──> links
 *                                    ├───────> /authz-info ──> who the peer is from now on
 *                                    └─ GET or FETCH, Observe 0 ──> Observers ──> relation ──> notifications
 */
import { isRefusal, refuse, type Refusal } from '../../errors.js';
import type { Log } from '../../log.js';
import { randomId } from '../../random.js';
import { FORMATS } from '../../routing/format.js';
import { answer, isSuccess, refused, type Request, type Response } from '../../routing/primitive.js';
import type { Site } from '../../routing/site.js';
import { termsOfQuery } from '../../routing/terms.js';
import { believe, type Identify } from '../identity.js';
import { AuthzInfo, isAuthzInfo } from './authz-info.js';
import { blockOf, Blockwise, cacheKeyOf, LARGEST_EXPONENT } from './blocks.js';
import type { Endpoint } from './endpoint.js';
import { isUnwanted, type Reply } from './exchange.js';
import { CODE, type Message } from './message.js';
import { maxAgeOption } from './observe.js';
import { Publishers } from './publishers.js';
import { writeLinks } from './links.js';
import { Observers, type ObserverFigures } from './observers.js';
import { firstOf, OPTION, option, uintOption } from './options.js';
import type { Peer } from './peer.js';
import { codeOf, isMethod, NO_SUCH_METHOD, PROXYING_NOT_SUPPORTED, replyOf, requestOf } from './translate.js';

const REGISTER = 0;
const DEREGISTER = 1;

/** What a refusal is spelt by where no request has been read. */
const NO_REQUEST = { op: 'retrieve', accept: [] } as const;
const DISCOVERED_BY_GET = answer('STATUS_METHOD_NOT_ALLOWED', {
  detail: 'Discovery is read with GET.',
  allow: ['retrieve'],
});

type Respond = (reply: Reply) => void;

export class CoapBinding {
  readonly blockwise: Blockwise;
  readonly observers: Observers;
  private readonly authzInfo: AuthzInfo;
  private readonly publishers: Publishers;
  private readonly idPrefix: string;
  private requests = 0;

  constructor(
    readonly endpoint: Endpoint,
    private readonly site: Site,
    private readonly log: Log,
    identify: Identify = believe,
  ) {
    this.blockwise = new Blockwise(endpoint.clock, endpoint.timers);
    this.observers = new Observers(endpoint, site, log, (...long) => this.blockwise.keep(...long));
    this.authzInfo = new AuthzInfo(endpoint, this.observers, identify);
    this.idPrefix = randomId(endpoint.random);
    this.publishers = new Publishers(site, (peer) => this.authzInfo.whoIs(peer));
    endpoint.onRequest((exchange) => {
      if (!isMethod(exchange.request.code)) return exchange.respond(replyOf(refused(NO_SUCH_METHOD), NO_REQUEST));
      this.blockwise.serve(exchange, (message, respond) => this.receive(exchange.peer, message, respond));
    });
  }

  /** Peers that observe: congestion mode, RTT, message ids used and allowed, relations, paused or not. */
  figures(): Iterable<ObserverFigures> {
    return this.observers.figures();
  }

  /** Ends all relations and exchanges, and the socket. */
  close(): void {
    this.authzInfo.close();
    this.observers.closeAll('SHUTDOWN');
    this.blockwise.close();
    this.endpoint.close();
  }

  private receive(peer: Peer, message: Message, respond: Respond): void {
    const { options } = message;
    if (firstOf(options, OPTION.proxyUri) ?? firstOf(options, OPTION.proxyScheme)) {
      return respond({ code: PROXYING_NOT_SUPPORTED, payload: Buffer.from('This server forwards for nobody.') });
    }
    const refuseWith = (refusal: Refusal): void => respond(replyOf(refused(refusal), NO_REQUEST));
    const failed = (to: readonly string[], error: unknown): void => {
      this.log.error({ err: error, to }, 'coap: a request failed by a fault of the broker');
      respond(replyOf(answer('STATUS_INTERNAL_SERVER_ERROR'), NO_REQUEST));
    };
    if (isAuthzInfo(message)) {
      this.authzInfo.receive(peer, message).then(
        (response) => respond(replyOf(response, { op: 'create', accept: [] })),
        (error: unknown) => failed(['authz-info'], error),
      );
      return;
    }
    const identity = this.authzInfo.whoIs(peer);
    if (isRefusal(identity)) return refuseWith(identity);
    const request = requestOf(message, identity, `${this.idPrefix}-${++this.requests}`);
    if (isRefusal(request)) return refuseWith(request);
    this.handle(peer, message, request, respond).catch((error: unknown) => failed(request.to, error));
  }

  private handle(peer: Peer, message: Message, request: Request, respond: Respond): Promise<void> {
    if (request.to[0] === '.well-known' && request.to[1] === 'core' && request.to.length === 2) {
      respond(replyOf(message.code === CODE.fetch ? DISCOVERED_BY_GET : this.discover(request), request));
      return Promise.resolve();
    }
    const observe = request.op === 'retrieve' ? uintOption(message.options, OPTION.observe) : undefined;
    if (observe === REGISTER) return this.register(peer, message, request, respond);
    if (observe === DEREGISTER) this.observers.deregister(peer, message.token);
    return this.site.request(request).then((response) => {
      const code = codeOf(response.status, request.op);
      const way = response.status === 'STATUS_CREATED' ? this.publishers.wayOf(peer, message, request) : undefined;
      if (way) this.endpoint.takeBy(message.options, way);
      // A publisher's way: an answer that nobody wants is not written; 2 KB less garbage per sample.
      respond(isUnwanted(message, code) ? { code } : replyOf(response, request));
    });
  }

  private async register(peer: Peer, message: Message, request: Request, respond: Respond): Promise<void> {
    const terms = termsOfQuery(request.query);
    if (isRefusal(terms)) {
      respond(replyOf(refused(terms), request));
      return;
    }
    const block = firstOf(message.options, OPTION.block2);
    const exponent = block ? blockOf(block).exponent : LARGEST_EXPONENT;
    const { response, relation, open } = await this.observers.register(peer, message.token, exponent, request, terms);
    if (!relation) {
      // What can be read but not observed is read [RFC7641-4.1].
      const isUnobservable =
        response.status === 'STATUS_METHOD_NOT_ALLOWED' || response.status === 'STATUS_NOT_IMPLEMENTED';
      respond(replyOf(isUnobservable ? await this.site.request(request) : response, request));
      return;
    }
    relation.cacheKey = cacheKeyOf(message);
    const { maxAgeS: _bare, ...rest } = response;
    const observing = isSuccess(response)
      ? [option(OPTION.observe, response.sequence ?? 0), ...maxAgeOption(relation.maxAgeS)]
      : [];
    respond(replyOf(rest, request, observing));
    open();
  }

  private discover(request: Request): Response {
    if (request.op !== 'retrieve') return DISCOVERED_BY_GET;
    const { mediaType } = FORMATS.link;
    if (request.accept.length > 0 && !request.accept.includes(mediaType)) {
      return refused(refuse('STATUS_NOT_ACCEPTABLE', `Discovery is written as ${mediaType} (40).`));
    }
    const text = writeLinks(this.site.discover(request.originator), request.query);
    return answer('STATUS_OK', { content: { kind: 'bytes', mediaType, bytes: Buffer.from(text) } });
  }
}
