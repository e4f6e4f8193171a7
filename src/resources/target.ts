/**
 * What a path points at. A path need not end at a resource [TS 102 921 10.39, partial addressing]:
 *
 *     /m2m/containers/load                                           resource
 *     /m2m/containers/load/searchStrings/searchString                attribute, and what is inside it
 *     /m2m/containers/load/contentInstances/latest/content           instance: by its place (latest, oldest) or id, and a part
 *     /m2m/applications/a/notificationChannels/c/longPolling         virtual: the row lists it, another part of the SCL acts
 *     /m2m/applications/a/readings/today                             virtual as well: the application's own, see retarget.ts
 */
import { refuse, type Refusal } from '../errors.js';
import { isWritable } from './document.js';
import type { InstanceRecord } from './history.js';
import { referenceOf, type ResourceNode } from './node.js';
import { ANY_PATH, retargetOf } from './retarget.js';
import { TYPES, type Verb } from './types.js';

export interface ResourceTarget<T> {
  readonly kind: 'resource';
  readonly node: ResourceNode<T>;
}

export interface AttributeTarget<T> {
  readonly kind: 'attribute';
  readonly node: ResourceNode<T>;
  readonly name: string;
  /** What is addressed inside the attribute; empty for all of it. Whether it is there, reading tells. */
  readonly rest: readonly string[];
}

export interface InstanceTarget<T> {
  readonly kind: 'instance';
  /** The contentInstances. */
  readonly node: ResourceNode<T>;
  readonly by: 'latest' | 'oldest' | 'id';
  /** The segment that names it. */
  readonly id: string;
  /** `undefined` while there is no latest: it can be observed already, and reading it is a 404. Or it is on disk, if anywhere. */
  readonly record: InstanceRecord<T> | undefined;
  /** What is addressed of the instance, `['content']` say; empty for all of it. */
  readonly rest: readonly string[];
}

export interface VirtualTarget<T> {
  readonly kind: 'virtual';
  readonly node: ResourceNode<T>;
  readonly name: string;
  readonly rest: readonly string[];
}

export interface NoTarget<T> {
  readonly kind: 'none';
  /** The last resource on the way: whoever retargets starts there. `undefined` for a path outside this sclBase. */
  readonly nearest: ResourceNode<T> | undefined;
  /** 404, naming it. */
  readonly refusal: Refusal;
}

export type Target<T> = ResourceTarget<T> | AttributeTarget<T> | InstanceTarget<T> | VirtualTarget<T> | NoTarget<T>;

/** 405 with what is allowed, or 400 where the standard has that. */
export interface VerbRefusal extends Refusal {
  readonly allow: readonly Verb[];
}

/** @param to decoded segments from the root */
export function resolve<T>(root: ResourceNode<T>, to: readonly string[], nowUs: number): Target<T> {
  if (to[0] !== root.id) return none(to, 0, undefined, root);
  let node = root;
  for (const [index, segment] of to.entries()) {
    if (index === 0) continue;
    const child = node.child(segment);
    if (child) {
      node = child;
      continue;
    }
    const rest = to.slice(index + 1);
    const instance = instanceAt(node, segment, rest, nowUs);
    if (instance) return isPart(rest[0]) ? instance : none(to, index, node, root);
    if (node.row.virtual.has(segment)) return { kind: 'virtual', node, name: segment, rest };
    if (node.row.attributes.has(segment)) return { kind: 'attribute', node, name: segment, rest };
    // What an application answers for itself is no resource, and its own to name.
    const below = to.slice(index);
    if (node.row.virtual.has(ANY_PATH) && retargetOf(node, below))
      return { kind: 'virtual', node, name: ANY_PATH, rest: below };
    return none(to, index, node, root);
  }
  node.history?.prune(nowUs);
  return { kind: 'resource', node };
}

function instanceAt<T>(
  node: ResourceNode<T>,
  segment: string,
  rest: readonly string[],
  nowUs: number,
): InstanceTarget<T> | undefined {
  const { history } = node;
  if (!history) return undefined;
  history.prune(nowUs);
  const by = segment === 'latest' || segment === 'oldest' ? segment : 'id';
  // Where there is more on disk, the ring's oldest is not the oldest, and what it has not may be there.
  const record = by === 'id' ? history.find(segment) : by === 'oldest' && history.archive ? undefined : history[by];
  const isElsewhere = history.archive && !node.row.attributes.has(segment) && !node.row.virtual.has(segment);
  if (by === 'id' && !record && !isElsewhere) return undefined;
  return { kind: 'instance', node, by, id: segment, record, rest };
}

const isPart = (name: string | undefined): boolean => name === undefined || TYPES.contentInstance.attributes.has(name);

function none<T>(
  to: readonly string[],
  index: number,
  nearest: ResourceNode<T> | undefined,
  root: ResourceNode<T>,
): NoTarget<T> {
  const name = JSON.stringify((to[index] ?? '').slice(0, 100));
  // Of an instance, the path leads one further than the nodes do.
  const isInstance = nearest?.history !== undefined && to.length > index + 1;
  const detail = !nearest
    ? `There is nothing at ${referenceOf(to.slice(0, 1))}; the sclBase is ${root.reference}.`
    : isInstance
      ? `There is no ${referenceOf(to.slice(index)).slice(1, 200)} below ${nearest.reference}.`
      : `There is no ${name} below ${nearest.reference}.`;
  return { kind: 'none', nearest, refusal: refuse('STATUS_NOT_FOUND', detail) };
}

/** The verbs a target takes. */
function verbsOf<T>(target: Target<T>): readonly Verb[] {
  switch (target.kind) {
    case 'resource':
      return target.node.row.verbs;
    case 'attribute': {
      const row = target.node.row.attributes.get(target.name);
      return row && isWritable(row, 'update') ? ['retrieve', 'update'] : ['retrieve'];
    }
    case 'instance':
      return target.rest.length === 0 ? TYPES.contentInstance.verbs : ['retrieve'];
    case 'virtual':
      return target.node.row.virtual.get(target.name) ?? [];
    case 'none':
      return [];
  }
}

/** Why `target` does not take `verb`; for no target at all, that it is not there. */
export function checkVerb<T>(target: Target<T>, verb: Verb): VerbRefusal | undefined {
  const allow = verbsOf(target);
  if (target.kind === 'none') return { ...target.refusal, allow };
  if (allow.includes(verb)) return undefined;
  const { place, status } = describe(target, verb);
  const allowed = allow.length > 0 ? allow.map((each) => each.toUpperCase()).join(', ') : 'nothing';
  return { ...refuse(status, `${place} does not take ${verb.toUpperCase()}; it takes ${allowed}.`), allow };
}

function describe<T>(target: Exclude<Target<T>, NoTarget<T>>, verb: Verb) {
  const { node } = target;
  const refused = 'STATUS_METHOD_NOT_ALLOWED' as const;
  // [resources reference 1.2, 2.6] CREATE on an attribute or on latest, UPDATE of a read-only attribute: 400.
  const malformed = 'STATUS_BAD_REQUEST' as const;
  switch (target.kind) {
    case 'resource':
      return { place: `${node.reference} (${node.type})`, status: refused };
    case 'attribute':
      return {
        place: `The attribute ${target.name} of ${node.reference}`,
        status: verb === 'delete' ? refused : malformed,
      };
    case 'instance': {
      const isPlace = target.by !== 'id' || target.rest.length > 0;
      return {
        place: `A contentInstance of ${node.reference}`,
        status: verb === 'create' && isPlace ? malformed : refused,
      };
    }
    case 'virtual':
      return { place: `${target.name} of ${node.reference}`, status: refused };
  }
}
