/**
 * Passivation: of a large collection, the resources that nobody has used for a while become rows, with all below them. A path that
 * leads to one makes it live again.
 *
 *     used ──> young ──(a period)──> old ──(another, unused)──> is anything held open? ── no ──> row
 *       ^                             │                                                  └ yes ──> asked again when it is used
 *       └─────────── used ────────────┘
 *     row ──> woken, for one reading after a period without any ──(the turn ends)──> row
 *
 * A gateway that posts now and then stays a row [row-contents.ts], or is live for a turn: what is made of it is gone before the garbage
 * collector has copied it once.
 * A small collection is left alone: what it would save is less than what it costs to look.
 */
import type { Cancel, Clock } from '../clock.js';
import { withBelow } from '../resources/node.js';
import type { Node, Resources } from './resources.js';
import type { Resting } from './tree-restore.js';

/** From the last use to the row: one to two of these. A gateway that posts four times a minute is idle in between. */
const PERIOD_MS = 500;
/** Looked at in one turn: about a millisecond. */
const SLICE = 200;
/** Children from which on a collection is large. */
const LARGE_COLLECTION = 1_000;

/** What nobody can hold on to by itself: other parts of the broker know subscriptions, groups, rights and channels by their nodes. */
const IDLE_TYPES: ReadonlySet<string> = new Set([
  ...(['application', 'scl', 'container', 'attachedDevice', 'm2mPoc'] as const),
  ...(['applications', 'scls', 'containers', 'attachedDevices', 'm2mPocs', 'contentInstances'] as const),
  ...(['subscriptions', 'groups', 'accessRights', 'notificationChannels'] as const),
]);

export interface PassivationLimits {
  readonly largeCollection?: number;
  readonly periodMs?: number;
}

export interface PassivationOptions extends PassivationLimits {
  readonly clock: Pick<Clock, 'after' | 'atTurnEnd' | 'wallUs'>;
  readonly resources: Resources;
  /** Whether its actor is in the middle of something, or down; an idle one is ended by `end`. */
  readonly isBusy: (node: Node) => boolean;
  readonly end: (node: Node) => void;
}

export class Passivation implements Resting {
  private young = new Set<Node>();
  private old = new Set<Node>();
  /** Live since this turn, and unchanged for a period before; those of them that have had their reading. */
  private readonly woken = new Set<Node>();
  private readonly read = new Set<Node>();
  private cancel: Cancel | undefined;
  private readonly large: number;
  private readonly periodMs: number;
  /** Resources that became rows since the start. */
  passivated = 0;

  constructor(private readonly options: PassivationOptions) {
    this.large = options.largeCollection ?? LARGE_COLLECTION;
    this.periodMs = options.periodMs ?? PERIOD_MS;
  }

  /** Somebody has asked for it, or made it. */
  used(node: Node): void {
    const unit = this.unitOf(node);
    if (!unit) return;
    this.young.add(unit);
    this.cancel ??= this.options.clock.after(this.periodMs, () => this.turn());
  }

  /** Whether what has last been changed at that instant, UTC, has had a period without. */
  isQuiet(changedUs: number): boolean {
    return this.options.clock.wallUs() - changedUs >= this.periodMs * 1000;
  }

  /** It was a row until now, and had last been changed at that instant, UTC. */
  woke(unit: Node, changedUs: number): void {
    if (!this.isQuiet(changedUs)) return this.used(unit);
    if (this.woken.size + this.read.size === 0) this.options.clock.atTurnEnd(() => this.endTurn());
    this.woken.add(unit);
  }

  /** It takes one content, which nobody will ask it for in this turn. */
  takes(container: Node): void {
    const unit = this.unitOf(container);
    if (unit && this.woken.delete(unit)) this.read.add(unit);
    else this.used(container);
  }

  /** It has been created. With it its collection may have become a large one: then all that came before it are looked at as well. */
  came(node: Node): void {
    if (node.parent?.size === this.large) for (const other of node.parent.known) this.used(other);
    else this.used(node);
  }

  /** Nothing of it, or below it, is anything that somebody else knows by its node: a stream takes up what was made for it when all of that is back. */
  isPlain(unit: Node): boolean {
    return withBelow(unit).every((node) => this.isFree(node));
  }

  /** A restart has put it back, and nobody has asked for it yet: it need not wait for its time, and has no actor. */
  rest(unit: Node): void {
    this.young.delete(unit);
    const nodes = withBelow(unit);
    if (!unit.isRemoved && nodes.every((node) => this.isFree(node))) this.becomeRow(unit, nodes);
  }

  stop(): void {
    this.cancel?.();
    for (const units of [this.young, this.old, this.woken, this.read]) units.clear();
  }

  /** What becomes a row as a whole: the resource above `node`, or itself, that stands in a large collection; the highest of them. */
  unitOf(node: Node): Node | undefined {
    let unit: Node | undefined;
    for (let at = node, above = at.parent; above; at = above, above = at.parent) {
      // The collections that belong to a resource have no row of their own.
      if (above.size >= this.large && above.row.creates.includes(at.type)) unit = at;
    }
    return unit;
  }

  private endTurn(): void {
    const { woken, read, young } = this;
    for (const unit of read) if (!young.has(unit) && !unit.isRemoved && !this.passivate(unit)) this.used(unit);
    for (const unit of woken) this.used(unit);
    read.clear();
    woken.clear();
  }

  private turn(): void {
    const idle = this.old;
    [this.old, this.young] = [this.young, new Set()];
    this.cancel = undefined;
    if (this.old.size > 0) this.cancel = this.options.clock.after(this.periodMs, () => this.turn());
    this.look(idle.values());
  }

  private look(idle: Iterator<Node>): void {
    for (let n = 0; n < SLICE; n++) {
      const next = idle.next();
      if (next.done === true) return;
      const unit = next.value;
      if (!this.young.has(unit) && !this.old.has(unit) && !unit.isRemoved) this.passivate(unit);
    }
    this.options.clock.atTurnEnd(() => this.look(idle));
  }

  private passivate(unit: Node): boolean {
    const { isBusy, end } = this.options;
    const nodes = withBelow(unit);
    if (!nodes.every((node) => this.isFree(node) && !isBusy(node)) || !this.becomeRow(unit, nodes)) return false;
    for (const node of nodes) end(node);
    return true;
  }

  private isFree(node: Node): boolean {
    return IDLE_TYPES.has(node.type) && !this.options.resources.isHeld(node);
  }

  private becomeRow(unit: Node, nodes: readonly Node[]): boolean {
    const isRow = this.options.resources.passivate(unit, nodes);
    if (isRow) this.passivated++;
    return isRow;
  }
}
