/**
 * The resources of the ETSI CoAP plugtests, served beside the site with `--plugtest`: what foreign test suites ask a server
 * for [TD_COAP_CORE, TD_COAP_BLOCK, TD_COAP_OBS, TD_COAP_LINK]. A decorator: what it does not know goes to the site behind it.
 *
 *     /obs          every 5 s, each notification confirmable     PUT of another format ends the relations with 4.06,
 *     /obs-non      5 a second, one of them confirmable            DELETE with 4.04
 *     /obs-large    every 5 s, longer than a block
 *     /obs-pumping  the same, by turns longer, shorter and longer still
 */
import { every, type Cancel, type Clock } from '../../clock.js';
import { isRefusal, type Refusal } from '../../errors.js';
import { Revisions } from '../../resources/revision.js';
import { Cadence } from '../../routing/cadence.js';
import { Delivery, MODE, type Port } from '../../routing/delivery.js';
import type { Ending } from '../../routing/endings.js';
import { FORMATS } from '../../routing/format.js';
import { answer, refused, type Request, type Response } from '../../routing/primitive.js';
import { Router, type Route } from '../../routing/router.js';
import { Sample } from '../../routing/sample.js';
import type { Link, Peer, Session, Site, Subscribed } from '../../routing/site.js';
import type { Terms } from '../../routing/terms.js';
import { largeText, Page, pages, type Resource } from './plugtest-pages.js';

/** Long enough for the empty acknowledgement to go first. */
const SEPARATE_MS = 300;
const OBS_PERIOD_MS = 5_000;
const OBS_NON_PERIOD_MS = 200;
/** Behind the number of the tick: with and without a second block [TD_COAP_OBS_14]. */
const PUMPING_BYTES = [1_600, 0, 3_200];

/** A page that changes by itself while somebody observes it. */
class ObservedPage extends Page {
  private readonly route: Route;
  private readonly deliveries = new Set<Delivery>();
  private cancelTicks: Cancel | undefined;
  private ticks = 0;
  private isWritten = false;

  constructor(
    path: string,
    revisions: Revisions,
    private readonly clock: Clock,
    private readonly router: Router,
    private readonly periodMs: number,
    private readonly isConfirmable: boolean,
    private readonly textOf: (tick: number) => Buffer,
  ) {
    super(revisions, ['retrieve', 'update', 'delete'], textOf(0), {
      contentFormats: [FORMATS.text.coap],
      isObservable: true,
    });
    this.route = router.open(path, 0);
  }

  override act(request: Request): Response {
    const format = this.format;
    const response = super.act(request);
    if (response.status !== 'STATUS_OK' || request.op === 'retrieve')
      return { ...response, sequence: this.route.sequence };
    this.isWritten = request.op === 'update';
    if (request.op === 'delete') this.endAll('RESOURCE_DELETED');
    else if (this.format !== format) this.endAll('FORMAT_CHANGED');
    else this.publish();
    return response;
  }

  subscribe(port: Port, request: Request, terms: Terms): Subscribed | Response {
    // Every change is told at once, the last value again after a period: that is what Max-Age follows from.
    const cadence = Cadence.of(0, {});
    if (isRefusal(cadence)) return refused(cadence);
    const own = { maxSpacingS: this.periodMs / 1000, ...(this.isConfirmable && { isConfirmable: true }) };
    const delivery = new Delivery(port, 'content', this.format, { ...terms, ...own });
    this.router.subscribe(this.route, delivery, cadence);
    this.deliveries.add(delivery);
    this.cancelTicks ??= every(this.clock, this.periodMs, () => this.tick());
    return { delivery, response: this.act(request) };
  }

  unsubscribe(delivery: Delivery): boolean {
    if (!this.deliveries.delete(delivery)) return false;
    this.router.unsubscribe(delivery);
    if (this.deliveries.size === 0) {
      this.cancelTicks?.();
      this.cancelTicks = undefined;
    }
    return true;
  }

  /** The state goes on without a new value: a write is shown until the next one. */
  private tick(): void {
    if (!this.isWritten) this.write(this.textOf(++this.ticks), FORMATS.text);
    this.publish();
  }

