/**
 * A disk in memory that forgets like a real one. Nothing is certain but what was synced:
 *
 *     write ──> a sector is dirty ──(file.sync)──> it stays          crash(): of the dirty sectors any may be there, or none
 *     create, rename, remove ──(syncFolder)──> it stays              crash(): of a folder's last changes any first part is there
 *
 * A sync that fails leaves its sectors clean and unwritten, as Linux does: a later sync does not make them good. Equal seeds give
 * equal crashes. What a dead life has under way is never
 * heard of again.
 */
import type { Clock } from '../../src/clock.js';
import type { Disk, DiskFile } from '../../src/disk.js';
import { seededRandom, type Random } from '../../src/random.js';

const SECTOR_BYTES = 512;

export interface DiskOperation {
  readonly kind: 'read' | 'list' | 'makeFolder' | 'open' | 'rename' | 'remove' | 'syncFolder' | 'write' | 'sync';
  readonly path: string;
}

export interface MemoryDiskOptions {
  readonly random?: Random;
  /** Bytes of all files together; beyond it ENOSPC. */
  readonly capacityBytes?: number;
  /** Each operation takes `latencyMs` of this clock; without it, no time. */
  readonly clock?: Pick<Clock, 'after'>;
  readonly latencyMs?: (operation: DiskOperation) => number;
}

class Inode {
  bytes: Buffer = Buffer.alloc(0);
  private room: Buffer = Buffer.alloc(0);
  /** What stands on the platter. */
  durable: Buffer = Buffer.alloc(0);
  readonly dirty = new Set<number>();

  grow(size: number): void {
    if (size <= this.bytes.length) return;
    if (size > this.room.length) {
      this.room = Buffer.alloc(Math.max(size, 2 * this.room.length));
      this.bytes.copy(this.room);
    }
    this.bytes = this.room.subarray(0, size);
  }

  /** What was not synced is gone. */
  revert(): void {
    this.dirty.clear();
    this.room = this.bytes = Buffer.from(this.durable);
  }

  /** Puts sectors of what was written on the platter. */
  settle(sectors: readonly number[]): void {
    const last = sectors.reduce((most, sector) => Math.max(most, sector), -1);
    const size = Math.min((last + 1) * SECTOR_BYTES, this.bytes.length);
    if (size > this.durable.length)
      this.durable = Buffer.concat([this.durable, Buffer.alloc(size - this.durable.length)]);
    for (const sector of sectors)
      this.bytes.copy(this.durable, sector * SECTOR_BYTES, sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
  }
}

type Files = Map<string, Inode>;
/** A change of a folder that is not synced: done again on the files that were. */
interface FolderChange {
  readonly folder: string;
  readonly redo: (files: Files) => void;
}

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/'));
const failure = (code: string, { kind, path }: DiskOperation): Error =>
  Object.assign(new Error(`${code}: ${kind} '${path}'`), { code });

export class MemoryDisk implements Disk {
  private files: Files = new Map();
  private durableFiles: Files = new Map();
  private changes: FolderChange[] = [];
  private folders = new Set<string>();
  private readonly random: Random;
  private isDead = false;
  capacityBytes: number;
  /** Asked before each operation: the system's code of the failure, or undefined. */
  fault: (operation: DiskOperation) => string | undefined = () => undefined;

  constructor(private readonly options: MemoryDiskOptions = {}) {
    this.random = options.random ?? seededRandom(1);
    this.capacityBytes = options.capacityBytes ?? Infinity;
  }

  /**
   * Power is cut: what was not synced is there in part.
   *
   * @returns the disk of the next life; whoever holds this one is never answered again
   */
  crash(): MemoryDisk {
    this.isDead = true;
    // The changes of each folder reach the disk in their order.
    const cutOff = new Set<string>();
    for (const { folder, redo } of this.changes) {
      if (this.random.below(2) === 0) cutOff.add(folder);
      if (!cutOff.has(folder)) redo(this.durableFiles);
    }
    for (const inode of new Set(this.durableFiles.values())) {
      inode.settle([...inode.dirty].filter(() => this.random.below(2) === 0));
      inode.revert();
    }
    this.folders = new Set(); // those that hold a file are there with it
    return this.nextLife(new Map(this.durableFiles), []);
  }

  /** The process dies and the machine goes on: all that was written is there, though a crash can still undo it. */
  kill(): MemoryDisk {
    this.isDead = true;
    return this.nextLife(this.files, this.changes);
  }

  private nextLife(files: Files, changes: FolderChange[]): MemoryDisk {
    const next = new MemoryDisk({ ...this.options, random: this.random, capacityBytes: this.capacityBytes });
    next.files = files;
    next.durableFiles = this.durableFiles;
    next.changes = changes;
    next.folders = this.folders;
    next.fault = this.fault;
    return next;
  }

  /** What a reader sees now. */
  contents(): ReadonlyMap<string, Uint8Array> {
    return new Map([...this.files].sort().map(([path, { bytes }]) => [path, Uint8Array.from(bytes)]));
  }

  /** Makes a file what it is given, for good: a copy restored, a bit that has flipped, a file cut short. */
  put(path: string, bytes: Uint8Array): void {
    const inode = new Inode();
    inode.bytes = Buffer.from(bytes);
    inode.durable = Buffer.from(bytes);
    for (const files of [this.files, this.durableFiles]) files.set(path, inode);
  }

  read(path: string): Promise<Uint8Array> {
    return this.operate({ kind: 'read', path }, (operation) => Uint8Array.from(this.inode(operation).bytes));
  }

