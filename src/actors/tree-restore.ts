/**
 * Putting the tree back from its rows of the store, parents before children. Of a million gateways few are live at a time: what stands
 * in a large collection is opened and becomes a row again as soon as the rows behind it are of others.
 *
 *     row ──> node, its contents ──┬── in a large collection ──> young ──(1,000 others later)──> settle ──> idle
 *                                  │                └── the next row is of another ──────────────┘
 *                                  └── elsewhere, or more than idle ──> opened when all are there
 *
 * Snapshots have what belongs together in a row, and the journal behind them nearly so. What comes later finds its resource by the
 * path, which makes it live once more.
 */
import type { Clock } from '../clock.js';
import type { Log } from '../log.js';
import { InstanceRecord } from '../resources/history.js';
import type { ResourceTree } from '../resources/tree.js';
import { Sample, type SampleEncoder } from '../routing/sample.js';
import type { Row, Rows } from '../store/store.js';
import type { Node } from './resources.js';
import { instanceOfRow, resourceOfRow } from './tree-rows.js';

/** Registrations of a fleet cross each other: hundreds are under way at a time. */
const MOST_YOUNG = 1_000;

/** Of idle resources, what a restart has to know [passivation.ts]. */
export interface Resting {
  /** What becomes a row as a whole with a resource; undefined: nothing does. */
  unitOf(node: Node): Node | undefined;
  /** It may be opened before all others are there. */
  isPlain(unit: Node): boolean;
  /** Lets it become a row that nothing holds. */
  rest(unit: Node): void;
}

export interface Restoring {
  readonly clock: Clock;
  readonly encoder: SampleEncoder;
  readonly log: Log;
  readonly resting: Resting;
  /** Opens what lives on resources that have been put back, parents before children. */
  readonly reopen: (nodes: readonly Node[]) => void;
  /** The contents of a contentInstances are back. */
  readonly filled: (contentInstances: Node) => void;
}

/** @returns the resources that are still to be opened, parents before children */
export function restoreTree(
  tree: ResourceTree<Sample>,
  resources: Rows,
  instances: Rows,
  restoring: Restoring,
): readonly Node[] {
  tree.resume(Math.max(highest(resources, 'revision'), highest(instances, 'sequence')));
  return new TreeRestore(tree, resources, instances, restoring).run();
}

class TreeRestore {
  /** By the reference of a container, the keys of its instances; those that are back are not there any more. */
  private readonly contents = new Map<string, string[]>();
  /** By unit, what has been put back of it. */
  private readonly young = new Map<Node, Node[]>();
  private readonly unsettled = new Set<Node>();
  /** Put because something below them came first. */
  private readonly early = new Set<string>();
  /** Where the last resource was put: most have the same place. */
  private place: { readonly reference: string; readonly node: Node } | undefined;

  constructor(
    private readonly tree: ResourceTree<Sample>,
    private readonly resources: Rows,
    private readonly instances: Rows,
    private readonly restoring: Restoring,
  ) {}

  run(): readonly Node[] {
    for (const key of this.instances.keys()) {
      const container = key.slice(0, key.indexOf(' '));
      const keys = this.contents.get(container);
      if (keys) keys.push(key);
      else this.contents.set(container, [key]);
    }
    let former: readonly [string, Row] | undefined;
    for (const next of this.resources) {
      if (former) this.take(former, next[0]);
      former = next;
    }
    if (former) this.take(former, '');
    for (const [unit, nodes] of this.young) this.settle(unit, nodes);
    for (const [container, keys] of this.contents)
      this.restoring.log.error({ instance: keys[0], container, count: keys.length }, NO_PLACE);
    return [...this.unsettled];
  }

  /** @param next the reference of the row behind it: what is not followed by anything of its own need not wait for that */
  private take([reference, row]: readonly [string, Row], next: string): void {
    if (this.early.has(reference)) return;
    const isFollowed = next[reference.length] === '/' && next.startsWith(reference);
    if (!this.put(reference, row, !isFollowed)) this.restoring.log.error({ resource: reference }, NO_PLACE);
  }

