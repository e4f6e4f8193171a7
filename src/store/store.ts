/**
 * The store: what the broker must not forget, as its owners see it. A table is a set of keys with one row each; whoever owns a
 * table writes its rows when they change and gets them all back at the next start. Behind it stands the journal.
 *
 *     owner ── write(changes, audit) ──> journal ── fsync ──> done          in the order of the calls
 *     start ── open ──> rows of each table ──> owner
 */
import type { Refusal } from '../errors.js';
import type { JsonObject } from '../json.js';
import type { Trouble } from './journal.js';

export type { Trouble };

export const TABLES = ['resource', 'instance', 'command', 'alarm'] as const;
export type Table = (typeof TABLES)[number];

/** `bytes` is what is no JSON: a content as it was sent. */
export interface Row {
  readonly document: JsonObject;
  readonly bytes?: Uint8Array;
  /** The member of this name, where it is the document's last and a whole number: read without the rest. Else undefined. */
  lastNumber?(name: string): number | undefined;
}

/** A row replaces the one before; without a row the key is deleted, which is harmless for one that is not there. */
export interface Change {
  readonly table: Table;
  /** At most 4,096 bytes as UTF-8. */
  readonly key: string;
  readonly row: Row | undefined;
}

/** One line of the audit trail; number, instant and chain are the store's to add. */
export interface AuditEvent {
  /** `command-accepted`, `alarm-acknowledged`, `request-refused`, ... */
  readonly event: string;
  readonly originator: string;
  /** Path of what it is about. */
  readonly target: string;
  readonly details?: JsonObject;
}

export interface Writing {
  readonly changes?: readonly Change[];
  readonly audit?: readonly AuditEvent[];
  /** `synced`: `done` comes after the fsync. `grouped`: at once, and the fsync at most 100 ms later. */
  readonly durability: 'grouped' | 'synced';
  /** May use the room that is kept for alarms and the audit trail when the disk is full. */
  readonly isVital?: boolean;
}

/** Rows by key, in the order in which they were last put. */
export type Rows = ReadonlyMap<string, Row>;

export interface Store {
  /** Undefined while it takes everything. */
  readonly trouble: Trouble | undefined;
  /**
   * Writes changes and audit events together: after a crash all of them are there, or none.
   *
   * @param done called once, in the order of the calls; with a refusal (503) when nothing of it can be relied upon
   */
  write(writing: Writing, done: (refusal?: Refusal) => void): void;
  /** All rows as they were after the last write that was done, or later. To be called once, before the first write. */
  open(): Promise<Readonly<Record<Table, Rows>> | Refusal>;
  /**
   * Where a snapshot gets the present rows of a table from; a row may change while the iteration goes on. A row shows a write at
   * the latest at the end of the turn of its `done`: the journal before it may be forgotten then. No snapshot is taken until every table has
   * its provider.
   */
  provide(table: Table, rows: () => Iterable<readonly [key: string, row: Row]>): void;
  /** Told when trouble begins, changes and ends. */
  onTrouble(listener: (trouble: Trouble | undefined) => void): void;
  /** Writes what is still in memory, and closes. */
  close(): Promise<void>;
}
