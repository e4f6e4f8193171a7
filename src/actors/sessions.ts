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
import { ENDINGS, type Ending } from '../routing/endings.js';
import { pathText } from '../routing/primitive.js';
import type { Peer, ReliableBody, ReliableKind, ReliablePort, Session } from '../routing/site.js';
import type { Access } from './access.js';
import type { Alarms } from './alarms.js';
import type { Commands, Lanes } from './commands.js';
import { Connected, type EndpointMessage, type EndpointOptions } from './endpoint.js';
import { EndpointSession } from './endpoint-session.js';
import type { Schedule } from './notification-channel.js';
import type { LaneMessage } from './reliable-lane.js';
import type { Resources } from './resources.js';
import type { Quotas } from './quotas.js';
import type { Patterns } from './patterns.js';
import type { SubscriptionResources } from './subscription-resources.js';
import type { Subscriptions } from './subscriptions.js';

/** Endings kept for the operator. */
const REMEMBERED_ENDINGS = 256;
/** Sessions that wait for their peers; the one that has waited longest gives way. At worst each keeps a lane of 1 MiB. */
const MAX_DETACHED = 1024;

export interface SessionsOptions {
  readonly dispatcher: Dispatcher;
  readonly subscriptions: Subscriptions;
  readonly shown: SubscriptionResources;
  readonly quotas: Quotas;
  readonly patterns: Patterns;
  readonly resources: Resources;
  readonly access: Pick<Access, 'may'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly schedule: Schedule;
  readonly ended: (endpoint: ClosedEndpoint) => void;
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
  /** Connections that broke under their session, by cause. */
  readonly losses = new Map<Ending, number>();
  /** Sessions whose peer came back. */
  resumed = 0;
  /** Ids of those whose peer is away, the longest first. */
  readonly detached = new Set<string>();
  private readonly connected = new Map<string, Connected>();
  /** By application: the sessions that are its device, the newest last. */
  private readonly devices = new Map<string, string[]>();

  /** What all endpoints have in common. */
  private readonly common: EndpointOptions;

  constructor(private readonly options: SessionsOptions) {
    const { dispatcher, subscriptions, shown, quotas, patterns, schedule, clock, random, log } = options;
    this.common = {
      ...{ dispatcher, subscriptions, shown, quotas, patterns, schedule },
      onDetached: (endpoint, isDetached) => this.setDetached(endpoint, isDetached),
      onClosed: (endpoint, ending) => this.close(endpoint, ending),
    };
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
    const { originator, binding } = peer;
    for (const to of peer.attach) {
      // Who is an application's device gets its commands and speaks for it: that takes the right to write it.
      const target = this.options.dispatcher.find({ originator, binding, to, op: 'update' }, 'attachment');
      if ('status' in target && target.status === 'STATUS_PERMISSION_DENIED')
        return refuse(target.status, target.detail ?? ENDINGS.PERMISSION_DENIED.sentence);
      if (!('kind' in target) || target.kind !== 'resource' || target.node.type !== 'application') {
        return refuse(
          'STATUS_NOT_FOUND',
          `${pathText(to)} is no application; a device attaches to one that is registered.`,
        );
      }
    }
    const id = randomId(this.options.random);
    const connected = new Connected(this.common, id, peer, port, commands);
    this.connected.set(id, connected);
    const cell = this.population.activate(id);
    if (cell.state === 'stopped') {
      this.connected.delete(id);
      return refuse('STATUS_SERVICE_UNAVAILABLE', 'No session can be opened now; try again in a second.');
    }
    // After the welcome, which the binding sends when this returns.
    if ('sendReliable' in port) connected.cancelStart = this.options.schedule(0, () => this.begin(connected));
    return new EndpointSession(connected, cell, alarms, this.lost);
  }

  toDevice(application: string, kind: ReliableKind, body: ReliableBody, acknowledged?: () => void): boolean {
    const id = this.deviceOf(application);
    return id !== undefined && this.send(id, { kind, body, acknowledged });
  }

  hasDevice(application: string): boolean {
    return this.deviceOf(application) !== undefined;
  }

  private deviceOf(application: string): string | undefined {
    // One that is away has not got it: that it went out shall not be said before it does.
    return this.devices.get(application)?.findLast((device) => !this.detached.has(device));
  }

