/**
 * The tree as rows of the store: what a resource or contentInstance must be put back from, and the putting back.
 *
 *     resource   its reference                            type, attributes, creator, times, revision
 *     instance   its container's reference, blank, id     record, and the content's bytes as they were sent
 *
 * A collection has a row only when something was written to it. What is derived from rows of other tables (a command's and an
 * alarm's contentInstances) has none, and neither has a PMU's frame: its promise is memory [design: durability latest].
 */
import type { Clock } from '../clock.js';
import { isObject, type Json, type JsonObject } from '../json.js';
import type { Log } from '../log.js';
import { InstanceRecord } from '../resources/history.js';
import { INTERNAL, NO_ATTRIBUTES, type Creator } from '../resources/node.js';
import type { KeptResource, ResourceTree } from '../resources/tree.js';
import { TYPES, type TypeName } from '../resources/types.js';
import { Sample, type SampleContent, type SampleEncoder } from '../routing/sample.js';
import type { Row, Rows } from '../store/store.js';
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
function resourceOfRow({ document }: Row): KeptResource | undefined {
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
      sequence,
      measuredUs,
      createdUs,
      ...(quality !== 0 && { quality }),
      ...(name !== undefined && { name }),
      ...(creator !== undefined && { creator }),
      ...(attributes && { attributes: Object.fromEntries(attributes) }),
      mediaType: content.mediaType,
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

function instanceOfRow({ document, bytes }: Row): KeptInstance | undefined {
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

export interface Restoring {
  readonly clock: Clock;
  readonly encoder: SampleEncoder;
  readonly log: Log;
}

/** Puts back resources, parents before children, and the contents of `filled` contentInstances; returns those that have rows. */
export function restoreTree(
  tree: ResourceTree<Sample>,
  resources: Rows,
  instances: Rows,
  { clock, encoder, log }: Restoring,
): { readonly nodes: readonly Node[]; readonly filled: ReadonlySet<Node> } {
  const kept = [...resources].map(([reference, row]) => ({ reference, resource: resourceOfRow(row) }));
  const latest = kept.reduce((most, { resource }) => Math.max(most, resource?.revision ?? 0), 0);
  tree.resume(Math.max(latest, highest(instances, 'sequence')));
  const nodes: Node[] = [];
  const put = (reference: string, resource: KeptResource | undefined): Node | undefined => {
    const { above, id } = cut(reference);
    const parent = above === '' ? undefined : standingAt(above);
    if (!resource || (above === '' ? id !== tree.root.id : !parent)) return undefined;
    const node = tree.restore(parent, id, resource);
    nodes.push(node);
    return node;
  };
  /** What has something below it; of a million resources most have not. */
  const places = new Map<string, Node>();
  const early = new Set<string>();
  /** Rows come in the order of their last writing: what stands above may have to be put first. */
  const standingAt = (reference: string): Node | undefined => {
    const place = places.get(reference);
    if (place) return place;
    const { above, id } = cut(reference);
    let node = above !== '' ? standingAt(above)?.child(id) : id === tree.root.id ? tree.root : undefined;
    const row = node ? undefined : resources.get(reference);
    if (row) {
      node = put(reference, resourceOfRow(row));
      early.add(reference);
    }
    if (node) places.set(reference, node);
    return node;
  };
  for (const { reference, resource } of kept)
    if (!early.has(reference) && !put(reference, resource))
      log.error({ resource: reference }, 'a row of the store has no place in the tree');
  const records: (readonly [Node, InstanceRecord<Sample>, sequence: number])[] = [];
  for (const [key, row] of instances) {
    const node = standingAt(key.slice(0, key.indexOf(' ')))?.child('contentInstances');
    const kept = instanceOfRow(row);
    if (!node || !kept) {
      log.error({ instance: key }, 'a row of the store has no place in the tree');
      continue;
    }
    const { content, measuredUs, createdUs, quality, name, creator, attributes, sequence } = kept;
    const sample = new Sample(content, measuredUs, clock.monotonicUs(), quality, encoder, name);
    const record = new InstanceRecord(sample, measuredUs, createdUs, content.bytes.length, name, attributes, creator);
    records.push([node, record, sequence]);
  }
  records.sort(([, , a], [, , b]) => a - b);
  const filled = new Set<Node>();
  for (const [node, record, sequence] of records) {
    node.history?.restore(record, sequence);
    filled.add(node);
  }
  return { nodes, filled };
}

function cut(reference: string): { readonly above: string; readonly id: string } {
  const slash = reference.lastIndexOf('/');
  return { above: reference.slice(0, slash), id: decodeURIComponent(reference.slice(slash + 1)) };
}

function highest(rows: Rows, name: string): number {
  let most = 0;
  for (const { document } of rows.values()) {
    const value = document[name];
    if (typeof value === 'number' && value > most) most = value;
  }
  return most;
}

const isTypeName = (name: Json | undefined): name is TypeName => typeof name === 'string' && Object.hasOwn(TYPES, name);

function creatorOf({ creator, source }: JsonObject): Creator {
  if (typeof creator === 'string') return { kind: 'originator', id: creator };
  return typeof source === 'string' ? { kind: 'internal', source } : INTERNAL;
}

function mapOf(object: JsonObject): ReadonlyMap<string, Json> {
  const entries = Object.entries(object).filter((entry): entry is [string, Json] => entry[1] !== undefined);
  return entries.length > 0 ? new Map(entries) : NO_ATTRIBUTES;
}
