/**
 * The store on a journal: what the broker must not forget, in a folder of its own.
 *
 *     data/FORMAT                what this folder is
 *     data/lock/                 held while a daemon runs on it
 *     data/state/                journal of rows and audit events, and the newest snapshot
 *     data/audit/                journal of the audit events that have left state/: never truncated
 *
 *     write ──> entries ──> journal ──> done            when the journal has grown: snapshot ──> audit/ ──> truncate
 *
 * The audit chain is continued where a frame is formed, and taken back when that frame fails: in what is durable it has no gap.
 */
import type { Clock } from '../clock.js';
import type { Disk } from '../disk.js';
import { isRefusal, reasonOf, refuse, type Refusal } from '../errors.js';
import type { Log } from '../log.js';
import { AuditArchive } from './audit-archive.js';
import { chainEvent, encodeEvent, GENESIS } from './audit-chain.js';
import { encodeAudit, encodeChange, eventOf } from './entry.js';
import type { Lock } from './folder-lock.js';
import type { Formats } from './journal-reader.js';
import { Journal } from './journal.js';
import { auditFolder, checkLayout, lockFolderOf, stateFolder, writeLayout } from './layout.js';
import { checkTrail, loadState, type State } from './load.js';
import { Damage } from './segment.js';
import { Snapshotter, type Provider } from './snapshotter.js';
import type { Rows, Store, Table, Trouble, Writing } from './store.js';

export interface JournalStoreOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
  /** The data folder. */
  readonly folder: string;
  /** `lockFolder` on a real disk; in memory nobody else is there. */
  readonly lock?: (folder: string) => Promise<Lock | Refusal>;
  readonly segmentBytes?: number;
  /** Bytes the journal grows by before a snapshot is taken. */
  readonly snapshotBytes?: number;
  readonly formats?: Formats;
}

export class JournalStore implements Store {
  private readonly journal: Journal;
  private readonly archive: AuditArchive;
  private readonly snapshotter: Snapshotter;
  private lock: Lock | undefined;
  /** Of what is durable, and with what is on its way. */
  private durableHead = GENESIS;
  private head = GENESIS;

  constructor(private readonly options: JournalStoreOptions) {
    const { disk, clock, log, folder, segmentBytes, snapshotBytes, formats } = options;
    const shared = { disk, clock, ...(segmentBytes !== undefined && { segmentBytes }), ...(formats && { formats }) };
    this.journal = new Journal({
      ...shared,
      folder: stateFolder(folder),
      onFrame: (isDurable) => {
        if (isDurable) this.durableHead = this.head;
        else this.head = this.durableHead;
        this.snapshotter.onFrame(isDurable);
      },
    });
    this.archive = new AuditArchive({ ...shared, folder: auditFolder(folder) });
    this.snapshotter = new Snapshotter({
      disk,
      clock,
      log,
      folder: stateFolder(folder),
      journal: this.journal,
      archive: this.archive,
      head: () => this.durableHead,
      ...(snapshotBytes !== undefined && { leastBytes: snapshotBytes }),
    });
  }

  get trouble(): Trouble | undefined {
    return this.journal.trouble;
  }

  onTrouble(listener: (trouble: Trouble | undefined) => void): void {
    this.journal.onTrouble(listener);
  }

  provide(table: Table, rows: Provider): void {
    this.snapshotter.provide(table, rows);
  }

  write({ changes = [], audit = [], durability, isVital = false }: Writing, done: (refusal?: Refusal) => void): void {
    const events = audit.map((event) => encodeAudit(encodeEvent(event, this.options.clock.wallUs())));
    const form = (): void => {
      for (const event of events) this.head = chainEvent(eventOf(event), this.head);
    };
    const entries = changes.map(encodeChange);
    const appending = { entries, durability, isVital };
    this.journal.append(
      events.length > 0 ? { ...appending, entries: [...entries, ...events], form } : appending,
      (refusal) => {
        // A bug of one owner's must not keep the others from their answers.
        try {
          done(refusal);
        } catch (error) {
          this.options.log.error({ err: error }, 'store: an owner failed over what was written');
        }
      },
    );
  }

  async open(): Promise<Readonly<Record<Table, Rows>> | Refusal> {
    const { disk, folder, lock } = this.options;
    try {
      await disk.makeFolder(folder);
      const held = await lock?.(lockFolderOf(folder));
      if (isRefusal(held)) return held;
      this.lock = held;
      const state = await this.load();
      return state.rows;
    } catch (error) {
      await this.lock?.release();
      return refuse('STATUS_SERVICE_UNAVAILABLE', sentenceOf(error, folder));
    }
  }

  /** @throws Damage */
  private async load(): Promise<State> {
    const { disk, folder, formats = {} } = this.options;
    if ((await checkLayout(disk, folder)) === 'empty') await writeLayout(disk, folder);
    const state = await loadState(disk, stateFolder(folder), formats, async (from, visit) => {
      await this.journal.open(from, visit);
      return this.journal.durableSequence;
    });
    await this.archive.open();
    checkTrail(state, this.archive.last, auditFolder(folder));
    this.head = this.durableHead = state.audit;
    this.snapshotter.begin(
      state.isOfOldFormat || this.journal.isOfOldFormat ? Infinity : state.journalBytes,
      state.snapshotBytes,
    );
    await this.snapshotter.forget(state.next);
    return state;
  }

  async close(): Promise<void> {
    await this.snapshotter.close();
    await this.journal.close();
    await this.archive.close();
    await this.lock?.release();
  }
}

/** What an operator is told who starts a broker on a store that does not open. */
const sentenceOf = (error: unknown, folder: string): string =>
  error instanceof Damage
    ? `The store is not opened, as nothing of it may be served wrongly: ${error.message}. "gridcast store check ${folder}" lists all that is wrong; then restore a backup.`
    : `The store in ${folder} does not open: ${reasonOf(error)}.`;
