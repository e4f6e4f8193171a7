/**
 * What a row of the type table says of a resource type, as it is written down and as it is read:
 *
 *     a resource ──collections──> a collection ──creates──> resources, those of them that may stand `below` the first
 */
import type { Refusal } from '../errors.js';
import type { AttributeRow } from './attribute.js';
import type { ResourceNode } from './node.js';
import type { Json } from './values.js';

export type Verb = 'create' | 'retrieve' | 'update' | 'delete';

export interface RowDefinition<Name extends string> {
  readonly verbs: readonly Verb[];
  /** Collections that are born with it. */
  readonly collections?: readonly Name[];
  /** Of a collection: what a CREATE on it makes. */
  readonly creates?: readonly Name[];
  /** Whose collections it can be created in; absent: any that creates it. */
  readonly below?: readonly Name[];
  /** Children that are not stored, and their verbs. */
  readonly virtual?: Readonly<Record<string, readonly Verb[]>>;
  /** The attribute that is its last path segment. */
  readonly idAttribute?: 'id' | 'appId' | 'sclId';
  /** A collection of its own that its attributes are derived from: a change there is a change of it. */
  readonly shows?: Name;
  /** What of it depends on the rest of the tree, once its document has been read: the attributes as they are to be, or why not. */
  readonly settle?: (
    attributes: ReadonlyMap<string, Json>,
    collection: ResourceNode<unknown>,
    mayKnow: (node: ResourceNode<unknown>) => boolean,
  ) => ReadonlyMap<string, Json> | Refusal;
  readonly attributes: readonly AttributeRow[];
}

/** A row of the table as it is read. */
export interface Row<Name extends string> {
  readonly name: Name;
  readonly verbs: readonly Verb[];
  readonly collections: readonly Name[];
  readonly creates: readonly Name[];
  readonly below: readonly Name[] | undefined;
  readonly virtual: ReadonlyMap<string, readonly Verb[]>;
  readonly idAttribute: string;
  readonly shows: Name | undefined;
  readonly settle: RowDefinition<Name>['settle'];
  /** In schema order. */
  readonly attributes: ReadonlyMap<string, AttributeRow>;
  /** Its changes can be observed. */
  readonly isSubscribable: boolean;
  /** It has contentInstances. */
  readonly isContainer: boolean;
}

/** The rows with what they leave out; one that names a type which is not among them does not compile. */
export function completed<const Name extends string>(
  definitions: Readonly<Record<Name, RowDefinition<NoInfer<Name>>>>,
): Record<Name, Row<Name>> {
  const complete = (name: Name, row: RowDefinition<Name>): Row<Name> => ({
    name,
    verbs: row.verbs,
    collections: row.collections ?? [],
    creates: row.creates ?? [],
    below: row.below,
    virtual: new Map(Object.entries(row.virtual ?? {})),
    idAttribute: row.idAttribute ?? 'id',
    shows: row.shows,
    settle: row.settle,
    attributes: new Map(row.attributes.map((each) => [each.name, each])),
    isSubscribable: row.collections?.some((collection) => collection === 'subscriptions') ?? false,
    isContainer: row.collections?.some((collection) => collection === 'contentInstances') ?? false,
  });
  const rows = Object.entries<RowDefinition<Name>>(definitions).map(([name, row]) => [
    name,
    complete(name as Name, row),
  ]);
  return Object.fromEntries(rows) as Record<Name, Row<Name>>;
}
