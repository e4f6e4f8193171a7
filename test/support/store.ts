/** A store or a journal on a disk in memory, driven by a clock that the test moves. */
import { isRefusal, type Refusal } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { JournalStore, type JournalStoreOptions } from '../../src/store/journal-store.js';
import { Journal, type Appending, type JournalOptions } from '../../src/store/journal.js';
import type { Row, Rows, Table, Writing } from '../../src/store/store.js';
import { ManualClock } from './manual-clock.js';
import { MemoryDisk } from './memory-disk.js';

/** Small enough that a few writes fill several. */
export const SEGMENT_BYTES = 4096;

/** Lets everything run that needs no time: turns end, promises go on. */
export async function settle(clock: ManualClock, turns = 40): Promise<void> {
  for (let turn = 0; turn < turns; turn++) {
    clock.endTurn();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Settles until the promise has its value. */
export async function during<Value>(clock: ManualClock, promise: Promise<Value>): Promise<Value> {
  let isOver = false;
  const over = (): void => void (isOver = true);
  promise.then(over, over);
  while (!isOver) await settle(clock, 1);
  return promise;
}

export interface OpenJournal {
  readonly journal: Journal;
  readonly clock: ManualClock;
  /** What was read when it was opened. */
  readonly read: string[];
  append(...texts: string[]): Promise<Refusal | undefined>;
}

export async function openJournal(
  disk: MemoryDisk,
  { from = 1, ...options }: Partial<JournalOptions> & { from?: number } = {},
): Promise<OpenJournal> {
  const clock = new ManualClock();
  const journal = new Journal({ disk, clock, folder: 'log', segmentBytes: SEGMENT_BYTES, ...options });
  const read: string[] = [];
  await during(
    clock,
    journal.open(from, ({ bytes }) => read.push(Buffer.from(bytes).toString())),
  );
  return { journal, clock, read, append: (...texts) => during(clock, appended(journal, texts)) };
}

export const appended = (
  journal: Journal,
  texts: readonly string[],
  options: Partial<Appending> = {},
): Promise<Refusal | undefined> =>
  new Promise((resolve) =>
    journal.append({ entries: texts.map((text) => Buffer.from(text)), durability: 'synced', ...options }, resolve),
  );

export interface OpenStore {
  readonly store: JournalStore;
  readonly clock: ManualClock;
  readonly rows: Readonly<Record<Table, Rows>>;
  write(writing: Partial<Writing>): Promise<Refusal | undefined>;
}

/** @throws if it is refused */
export async function openStore(disk: MemoryDisk, options: Partial<JournalStoreOptions> = {}): Promise<OpenStore> {
  const clock = new ManualClock();
  const store = new JournalStore({
    disk,
    clock,
    log: silentLog,
    folder: 'data',
    segmentBytes: SEGMENT_BYTES,
    ...options,
  });
  const rows = await during(clock, store.open());
  if (isRefusal(rows)) throw new Error(rows.detail);
  return {
    store,
    clock,
    rows,
    write: (writing) =>
      during(clock, new Promise((resolve) => store.write({ durability: 'synced', ...writing }, resolve))),
  };
}

/** Rows as plain values, for comparing. */
export const plain = (rows: Readonly<Record<Table, Rows>>): Record<string, [string, Row][]> =>
  Object.fromEntries(
    Object.entries(rows).map(([table, map]) => [
      table,
      [...map].map(([key, { document, bytes }]) => [
        key,
        { document, ...(bytes && { bytes: Uint8Array.from(bytes) }) },
      ]),
    ]),
  );
