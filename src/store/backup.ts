/**
 * Copies a store while a daemon runs on it. What is copied is what is verified: of each segment the frames up to the last whole
 * one. The copy is checked as a store of its own, and made again when the daemon has taken a snapshot meanwhile.
 */
import { codeOf, type Disk } from '../disk.js';
import { refuse, type Refusal } from '../errors.js';
import { checkStore, type StoreReport } from './check.js';
import { hasBegun, surveyJournal, type Formats } from './journal-reader.js';
import { auditFolder, checkLayout, stateFolder, writeLayout } from './layout.js';
import { Damage, framesOf } from './segment.js';
import { listSnapshots } from './snapshot.js';

/** A frame seen half written, a segment deleted between two looks: gone at the next attempt. Damage stays. */
const ATTEMPTS = 4;

/** Does again what a running daemon has disturbed. */
export async function besideDaemon<Value>(attempt: () => Promise<Value>): Promise<Value> {
  for (let left = ATTEMPTS - 1; ; left--) {
    try {
      return await attempt();
    } catch (error) {
      if (left === 0 || !(error instanceof Damage || codeOf(error) === 'ENOENT')) throw error;
    }
  }
}

/**
 * @param target a folder that is empty or not there yet
 * @throws Damage, and what the disk fails with
 */
export async function backUp(
  disk: Disk,
  data: string,
  target: string,
  formats: Formats = {},
): Promise<StoreReport | Refusal> {
  if ((await checkLayout(disk, data)) === 'empty') return refuse('STATUS_NOT_FOUND', `There is no store in ${data}.`);
  if ((await disk.list(target)).length > 0)
    return refuse('STATUS_CONFLICT', `${target} is not empty; a backup goes into a folder of its own.`);
  return besideDaemon(async () => {
    for (const name of await disk.list(target)) await disk.remove(`${target}/${name}`);
    const snapshot = (await listSnapshots(disk, stateFolder(data))).at(-1);
    if (snapshot) await copyJournal(disk, snapshot.path, snapshot.path.replace(data, target), formats);
    await copyJournal(disk, stateFolder(data), stateFolder(target), formats);
    await copyJournal(disk, auditFolder(data), auditFolder(target), formats);
    await disk.syncFolder(target);
    await writeLayout(disk, target);
    const report = await checkStore(disk, target, formats);
    if (report.faults.length > 0) throw new Damage(target, 0, report.faults.join(' '));
    return report;
  });
}

async function copyJournal(disk: Disk, from: string, to: string, formats: Formats): Promise<void> {
  await disk.makeFolder(to);
  const begun = (await surveyJournal(disk, from, formats)).filter(hasBegun);
  for (const [index, { path, number, beginning }] of begun.entries()) {
    const bytes = Buffer.from(await disk.read(path));
    const frames = framesOf(path, bytes, number, beginning, begun[index + 1]?.beginning.first);
    let step = frames.next();
    while (step.done !== true) step = frames.next();
    bytes.fill(0, step.value.at);
    const file = await disk.open(`${to}${path.slice(from.length)}`, 'create');
    try {
      await file.write(0, bytes);
      await file.sync();
    } finally {
      await file.close();
    }
  }
  await disk.syncFolder(to);
}
