/** Subscriptions to patterns: which containers of the tree each matches, and who is to hear of those that come. */
import { ANY_NAME, isMatch, type Pattern } from '../routing/pattern.js';
import type { Node, Resources } from './resources.js';

export class Patterns {
  /** By the number of segments, since only paths of that length can match. */
  private readonly listeners = new Map<number, Map<Pattern, (container: Node) => void>>();

  constructor(private readonly resources: Resources) {}

  /** Hears of each container that matches from now on, of some again. Returns what ends it. */
  listen(pattern: Pattern, matched: (container: Node) => void): () => void {
    const { length } = pattern.container;
    const standing = this.listeners.get(length) ?? new Map<Pattern, (container: Node) => void>();
    this.listeners.set(length, standing.set(pattern, matched));
    return () => {
      standing.delete(pattern);
      if (standing.size === 0 && this.listeners.get(length) === standing) this.listeners.delete(length);
    };
  }

  /** The containers that match now. */
  *matches({ container }: Pattern, at: Node = this.resources.tree.root, depth = 1): Iterable<Node> {
    const name = container[depth];
    if (name === undefined) {
      if (at.row.isContainer) yield at;
      return;
    }
    const next = name === ANY_NAME ? [...at.known] : [at.child(name)];
    for (const child of next) if (child) yield* this.matches({ container, accessor: [] }, child, depth + 1);
  }

  /** The node in front of the first `*`: where a subscription to the pattern is shown. */
  anchorOf({ container }: Pattern): Node | undefined {
    return this.resources.tree.nodeAt(container.slice(0, container.indexOf(ANY_NAME)));
  }

  /** One has come, or what there is of it has changed. */
  changed(container: Node): void {
    if (this.listeners.size === 0 || !container.row.isContainer) return;
    const { path } = container;
    for (const [pattern, matched] of this.listeners.get(path.length) ?? [])
      if (isMatch(pattern, path)) matched(container);
  }

  /** Rights have changed: what could not be read may be readable now. */
  recheck(): void {
    for (const listeners of this.listeners.values())
      for (const [pattern, matched] of [...listeners]) for (const node of [...this.matches(pattern)]) matched(node);
  }
}
