/** One subscription of a WebSocket client, on however many sessions one after the other: what of its notifications is news. */
import type { NotificationFrame, RouteFrame, SubscribeFrame } from '../protocols/ws/frames.js';
import type { Notification, ObserveTerms } from './client.js';
import type { Inbox } from './inbox.js';

const OCTETS = 'application/octet-stream';

/** A resource that a path with `*` matches. */
interface Route {
  readonly path: string;
  readonly mediaType: string;
}

export class WsSubscription {
  /** On the present session. */
  id = 0;
  mediaType = OCTETS;
  hasLeft = false;
  private readonly routes = new Map<number, Route>();
  /** By path, when the last one taken was measured; the first after a new subscription may be that one again. */
  private readonly lastUs = new Map<string, number>();
  private readonly renewed = new Set<string>();

  constructor(
    readonly inbox: Inbox<Notification>,
    readonly terms: Omit<SubscribeFrame, 't' | 'id'>,
    private readonly routed: ObserveTerms['routed'],
  ) {}

  /** Those that there are will be told of anew. */
  forgetRoutes(): void {
    this.routes.clear();
  }

  /** It is asked for again, on another session. */
  renew(): void {
    for (const path of this.lastUs.keys()) this.renewed.add(path);
  }

  route({ route = 0, path, format, ending, reason }: RouteFrame): void {
    if (format !== undefined) this.routes.set(route, { path, mediaType: format });
    else if (ending !== undefined) this.routes.delete(route);
    this.routed?.({ path, isOpen: format !== undefined, ...(reason !== undefined && { reason }) });
  }

  take({ route = 0, timeUs, body, missed, n }: NotificationFrame): void {
    const from = this.routes.get(route);
    const path = from?.path ?? '';
    const isAgain = this.renewed.delete(path) && timeUs === this.lastUs.get(path);
    this.lastUs.set(path, timeUs);
    if (isAgain) return;
    const mediaType = from?.mediaType ?? this.mediaType;
    this.inbox.push({ timeUs, mediaType, body, missed, sequence: n, ...(from && { from: path }) });
  }
}
