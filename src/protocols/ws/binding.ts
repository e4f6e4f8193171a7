/**
 * The WebSocket binding: sockets at /m2m, each a session of the site.
 *
 *     upgrade ──> path, origin, subprotocol ──> Connection ──> frames ──> WsSession
 *         └─ refused: 404, 403, or 400 with the subprotocols that there are
 */
import type { Clock } from '../../clock.js';
import { refuse } from '../../errors.js';
import type { Log } from '../../log.js';
import { randomId, type Random } from '../../random.js';
import type { Ending } from '../../routing/endings.js';
import { refused } from '../../routing/primitive.js';
import type { Site } from '../../routing/site.js';
import { writeContent } from '../codec.js';
import { Expiries } from '../expiries.js';
import { believe, claimOf, isOwnOrigin, type Identify } from '../identity.js';
import type { HttpAnswer, UpgradeRequest, WsAccept } from '../transport/transport.js';
import { Connection } from './connection.js';
import { Heartbeats } from './heartbeats.js';
import { FRAME_CODECS, isSubprotocol, WS_PATH } from './frames.js';
import { LastNotification } from './last-notification.js';
import type { WsSession } from './session.js';

export interface Surroundings {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  /** Between two sweeps of the heart-beats; theirs where absent. */
  readonly sweepMs?: number;
}

export class WsBinding {
  /** Messages that were no frame, since the start. */
  faults = 0;
  readonly heartbeats: Heartbeats;
  /** What sessions stand on, those that wait for their peer included. */
  readonly expiries: Expiries<WsSession>;
  private readonly sessions = new Map<string, WsSession>();
  private readonly last = {
    'gridcast.v1': new LastNotification(FRAME_CODECS['gridcast.v1']),
    'gridcast.v1+json': new LastNotification(FRAME_CODECS['gridcast.v1+json']),
  };
  private readonly idPrefix: string;
  private requests = 0;

  constructor(
    readonly site: Site,
    readonly surroundings: Surroundings,
    readonly identify: Identify = believe,
  ) {
    this.heartbeats = new Heartbeats(surroundings.clock, surroundings.sweepMs);
    this.expiries = new Expiries(surroundings.clock, (session) => session.end('TOKEN_EXPIRED'));
    this.idPrefix = randomId(surroundings.random);
  }

  /** Sessions that are open, those included whose connection broke and may come back. */
  get open(): number {
    return this.sessions.size;
  }

  /** The transport's handler. */
  readonly upgrade = (request: UpgradeRequest): WsAccept | HttpAnswer => {
    const known = Object.keys(FRAME_CODECS).join(', ');
    if (request.path !== WS_PATH) return refusal(404, 'STATUS_NOT_FOUND', `WebSockets are opened at ${WS_PATH}.`);
    if (!isOwnOrigin(request.header('origin'), request.header('host'))) {
      return refusal(403, 'STATUS_FORBIDDEN', 'Pages of another origin may not use this broker from a browser.');
    }
    const protocol = request.protocols.find(isSubprotocol);
    if (!protocol) {
      const offered = request.protocols.length > 0 ? `not ${request.protocols.join(', ')}` : 'and none was offered';
      return refusal(400, 'STATUS_BAD_REQUEST', `The subprotocols here are ${known}, ${offered}.`);
    }
    // A request lives no longer than this call.
    const claim = { ...claimOf(request), from: request.remote };
    return {
      protocol,
      open: (socket) => new Connection(this, socket, FRAME_CODECS[protocol], this.last[protocol], claim),
    };
  };

  /** Ends all sessions. */
  close(ending: Ending): void {
    for (const session of [...this.sessions.values()]) session.end(ending);
  }

  nextRequestId(): string {
    return `${this.idPrefix}-${++this.requests}`;
  }

  opened(session: WsSession): void {
    this.sessions.set(session.id, session);
  }

  closed(session: WsSession): void {
    this.sessions.delete(session.id);
    this.expiries.release(session);
  }

  session(id: string): WsSession | undefined {
    return this.sessions.get(id);
  }
}

function refusal(http: number, status: Parameters<typeof refuse>[0], detail: string): HttpAnswer {
  const written = writeContent(refused(refuse(status, detail)), []);
  return { status: http, ...(written && { headers: { 'content-type': written.mediaType }, body: written.bytes }) };
}
