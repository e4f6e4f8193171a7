/**
 * Reading: a target becomes a document in ETSI's names, one root key named after what was addressed, or the bytes of a content.
 *
 *     .../load                           {"container":{"id":"load",...}}
 *     .../load/maxNrOfInstances          {"maxNrOfInstances":3}
 *     .../contentInstances/latest        {"contentInstance":{...}}
 *     .../latest/content                 the bytes as they were stored, in their own media type
 */
import { refuse, type Refusal } from '../errors.js';
import type { AttributeRow, Reading } from './attribute.js';
import type { InstanceRecord } from './history.js';
import { contentField, instanceFields, isText } from './instance.js';
import type { ResourceNode } from './node.js';
import type { InstanceTarget, Target, VirtualTarget } from './target.js';

import { isObject, type Json, type JsonObject } from './values.js';

export type Representation =
  | { readonly kind: 'document'; readonly document: JsonObject }
  | { readonly kind: 'bytes'; readonly mediaType: string; readonly bytes: Uint8Array };

/** A target as its reader sees it; 404 for what is not there, 406 for the text of what is none. */
export function represent<T>(
  target: Exclude<Target<T>, VirtualTarget<T>>,
  reading: Reading<T>,
): Representation | Refusal {
  switch (target.kind) {
    case 'resource':
      return { kind: 'document', document: resourceDocument(target.node, reading) };
    case 'attribute': {
      const { node, name, rest } = target;
      const row = node.row.attributes.get(name);
      return partOf(row && valueOf(node, row, reading), [name, ...rest], node.reference);
    }
    case 'instance':
      return representInstance(target, reading);
    case 'none':
      return target.refusal;
  }
}

/** A resource with all its attributes, in schema order. */
export function resourceDocument<T>(node: ResourceNode<T>, reading: Reading<T>): JsonObject {
  const fields: Record<string, Json> = {};
  for (const row of node.row.attributes.values()) {
    const value = valueOf(node, row, reading);
    if (value !== undefined) fields[row.name] = value;
  }
  return { [node.type]: fields };
}

/** A contentInstance; its content is the reading's to give. */
export const instanceDocument = <T>(record: InstanceRecord<T>, reading: Reading<T>): JsonObject => ({
  contentInstance: instanceFields(record, reading.content(record)),
});

const valueOf = <T>(node: ResourceNode<T>, row: AttributeRow, reading: Reading<T>): Json | undefined =>
  row.derived ? row.derived(node, reading) : (node.attributes.get(row.name) ?? row.unset);

function representInstance<T>(
  { node, by, id, record, rest }: InstanceTarget<T>,
  reading: Reading<T>,
): Representation | Refusal {
  if (!record) {
    const missing = by === 'id' ? JSON.stringify(id.slice(0, 100)) : by;
    const why = by === 'id' ? '' : ': it is empty';
    return refuse('STATUS_NOT_FOUND', `There is no ${missing} in ${node.reference}${why}.`);
  }
  const [part, inner] = rest;
  if (part === undefined) return { kind: 'document', document: instanceDocument(record, reading) };
  const at = `${node.reference}/${by === 'id' ? encodeURIComponent(record.id) : by}`;
  if (part !== 'content') return partOf(instanceFields(record, undefined)[part], rest, at);
  const content = reading.content(record);
  if (!content) return refuse('STATUS_NOT_ACCEPTABLE', `The content of ${at} cannot be had in this form.`);
  if (inner === undefined) return { kind: 'bytes', ...content };
  if (inner === 'binaryContent' && rest.length === 2) return { kind: 'bytes', ...content };
  if (inner === 'textContent' && rest.length === 2) {
    return isText(content.mediaType)
      ? { kind: 'bytes', ...content }
      : refuse(
          'STATUS_NOT_ACCEPTABLE',
          `The content of ${at} is ${content.mediaType}, not text; read content or content/binaryContent.`,
        );
  }
  return partOf(contentField(content), rest, at);
}

/** What `path` addresses inside the value of its first segment, under its last one's name. */
function partOf(value: Json | undefined, path: readonly string[], at: string): Representation | Refusal {
  let part = value;
  for (const segment of path.slice(1))
    part = isObject(part) && Object.hasOwn(part, segment) ? part[segment] : undefined;
  return part === undefined
    ? refuse('STATUS_NOT_FOUND', `There is no ${path.join('/').slice(0, 200)} in ${at}.`)
    : { kind: 'document', document: { [path.at(-1) ?? '']: part } };
}
