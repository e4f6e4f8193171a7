/**
 * The filter of a RETRIEVE, whatever is read [TS 102 921 filterCriteria; resources reference 2.8].
 *
 *     a resource, an attribute    ifModifiedSince, ifMatch, ... and createdSince, searchString, ...: it is shown if all hold, else 304
 *     a contentInstance           the same, and what looks into its content
 *     a collection                ifModifiedSince, ... of itself; the others choose its members, a page at a time
 *     attributeAccessor           what is read, as if it stood at the end of the path
 */
import { isRefusal, refuse, type Refusal } from '../errors.js';
import type { InstanceRecord } from './history.js';
import {
  CONTENT_NAMES,
  hasAll,
  LABEL_NAMES,
  matches,
  nextPage,
  checkCursor,
  cursorText,
  PAGE_NAMES,
  readInstanceQuery,
  type InstanceQuery,
} from './instance-query.js';
import type { ResourceNode } from './node.js';
import { bad, checkNames, instant, isWithin, withoutTerms } from './parameters.js';
import { checkConditions, etagOf } from './revision.js';
import type { Target, VirtualTarget } from './target.js';
import { shown, type Json, type JsonObject } from './values.js';

const CONDITION_NAMES = ['ifModifiedSince', 'ifUnmodifiedSince', 'ifMatch', 'ifNoneMatch'];
const ACCESSOR = 'attributeAccessor';
/** What may be asked where. */
const NAMES = {
  resource: [...CONDITION_NAMES, ACCESSOR, ...LABEL_NAMES],
  collection: [...CONDITION_NAMES, ACCESSOR, ...LABEL_NAMES, ...PAGE_NAMES],
  instance: [...CONDITION_NAMES, ACCESSOR, ...LABEL_NAMES, ...CONTENT_NAMES],
  instances: [...CONDITION_NAMES, ACCESSOR, ...LABEL_NAMES, ...CONTENT_NAMES, ...PAGE_NAMES],
} as const;
/** Of what looks for resources anywhere: all that tells one from another. */
export const SEARCH_NAMES = ['ifModifiedSince', 'ifUnmodifiedSince', ...LABEL_NAMES, ...CONTENT_NAMES];

/** What can be read with a filter. */
export type Readable<T> = Exclude<Target<T>, VirtualTarget<T> | { readonly kind: 'none' }>;

export interface Conditions {
  readonly ifMatch: readonly string[];
  readonly ifNoneMatch: readonly string[];
  /** Microseconds since the epoch. */
  readonly ifModifiedSinceUs: number | undefined;
  readonly ifUnmodifiedSinceUs: number | undefined;
}

export interface Filter {
  readonly conditions: Conditions;
  /** Segments that follow those of the path; empty: none. */
  readonly accessor: readonly string[];
  /** Everything else that was asked; undefined: nothing. */
  readonly query: InstanceQuery | undefined;
}

/** The filter of a RETRIEVE of `target`; 400 with the parameter's name for what is none. */
export function readFilter<T>(parameters: URLSearchParams, target: Readable<T>): Filter | Refusal {
  const known = NAMES[placeOf(target)];
  const unfit = checkNames(parameters, known);
  if (unfit) return unfit;
  const conditions = readConditions(parameters);
  if (isRefusal(conditions)) return conditions;
  const accessor = accessorOf(parameters.get(ACCESSOR));
  if (isRefusal(accessor)) return accessor;
  const query = readInstanceQuery(withoutConditions(parameters), known);
  return isRefusal(query) ? query : { conditions, accessor, query };
}

/**
 * The filterCriteria of a subscription to `target`, as a query would have them; undefined where nothing is asked. Its
 * attributeAccessor is not among them: it is part of where the target is.
 */
export function readCriteria<T>(parameters: URLSearchParams, target: Readable<T>): Filter | undefined | Refusal {
  const asked = withoutTerms(parameters);
  asked.delete(ACCESSOR);
  return asked.size === 0 ? undefined : readFilter(asked, target);
}

/** A document's filterCriteria as a query. */
export function criteriaQuery(criteria: JsonObject): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(criteria))
    for (const each of isList(value) ? value : [value]) if (typeof each !== 'object') query.append(name, String(each));
  return query;
}
const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value);

/** What is left of a query when conditions and accessor are taken out: it chooses members. */
export function withoutConditions(parameters: URLSearchParams): URLSearchParams {
  const rest = new URLSearchParams(parameters);
  for (const name of [...CONDITION_NAMES, ACCESSOR]) rest.delete(name);
  return rest;
}

export function readConditions(parameters: URLSearchParams): Conditions | Refusal {
  const ifModifiedSinceUs = instant(parameters, ['ifModifiedSince']);
  if (isRefusal(ifModifiedSinceUs)) return ifModifiedSinceUs;
  const ifUnmodifiedSinceUs = instant(parameters, ['ifUnmodifiedSince']);
  if (isRefusal(ifUnmodifiedSinceUs)) return ifUnmodifiedSinceUs;
  // In a header they have quotes; whoever copies them from there means the same.
  const tags = (name: string): readonly string[] => parameters.getAll(name).map((tag) => tag.replace(/^"(.*)"$/, '$1'));
  return { ifMatch: tags('ifMatch'), ifNoneMatch: tags('ifNoneMatch'), ifModifiedSinceUs, ifUnmodifiedSinceUs };
}

