/**
 * The tree as rows of the store: what a resource or contentInstance must be put back from [tree-restore.ts].
 *
 *     resource   its reference                            type, attributes, creator, times, revision
 *     instance   its container's reference, blank, id     record, and the content's bytes as they were sent
 *
 * A collection has a row only when something was written to it. What is derived from rows of other tables (a command's and an
 * alarm's contentInstances) has none, and neither has a PMU's frame: its promise is memory [design: durability latest].
 */
import { isObject, type Json, type JsonObject } from '../json.js';
import type { InstanceRecord } from '../resources/history.js';
import { INTERNAL, NO_ATTRIBUTES, type Creator } from '../resources/node.js';
import type { KeptResource } from '../resources/tree.js';
import { TYPES, type TypeName } from '../resources/types.js';
import type { Sample, SampleContent } from '../routing/sample.js';
import type { Row } from '../store/store.js';
import type { Node } from './resources.js';

/** Collections stand by themselves with what they belong to. */
export const hasRow = ({ row, parent, attributes }: Node): boolean =>
  !parent || !parent.row.collections.includes(row.name) || attributes.size > 0;

export function rowOfResource(node: Node): Row {
  const { type, attributes, creator, createdUs, modifiedUs, revision } = node;
  return {
    document: {
      type,
      attributes: Object.fromEntries(attributes),
      ...(creator.kind === 'originator' ? { creator: creator.id } : creator.source && { source: creator.source }),
      createdUs,
      modifiedUs,
      revision,
    },
  };
}

/** Undefined for a row that this version cannot have written. */
export function resourceOfRow({ document }: Row): KeptResource | undefined {
  const { type, attributes, createdUs, modifiedUs, revision } = document;
  if (!isTypeName(type) || !isObject(attributes)) return undefined;
  if (typeof createdUs !== 'number' || typeof modifiedUs !== 'number' || typeof revision !== 'number') return undefined;
  return { type, attributes: mapOf(attributes), creator: creatorOf(document), createdUs, modifiedUs, revision };
}

export const keyOfInstance = (container: Node, { id }: InstanceRecord<Sample>): string =>
  `${container.reference} ${id}`;

/** Undefined where the content is no bytes that somebody stored. */
export function rowOfInstance(record: InstanceRecord<Sample>): Row | undefined {
  const { value, measuredUs, createdUs, sequence, name, attributes, creator } = record;
  const { content, quality } = value;
  if (content.kind !== 'stored') return undefined;
  return {
    document: {
      measuredUs,
      createdUs,
      // What is undefined is not written.
      quality: quality === 0 ? undefined : quality,
      name,
      creator,
      attributes: attributes && Object.fromEntries(attributes),
      mediaType: content.mediaType,
      // The last, as a resource's revision: a start reads all of these before anything else.
      sequence,
    },
    bytes: content.bytes,
  };
}

interface KeptInstance {
  readonly sequence: number;
  readonly measuredUs: number;
  readonly createdUs: number;
  readonly quality: number;
  readonly name: string | undefined;
  readonly creator: string | undefined;
  readonly attributes: ReadonlyMap<string, Json> | undefined;
  readonly content: SampleContent & { readonly kind: 'stored' };
}

/** The same of a contentInstance. */
export function instanceOfRow({ document, bytes }: Row): KeptInstance | undefined {
  const { sequence, measuredUs, createdUs, quality = 0, name, creator, attributes, mediaType } = document;
  if (typeof sequence !== 'number' || typeof measuredUs !== 'number' || typeof createdUs !== 'number') return undefined;
  if (typeof quality !== 'number' || typeof mediaType !== 'string') return undefined;
  return {
    sequence,
    measuredUs,
    createdUs,
    quality,
    name: typeof name === 'string' ? name : undefined,
    creator: typeof creator === 'string' ? creator : undefined,
    attributes: isObject(attributes) ? mapOf(attributes) : undefined,
    content: { kind: 'stored', mediaType, bytes: bytes ?? new Uint8Array() },
  };
}

const isTypeName = (name: Json | undefined): name is TypeName => typeof name === 'string' && Object.hasOwn(TYPES, name);

function creatorOf({ creator, source }: JsonObject): Creator {
  if (typeof creator === 'string') return { kind: 'originator', id: creator };
  return typeof source === 'string' ? { kind: 'internal', source } : INTERNAL;
}

function mapOf(object: JsonObject): ReadonlyMap<string, Json> {
  const map = new Map<string, Json>();
  for (const [name, value] of Object.entries(object)) if (value !== undefined) map.set(name, value);
  return map.size > 0 ? map : NO_ATTRIBUTES;
}
