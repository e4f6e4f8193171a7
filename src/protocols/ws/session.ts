/**
 * What of a session outlives its socket: its endpoint, the port that leads to it, and how far its peer has been heard.
 *
 *     Connection ──carries──> WsSession ──> WsPort ──> the Wire of the connection that carries it now
 *         │ breaks                └──> Session (the endpoint), detached until another Connection carries it
 */
import { isRefusal, type Refusal } from '../../errors.js';
import { pathText } from '../../routing/primitive.js';
import type { Ending } from '../../routing/endings.js';
import type { Peer, Session } from '../../routing/site.js';
import type { WsBinding } from './binding.js';
import { Hearing } from './hearing.js';
import type { LastNotification } from './last-notification.js';
import { WsPort } from './port.js';
import type { Wire } from './wire.js';

/** A connection that carries a session. */
export interface Carrier {
  readonly wire: Wire;
  /** Another connection carries the session from now on. */
  release(): void;
}

export class WsSession {
  readonly hearing: Hearing;
  private carrier: Carrier | undefined;

  private constructor(
    readonly peer: Peer,
    readonly site: Session,
    readonly port: WsPort,
    /** Whether the peer knows its id, and so can come back. */
    private readonly isResumable: boolean,
    private readonly binding: WsBinding,
  ) {
    this.hearing = new Hearing(site, (frame) => port.send(frame), binding.surroundings);
  }

  static open(
    binding: WsBinding,
    peer: Peer,
    carrier: Carrier,
    last: LastNotification,
    isResumable: boolean,
  ): WsSession | Refusal {
    const port = new WsPort(carrier.wire, last, binding.surroundings.clock);
    const site = binding.site.connect(peer, port);
    if (isRefusal(site)) return site;
    const session = new WsSession(peer, site, port, isResumable, binding);
    session.carrier = carrier;
    port.over = () => binding.closed(session);
    binding.opened(session);
    return session;
  }

  get id(): string {
    return this.site.id;
  }

  /** Whether this peer may go on with it: the same originator, for the same applications, in the same subprotocol. */
  canBeCarriedBy({ originator, attach }: Peer, { codec }: Wire): boolean {
    const isSame = (paths: readonly string[]): boolean => paths.join() === this.peer.attach.map(pathText).join();
    return (
      this.isResumable &&
      this.peer.originator === originator &&
      (attach.length === 0 || isSame(attach.map(pathText))) &&
      this.port.codec === codec
    );
  }

  /** The peer is back on another connection. `site.resume` follows when it has been told so. */
  carry(carrier: Carrier): void {
    const former = this.carrier;
    this.carrier = carrier;
    if (former) {
      // The peer knows before we do that it is broken.
      former.release();
      this.site.detach('REPLACED', true);
    }
    this.port.bind(carrier.wire);
  }

  /** The connection that carried it was closed, by either side. */
  close(ending: Ending): void {
    this.carrier = undefined;
    this.binding.closed(this);
    this.site.close(ending);
  }

  /** The connection that carried it broke. */
  drop(cause: Ending): void {
    this.carrier = undefined;
    if (!this.isResumable) return this.close(cause);
    // In another session the peer would say again what was heard here, and a command would wait for another device.
    this.site.detach(cause, this.hearing.hasHeard || this.peer.attach.length > 0);
  }

  /** Ends it, whether a connection carries it or not. */
  end(ending: Ending): void {
    if (this.port.isOpen) this.port.close(ending);
    else this.site.close(ending);
  }
}
