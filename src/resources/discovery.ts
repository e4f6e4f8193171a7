/**
 * Discovery: everything in the tree that has a path of its own, for `/.well-known/core` [RFC6690] and ETSI's discovery. What the
 * asker may see is the caller's to decide.
 */
import type { ResourceNode } from './node.js';
import type { TypeName } from './types.js';
import { isObject } from './values.js';

export interface Discovered<T> {
  /** Decoded segments from the root. */
  readonly path: readonly string[];
  /** A contentInstances also stands for its latest: then `contentInstance`. */
  readonly type: TypeName;
  readonly node: ResourceNode<T>;
  readonly isObservable: boolean;
  readonly searchStrings: readonly string[];
}

/** `node` and all below it, parents before children; with a contentInstances comes `latest` and `latest/content`. */
export function* discover<T>(node: ResourceNode<T>, path: readonly string[] = node.path): Generator<Discovered<T>> {
  const searchStrings = searchStringsOf(node);
  yield { path, type: node.type, node, isObservable: node.row.isSubscribable, searchStrings };
  if (node.history) {
    for (const part of [['latest'], ['latest', 'content']]) {
      yield { path: [...path, ...part], type: 'contentInstance', node, isObservable: true, searchStrings };
    }
  }
  for (const child of node.children) yield* discover(child, [...path, child.id]);
}

function searchStringsOf<T>({ attributes }: ResourceNode<T>): readonly string[] {
  const value = attributes.get('searchStrings');
  const list = isObject(value) ? value.searchString : undefined;
  return Array.isArray(list) ? list.filter((each) => typeof each === 'string') : [];
}
