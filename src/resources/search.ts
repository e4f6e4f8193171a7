/**
 * ETSI's discovery [TS 102 921; resources reference 3.5]: where what somebody looks for stands.
 *
 *     GET /m2m/discovery?searchPrefix=/m2m/applications&searchString=Visby      every label; what was created since, ...
 *     GET /m2m/discovery?searchPrefix=.../contentInstances&sizeFrom=100         instances, asked for by prefix or by content
 *
 * It names what somebody created, and the sclBase; a collection stands in its resource's references. An announced resource is named by its
 * link, where it really is.
 */
import { isRefusal, type Refusal } from '../errors.js';
import { isMember, isModifiedAsAsked, readConditions, SEARCH_NAMES, type Conditions } from './filter.js';
import type { InstanceRecord } from './history.js';
import { CONTENT_NAMES, matches, readInstanceQuery, type InstanceQuery } from './instance-query.js';
import { segmentsOf, type ResourceNode } from './node.js';
import { bad, checkNames, whole } from './parameters.js';
import { shown } from './values.js';

/** References in one answer: without a word, and at most. */
const SIZE = { default: 1_000, most: 10_000 } as const;
const NAMES = ['searchPrefix', 'maxSize', ...SEARCH_NAMES];
const QUERY_NAMES: readonly string[] = SEARCH_NAMES.filter((name) => !name.startsWith('if'));

export interface Search {
  /** Decoded segments; undefined: from the sclBase on. */
  readonly prefix: readonly string[] | undefined;
  readonly maxSize: number;
  readonly conditions: Conditions;
  /** Undefined: whatever its labels, time and content. */
  readonly query: InstanceQuery | undefined;
  /** Instances are meant, and nothing else. */
  readonly isOfInstances: boolean;
}

/** The query of a discovery; 400 with the parameter's name for what is none. */
export function readSearch(parameters: URLSearchParams): Search | Refusal {
  const unfit = checkNames(parameters, NAMES);
  if (unfit) return unfit;
  const maxSize = whole(parameters, 'maxSize', 1, Number.MAX_SAFE_INTEGER, SIZE.default);
  if (isRefusal(maxSize)) return maxSize;
  const text = parameters.get('searchPrefix');
  const prefix = text === null ? undefined : segmentsOf(text.replace(/(.)\/$/, '$1'));
  if (text !== null && !prefix)
    return bad(`searchPrefix is ${shown(text)}; it must be a path here that starts with "/".`);
  const conditions = readConditions(parameters);
  if (isRefusal(conditions)) return conditions;
  const query = readInstanceQuery(new URLSearchParams([...parameters].filter(([name]) => QUERY_NAMES.includes(name))));
  if (isRefusal(query)) return query;
  const isOfInstances = prefix?.at(-1) === 'contentInstances' || CONTENT_NAMES.some((name) => parameters.has(name));
  return { prefix, maxSize: Math.min(maxSize, SIZE.most), conditions, query, isOfInstances };
}

export interface Searching<T> {
  readonly nowUs: number;
  readonly shows: (node: ResourceNode<T>) => boolean;
  /** Media types that a content can be had as, in lower case. */
  readonly types: (record: InstanceRecord<T>) => readonly string[];
}

/** Looks at a node and all below it, one at a time: a reference for each that is meant, undefined for each that is not. */
export function* search<T>(
  node: ResourceNode<T>,
  asked: Search,
  searching: Searching<T>,
): Generator<string | undefined> {
  if (node.isRemoved) return;
  if (!asked.isOfInstances) yield isMeant(node, asked) && searching.shows(node) ? placeOf(node) : undefined;
  else if (node.history && searching.shows(node)) yield* searchInstances(node, asked, searching);
  for (const child of node.known) yield* search(child, asked, searching);
}

function isMeant(node: ResourceNode<unknown>, { conditions, query }: Search): boolean {
  const isCollection = node.row.creates.length > 0;
  return !isCollection && isModifiedAsAsked(conditions, node.modifiedUs) && (!query || isMember(query, node));
}

function placeOf(node: ResourceNode<unknown>): string {
  const link = node.type.endsWith('Annc') ? node.attributes.get('link') : undefined;
  return typeof link === 'string' ? link : node.reference;
}

function* searchInstances<T>(
  { history, reference }: ResourceNode<T>,
  { conditions, query }: Search,
  { nowUs, types }: Searching<T>,
): Generator<string | undefined> {
  history?.prune(nowUs);
  for (const record of history?.newest() ?? []) {
    const isWanted =
      isModifiedAsAsked(conditions, record.createdUs) && (!query || matches(query, record, () => types(record)));
    yield isWanted ? `${reference}/${encodeURIComponent(record.id)}` : undefined;
  }
}
