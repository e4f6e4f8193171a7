/** Plays a snapshot and the journal over it: the rows as they are, and how far the audit trail goes. Whoever reads a store reads it so. */
import type { Disk } from '../disk.js';
import { followChain, GENESIS, type ChainHead } from './audit-chain.js';
import { decodeEntry, type RowEntry } from './entry.js';
import type { Entry, Formats } from './journal-reader.js';
import { Damage, FORMAT_VERSION } from './segment.js';
import { listSnapshots, readSnapshot } from './snapshot.js';
import type { Row, Table } from './store.js';

export interface State {
  readonly rows: Readonly<Record<Table, Map<string, Row>>>;
  /** The first entry that the snapshot does not hold. */
  readonly next: number;
  /** Of the audit trail: at the snapshot, and at the end of the journal. */
  readonly archived: ChainHead;
  readonly audit: ChainHead;
  readonly snapshotBytes: number;
  readonly journalBytes: number;
  /** The snapshot was written by an older version. */
  readonly isOfOldFormat: boolean;
}

/**
 * @param folder of the state
 * @param walk visits the journal's entries from a sequence on; resolves with the sequence of the last
 * @throws Damage
 */
export async function loadState(
  disk: Disk,
  folder: string,
  formats: Formats,
  walk: (from: number, visit: (entry: Entry) => void) => Promise<number>,
): Promise<State> {
  const rows: State['rows'] = { resource: new Map(), instance: new Map(), command: new Map(), alarm: new Map() };
  const put = (entry: RowEntry): void => {
    const table = rows[entry.table];
    const { size } = table;
    if (entry.kind === 'put') table.set(entry.key, entry.row);
    if (entry.kind === 'put' && table.size > size) return;
    // The order is that of the last put.
    table.delete(entry.key);
    if (entry.kind === 'put') table.set(entry.key, entry.row);
  };
  const snapshot = (await listSnapshots(disk, folder)).at(-1);
  let [next, archived, snapshotBytes, isOfOldFormat] = [1, GENESIS, 0, false];
  if (snapshot) {
    const end = await readSnapshot(disk, snapshot, formats, (entry, bytes, version) => {
      snapshotBytes += bytes;
      isOfOldFormat ||= version !== FORMAT_VERSION;
      put(entry);
    });
    ({ next, audit: archived } = end);
    for (const [table, count] of Object.entries(end.rows))
      if (rows[table as Table].size > count)
        throw new Damage(
          snapshot.path,
          0,
          `it holds ${rows[table as Table].size} rows of ${table}, and should ${count}`,
        );
  }
  let [audit, journalBytes] = [archived, 0];
  const last = await walk(next, ({ bytes, sequence }) => {
    journalBytes += bytes.length;
    const entry = decodeEntry(bytes);
    if (entry.kind === 'end') throw new Damage(folder, 0, `entry ${sequence} belongs into a snapshot`);
    if (entry.kind !== 'audit') {
      put(entry);
      return;
    }
    const head = followChain(entry.event, audit);
    if (typeof head === 'string') throw new Damage(folder, 0, `the audit trail is broken: ${head}`);
    audit = head;
  });
  if (last + 1 < next)
    throw new Damage(
      folder,
      0,
      `the journal ends at entry ${last}, and the snapshot needs it from ${next} on: segments are missing`,
    );
  return { rows, next, archived, audit, snapshotBytes, journalBytes, isOfOldFormat };
}

/**
 * That archive and state join: what the state has passed on is archived, and what is archived the state knows.
 *
 * @throws Damage
 */
export function checkTrail({ archived, audit }: Pick<State, 'archived' | 'audit'>, last: number, folder: string): void {
  if (last < archived.number)
    throw new Damage(
      folder,
      0,
      `the audit archive ends at event ${last}, and should go on to ${archived.number}: segments are missing`,
    );
  if (last > audit.number)
    throw new Damage(
      folder,
      0,
      `the audit archive has event ${last}, and the state ends at ${audit.number}: segments of state/ are missing`,
    );
}
