/**
 * A node: one resource of the tree as data. What a client wrote is in `attributes`, which is replaced whole and never edited, so
 * a reader sees one state or the next; what the SCL knows (times, references, counters) is derived when somebody reads.
 */
import { etagOf } from './revision.js';
import type { History } from './history.js';
import type { TypeName, TypeRow } from './types.js';
import type { Json } from './values.js';

/** Who acts. The broker itself may exceed the limits that are set for everybody else; `source` says for whom it acts, if for one. */
export type Creator =
  { readonly kind: 'internal'; readonly source?: string } | { readonly kind: 'originator'; readonly id: string };
export const INTERNAL: Creator = { kind: 'internal' };

/** Makes a collection that belongs to a resource when it is first looked at: of a million idle resources most never need theirs. */
export interface Births<T> {
  bear(collection: TypeName, parent: ResourceNode<T>): ResourceNode<T>;
}

/** What stands below a node, in the order in which it came. */
export interface Children<T> {
  readonly size: number;
  get(id: string): ResourceNode<T> | undefined;
  set(id: string, child: ResourceNode<T>): unknown;
  delete(id: string): unknown;
  values(): Iterable<ResourceNode<T>>;
}

/** The history of a contentInstances in a row, opened for one change while nobody else acts. */
export interface OpenRow<T> {
  /** The contentInstances with what stands above it, and nothing else: nobody may hold it. */
  readonly contentInstances: ResourceNode<T>;
  /** Puts its history as it is now into the row. */
  close(): void;
}

/** The same, where idle children are rows. */
export interface RowChildren<T> extends Children<T> {
  after(ordinal: number): Iterable<ResourceNode<T>>;
  /** Undefined where the child is no row, or has no contentInstances at that path below it. */
  open(id: string, path: readonly string[]): OpenRow<T> | undefined;
  passivate(child: ResourceNode<T>, wakeAt: number | undefined): boolean;
}

export const NO_ATTRIBUTES: ReadonlyMap<string, Json> = new Map();

export class ResourceNode<T> {
  /** What was written or set at writing, by name; absent optional ones are not there. */
  attributes: ReadonlyMap<string, Json> = NO_ATTRIBUTES;
  /** Of a contentInstances alone: its instances. Publishing is `history.append(record)` and nothing else. */
  history: History<T> | undefined;
  /** The number of its lease on the timer wheel, where it has one: kept here, it costs a million of them no map. */
  lease: number | undefined;
  /** It was in the tree and is no longer. Only `ResourceTree` sets it. */
  isRemoved = false;
  private ownModifiedUs: number;
  // Of one that is in use it is wanted several times in a request.
  private ownReference: string | undefined;
  // Made with the first child: most nodes of a large tree are leaves or empty collections.
  private below: Children<T> | undefined;
  private rows: RowChildren<T> | undefined;

  constructor(
    readonly row: TypeRow,
    /** The last segment of its path: id, appId or sclId, or a collection's own name. */
    readonly id: string,
    readonly parent: ResourceNode<T> | undefined,
    readonly creator: Creator,
    /** Microseconds since the epoch. Only `ResourceTree` sets it, to what an earlier run had. */
    public createdUs: number,
    private ownRevision: number,
    private readonly births: Births<T>,
    /** Rises with each node of a tree: in a collection, the order of its children. */
    readonly ordinal: number,
  ) {
    this.ownModifiedUs = createdUs;
  }

  get type(): TypeName {
    return this.row.name;
  }

  get revision(): number {
    return Math.max(this.ownRevision, this.history?.revision ?? 0);
  }

  /** Strong entity tag without quotes, at most 8 characters. */
  get etag(): string {
    return etagOf(this.revision);
  }

  /** lastModifiedTime, microseconds since the epoch. */
  get modifiedUs(): number {
    return Math.max(this.ownModifiedUs, this.history?.changedUs ?? 0);
  }