  toIssuer(
    issuer: string,
    session: string | undefined,
    kind: ReliableKind,
    body: ReliableBody,
    acknowledged?: () => void,
  ): boolean {
    const message = { kind, body, acknowledged };
    if (session !== undefined && this.send(session, message)) return true;
    if (issuer === 'anonymous') return false;
    const ids = [...this.connected.values()].filter(({ peer }) => peer.originator === issuer).map(({ id }) => id);
    // One that is away may not come back.
    const [present, away] = [ids.filter((id) => !this.detached.has(id)), ids.filter((id) => this.detached.has(id))];
    return [...present, ...away].some((id) => this.send(id, message));
  }

  toSession(session: string, kind: ReliableKind, body: ReliableBody): boolean {
    return this.send(session, { kind, body });
  }

  /** Rights have changed: a device that may not be one any more is told, and its session is over; patterns match what may be read now. */
  recheck(): void {
    const { access, resources, patterns } = this.options;
    patterns.recheck();
    for (const { id, peer } of [...this.connected.values()]) {
      const applications = peer.attach.map((path) => resources.tree.nodeAt(path)).filter((node) => node !== undefined);
      if (applications.some((node) => !access.may(peer.originator, 'WRITE', node)))
        this.population.get(id)?.tell({ type: 'CLOSE', ending: 'PERMISSION_DENIED' });
    }
  }

  /** A port threw where no message is handled: its endpoint ends, and the peer comes again. */
  failed(port: Port, error: unknown): void {
    for (const { id, port: other } of this.connected.values()) {
      if (other === port) this.population.get(id)?.fail(error);
    }
  }

  /** The newest session is its applications' device: what waits for it goes out, and so do outcomes that its originator waits for. */
  private begin({ id, peer, commands }: Connected): void {
    if (!this.connected.has(id)) return;
    const applications = peer.attach.map(pathText);
    for (const application of applications)
      this.devices.set(application, [...(this.devices.get(application) ?? []), id]);
    for (const application of applications) commands.deviceAttached(application);
    commands.tellIssuer(peer.originator);
  }

  private setDetached(connected: Connected, isDetached: boolean): void {
    const { id, peer, commands } = connected;
    const { address, binding, originator } = peer;
    this.options.log.info({ session: id, address, binding, originator }, isDetached ? 'endpoint detached' : 'resumed');
    if (isDetached) {
      this.detached.add(id);
      const [longest] = this.detached;
      if (this.detached.size > MAX_DETACHED && longest !== undefined)
        this.population.get(longest)?.tell({ type: 'CLOSE', ending: 'RESUME_EXPIRED' });
      return;
    }
    this.detached.delete(id);
    this.resumed++;
    // What was accepted while it was away; what had gone out before has been replayed.
    connected.cancelStart = this.options.schedule(0, () => {
      for (const application of peer.attach.map(pathText)) commands.deviceAttached(application, 'resumed');
    });
  }

  private send(id: string, message: LaneMessage): boolean {
    const connected = this.connected.get(id);
    if (!connected || !('sendReliable' in connected.port)) return false;
    this.population.get(id)?.tell({ type: 'SEND', message });
    return true;
  }

  private readonly lost = (cause: Ending): void => count(this.losses, cause);

  private kindOf(id: string): Connected {
    const connected = this.connected.get(id);
    if (!connected) throw new Error(`an endpoint ${id} that nobody connected`);
    return connected;
  }

  private close({ id, peer, commands, cancelStart }: Connected, ending: Ending): void {
    if (!this.connected.delete(id)) return;
    cancelStart?.();
    this.detached.delete(id);
    for (const application of peer.attach.map(pathText)) {
      const devices = this.devices.get(application) ?? [];
      const left = devices.filter((other) => other !== id);
      if (left.length > 0) this.devices.set(application, left);
      else this.devices.delete(application);
      // What it had and did not acknowledge goes to the one before it; a newer one has been sent it already.
      if (devices.at(-1) === id) commands.deviceAttached(application);
    }
    commands.tellIssuer(peer.originator);
    const { address, binding, originator } = peer;
    const closed = { address, binding, originator, ending, atUs: this.options.clock.wallUs() };
    this.closed.push(closed);
    this.options.ended(closed);
    if (this.closed.length > REMEMBERED_ENDINGS) this.closed.shift();
    count(this.endings, ending);
    this.options.log.info({ session: id, address, binding, originator, ending }, 'endpoint closed');
    this.population.end(id);
  }
}

function count(counts: Map<Ending, number>, ending: Ending): void {
  counts.set(ending, (counts.get(ending) ?? 0) + 1);
}
