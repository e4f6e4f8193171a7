/**
 * Reading what a client writes: a document such as `{"container":{"id":"load","maxNrOfInstances":3}}` against a row of the type
 * table. Whatever is wrong is told by name; whatever the SCL sets or moves to a limit is told by `isAltered`, since it then must
 * come back in the answer.
 */
import { formatTime, parseTime } from '../clock.js';
import { isRefusal, refuse, type Refusal } from '../errors.js';
import type { Creator, ResourceNode } from './node.js';
import type { AttributeRow } from './attribute.js';
import type { TypeRow } from './types.js';
import { isObject, shown, type Json, type JsonObject } from './values.js';

const US_PER_SECOND = 1_000_000;
/** A Uri-Path option holds one segment of at most 255 bytes [RFC7252-5.10]; a longer id could not be reached over CoAP. */
const LONGEST_ID_BYTES = 255;
/** It has no UTF-8 form, so no path could name it. */
const LONE_SURROGATE = /\p{Surrogate}/u;
/** Names with a meaning in some path, whatever the collection [resources reference 2.1]. */
const RESERVED_IDS = ['latest', 'oldest', 'content', 'subscriptions', 'mgmtObjs'];

export interface Writing<T> {
  readonly nowUs: number;
  readonly creator: Creator;
  /** Where the resource is or will be. */
  readonly collection: ResourceNode<T>;
  /** What stands there now, on an update. */
  readonly current?: ReadonlyMap<string, Json>;
}

export interface Draft {
  /** The id asked for; absent: to be generated. */
  readonly id: string | undefined;
  readonly attributes: ReadonlyMap<string, Json>;
  /** The SCL set or clamped a value: the representation belongs into the answer. */
  readonly isAltered: boolean;
}

const bad = (detail: string): Refusal => refuse('STATUS_BAD_REQUEST', detail);

/** The row of `rows` that the document's root key names, and what stands under it. */
export function readRoot(
  rows: readonly TypeRow[],
  document: JsonObject,
): { readonly row: TypeRow; readonly body: JsonObject } | Refusal {
  const names = rows.map(({ name }) => name).join(' or ');
  const keys = Object.keys(document);
  const row = keys.length === 1 ? rows.find(({ name }) => name === keys[0]) : undefined;
  if (!row)
    return bad(
      `The document has ${keys.length === 0 ? 'no root key' : `${shown(keys)} at its root`}; it must be one object named ${names}.`,
    );
  const body = document[row.name];
  return isObject(body) ? { row, body } : bad(`${row.name} is ${shown(body)}; it must be an object of its attributes.`);
}

/**
 * Checks a body and settles every attribute: what is written, clamped, defaulted, kept.
 *
 * An update replaces the whole writable part: an absent optional attribute is removed or returns to its default. Attributes that
 * cannot be updated stay.
 */
export function readBody<T>(
  row: TypeRow,
  body: JsonObject,
  op: 'create' | 'update',
  writing: Writing<T>,
): Draft | Refusal {
  for (const [name, value] of Object.entries(body)) {
    const complaint = value === undefined ? undefined : complaintOf(row, name, value, op, body, writing);
    if (complaint) return bad(complaint);
  }
  const attributes = new Map<string, Json>();
  let isAltered = false;
  const isOnDisk = (writing.current?.get('storage') ?? body.storage) === 'disk';
  for (const standard of row.attributes.values()) {
    const attribute = isOnDisk && standard.onDisk ? withLimits(standard, standard.onDisk) : standard;
    const { name } = attribute;
    const written = body[name];
    if (written === undefined && attribute[op] === 'M')
      return bad(`${row.name}.${name} is missing; it is mandatory here.`);
    if (name === row.idAttribute) continue;
    const kept = writing.current?.get(name);
    if (!isWritable(attribute, op)) {
      if (kept !== undefined) attributes.set(name, kept);
      continue;
    }
    // What is written back unchanged stays, though it be beyond a limit that holds for its writer or has moved with the clock.
    const settled =
      written === undefined
        ? absent(attribute, body, writing)
        : written === kept
          ? written
          : clamped(attribute, written, writing);
    if (isRefusal(settled)) return settled;
    isAltered ||= settled !== written;
    if (settled !== undefined) attributes.set(name, settled);
  }
  const id = body[row.idAttribute];
  return { id: typeof id === 'string' ? id : undefined, attributes, isAltered };
}

