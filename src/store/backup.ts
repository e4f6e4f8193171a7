/**
 * Copies a store while a daemon runs on it. What is copied is what is verified: of each segment the frames up to the last whole
 * one. The copy is checked as a store of its own, and made again when the daemon has taken a snapshot meanwhile.
 *
 *     history/log ──> copy ──> its index, made by the check        once: it may be large, and loses segments as it goes
 *     state, audit ─> copy ──> check                               until nothing was disturbed; then FORMAT says it is a store
 */
import { codeOf, type Disk } from '../disk.js';
import { refuse, type Refusal } from '../errors.js';
import { checkRows, type StoreReport } from './check.js';
import { checkHistory, type HistoryReport } from './history-check.js';
import { hasBegun, surveyJournal, type BegunSegment, type Formats } from './journal-reader.js';
import {
  auditFolder,
  checkLayout,
  historyFolder,
  historyIndexFolder,
  historyLogFolder,
  stateFolder,
  writeLayout,
} from './layout.js';
import type { OrderedIndex } from './level.js';
import { Damage, framesOf, segmentName } from './segment.js';
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
 * @param openIndex for the history of the copy: who starts with it need not read it first
 * @throws Damage, and what the disk fails with
 */
export async function backUp(
  disk: Disk,
  data: string,
  target: string,
  openIndex: (folder: string) => Promise<OrderedIndex>,
  formats: Formats = {},
): Promise<StoreReport | Refusal> {
  if ((await checkLayout(disk, data)) === 'empty') return refuse('STATUS_NOT_FOUND', `There is no store in ${data}.`);
  if ((await disk.list(target)).length > 0)
    return refuse('STATUS_CONFLICT', `${target} is not empty; a backup goes into a folder of its own.`);
  const history = await besideDaemon(() => copyHistory(disk, data, target, openIndex));
  return besideDaemon(async () => {
    for (const folder of [stateFolder(target), auditFolder(target)]) await disk.remove(folder);
    const snapshot = (await listSnapshots(disk, stateFolder(data))).at(-1);
    if (snapshot) await copyJournal(disk, snapshot.path, snapshot.path.replace(data, target), formats);
    await copyJournal(disk, stateFolder(data), stateFolder(target), formats);
    await copyJournal(disk, auditFolder(data), auditFolder(target), formats);
    await disk.syncFolder(target);
    await writeLayout(disk, target);
    const faults: string[] = [];
    const rows = await checkRows(disk, target, faults, formats);
    if (faults.length > 0) throw new Damage(target, 0, faults.join(' '));
    return { faults, ...rows, history };
  });
}

/**
 * The newest segment first: the daemon deletes the oldest ones, whose instances nobody wants any more, so that what is copied
 * before one is missed has no gap. The containers are copied after it: what it has of others goes at the start of the copy.
 */
async function copyHistory(
  disk: Disk,
  data: string,
  target: string,
  openIndex: (folder: string) => Promise<OrderedIndex>,
): Promise<HistoryReport> {
  const [from, to] = [historyLogFolder(data), historyLogFolder(target)];
  const begun = (await surveyJournal(disk, from)).filter(hasBegun);
  if (begun.length === 0) return { containers: 0, instances: 0 };
  await disk.remove(historyFolder(target));
  for (const folder of [to, historyIndexFolder(target)]) await disk.makeFolder(folder);
  let next: number | undefined;
  for (const segment of begun.reverse()) {
    try {
      await copySegment(disk, segment, next, to);
    } catch (error) {
      if (next === undefined || codeOf(error) !== 'ENOENT') throw error;
      break;
    }
    next = segment.beginning.first;
  }
  await disk.syncFolder(to);
  const index = await openIndex(historyIndexFolder(target));
  try {
    return await checkHistory(disk, target, index);
  } finally {
    await index.close();
  }
}

async function copyJournal(disk: Disk, from: string, to: string, formats: Formats): Promise<void> {
  await disk.makeFolder(to);
  const begun = (await surveyJournal(disk, from, formats)).filter(hasBegun);
  for (const [index, segment] of begun.entries())
    await copySegment(disk, segment, begun[index + 1]?.beginning.first, to);
  await disk.syncFolder(to);
}

/** @param next first entry of the segment behind it; undefined: it is the last */
async function copySegment(disk: Disk, segment: BegunSegment, next: number | undefined, to: string): Promise<void> {
  const { path, number, beginning } = segment;
  const bytes = Buffer.from(await disk.read(path));
  const frames = framesOf(path, bytes, number, beginning, next);
  let step = frames.next();
  while (step.done !== true) step = frames.next();
  bytes.fill(0, step.value.at);
  const file = await disk.open(`${to}/${segmentName(number)}`, 'create');
  try {
    await file.write(0, bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}
