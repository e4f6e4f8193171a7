/**
 * Keeps a second daemon off a data folder. Node has no flock; LevelDB takes a lock of the kernel (fcntl) on the folder of an
 * open database, so an empty database stands here for its lock alone: it ends with the process, however that ends, and holds
 * between containers. A file with a process id would do neither.
 */
import { ClassicLevel } from 'classic-level';
import { codeOf } from '../disk.js';
import { reasonOf, refuse, type Refusal } from '../errors.js';

export interface Lock {
  release(): Promise<void>;
}

/** Takes the lock that a folder stands for; refused where another process has it. */
export async function lockFolder(folder: string): Promise<Lock | Refusal> {
  const database = new ClassicLevel(folder);
  try {
    await database.open();
  } catch (error) {
    const { cause } = error as { cause?: unknown };
    const isHeld = codeOf(cause) === 'LEVEL_LOCKED';
    return refuse(
      'STATUS_SERVICE_UNAVAILABLE',
      isHeld
        ? `Another process uses this store (${folder} is locked): stop it, or choose another folder with --data.`
        : `The lock of the store can not be taken (${folder}: ${reasonOf(cause ?? error)}).`,
    );
  }
  return { release: () => database.close() };
}
