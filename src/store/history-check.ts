/**
 * Reads a whole history as one that makes its index anew does: every frame and chunk, and that the chunks of each container
 * follow each other. The index beside it is not looked at: it is no truth.
 */
import type { Disk } from '../disk.js';
import { HistoryIndex, IndexFault } from './history-index.js';
import { absorbLog } from './history-rebuild.js';
import { historyFolder, historyLogFolder } from './layout.js';
import type { OrderedIndex } from './level.js';

export interface HistoryReport {
  readonly containers: number;
  /** That the log holds, also beyond what their containers still want. */
  readonly instances: number;
}

/** Takes everything, and has nothing. */
const NOWHERE: OrderedIndex = {
  get: () => Promise.resolve(undefined),
  write: () => Promise.resolve(),
  async *entries() {},
  clear: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

/**
 * @param index is filled on the way, for whoever is to start with this history
 * @throws Damage, an Error that names the folder, and what the disk fails with
 */
export async function checkHistory(disk: Disk, data: string, index: OrderedIndex = NOWHERE): Promise<HistoryReport> {
  try {
    const log = { disk, folder: historyLogFolder(data) };
    const heads = await absorbLog(log, new HistoryIndex(index), undefined, Infinity, []);
    return {
      containers: heads.length,
      instances: heads.reduce((sum, { first, next }) => sum + next - first, 0),
    };
  } catch (error) {
    if (error instanceof IndexFault) throw new Error(`${historyFolder(data)} is damaged: ${error.message}`);
    throw error;
  }
}
