/**
 * The disk, injected like time. Everything is asynchronous: the main thread never waits for a disk. Failures reject with the
 * system's error, whose `code` says which (ENOENT, ENOSPC, EIO).
 */
import { constants } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Disk {
  /** The whole file. */
  read(path: string): Promise<Uint8Array>;
  /** Names in a folder, in no order; none where there is no such folder. */
  list(folder: string): Promise<readonly string[]>;
  /** A folder with all above it; harmless where it stands. */
  makeFolder(path: string): Promise<void>;
  /**
   * `create` refuses (EEXIST) what is there already; the others want it to be there. What is written to a file that was opened
   * as `write-through` stays through a power cut as soon as its write resolves, without a `sync`: one way to the disk, not two.
   */
  open(path: string, how: 'read' | 'create' | 'write-through'): Promise<DiskFile>;
  /** Replaces `to` in one step. */
  rename(from: string, to: string): Promise<void>;
  /** A file, or a folder with all below it; harmless where there is none. */
  remove(path: string): Promise<void>;
  /** After it, what was created, renamed or removed in the folder stays so through a power cut. */
  syncFolder(path: string): Promise<void>;
}

export interface DiskFile {
  /** Bytes now. */
  size(): Promise<number>;
  /** Fewer bytes than `length` only where the file ends. */
  read(position: number, length: number): Promise<Uint8Array>;
  /**
   * All of `bytes`, or it rejects and any part of them may be there. They must not change until then. Once it has rejected,
   * nothing more can be believed of this descriptor.
   */
  write(position: number, bytes: Uint8Array): Promise<void>;
  /** After it, what was written stays through a power cut. Once it has rejected, nothing more can be believed of this descriptor. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** `ENOSPC`, `EIO`: what the system calls the failure; undefined for an error that is not its own. */
export const codeOf = (error: unknown): string | undefined =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;

const FLAGS = {
  read: constants.O_RDONLY,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
  'write-through': constants.O_RDWR | constants.O_DSYNC,
} as const;

const PIECE_BYTES = 256 * 1024;
const ZEROS = Buffer.alloc(64 * 1024);

export function isZero(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const part = bytes.subarray(at, at + ZEROS.length);
    if (!part.equals(ZEROS.subarray(0, part.length))) return false;
  }
  return true;
}

export const systemDisk: Disk = {
  async read(path) {
    const file = await open(path, FLAGS.read);
    try {
      // Of a segment that was prepared and is hardly written, only what is not zero takes memory: the rest was never touched.
      const whole = Buffer.alloc((await file.stat()).size);
      const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, whole.length));
      for (let at = 0; at < whole.length;) {
        const { bytesRead } = await file.read(piece, 0, piece.length, at);
        if (bytesRead === 0) return whole.subarray(0, at);
        const read = piece.subarray(0, Math.min(bytesRead, whole.length - at));
        if (!isZero(read)) whole.set(read, at);
        at += read.length;
      }
      return whole;
    } finally {
      await file.close();
    }
  },
  async list(folder) {
    try {
      return await readdir(folder);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return [];
      throw error;
    }
  },
  async makeFolder(path) {
    await mkdir(path, { recursive: true });
  },
  async open(path, how) {
    const file = await open(path, FLAGS[how]);
    return {
      size: async () => (await file.stat()).size,
      async read(position, length) {
        const bytes = Buffer.allocUnsafe(length);
        let got = 0;
        while (got < length) {
          const { bytesRead } = await file.read(bytes, got, length - got, position + got);
          if (bytesRead === 0) break;
          got += bytesRead;
        }
        return bytes.subarray(0, got);
      },
      async write(position, bytes) {
        let put = 0;
        while (put < bytes.length)
          put += (await file.write(bytes, put, bytes.length - put, position + put)).bytesWritten;
      },
      sync: () => file.datasync(),
      close: () => file.close(),
    };
  },
  rename,
  remove: (path) => rm(path, { recursive: true, force: true }),
  async syncFolder(path) {
    const folder = await open(path, constants.O_RDONLY);
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },
};

/** A new folder among the system's temporary ones; its maker removes it. */
export const temporaryFolder = (name: string): Promise<string> => mkdtemp(join(tmpdir(), `${name}-`));
