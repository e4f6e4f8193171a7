/** A disk that is full: the broker's data are on a small tmpfs, which a file fills up and then leaves again. */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { wait } from './broker-process.js';
import { Mounts } from './mount.js';
import { seconds, withoutRoot, type Circumstances, type Part } from './part.js';
import { NARROW, Rig } from './rig.js';
import { SickDisk } from './sick-disk.js';

/** Room for what is accepted meanwhile; the journal, its snapshots and the audit trail lay out segments of 8 MiB each. */
const DISK_SIZE = '128m';
const FILLINGS = 3;
/** Entries of this size fill what the journal has laid out already within seconds. */
const PADDING_BYTES = 16 * 1024;
const BEGIN_MS = 1_000;
const LASTS_MS = 2_000;
/** What is laid out is used first: a disk that is full is not yet a journal that is. */
const RED_LIMIT_MS = 60_000;
const BLOCK = Buffer.alloc(64 * 1024);

/** Writes until nothing more fits. */
function fill(path: string): void {
  const file = openSync(path, 'w');
  try {
    for (let size = BLOCK.length; size >= 1;) {
      try {
        writeSync(file, BLOCK, 0, size);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
        size = Math.floor(size / 2);
      }
    }
  } finally {
    closeSync(file);
  }
}

async function run({ progress }: Circumstances): Promise<string> {
  const mounts = new Mounts();
  const wellMs: number[] = [];
  try {
    const point = mounts.mount('small', '-t', 'tmpfs', '-o', `size=${DISK_SIZE}`, 'tmpfs');
    const filling = join(point, 'filling');
    const rig = await Rig.open(NARROW, join(point, 'data'));
    let disk: SickDisk | undefined;
    try {
      disk = await SickDisk.open(rig, PADDING_BYTES);
      for (let n = 1; n <= FILLINGS; n++) {
        await wait(BEGIN_MS);
        fill(filling);
        const reason = await disk.red(performance.now(), RED_LIMIT_MS);
        await disk.staysRed(LASTS_MS);
        const sentence = disk.creator.refusal;
        rmSync(filling);
        wellMs.push(await disk.well(performance.now()));
        progress(
          `filling ${n}: "${reason}", refused: ${sentence}; well ${seconds(wellMs.at(-1) ?? NaN)} after it had gone`,
        );
      }
      const outlived = await disk.outlive();
      return `${FILLINGS} times full: refused with 503 and a sentence, streams went on, well again within ${seconds(Math.max(...wellMs))} of space; ${outlived}`;
    } finally {
      await disk?.close();
      await rig.close();
    }
  } finally {
    mounts.close();
  }
}

export const fullDisk: Part = { obstacle: withoutRoot, run };
