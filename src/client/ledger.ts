/**
 * What a device must not forget, so that a command has its effect once even if the device dies over it: that it is about to act,
 * before it does, and what came of it, before it says so.
 *
 *     command ──> intent ── fsync ──> effect ──> verdict ── fsync ──> said ──> told
 *
 * A device that starts again finds an intent without a verdict, and does not act again.
 */
import { systemClock, type Clock } from '../clock.js';
import { systemDisk, type Disk } from '../disk.js';
import { isObject, type JsonObject } from '../json.js';
import { isRefusal, type Refusal } from '../errors.js';
import { readCommand, readWord, type Command, type Word } from '../routing/command.js';
import type { Lock } from '../store/folder-lock.js';
import { Journal } from '../store/journal.js';
import { GridcastError } from './error.js';

/** One command as the ledger has it: without a word it is an intent. */
export interface LedgerEntry {
  readonly command: Command;
  /** `executed` or `rejected`. */
  readonly word: Word | undefined;
  /** The broker has acknowledged the word. */
  readonly isTold: boolean;
}

export interface Ledger {
  /** What stands in it, the oldest first. To be called once, before all else. */
  open(): Promise<readonly LedgerEntry[]>;
  /** Takes the place of the entry with this id. Resolves when that is durable, at once where it is `grouped`; rejects when it is not. */
  write(entry: LedgerEntry, durability: 'grouped' | 'synced'): Promise<void>;
  /** It need not be kept any longer. */
  forget(commandId: string): void;
  close(): Promise<void>;
}

/** For a device that may forget: what it did is lost with it. */
export const memoryLedger: Ledger = {
  open: () => Promise.resolve([]),
  write: () => Promise.resolve(),
  forget: () => {},
  close: () => Promise.resolve(),
};

/** A command is 4 KiB at most; a device's disk may be small. */
const SEGMENT_BYTES = 256 * 1024;
/** Entries after which those that stand are written anew, and the older ones go. */
const COMPACT_AFTER = 4096;

export interface LedgerOptions {
  readonly disk: Disk;
  readonly clock: Pick<Clock, 'after' | 'atTurnEnd'>;
  /** Its own; made where it is not there. */
  readonly folder: string;
  /** On a real disk: two processes with one ledger would execute a command each. In memory nobody else is there. */
  readonly lock?: ((folder: string) => Promise<Lock | Refusal>) | undefined;
}

/** The ledger in a folder of this machine, for one process at a time. */
export const ledgerIn = (folder: string): Ledger =>
  new JournalLedger({ disk: systemDisk, clock: systemClock, folder, lock: lockOfLedger });

export async function lockOfLedger(folder: string): Promise<Lock | Refusal> {
  // LevelDB takes 30 ms to load, which who keeps no ledger should not wait for.
  const { lockFolder } = await import('../store/folder-lock.js');
  return lockFolder(folder, 'ledger');
}

/** A ledger in a folder. */
export class JournalLedger implements Ledger {
  private readonly journal: Journal;
  private readonly entries = new Map<string, LedgerEntry>();
  private appended = 0;
  private lock: Lock | undefined;

  constructor(private readonly options: LedgerOptions) {
    this.journal = new Journal({ ...options, segmentBytes: SEGMENT_BYTES });
  }

  async open(): Promise<readonly LedgerEntry[]> {
    await this.takeLock();
    try {
      return await this.read();
    } catch (error) {
      await this.lock?.release();
      this.lock = undefined;
      throw error;
    }
  }

  private async takeLock(): Promise<void> {
    const { disk, folder, lock } = this.options;
    if (!lock) return;
    await disk.makeFolder(folder);
    const held = await lock(`${folder}/lock`);
    if (isRefusal(held)) throw new GridcastError('argument', held.detail);
    this.lock = held;
  }

  private async read(): Promise<readonly LedgerEntry[]> {
    let beginnings = 0;
    await this.journal.open(0, ({ sequence, bytes }) => {
      const entry = decode(bytes);
      if (entry) this.entries.set(entry.command.commandId, entry);
      if (sequence === 1 || ALL.equals(bytes)) beginnings++;
      this.appended++;
    });
    const { trouble } = this.journal;
    if (trouble) throw new GridcastError('argument', `The ledger can not be opened. ${trouble.detail}`);
    if (this.appended > 0 && beginnings === 0)
      throw new GridcastError('argument', 'The ledger has lost its beginning: what was executed is not known.');
    return [...this.entries.values()];
  }

  write(entry: LedgerEntry, durability: 'grouped' | 'synced'): Promise<void> {
    this.entries.set(entry.command.commandId, entry);
    const written = this.append([encode(entry)], durability);
    if (this.appended > COMPACT_AFTER) this.compact();
    return written;
  }

  forget(commandId: string): void {
    this.entries.delete(commandId);
  }

  async close(): Promise<void> {
    await this.journal.close();
    await this.lock?.release();
  }

  private append(entries: readonly Uint8Array[], durability: 'grouped' | 'synced'): Promise<void> {
    this.appended += entries.length;
    return new Promise((resolve, reject) =>
      this.journal.append({ entries, durability }, (refusal) =>
        refusal ? reject(new Error(refusal.detail)) : resolve(),
      ),
    );
  }

  private compact(): void {
    // What is durable now is written anew behind it; what is on its way comes behind it as well.
    const firstToKeep = this.journal.durableSequence + 1;
    this.appended = 0;
    this.append([ALL, ...[...this.entries.values()].map(encode)], 'synced').then(
      () => this.journal.truncateBefore(firstToKeep),
      () => undefined, // the older ones stay until the next time
    );
  }
}

/** Begins a frame of all entries that stand: what came before it may be gone. */
const ALL = Buffer.from('{"all":true}');

const encode = ({ command, word, isTold }: LedgerEntry): Uint8Array => {
  const { dueUs: _due, issuedUs: _issued, isSelected: _selected, ...document } = command;
  return Buffer.from(JSON.stringify({ command: document, ...(word && { word }), ...(isTold && { isTold }) }));
};

/** Undefined for what this version can not have written. */
function decode(bytes: Uint8Array): LedgerEntry | undefined {
  const { command: given, word: said, isTold } = JSON.parse(Buffer.from(bytes).toString()) as JsonObject;
  const command = isObject(given) ? readCommand(given) : undefined;
  const word = isObject(said) ? readWord(said) : undefined;
  if (!command || isRefusal(command) || (word && isRefusal(word))) return undefined;
  return { command, word, isTold: isTold === true };
}
