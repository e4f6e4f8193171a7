/**
 * Who is connected: the endpoints' population, which session speaks for which application, and the way from a command to its
 * device and from an outcome to its issuer.
 */
import type { Clock } from '../clock.js';
import { refuse, type Refusal } from '../errors.js';
import { Population } from '../kernel/population.js';
import type { Log } from '../log.js';
import { randomId, type Random } from '../random.js';
import type { Port } from '../routing/delivery.js';
import type { Dispatcher } from '../routing/dispatcher.js';
import type { Ending } from '../routing/endings.js';
import { pathText, type JsonObject } from '../routing/primitive.js';
import type { Peer, ReliableKind, ReliablePort, Session } from '../routing/site.js';
import type { Alarms } from './alarms.js';
import type { Commands, Lanes } from './commands.js';
import { endpointKind, EndpointSession, type EndpointMessage } from './endpoint.js';
import type { Schedule } from './notification-channel.js';
import type { Resources } from './resources.js';
import type { Subscriptions } from './subscriptions.js';

/** Endings kept for the operator. */
const REMEMBERED_ENDINGS = 256;

export interface SessionsOptions {
  readonly dispatcher: Dispatcher;
  readonly subscriptions: Subscriptions;
  readonly resources: Resources;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly schedule: Schedule;
  readonly ended: (endpoint: ClosedEndpoint) => void;
}

interface Connected {
  readonly id: string;
  readonly peer: Peer;
  readonly port: Port | ReliablePort;
}

/** An endpoint that is gone, and why. */
export interface ClosedEndpoint {
  readonly address: string;
  readonly binding: string;
  readonly originator: string;
  readonly ending: Ending;
  /** UTC, microseconds. */
  readonly atUs: number;
}

export class Sessions implements Lanes {
  readonly population: Population<EndpointMessage>;
  /** The last ones that ended, the newest last. */
  readonly closed: ClosedEndpoint[] = [];
  readonly endings = new Map<Ending, number>();
  private readonly connected = new Map<string, Connected>();
  /** By application: the sessions that are its device, the newest last. */
  private readonly devices = new Map<string, string[]>();

  constructor(private readonly options: SessionsOptions) {
    const { clock, random, log } = options;
    this.population = new Population({
      name: 'endpoints',
      kind: (id) => this.kindOf(id),
      clock,
      random,
      log,
      isTemporary: true,
    });
  }

  connect(peer: Peer, port: Port | ReliablePort, commands: Commands, alarms: Alarms): Session | Refusal {
    for (const path of peer.attach) {
      const target = this.options.resources.tree.resolve(path, this.options.clock.wallUs());
      if (target.kind !== 'resource' || target.node.type !== 'application') {
        return refuse(
          'STATUS_NOT_FOUND',
          `${pathText(path)} is no application; a device attaches to one that is registered.`,
        );
      }
    }
    const id = randomId(this.options.random);
    this.connected.set(id, { id, peer, port });
    const cell = this.population.activate(id);
    if (cell.state === 'stopped') {
      this.connected.delete(id);
      return refuse('STATUS_SERVICE_UNAVAILABLE', 'No session can be opened now; try again in a second.');
    }
    // After the welcome, which the binding sends when this returns.
    if (peer.attach.length > 0) this.options.schedule(0, () => this.attach(id, peer, commands));
    return new EndpointSession(id, cell, peer, this.options.dispatcher, commands, alarms);
  }

  toDevice(application: string, kind: ReliableKind, body: JsonObject): boolean {
    const id = this.devices.get(application)?.at(-1);
    return id !== undefined && this.send(id, kind, body);
  }

  toIssuer(issuer: string, session: string | undefined, kind: ReliableKind, body: JsonObject): boolean {
    if (session !== undefined && this.send(session, kind, body)) return true;
    if (issuer === 'anonymous') return false;
    for (const { id, peer } of this.connected.values())
      if (peer.originator === issuer && this.send(id, kind, body)) return true;
    return false;
  }

  /** A port threw where no message is handled: its endpoint ends, and the peer comes again. */
  failed(port: Port, error: unknown): void {
    for (const { id, port: other } of this.connected.values()) {
      if (other === port) this.population.get(id)?.fail(error);
    }
  }

  /** The newest session is its applications' device: what waits for it goes out. */
  private attach(id: string, peer: Peer, commands: Commands): void {
    if (!this.connected.has(id)) return;
    const applications = peer.attach.map(pathText);
    for (const application of applications)
      this.devices.set(application, [...(this.devices.get(application) ?? []), id]);
    for (const application of applications) commands.deviceAttached(application);
  }

  private send(id: string, kind: ReliableKind, body: JsonObject): boolean {
    const connected = this.connected.get(id);
    if (!connected || !('sendReliable' in connected.port)) return false;
    this.population.get(id)?.tell({ type: 'SEND', kind, body });
    return true;
  }

  private kindOf(id: string) {
    const connected = this.connected.get(id);
    if (!connected) throw new Error(`an endpoint ${id} that nobody connected`);
    const { dispatcher, subscriptions, schedule } = this.options;
    const { peer, port } = connected;
    return endpointKind({
      peer,
      port,
      dispatcher,
      subscriptions,
      schedule,
      onClosed: (ending) => this.close(connected, ending),
    });
  }

  private close({ id, peer }: Connected, ending: Ending): void {
    if (!this.connected.delete(id)) return;
    for (const application of peer.attach.map(pathText)) {
      const left = (this.devices.get(application) ?? []).filter((other) => other !== id);
      if (left.length > 0) this.devices.set(application, left);
      else this.devices.delete(application);
    }
    const { address, binding, originator } = peer;
    const closed = { address, binding, originator, ending, atUs: this.options.clock.wallUs() };
    this.closed.push(closed);
    this.options.ended(closed);
    if (this.closed.length > REMEMBERED_ENDINGS) this.closed.shift();
    this.endings.set(ending, (this.endings.get(ending) ?? 0) + 1);
    this.options.log.info({ session: id, address, binding, originator, ending }, 'endpoint closed');
    this.population.end(id);
  }
}
