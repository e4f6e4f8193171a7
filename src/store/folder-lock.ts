/**
 * Keeps a second daemon off a data folder, and a second device off a ledger. Node has no flock; LevelDB takes a lock of the kernel (fcntl) on the folder of an
 * open database, so an empty database stands here for its lock alone: it ends with the process, however that ends, and holds
 * between containers. A file with a process id would do neither.
 */
import { ClassicLevel } from 'classic-level';
import { codeOf } from '../disk.js';
import { reasonOf, refuse, type Refusal } from '../errors.js';

export interface Lock {
  release(): Promise<void>;
}

/** What a lock keeps others off, and how whoever is refused gets another. */
const HELD = {
  store: 'stop it, or choose another folder with --data',
  ledger: 'stop it, or give this device a folder of its own',
} as const;

/** Takes the lock that a folder stands for; refused where another process has it. */
export async function lockFolder(folder: string, of: keyof typeof HELD = 'store'): Promise<Lock | Refusal> {
  const database = new ClassicLevel(folder);
  try {
    await database.open();
  } catch (error) {
    const { cause } = error as { cause?: unknown };
    const isHeld = codeOf(cause) === 'LEVEL_LOCKED';
    return refuse(
      'STATUS_SERVICE_UNAVAILABLE',
      isHeld
        ? `Another process uses this ${of} (${folder} is locked): ${HELD[of]}.`
        : `The lock of the ${of} can not be taken (${folder}: ${reasonOf(cause ?? error)}).`,
    );
  }
  return { release: () => database.close() };
}