function accessorOf(text: string | null): readonly string[] | Refusal {
  if (text === null) return [];
  const segments = text.replace(/\/$/, '').split('/');
  if (segments.every((segment) => segment !== '')) return segments;
  return bad(`${ACCESSOR} is ${shown(text)}; it must be a relative path, such as latest/content or searchStrings.`);
}

/** A request for what its attributeAccessor selects, by the path that leads there. */
export function direct<Asked extends { readonly to: readonly string[]; readonly query: URLSearchParams }>(
  asked: Asked,
): Asked | Refusal {
  if (!asked.query.has(ACCESSOR)) return asked;
  const accessor = accessorOf(asked.query.get(ACCESSOR));
  if (isRefusal(accessor)) return accessor;
  const query = new URLSearchParams(asked.query);
  query.delete(ACCESSOR);
  return { ...asked, to: [...asked.to, ...accessor], query };
}

/** Whether what was asked chooses among the members of a target. */
export const isCollection = <T>({ kind, node }: Readable<T>): boolean =>
  (kind === 'resource' || kind === 'attribute') && node.row.creates.length > 0;

function placeOf<T>(target: Readable<T>): keyof typeof NAMES {
  if (target.kind === 'instance') return 'instance';
  if (!isCollection(target)) return 'resource';
  return target.node.history ? 'instances' : 'collection';
}

/**
 * Why a target is not to be shown: 304, and 412 where the asker named a state that it is not in.
 *
 * @param types media types that a content can be had as, in lower case
 */
export function checkFilter<T>(
  { conditions, query }: Filter,
  target: Readable<T>,
  types: (record: InstanceRecord<T>) => readonly string[],
): Refusal | undefined {
  const record = target.kind === 'instance' ? target.record : undefined;
  const { node } = target;
  // Reading tells that it is not there.
  if (target.kind === 'instance' && !record) return undefined;
  const state = record
    ? { etag: etagOf(record.sequence), modifiedUs: record.createdUs }
    : { etag: node.etag, modifiedUs: node.modifiedUs };
  const { ifMatch, ifNoneMatch } = conditions;
  const tags = { ...(ifMatch.length > 0 && { ifMatch }), ...(ifNoneMatch.length > 0 && { ifNoneMatch }) };
  const failed = checkConditions(state, tags, 'read') ?? checkTimes(conditions, state.modifiedUs);
  if (failed || !query || isCollection(target)) return failed;
  const isMeant = record ? matches(query, record, () => types(record)) : isMember(query, node);
  return isMeant ? undefined : refuse('STATUS_NOT_MODIFIED', 'It is not what the filter asks for.');
}

function checkTimes({ ifModifiedSinceUs, ifUnmodifiedSinceUs }: Conditions, modifiedUs: number): Refusal | undefined {
  if (ifModifiedSinceUs !== undefined && modifiedUs <= ifModifiedSinceUs)
    return refuse('STATUS_NOT_MODIFIED', 'The resource has not been modified since.');
  if (ifUnmodifiedSinceUs !== undefined && modifiedUs > ifUnmodifiedSinceUs)
    return refuse('STATUS_PRECONDITION_FAILED', 'The resource has been modified since ifUnmodifiedSince.');
  return undefined;
}

export const isModifiedAsAsked = (conditions: Conditions, modifiedUs: number): boolean =>
  checkTimes(conditions, modifiedUs) === undefined;

/** Whether a query means a resource that is no instance. */
export const isMember = ({ created, searchStrings }: InstanceQuery, node: ResourceNode<unknown>): boolean =>
  isWithin(created, node.createdUs) &&
  (searchStrings.length === 0 || hasAll(node.attributes.get('searchStrings'), searchStrings));

export interface MemberPage<T> {
  readonly members: ReadonlySet<ResourceNode<T>>;
  readonly next: string | undefined;
}

/** The members of a collection that a query means, in the order in which they came, and the way to the next page. */
export function memberPage<T>(
  collection: ResourceNode<T>,
  query: InstanceQuery,
  parameters: URLSearchParams,
  { epoch, shows }: { readonly epoch: number; readonly shows: (node: ResourceNode<T>) => boolean },
): MemberPage<T> | Refusal {
  const stale = checkCursor(query.after, epoch);
  if (stale) return stale;
  const behind = query.after?.ordinal ?? 0;
  const members = new Set<ResourceNode<T>>();
  let last = behind;
  for (const node of collection.knownAfter(behind)) {
    if (!collection.row.creates.includes(node.type)) continue;
    if (!isMember(query, node) || !shows(node)) continue;
    if (members.size === query.limit)
      return { members, next: nextPage(collection.reference, parameters, cursorText({ epoch, ordinal: last })) };
    members.add(node);
    last = node.ordinal;
  }
  return { members, next: undefined };
}
