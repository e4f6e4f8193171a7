/**
 * Which groups have snapshots, and how they are read: those that have a `snapshotRate`. Their members come and go, and the groups
 * are told.
 */
import { isRefusal, refuse, type Refusal } from '../errors.js';
import type { Ending } from '../routing/endings.js';
import { contentFor } from '../routing/negotiation.js';
import type { OutgoingStream } from '../routing/outgoing.js';
import { answer, refused, type Request, type Response } from '../routing/primitive.js';
import type { Route } from '../routing/router.js';
import { GroupSnapshot, type SnapshotOptions } from './group-snapshot.js';
import { numberOf, type Node } from './resources.js';

/** The virtual child of a group. */
export const SNAPSHOT = 'snapshot';

/** What a group's snapshots are made of: with another value they are others. */
const TERMS = ['snapshotRate', 'snapshotWait', 'snapshotWaitMode', 'idCode'] as const;

interface Standing {
  readonly snapshot: GroupSnapshot;
  /** The values of TERMS. */
  readonly key: string;
}

export class Snapshots {
  private readonly standing = new Map<Node, Standing>();

  /** @param endAll ends all subscriptions of a route, and tells their subscribers */
  constructor(
    private readonly options: SnapshotOptions,
    private readonly endAll: (route: Route, ending: Ending) => void,
  ) {}

  /** A resource was created or written anew. */
  changed(node: Node): void {
    if (node.type === 'group') this.changedGroup(node);
    else if (isSource(node)) this.regather((snapshot) => snapshot.concerns(node));
  }

  removed(node: Node, ending: Ending): void {
    if (node.type === 'group') this.close(node, ending);
    else if (isSource(node)) this.regather((snapshot) => snapshot.concerns(node));
  }

  /** A source reports at another rate now. */
  rated(contentInstances: Node): void {
    const container = contentInstances.parent;
    if (container) this.regather((snapshot) => snapshot.concerns(container));
  }

  /** Rights have changed: what the makers of groups may read is asked anew. */
  recheck(): void {
    this.regather(() => true);
  }

  /** The broker stops. */
  closeAll(): void {
    for (const { snapshot } of this.standing.values()) snapshot.close();
    this.standing.clear();
  }

  routeOf(group: Node, rest: readonly string[]): Route | Refusal {
    const standing = this.standing.get(group);
    return standing ? standing.snapshot.routeOf(rest) : refuse('STATUS_NOT_FOUND', WITHOUT_RATE(group));
  }

  /** The last that was published. */
  read(request: Request, group: Node, rest: readonly string[]): Response {
    const route = this.routeOf(group, rest);
    if (isRefusal(route)) return refused(route);
    if (!route.latest) return refused(refuse('STATUS_NOT_FOUND', `${route.path} has no set yet.`));
    const content = contentFor(route.latest, request.accept, request.defaultFormat);
    if (isRefusal(content)) return refused(content);
    return answer('STATUS_OK', { content: { kind: 'bytes', ...content }, sequence: route.sequence });
  }

  /** The group that has an IDCODE of its own. */
  findOutgoing(idCode: number): OutgoingStream | undefined {
    for (const [group, { snapshot }] of this.standing) {
      const { newest, rate } = snapshot;
      if (numberOf(group, 'idCode') === idCode && newest) return { to: [...group.path, SNAPSHOT], rate, newest };
    }
    return undefined;
  }

  /** Figures of each group, by its reference. */
  *figures(): Iterable<readonly [string, GroupSnapshot['figures']]> {
    for (const [group, { snapshot }] of this.standing) yield [group.reference, snapshot.figures];
  }

  private changedGroup(group: Node): void {
    const rate = numberOf(group, 'snapshotRate');
    const key = JSON.stringify(TERMS.map((name) => group.attributes.get(name) ?? null));
    const standing = this.standing.get(group);
    if (standing?.key === key) return standing.snapshot.regather();
    this.close(group, 'RATE_CHANGED');
    if (rate !== undefined) this.standing.set(group, { snapshot: new GroupSnapshot(group, rate, this.options), key });
  }

  private close(group: Node, ending: Ending): void {
    const standing = this.standing.get(group);
    if (!standing) return;
    this.standing.delete(group);
    for (const route of standing.snapshot.routes) this.endAll(route, ending);
    standing.snapshot.close();
  }

  private regather(isMeant: (snapshot: GroupSnapshot) => boolean): void {
    for (const { snapshot } of this.standing.values()) if (isMeant(snapshot)) snapshot.regather();
  }
}

const isSource = ({ type, row }: Node): boolean => type === 'application' || row.isContainer;

const WITHOUT_RATE = ({ reference }: Node): string =>
  `${reference} has no snapshots; give it a snapshotRate, in sets per second, to have them.`;