  private put(reference: string, row: Row, isWhole = false): Node | undefined {
    const { tree } = this;
    const { above, id } = cut(reference);
    const parent = above === '' ? undefined : this.standingAt(above);
    const kept = resourceOfRow(row);
    if (!kept || (above === '' ? id !== tree.root.id : !parent)) return undefined;
    const node = tree.restore(parent, id, kept);
    this.fill(reference, node);
    this.keep(node, isWhole);
    return node;
  }

  /** Rows come in the order of their last writing: what stands above may have to be put first. */
  private standingAt(reference: string): Node | undefined {
    if (this.place?.reference === reference) return this.place.node;
    const { above, id } = cut(reference);
    let node = above !== '' ? this.standingAt(above)?.child(id) : id === this.tree.root.id ? this.tree.root : undefined;
    const row = node ? undefined : this.resources.get(reference);
    if (row) {
      node = this.put(reference, row);
      this.early.add(reference);
    }
    if (node) this.place = { reference, node };
    return node;
  }

  private keep(node: Node, isWhole: boolean): void {
    const unit = this.restoring.resting.unitOf(node);
    // It came when its collection was still small.
    if (!unit || this.unsettled.has(unit)) return void this.unsettled.add(node);
    const nodes = this.young.get(unit);
    if (nodes) nodes.push(node);
    else if (isWhole && unit === node) return this.settle(unit, [node]);
    else this.young.set(unit, [node]);
    if (this.young.size <= MOST_YOUNG) return;
    for (const [oldest, all] of this.young) return this.settle(oldest, all);
  }

  private settle(unit: Node, nodes: readonly Node[]): void {
    this.young.delete(unit);
    const { resting, reopen } = this.restoring;
    if (!resting.isPlain(unit)) return nodes.forEach((node) => this.unsettled.add(node));
    reopen(nodes);
    resting.rest(unit);
    // Below it there are no nodes any more; its collection stands.
    if (this.place?.node !== unit.parent) this.place = undefined;
  }

  private fill(reference: string, container: Node): void {
    const keys = this.contents.get(reference);
    const contentInstances = keys && container.child('contentInstances');
    if (!keys || !contentInstances?.history) return;
    this.contents.delete(reference);
    const records = keys.flatMap((key) => this.recordOf(key) ?? []);
    records.sort((a, b) => a.sequence - b.sequence);
    for (const { record, sequence } of records) contentInstances.history.restore(record, sequence);
    this.restoring.filled(contentInstances);
  }

  private recordOf(key: string): { readonly record: InstanceRecord<Sample>; readonly sequence: number } | undefined {
    const { clock, encoder, log } = this.restoring;
    const row = this.instances.get(key);
    const kept = row && instanceOfRow(row);
    if (!kept) {
      log.error({ instance: key }, NO_PLACE);
      return undefined;
    }
    const { content, measuredUs, createdUs, quality, name, creator, attributes, sequence } = kept;
    const sample = new Sample(content, measuredUs, clock.monotonicUs(), quality, encoder, name);
    const record = new InstanceRecord(sample, measuredUs, createdUs, content.bytes.length, name, attributes, creator);
    return { record, sequence };
  }
}

const NO_PLACE = 'a row of the store has no place in the tree';

function cut(reference: string): { readonly above: string; readonly id: string } {
  const slash = reference.lastIndexOf('/');
  const id = reference.slice(slash + 1);
  return { above: reference.slice(0, slash), id: id.includes('%') ? decodeURIComponent(id) : id };
}

function highest(rows: Rows, name: string): number {
  let most = 0;
  for (const row of rows.values()) {
    const value = row.lastNumber?.(name) ?? row.document[name];
    if (typeof value === 'number' && value > most) most = value;
  }
  return most;
}
