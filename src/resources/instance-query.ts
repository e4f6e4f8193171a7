/**
 * A query on a contentInstances: which of its instances, in the order of their creation, a page at a time.
 *
 *     GET .../contentInstances?createdSince=2026-11-23T08:00:00Z&limit=500          next: .../contentInstances?...&after=k3.dw
 *
 * The parameters are the names of filterCriteria [TS 102 921 10.18; resources reference 1.5, 2.8], and ours: an instance is created when
 * it is stored here, measured when its PMU's time tag or its SenML pack says. `after` is a cursor, to be handed back as it came.
 */
import { isRefusal, type Refusal } from '../errors.js';
import type { InstanceRecord } from './history.js';
import { bad, checkNames, isHalfOpen, isOpen, isWithin, namesOf, span, whole, type Span } from './parameters.js';
import { isObject, shown, type Json } from './values.js';

/** Instances in one page. */
export const PAGE = { default: 200, most: 1_000 } as const;

/** Where a reader stands: behind the instance of this ordinal. */
export interface Cursor {
  /** Which life of the container it belongs to. */
  readonly epoch: number;
  readonly ordinal: number;
}

export interface InstanceQuery {
  readonly created: Span;
  readonly measured: Span;
  /** Bytes of contentSize; both ends belong to it. */
  readonly size: readonly [from: number, until: number];
  /** Any of them; empty: all. Without parameters, in lower case. */
  readonly contentTypes: readonly string[];
  readonly creator: string | undefined;
  /** All of them. */
  readonly searchStrings: readonly string[];
  readonly isMetadataOnly: boolean;
  readonly limit: number;
  readonly after: Cursor | undefined;
}

/** The query of a RETRIEVE; undefined for none: then the newest instances are meant. 400 with the parameter's name for what is none. */
export function readInstanceQuery(
  parameters: URLSearchParams,
  known: readonly string[] = INSTANCE_NAMES,
): InstanceQuery | undefined | Refusal {
  if (namesOf(parameters).length === 0) return undefined;
  const unfit = checkNames(parameters, known);
  if (unfit) return unfit;
  const created = span(parameters, ['createdSince', 'createdAfter'], ['createdUntil', 'createdBefore'], isOpen);
  if (isRefusal(created)) return created;
  const measured = span(parameters, ['measuredSince'], ['measuredUntil'], isHalfOpen);
  if (isRefusal(measured)) return measured;
  const from = whole(parameters, 'sizeFrom', 0, Number.MAX_SAFE_INTEGER, 0);
  if (isRefusal(from)) return from;
  const until = whole(parameters, 'sizeUntil', 0, Number.MAX_SAFE_INTEGER, Infinity);
  if (isRefusal(until)) return until;
  const limit = whole(parameters, 'limit', 1, PAGE.most, PAGE.default);
  if (isRefusal(limit)) return limit;
  const metaDataOnly = parameters.get('metaDataOnly');
  if (metaDataOnly !== null && metaDataOnly !== 'true' && metaDataOnly !== 'false')
    return bad(`metaDataOnly is ${shown(metaDataOnly)}; it must be true or false.`);
  const after = cursorOf(parameters.get('after'));
  if (isRefusal(after)) return after;
  return {
    created,
    measured,
    size: [from, until],
    contentTypes: parameters.getAll('contentType').map((type) => type.trim().toLowerCase()),
    creator: parameters.get('creator') ?? undefined,
    searchStrings: parameters.getAll('searchString'),
    isMetadataOnly: metaDataOnly === 'true',
    limit,
    after,
  };
}

/** What is asked of a resource's or an instance's own: when it was created, its labels. */
export const LABEL_NAMES = ['createdSince', 'createdUntil', 'createdAfter', 'createdBefore', 'searchString'];
export const CONTENT_NAMES = [
  ...['measuredSince', 'measuredUntil', 'sizeFrom', 'sizeUntil', 'contentType', 'creator', 'metaDataOnly'],
];
export const PAGE_NAMES = ['limit', 'after'];
const INSTANCE_NAMES = [...LABEL_NAMES, ...CONTENT_NAMES, ...PAGE_NAMES];

/** Whether an instance is meant, whatever page it is on. @param types what its content can be had as, in lower case */
export function matches(
  query: InstanceQuery,
  record: Pick<InstanceRecord<unknown>, 'createdUs' | 'measuredUs' | 'sizeBytes' | 'creator' | 'attributes'>,
  types: () => readonly string[],
): boolean {
  const { created, measured, size, contentTypes, creator, searchStrings } = query;
  return (
    isWithin(created, record.createdUs) &&
    isWithin(measured, record.measuredUs) &&
    record.sizeBytes >= size[0] &&
    record.sizeBytes <= size[1] &&
    (creator === undefined || creator === record.creator) &&
    (searchStrings.length === 0 || hasAll(record.attributes?.get('searchStrings'), searchStrings)) &&
    (contentTypes.length === 0 || types().some((type) => contentTypes.includes(type)))
  );
}

/** Whether an attribute `searchStrings` has all of these labels, each as a whole. */
export function hasAll(attribute: Json | undefined, wanted: readonly string[]): boolean {
  const labels = isObject(attribute) ? attribute.searchString : undefined;
  return Array.isArray(labels) && wanted.every((label) => labels.includes(label));
}

/** Path and query of the page that follows; undefined where none does. @param after its cursor */
export function nextPage(
  reference: string,
  parameters: URLSearchParams,
  after: string | undefined,
): string | undefined {
  if (after === undefined) return undefined;
  const rest = new URLSearchParams(parameters);
  rest.set('after', after);
  return `${reference}?${rest.toString()}`;
}

const CURSOR = /^([0-9a-z]{1,11})\.([0-9a-z]{1,11})$/;
const RADIX = 36;

export const cursorText = ({ epoch, ordinal }: Cursor): string => `${epoch.toString(RADIX)}.${ordinal.toString(RADIX)}`;

function cursorOf(text: string | null): Cursor | undefined | Refusal {
  if (text === null) return undefined;
  const [, epoch, ordinal] = CURSOR.exec(text) ?? [];
  if (epoch === undefined || ordinal === undefined)
    return bad(`after is ${shown(text)}; it must be a cursor, as the "next" of an answer has it.`);
  return { epoch: parseInt(epoch, RADIX), ordinal: parseInt(ordinal, RADIX) };
}

/** Why a cursor does not fit a container that lives its life number `epoch`. */
export function checkCursor(after: Cursor | undefined, epoch: number): Refusal | undefined {
  if (!after || after.epoch === epoch) return undefined;
  return bad('after is a cursor of what is gone: the container or the broker began anew; ask again without it.');
}
