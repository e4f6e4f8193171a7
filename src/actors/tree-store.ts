/**
 * What the store is told of the tree, and when. A change of the tree is made in memory first and answered when it is durable:
 *
 *     put, drop ──> changes of this turn ── commit ──> store.write ──> done: the answer may go
 *                                                          └─ refused: the tree is as it is, the asker is told 503, and
 *                                                             what was refused is written when the store takes writes again
 *
 * A container keeps its promise by its `durability`: `latest` has no rows at all.
 */
import type { Clock } from '../clock.js';
import { isRefusal, refuse, type Refusal } from '../errors.js';
import type { InstanceRecord } from '../resources/history.js';
import type { ResourceTree } from '../resources/tree.js';
import { ALARMS_CONTAINER } from '../routing/alarm.js';
import { COMMANDS_CONTAINER } from '../routing/command.js';
import { parsePath } from '../routing/primitive.js';
import type { Sample } from '../routing/sample.js';
import type { AuditEvent, Change, Row, Store } from '../store/store.js';
import type { Node } from './resources.js';
import { hasRow, keyOfInstance, rowOfInstance, rowOfResource } from './tree-rows.js';

export class TreeStore {
  private changes: Change[] = [];
  /** Events that go with them. */
  private audits: AuditEvent[] = [];
  /** Whether any of them has been promised to be on disk before it is answered. */
  private isSynced = false;
  /** In the tree as long as something else lasts, and never in the store. */
  private readonly passing = new Set<Node>();
  private isArmed = false;
  /** Keys that the store refused to write, with their tables. */
  private readonly unwritten = new Map<string, 'resource' | 'instance'>();

  constructor(
    private readonly tree: ResourceTree<Sample>,
    private readonly store: Store,
    private readonly clock: Clock,
  ) {
    store.provide('resource', () => this.resourceRows());
    store.provide('instance', () => this.instanceRows());
    store.onTrouble((trouble) => {
      if (!trouble) this.writeAgain();
    });
  }

  /** Why nothing that is to be durable can be changed now. */
  get refusal(): Refusal | undefined {
    const { trouble } = this.store;
    return trouble && refuse('STATUS_SERVICE_UNAVAILABLE', trouble.detail);
  }

  /** Whether what comes into this contentInstances is promised to survive a restart. */
  keeps({ parent: container }: Node): boolean {
    if (!container || container.attributes.get('durability') === 'latest') return false;
    return !(DERIVED.includes(container.id) && container.parent?.parent?.type === 'application');
  }

  exempt(node: Node): void {
    this.passing.add(node);
  }

  put(node: Node): void {
    if (this.passing.has(node)) return;
    // A collection whose accessRightID was taken away has none, and what an earlier one said must not come back.
    const row = hasRow(node) ? rowOfResource(node) : undefined;
    this.note({ table: 'resource', key: node.reference, row }, true);
  }

  /** The resource has been removed from the tree. */
  drop(node: Node): void {
    if (this.isKept(node)) this.note({ table: 'resource', key: node.reference, row: undefined }, true);
    this.passing.delete(node);
    this.forgetInstances(node);
  }

  /**
   * Begins to keep a container's instances, or to keep them no longer, as its `durability` says.
   *
   * @param areWritten those that are there have their rows already
   */
  keep(contentInstances: Node, areWritten = false): void {
    const { history, parent } = contentInstances;
    if (!history || !parent || this.keeps(contentInstances) === (history.onForget !== undefined)) return;
    if (history.onForget) return this.forgetInstances(contentInstances);
    history.onForget = (record) => this.dropInstance(parent, record);
    if (!areWritten) for (const record of history.newest()) this.putInstance(contentInstances, record);
  }

  /** An instance has come; what its container keeps has a row from now on. */
  append(contentInstances: Node, record: InstanceRecord<Sample>): void {
    if (!this.keeps(contentInstances)) return;
    this.keep(contentInstances, true);
    this.putInstance(contentInstances, record);
  }

  /** An instance goes because somebody asked for it: it is gone as durably as its container promises that one has come. */
  withdrawn({ parent: container }: Node): void {
    if (this.changes.length > 0 && container?.attributes.get('durability') !== 'grouped') this.isSynced = true;
  }

  private putInstance(contentInstances: Node, record: InstanceRecord<Sample>): void {
    const container = contentInstances.parent;
    const row = rowOfInstance(record);
    if (!container || !row) return;
    const isSynced = container.attributes.get('durability') !== 'grouped';
    this.note({ table: 'instance', key: keyOfInstance(container, record), row }, isSynced);
  }

  /** An audit event of what is being changed: it goes in the same write, and waits with it where the store takes nothing. */
  audit(event: AuditEvent): void {
    this.audits.push(event);
  }

  /** Writes what has changed; `done` comes when it is as durable as promised, at once where nothing has. */
  commit(done: (refusal?: Refusal) => void = () => {}): void {
    if (this.changes.length === 0) return done();
    const { changes, audits: audit } = this;
    const durability = this.isSynced ? 'synced' : 'grouped';
    this.changes = [];
    this.audits = [];
    this.isSynced = false;
    this.store.write({ changes, audit, durability }, (refusal) => {
      if (refusal) this.audits.unshift(...audit);
      if (refusal) for (const { table, key } of changes) this.unwritten.set(key, table as 'resource' | 'instance');
      done(refusal);
    });
  }

  private forgetInstances(contentInstances: Node): void {
    const { history, parent } = contentInstances;
    if (!history?.onForget || !parent) return;
    delete history.onForget;
    for (const record of history.newest()) this.dropInstance(parent, record);
  }

  private dropInstance(container: Node, record: InstanceRecord<Sample>): void {
    this.note({ table: 'instance', key: keyOfInstance(container, record), row: undefined }, false);
  }

  /** What nobody waits for is written at the end of the turn. */
  private note(change: Change, isSynced: boolean): void {
    this.changes.push(change);
    this.isSynced ||= isSynced;
    if (this.isArmed) return;
    this.isArmed = true;
    this.clock.atTurnEnd(() => {
      this.isArmed = false;
      this.commit();
    });
  }

  private writeAgain(): void {
    const keys = [...this.unwritten];
    this.unwritten.clear();
    for (const [key, table] of keys) this.note({ table, key, row: this.rowAt(table, key) }, true);
  }

  private rowAt(table: 'resource' | 'instance', key: string): Row | undefined {
    const blank = key.indexOf(' ');
    const path = parsePath(blank < 0 ? key : key.slice(0, blank));
    const node = isRefusal(path) ? undefined : this.tree.nodeAt(path);
    if (table === 'resource') return node && rowOfResource(node);
    const contentInstances = node?.child('contentInstances');
    const record = contentInstances?.history?.find(key.slice(blank + 1));
    return record && contentInstances && this.keeps(contentInstances) ? rowOfInstance(record) : undefined;
  }

  private isKept(node: Node): boolean {
    return !this.passing.has(node) && hasRow(node);
  }

  private *resourceRows(): Generator<[string, Row]> {
    for (const node of this.tree) if (this.isKept(node)) yield [node.reference, rowOfResource(node)];
  }

  private *instanceRows(): Generator<[string, Row]> {
    for (const node of this.tree) {
      const { history, parent } = node;
      if (!parent || !history || !this.keeps(node)) continue;
      for (const record of history.newest()) {
        const row = rowOfInstance(record);
        if (row) yield [keyOfInstance(parent, record), row];
      }
    }
  }
}

/** Derived from commands and alarms, which have rows of their own. */
const DERIVED: readonly string[] = [COMMANDS_CONTAINER, ALARMS_CONTAINER];