  /** Decoded segments from the root. */
  get path(): readonly string[] {
    const path = [this.id];
    for (let above = this.parent; above; above = above.parent) path.push(above.id);
    return path.reverse();
  }

  /** The path as references have it: from the root, percent-encoded where a segment needs it. Neither id nor parent ever changes. */
  get reference(): string {
    return (this.ownReference ??= `${this.parent?.reference ?? ''}/${encodeURIComponent(this.id)}`);
  }

  /** Of a collection: the resource that it belongs to, where that one's attributes are derived from what stands here. */
  get showing(): ResourceNode<T> | undefined {
    return this.parent?.row.shows === this.type ? this.parent : undefined;
  }

  /** Its collections and what else stands below it. */
  get children(): Iterable<ResourceNode<T>> {
    for (const name of this.row.collections) this.child(name);
    return this.known;
  }

  /**
   * The children without those collections that nobody has looked at: they are empty. Of a passive child it is a copy, for
   * reading alone; whoever will change it asks for it by its id.
   */
  get known(): Iterable<ResourceNode<T>> {
    return this.below?.values() ?? [];
  }

  /** Those that came after the child of this ordinal, in the order in which they came. */
  *knownAfter(ordinal: number): Iterable<ResourceNode<T>> {
    if (this.rows) yield* this.rows.after(ordinal);
    else for (const child of this.known) if (child.ordinal > ordinal) yield child;
  }

  /** How many children there are, without those collections. */
  get size(): number {
    return this.below?.size ?? 0;
  }

  /** Lets a child become a row, in what `make` makes of all children the first time. False for one that cannot. */
  passivate(
    child: ResourceNode<T>,
    wakeAt: number | undefined,
    make: (children: Iterable<ResourceNode<T>>) => RowChildren<T>,
  ): boolean {
    if (!this.below) return false;
    this.below = this.rows ??= make(this.below.values());
    return this.rows.passivate(child, wakeAt);
  }

  /** Of a child that is a row. @param path of a contentInstances below it */
  openRow(id: string, path: readonly string[]): OpenRow<T> | undefined {
    return this.rows?.open(id, path);
  }

  /** Some children may be rows. */
  get hasRows(): boolean {
    return this.rows !== undefined;
  }

  /** The child as far as anybody has looked at it. */
  standing(id: string): ResourceNode<T> | undefined {
    return this.below?.get(id);
  }

  child(id: string): ResourceNode<T> | undefined {
    const standing = this.standing(id);
    if (standing) return standing;
    const collection = this.row.collections.find((name) => name === id);
    return collection && this.births.bear(collection, this);
  }

  /** Only `ResourceTree` changes what stands below a node. */
  adopt(child: ResourceNode<T>): void {
    (this.below ??= new Map()).set(child.id, child);
  }

  disown(child: ResourceNode<T>): void {
    this.below?.delete(child.id);
    if (this.below?.size === 0) this.below = this.rows = undefined;
  }

  /** Its own last change, without its history's. */
  get touched(): { readonly us: number; readonly revision: number } {
    return { us: this.ownModifiedUs, revision: this.ownRevision };
  }

  touch(nowUs: number, revision: number): void {
    this.ownModifiedUs = nowUs;
    this.ownRevision = revision;
  }
}

/** A node and what stands below it, parents before children. In an array: a generator costs more than what is asked of each. */
export function withBelow<T>(node: ResourceNode<T>, nodes: ResourceNode<T>[] = []): readonly ResourceNode<T>[] {
  nodes.push(node);
  for (const child of node.known) withBelow(child, nodes);
  return nodes;
}

export const referenceOf = (path: readonly string[]): string => `/${path.map(encodeURIComponent).join('/')}`;

/** The segments of a reference; undefined for what is none. */
export function segmentsOf(reference: string): readonly string[] | undefined {
  try {
    return reference.startsWith('/') ? reference.slice(1).split('/').map(decodeURIComponent) : undefined;
  } catch {
    return undefined;
  }
}
