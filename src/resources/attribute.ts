/**
 * An attribute's row in the type table: its value, when it may be written, what becomes of it; and the rows that many types share,
 * by the letters that the reference has for them.
 *
 * Rules are create / update / response: M mandatory, O optional, NP not to be present, NA operation not available, M* in every
 * response and possibly changed by the SCL, - not applicable.
 */
import { formatTime } from '../clock.js';
import type { InstanceContent } from './instance.js';
import type { InstanceRecord } from './history.js';
import type { ResourceNode } from './node.js';
import * as v from './values.js';
import type { Json, JsonObject, ValueType } from './values.js';

export type Presence = 'M' | 'O' | 'NP' | 'NA' | 'M*' | '-';

/** How a node is being read. */
export interface Reading<T> {
  /** The content to show of an instance; a record without one is shown as metadata. */
  content(record: InstanceRecord<T>): InstanceContent | undefined;
  /** Which instances a query is answered with, in place of the newest. */
  readonly page?: { readonly instances: readonly JsonObject[]; readonly next: string | undefined };
  /** Which members a query on another collection is answered with, in place of all. */
  readonly memberPage?: { readonly members: ReadonlySet<ResourceNode<T>>; readonly next: string | undefined };
  /** Whether the reader may know of what stands in a collection; where nothing says so, of all. */
  shows?(node: ResourceNode<T>): boolean;
}

interface AttributeOptions {
  /** The value when none is written. */
  readonly default?: Json;
  /** What a reader sees while none is written. */
  readonly unset?: Json;
  /** Smallest and largest value; what lies outside is moved to the limit, not refused. */
  readonly clamp?: readonly [number, number];
  /** In their place for a container that keeps its instances on disk. */
  readonly onDisk?: { readonly default: Json | undefined; readonly clamp: readonly [number, number] };
  /** The same for a dateTime, in seconds from now; the past is refused. */
  readonly lifetimeS?: readonly [number, number];
  /** Spellings that are taken besides, and what they become. */
  readonly spellings?: ReadonlyMap<Json, Json>;
  /** Peers: when one of them is given, the default of the others is their largest value. */
  readonly together?: readonly string[];
  /** May not be written together with this one. */
  readonly excludes?: string;
  /** A rule that depends on where the resource is: what is wrong, a whole sentence. */
  readonly rule?: (value: Json, collection: ResourceNode<unknown>) => string | undefined;
  /** The SCL's own value, made when read. */
  readonly derived?: (node: ResourceNode<unknown>, reading: Reading<unknown>) => Json | undefined;
  /** Not in the standard. */
  readonly origin?: 'gridcast';
}

export interface AttributeRow extends AttributeOptions {
  readonly name: string;
  readonly value: ValueType;
  readonly create: Presence;
  readonly update: Presence;
  readonly response: Presence;
}

/** Seconds. */
export const MINUTE_S = 60;
export const DAY_S = 86_400;

/** [resources reference 2.2, after ONG] The broker's own resources may exceed it. */
const LIFETIME_S = [MINUTE_S, 30 * DAY_S] as const;

export type Rules = `${Presence}/${Presence}/${Presence}`;

export function attribute(name: string, value: ValueType, rules: Rules, options: AttributeOptions = {}): AttributeRow {
  const [create, update, response] = rules.split('/') as [Presence, Presence, Presence];
  return { name, value, create, update, response, ...options };
}

// The common attributes, by the reference's letters.
export const X = attribute('expirationTime', v.dateTime, 'O/O/M*', { lifetimeS: LIFETIME_S });
export const A = (rules: Rules = 'O/O/O'): AttributeRow => attribute('accessRightID', v.accessRightId, rules);
export const S = (rules: Rules = 'O/O/M'): AttributeRow =>
  attribute('searchStrings', v.searchStrings, rules, { unset: { searchString: [] } });
export const N = attribute('announceTo', v.announceTo, 'O/O/M*', { unset: { activated: false } });
export const I = (rules: Rules = 'O/NP/M*', name = 'id'): AttributeRow =>
  attribute(name, v.string, rules, { derived: ({ id }) => id });
export const times = (rules: Rules): readonly AttributeRow[] => [
  attribute('creationTime', v.dateTime, rules, { derived: ({ createdUs }) => formatTime(createdUs) }),
  attribute('lastModifiedTime', v.dateTime, rules, { derived: ({ modifiedUs }) => formatTime(modifiedUs) }),
];
export const T = times('NP/NP/M');
export const TC = times('NA/NA/M');

export const references = (...collections: readonly string[]): readonly AttributeRow[] =>
  collections.map((name) =>
    attribute(`${name}Reference`, v.uri, 'NP/NP/M', { derived: (node) => `${node.reference}/${name}` }),
  );

/** What a collection holds, as names and references. */
export const members = (type: string, rules: Rules): AttributeRow =>
  attribute(`${type}Collection`, v.record({}), rules, {
    derived: (node, reading) => ({
      namedReference: [...(reading.memberPage?.members ?? node.children)]
        .filter((child) => child.type === type && (reading.shows?.(child) ?? true))
        .map(({ id, reference }) => ({ id, reference })),
    }),
  });

/** Of a collection: path and query of the page that follows. */
export const next = attribute('next', v.uri, 'NA/NP/O', {
  origin: 'gridcast',
  derived: (_, reading) => (reading.memberPage ?? reading.page)?.next,
});