  private publish(): void {
    const bytes = this.bytes ?? new Uint8Array(0);
    const encoder = { encode: () => bytes };
    const nowUs = this.clock.wallUs();
    const content = { kind: 'stored', mediaType: this.format.mediaType, bytes } as const;
    this.router.publish(this.route, new Sample(content, nowUs, this.clock.monotonicUs(), 0, encoder, String(nowUs)));
  }

  private endAll(ending: Ending): void {
    for (const delivery of [...this.deliveries]) {
      delivery.port.end(delivery, ending);
      this.unsubscribe(delivery);
    }
  }
}

export class PlugtestSite implements Site {
  private readonly resources: ReadonlyMap<string, Resource>;
  private readonly observed: readonly ObservedPage[];

  /** @param obsPeriodMs of /obs and /obs-large; tests have less patience than 5 s */
  constructor(
    private readonly site: Site,
    clock: Clock,
    obsPeriodMs = OBS_PERIOD_MS,
  ) {
    const revisions = new Revisions();
    const router = new Router(clock, 0, () => {});
    const observed = (
      path: string,
      periodMs: number,
      isConfirmable: boolean,
      textOf: (tick: number) => Buffer,
    ): [string, ObservedPage] => [
      path,
      new ObservedPage(path, revisions, clock, router, periodMs, isConfirmable, textOf),
    ];
    const counted = (tick: number): Buffer => Buffer.from(`tick ${tick}`);
    const long = (tick: number, bytes?: number): Buffer =>
      Buffer.concat([counted(tick), Buffer.from('\n'), largeText(bytes)]);
    const streams = [
      observed('/obs', obsPeriodMs, true, counted),
      observed('/obs-non', OBS_NON_PERIOD_MS, false, counted),
      observed('/obs-large', obsPeriodMs, true, (tick) => long(tick)),
      observed('/obs-pumping', obsPeriodMs, true, (tick) => long(tick, PUMPING_BYTES[tick % PUMPING_BYTES.length])),
    ];
    const later = (): Promise<void> => new Promise((done) => void clock.after(SEPARATE_MS, done));
    this.observed = streams.map(([, page]) => page);
    const resources = pages(revisions, later);
    for (const [path, page] of streams) resources.set(path, page);
    this.resources = resources;
  }

  async request(request: Request): Promise<Response> {
    return this.resourceAt(request)?.act(request) ?? this.site.request(request);
  }

  connect(peer: Peer, port: Port): Session | Refusal {
    const session = this.site.connect(peer, port);
    return isRefusal(session) ? session : this.decorate(session, port);
  }

  *discover(originator: string): Iterable<Link> {
    yield* this.site.discover(originator);
    for (const [path, { link }] of this.resources) yield { ...link, path: path.slice(1).split('/') };
  }

  private resourceAt({ to }: Request): Resource | undefined {
    return this.resources.get(`/${to.join('/')}`);
  }

  private decorate(session: Session, port: Port): Session {
    const own = new Set<Delivery>();
    const unsubscribe = (delivery: Delivery): void => {
      own.delete(delivery);
      for (const page of this.observed) page.unsubscribe(delivery);
    };
    return {
      id: session.id,
      request: (request) => this.request(request),
      subscribe: async (request, terms) => {
        const resource = this.resourceAt(request);
        if (!resource) return session.subscribe(request, terms);
        if (!(resource instanceof ObservedPage))
          return answer('STATUS_METHOD_NOT_ALLOWED', { detail: 'This does not change by itself.' });
        const subscribed = resource.subscribe(port, request, terms);
        if ('delivery' in subscribed) own.add(subscribed.delivery);
        return subscribed;
      },
      open(delivery) {
        if (!own.has(delivery)) {
          session.open(delivery);
          return;
        }
        delivery.mode = MODE.active;
        port.drain();
      },
      subscribePattern: (request, terms, sink) => session.subscribePattern(request, terms, sink),
      unsubscribe: (delivery, ending) =>
        own.has(delivery) ? unsubscribe(delivery) : session.unsubscribe(delivery, ending),
      acknowledge: (seq) => session.acknowledge(seq),
      receive: (kind, body) => session.receive(kind, body),
      close(ending) {
        for (const delivery of [...own]) unsubscribe(delivery);
        session.close(ending);
      },
      detach: (cause, isWanted) => session.detach(cause, isWanted),
      resume: () => session.resume(),
    };
  }
}
