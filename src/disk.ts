/** The disk, injected like time. */
import { readFile } from 'node:fs/promises';

export interface Disk {
  /** The whole file; rejects with the system's error, ENOENT for one. */
  read(path: string): Promise<Uint8Array>;
}

export const systemDisk: Disk = { read: (path) => readFile(path) };