  list(folder: string): Promise<readonly string[]> {
    return this.operate({ kind: 'list', path: folder }, () => {
      const prefix = `${folder}/`;
      const below = [...this.files.keys(), ...this.folders].filter((path) => path.startsWith(prefix));
      return [...new Set(below.map((path) => path.slice(prefix.length).split('/', 1)[0] ?? ''))].sort();
    });
  }

  makeFolder(path: string): Promise<void> {
    return this.operate({ kind: 'makeFolder', path }, () => void this.folders.add(path));
  }

  open(path: string, how: 'read' | 'create' | 'write-through'): Promise<DiskFile> {
    return this.operate({ kind: 'open', path }, (operation) => {
      if (how === 'create') {
        if (this.files.has(path)) throw failure('EEXIST', operation);
        const inode = new Inode();
        this.change(folderOf(path), (files) => void files.set(path, inode));
      }
      const file = this.fileOf(path, this.inode(operation));
      return how === 'write-through' ? writtenThrough(file) : file;
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.operate({ kind: 'rename', path: from }, (operation) => {
      if (![...this.files.keys()].some((path) => isAtOrBelow(from, path)) && !this.folders.has(from))
        throw failure('ENOENT', operation);
      for (const path of [...this.folders].filter((each) => isAtOrBelow(from, each))) {
        this.folders.delete(path);
        this.folders.add(to + path.slice(from.length));
      }
      const moved = this.at(from);
      this.change(folderOf(from), (files) => {
        for (const [path, inode] of moved) {
          if (files.get(path) !== inode) continue;
          files.delete(path);
          files.set(to + path.slice(from.length), inode);
        }
      });
    });
  }

  remove(path: string): Promise<void> {
    return this.operate({ kind: 'remove', path }, () => {
      for (const each of [...this.folders]) if (isAtOrBelow(path, each)) this.folders.delete(each);
      const removed = this.at(path);
      this.change(folderOf(path), (files) => {
        for (const [each, inode] of removed) if (files.get(each) === inode) files.delete(each);
      });
    });
  }

  /** A file, or those below a folder, as they are now: what takes their place later is another. */
  private at(path: string): readonly (readonly [string, Inode])[] {
    return [...this.files].filter(([each]) => isAtOrBelow(path, each));
  }

  syncFolder(path: string): Promise<void> {
    return this.operate({ kind: 'syncFolder', path }, () => {
      for (const { redo } of this.changes.filter(({ folder }) => folder === path)) redo(this.durableFiles);
      this.changes = this.changes.filter(({ folder }) => folder !== path);
    });
  }

  private fileOf(path: string, inode: Inode): DiskFile {
    return {
      size: () => this.operate({ kind: 'read', path }, () => inode.bytes.length),
      read: (position, length) =>
        this.operate({ kind: 'read', path }, () => Uint8Array.from(inode.bytes.subarray(position, position + length))),
      write: (position, bytes) => {
        // Reaches the cache as soon as it is called: a crash before the answer finds it there, in part.
        const operation = { kind: 'write', path } as const;
        const room = this.capacityBytes - this.usedBytes();
        const growth = Math.max(0, position + bytes.length - inode.bytes.length);
        const code = this.fault(operation) ?? (growth > room ? 'ENOSPC' : undefined);
        if (code === undefined && !this.isDead) {
          inode.grow(position + bytes.length);
          inode.bytes.set(bytes, position);
          const last = Math.ceil((position + bytes.length) / SECTOR_BYTES);
          for (let sector = Math.floor(position / SECTOR_BYTES); sector < last; sector++) inode.dirty.add(sector);
        }
        return this.operate(
          operation,
          () => {
            if (code !== undefined) throw failure(code, operation);
          },
          true,
        );
      },
      sync: () => {
        const operation = { kind: 'sync', path } as const;
        const sectors = [...inode.dirty];
        const code = this.fault(operation);
        return this.operate(
          operation,
          () => {
            inode.settle(sectors.filter(() => code === undefined || this.random.below(2) === 0));
            for (const sector of sectors) inode.dirty.delete(sector);
            if (code !== undefined) throw failure(code, operation);
          },
          true,
        );
      },
      close: () => Promise.resolve(),
    };
  }

  private usedBytes(): number {
    let sum = 0;
    for (const { bytes } of new Set(this.files.values())) sum += bytes.length;
    return sum;
  }

  private inode(operation: DiskOperation): Inode {
    const inode = this.files.get(operation.path);
    if (!inode) throw failure('ENOENT', operation);
    return inode;
  }

  private change(folder: string, redo: FolderChange['redo']): void {
    redo(this.files);
    this.changes.push({ folder, redo });
  }

  private async operate<Value>(
    operation: DiskOperation,
    act: (operation: DiskOperation) => Value,
    isJudged = false,
  ): Promise<Value> {
    const { clock, latencyMs } = this.options;
    const code = isJudged ? undefined : this.fault(operation);
    if (clock && latencyMs) await new Promise<void>((resolve) => void clock.after(latencyMs(operation), resolve));
    else await Promise.resolve();
    if (this.isDead) return new Promise(() => {});
    if (code !== undefined) throw failure(code, operation);
    return act(operation);
  }
}

/** Each write is followed by its sync, and either may fail. */
const writtenThrough = (file: DiskFile): DiskFile => ({
  ...file,
  async write(position, bytes) {
    await file.write(position, bytes);
    await file.sync();
  },
});

const isAtOrBelow = (folder: string, path: string): boolean => path === folder || path.startsWith(`${folder}/`);