function withLimits(
  { default: _, ...attribute }: AttributeRow,
  { default: value, clamp }: NonNullable<AttributeRow['onDisk']>,
): AttributeRow {
  return { ...attribute, ...(value !== undefined && { default: value }), clamp };
}

export const isWritable = (attribute: AttributeRow, op: 'create' | 'update'): boolean =>
  attribute[op] === 'M' || attribute[op] === 'O';

/** Why `id` cannot be a resource's id in this collection. */
export function checkId<T>(id: string, collection: ResourceNode<T>): Refusal | undefined {
  const { row } = collection;
  if (id === '') return bad('The id is empty; leave it out to have one generated.');
  if (/[/\0]/.test(id) || id === '.' || id === '..')
    return bad(`The id ${shown(id)} cannot be a path segment; it must not hold "/" or NUL, nor be "." or "..".`);
  if (LONE_SURROGATE.test(id)) return bad(`The id ${shown(id)} is not well-formed Unicode.`);
  if (Buffer.byteLength(id) > LONGEST_ID_BYTES)
    return bad(`The id ${shown(id)} is longer than ${LONGEST_ID_BYTES} bytes.`);
  if (
    RESERVED_IDS.includes(id) ||
    row.attributes.has(id) ||
    row.virtual.has(id) ||
    row.collections.some((name) => name === id)
  ) {
    return bad(`The id ${shown(id)} is reserved in ${collection.reference}; choose another.`);
  }
  return undefined;
}

function complaintOf<T>(
  row: TypeRow,
  name: string,
  value: Json,
  op: 'create' | 'update',
  body: JsonObject,
  { collection }: Writing<T>,
): string | undefined {
  const attribute = row.attributes.get(name);
  if (!attribute) {
    const known = [...row.attributes.values()].filter((each) => isWritable(each, op)).map((each) => each.name);
    return `${row.name} has no attribute ${shown(name)}; it takes ${known.join(', ')}.`;
  }
  if (!isWritable(attribute, op)) {
    const reason =
      op === 'update' && isWritable(attribute, 'create') ? 'it never changes after creation' : 'the SCL sets it';
    return `${row.name}.${name} must not be in this ${op.toUpperCase()}: ${reason}.`;
  }
  const { excludes } = attribute;
  if (excludes !== undefined && body[excludes] !== undefined)
    return `${name} and ${excludes} exclude each other; give one.`;
  return attribute.value.check(value, `${row.name}.${name}`) ?? attribute.rule?.(value, collection);
}

/** What an attribute is that was not written. */
function absent<T>(
  { default: value, clamp, together }: AttributeRow,
  body: JsonObject,
  { creator }: Writing<T>,
): Json | undefined {
  const isAnyPeerGiven = together?.some((peer) => body[peer] !== undefined) ?? false;
  if (value === undefined || !isAnyPeerGiven) return value;
  // Whoever limits a container by age alone does not want it cut at 20 instances [resources reference 2.2].
  return creator.kind === 'internal' ? undefined : clamp?.[1];
}

function clamped<T>(
  { name, clamp, lifetimeS, spellings }: AttributeRow,
  value: Json,
  { nowUs, creator }: Writing<T>,
): Json | Refusal {
  if (lifetimeS && typeof value === 'string') {
    const us = parseTime(value);
    if (us === undefined || us <= nowUs)
      return bad(`${name} is ${value}, which has passed; it is ${formatTime(nowUs)} now.`);
    const [shortest, longest] = lifetimeS;
    const leastUs = nowUs + shortest * US_PER_SECOND;
    const mostUs = nowUs + longest * US_PER_SECOND;
    if (creator.kind === 'internal' || (us >= leastUs && us <= mostUs)) return value;
    return formatTime(us < leastUs ? leastUs : mostUs);
  }
  if (clamp && typeof value === 'number' && creator.kind !== 'internal')
    return Math.min(Math.max(value, clamp[0]), clamp[1]);
  return spellings?.get(value) ?? value;
}
