/** A site of streams alone: `/stream/N` for each source, readable, observable, published to by the test. */
import type { Clock } from '../../../src/clock.js';
import { isRefusal } from '../../../src/errors.js';
import { Cadence } from '../../../src/routing/cadence.js';
import { Delivery, MODE, type Port } from '../../../src/routing/delivery.js';
import type { Ending } from '../../../src/routing/endings.js';
import { FORMATS } from '../../../src/routing/format.js';
import { answer, refused, type Request, type Response } from '../../../src/routing/primitive.js';
import { Router, type Route } from '../../../src/routing/router.js';
import { Sample } from '../../../src/routing/sample.js';
import type { Link, Peer, Session, Site } from '../../../src/routing/site.js';

export class StubSite implements Site {
  readonly router: Router;
  readonly routes: readonly Route[];
  readonly deliveries = new Set<Delivery>();
  readonly requests: Request[] = [];
  /** Endings of sessions and deliveries, in order. */
  readonly endings: string[] = [];
  encodings = 0;
  private published = 0;

  constructor(
    readonly clock: Clock,
    streams = 1,
    private readonly rate = 30,
    private readonly bodyOf: (n: number) => Uint8Array = (n) => Buffer.from(`value ${n}`),
  ) {
    this.router = new Router(clock, 1_000_000, () => {});
    this.routes = Array.from({ length: streams }, (_, n) => this.router.open(`/stream/${n}`, rate));
  }

  /** One sample on every stream, at the next slot of the grid. */
  publish(): void {
    const n = this.published++;
    const measuredUs = 1_800_000_000_000_000 + Math.round((n * 1_000_000) / this.rate);
    for (const route of this.routes) {
      const bytes = this.bodyOf(n);
      const encoder = { encode: () => (this.encodings++, bytes) };
      const content = { kind: 'stored', mediaType: FORMATS.octets.mediaType, bytes } as const;
      this.router.publish(route, new Sample(content, measuredUs, this.clock.monotonicUs(), 0, encoder, String(n)));
    }
  }

  request(request: Request): Promise<Response> {
    this.requests.push(request);
    return Promise.resolve(this.read(request));
  }

  connect(peer: Peer, port: Port): Session {
    const own = new Set<Delivery>();
    const unsubscribe = (delivery: Delivery, ending: Ending): void => {
      if (!own.delete(delivery)) return;
      this.endings.push(ending);
      this.deliveries.delete(delivery);
      this.router.unsubscribe(delivery);
    };
    return {
      id: peer.address,
      request: (request) => this.request(request),
      subscribe: (request, terms) => {
        const route = this.routeOf(request);
        if (!route) return Promise.resolve(this.read(request));
        const cadence = Cadence.of(this.rate, terms);
        if (isRefusal(cadence)) return Promise.resolve(refused(cadence));
        const delivery = new Delivery(port, 'content', FORMATS.octets, terms);
        this.router.subscribe(route, delivery, cadence);
        own.add(delivery);
        this.deliveries.add(delivery);
        return Promise.resolve({ delivery, response: this.read(request) });
      },
      open(delivery) {
        delivery.mode = MODE.active;
        port.drain();
      },
      subscribePattern: (request) => Promise.resolve(this.read(request)),
      unsubscribe,
      acknowledge: () => {},
      receive: () => Promise.resolve(undefined),
      close: (ending) => {
        for (const delivery of [...own]) unsubscribe(delivery, ending);
        this.endings.push(`session ${ending}`);
      },
      detach: (cause) => void this.endings.push(`detached ${cause}`),
      resume: () => {},
    };
  }

  discover(): Iterable<Link> {
    return this.routes.map((_, n) => ({ path: ['stream', String(n)], contentFormats: [42], isObservable: true }));
  }

  private routeOf({ to }: Request): Route | undefined {
    return to[0] === 'stream' ? this.routes[Number(to[1])] : undefined;
  }

  private read(request: Request): Response {
    const route = this.routeOf(request);
    if (!route) return answer('STATUS_NOT_FOUND', { detail: `There is no /${request.to.join('/')}.` });
    const latest = route.latest?.content;
    const bytes = latest?.kind === 'stored' ? latest.bytes : Buffer.from('nothing yet');
    return answer('STATUS_OK', {
      sequence: route.sequence,
      content: { kind: 'bytes', mediaType: FORMATS.octets.mediaType, bytes },
    });
  }
}
