/**
 * Takes snapshots while the broker runs, so that the journal does not grow for ever:
 *
 *     rows in slices ──> snapshot ──> what was written meanwhile is durable? ──> audit events to audit/ ──> rename ──> truncate
 *
 * A row that was provided may not have been durable yet. So a snapshot counts only when all that was written until its last row
 * was, and is given up when any write failed meanwhile: the row may show what its owner has had to take back.
 */
import type { Clock } from '../clock.js';
import type { Disk } from '../disk.js';
import { reasonOf } from '../errors.js';
import type { Log } from '../log.js';
import type { AuditArchive } from './audit-archive.js';
import type { ChainHead } from './audit-chain.js';
import { auditEventOf, encodeChange } from './entry.js';
import type { Journal } from './journal.js';
import { listSnapshots, SnapshotWriter } from './snapshot.js';
import { TABLES, type Row, type Table } from './store.js';

/** Encoded in one turn: about a millisecond. */
const SLICE_ROWS = 256;
/** A journal that is shorter is played faster than a snapshot is worth. */
const LEAST_BYTES = 64 * 1024 * 1024;
/** A snapshot costs as much as it holds: it is due when the journal has grown by so many times that. */
const GROWTH = 2;

export type Provider = () => Iterable<readonly [key: string, row: Row]>;

interface Parts {
  readonly disk: Disk;
  readonly clock: Pick<Clock, 'atTurnEnd'>;
  readonly log: Log;
  readonly folder: string;
  readonly journal: Journal;
  readonly archive: AuditArchive;
  /** Of what is durable. */
  readonly head: () => ChainHead;
  readonly leastBytes?: number;
}

export class Snapshotter {
  private readonly providers = new Map<Table, Provider>();
  private taking: Promise<void> | undefined;
  private failures = 0;
  private isClosed = false;
  /** What the journal held from the last snapshot on, when it was opened or that was taken. */
  private sinceBytes = 0;
  private lastBytes = 0;

  constructor(private readonly parts: Parts) {}

  provide(table: Table, provider: Provider): void {
    this.providers.set(table, provider);
  }

  /** @param sinceBytes what the journal holds since the last snapshot; Infinity if one is due in any case */
  begin(sinceBytes: number, lastBytes: number): void {
    [this.sinceBytes, this.lastBytes] = [sinceBytes, lastBytes];
  }

  /** A frame was written, or lost. */
  onFrame(isDurable: boolean): void {
    if (!isDurable) this.failures++;
    const { journal, leastBytes = LEAST_BYTES } = this.parts;
    const isDue = this.sinceBytes + journal.writtenBytes > Math.max(leastBytes, GROWTH * this.lastBytes);
    // Without all owners it would forget the rows of those that are missing.
    if (!isDue || this.taking || this.isClosed || TABLES.some((table) => !this.providers.has(table))) return;
    this.taking = this.take()
      .catch((error: unknown) =>
        this.parts.log.warn(
          { err: error },
          `no snapshot of the store: ${reasonOf(error)}; the journal goes on growing`,
        ),
      )
      .finally(() => (this.taking = undefined));
  }

  private async take(): Promise<void> {
    const { disk, folder, journal, archive } = this.parts;
    // At a turn's end whoever was told that something is durable has taken it in.
    await this.turnEnd();
    // Read together, before the first row: all of what is durable now.
    const [next, head, writtenBytes, { failures }] = [
      journal.durableSequence + 1,
      this.parts.head(),
      journal.writtenBytes,
      this,
    ];
    const writer = new SnapshotWriter(disk, folder, next);
    try {
      for (const [table, provider] of this.providers) {
        for (const slice of slicesOf(provider())) {
          await writer.add(
            table,
            slice.map(([key, row]) => encodeChange({ table, key, row })),
          );
          await this.turnEnd();
          if (this.isClosed) throw new Error('the store closes');
        }
      }
      await this.settled();
      if (this.failures !== failures) throw new Error('a write failed while it was taken');
      if (archive.last < head.number) await archive.take(this.eventsBefore(next));
      await writer.finish(head);
    } catch (error) {
      await writer.abandon();
      throw error;
    }
    [this.sinceBytes, this.lastBytes] = [-writtenBytes, writer.bytes];
    await journal.truncateBefore(next);
    await this.forget(next);
  }

  /** What was written until now is durable, or has failed. */
  private settled(): Promise<void> {
    return new Promise((resolve, reject) =>
      this.parts.journal.append({ entries: [], durability: 'synced' }, (refusal) =>
        refusal ? reject(new Error(refusal.detail)) : resolve(),
      ),
    );
  }

  /** A segment is read whole, and its frames follow each other without a turn between: 50 ms and more that nobody else gets. */
  private async *eventsBefore(next: number): AsyncGenerator<readonly Buffer[]> {
    const { journal } = this.parts;
    let taken = 0;
    for await (const entries of journal.read(journal.firstSequence)) {
      const before = entries.filter(({ sequence }) => sequence < next);
      yield before.map(({ bytes }) => auditEventOf(bytes)).filter((event) => event !== undefined);
      if (before.length < entries.length) return;
      taken += entries.length;
      if (taken < SLICE_ROWS) continue;
      taken = 0;
      await this.turnEnd();
    }
  }

  private turnEnd(): Promise<void> {
    return new Promise((resolve) => this.parts.clock.atTurnEnd(resolve));
  }

  /** Removes the snapshots before one. */
  async forget(next: number): Promise<void> {
    const { disk, folder } = this.parts;
    for (const older of await listSnapshots(disk, folder)) if (older.next < next) await disk.remove(older.path);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await this.taking;
  }
}

function* slicesOf<Item>(items: Iterable<Item>): Iterable<readonly Item[]> {
  let slice: Item[] = [];
  for (const item of items) {
    slice.push(item);
    if (slice.length < SLICE_ROWS) continue;
    yield slice;
    slice = [];
  }
  if (slice.length > 0) yield slice;
}
