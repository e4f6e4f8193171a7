/** Reads a whole store and says all that is wrong with it. Changes nothing; no daemon may run on it. */
import type { Disk } from '../disk.js';
import { reasonOf } from '../errors.js';
import type { ChainHead } from './audit-chain.js';
import { GENESIS } from './audit-chain.js';
import { checkHistory, type HistoryReport } from './history-check.js';
import { hasBegun, surveyJournal, walkJournal, type Formats } from './journal-reader.js';
import { auditFolder, checkLayout, stateFolder } from './layout.js';
import { checkTrail, loadState, type State } from './load.js';
import { Damage } from './segment.js';
import { verifyTrail } from './trail.js';
import { TABLES } from './store.js';

export interface StoreReport {
  /** A sentence each; none if all is well. */
  readonly faults: readonly string[];
  /** Undefined where it could not be read. */
  readonly state: State | undefined;
  readonly audit: ChainHead;
  /** Undefined where it could not be read. */
  readonly history: HistoryReport | undefined;
}

export async function checkStore(disk: Disk, data: string, formats: Formats = {}): Promise<StoreReport> {
  const faults: string[] = [];
  const rows = await checkRows(disk, data, faults, formats);
  return { faults, ...rows, history: await attempted(faults, () => checkHistory(disk, data)) };
}

async function attempted<Value>(faults: string[], part: () => Promise<Value>): Promise<Value | undefined> {
  try {
    return await part();
  } catch (error) {
    const sentence = `${reasonOf(error)}.`;
    if (!faults.includes(sentence)) faults.push(sentence);
    return undefined;
  }
}

/**
 * All but the history.
 *
 * @param faults is given a sentence for each
 */
export async function checkRows(
  disk: Disk,
  data: string,
  faults: string[],
  formats: Formats = {},
): Promise<Pick<StoreReport, 'state' | 'audit'>> {
  const attempt = <Value>(part: () => Promise<Value>) => attempted(faults, part);
  await attempt(() => checkLayout(disk, data));
  const state = await attempt(() => readState(disk, data, formats));
  await attempt(() => walkAll(disk, stateFolder(data), formats));
  const archived = await attempt(() => walkAll(disk, auditFolder(data), formats));
  const audit = await attempt(() => verifyTrail(disk, data, formats));
  if (state && archived !== undefined && audit) {
    await attempt(() => Promise.resolve().then(() => checkWhole(data, state, archived, audit)));
  }
  return { state, audit: audit ?? GENESIS };
}

/** That the parts belong together, and every row can be read. */
function checkWhole(data: string, state: State, archived: number, audit: ChainHead): number {
  checkTrail(state, archived, auditFolder(data));
  if (audit.number !== state.audit.number || !Buffer.from(audit.hash).equals(state.audit.hash))
    throw new Damage(
      data,
      0,
      `the audit trail ends at event ${audit.number}, and the state knows ${state.audit.number}`,
    );
  return TABLES.flatMap((table) => [...state.rows[table].values()].map(({ document }) => document)).length;
}

/**
 * The rows of a store as a daemon would load them.
 *
 * @throws Damage
 */
export async function readState(disk: Disk, data: string, formats: Formats = {}): Promise<State> {
  const folder = stateFolder(data);
  return loadState(disk, folder, formats, async (from, visit) => {
    const walk = walkJournal(disk, await surveyJournal(disk, folder, formats), from, formats);
    let step = await walk.next();
    for (; step.done !== true; step = await walk.next())
      for (const entry of step.value.entries) if (entry.sequence >= from) visit(entry);
    return step.value ? step.value.next - 1 : 0;
  });
}

/** Every frame of a journal, also those that a snapshot has made needless; the sequence of the last entry. */
async function walkAll(disk: Disk, folder: string, formats: Formats): Promise<number> {
  const segments = await surveyJournal(disk, folder, formats);
  const walk = walkJournal(disk, segments, segments.find(hasBegun)?.beginning.first ?? 1, formats);
  let step = await walk.next();
  while (step.done !== true) step = await walk.next();
  return step.value ? step.value.next - 1 : 0;
}
