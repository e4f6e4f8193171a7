/**
 * Reads the audit trail as one sequence, out of the archive and of the state journal where it goes on. Also while a daemon runs:
 * the state is read first, so what leaves it meanwhile is found in the archive.
 */
import type { Disk } from '../disk.js';
import { followChain, GENESIS, numberOfEvent, type ChainHead } from './audit-chain.js';
import { decodeEntry } from './entry.js';
import { hasBegun, surveyJournal, walkJournal, type Formats } from './journal-reader.js';
import { auditFolder, stateFolder } from './layout.js';
import { Damage } from './segment.js';

/** @throws Damage */
export async function* readTrail(disk: Disk, data: string, formats: Formats = {}): AsyncGenerator<Buffer> {
  const recent: Buffer[] = [];
  for await (const bytes of entriesOf(disk, stateFolder(data), formats)) {
    const entry = decodeEntry(bytes);
    if (entry.kind === 'audit') recent.push(entry.event);
  }
  const [first] = recent;
  const end = first ? numberOfEvent(first) : Infinity;
  for await (const event of entriesOf(disk, auditFolder(data), formats)) {
    if (numberOfEvent(event) >= end) break;
    yield event;
  }
  yield* recent;
}

/**
 * Walks the chain from the first event to the last.
 *
 * @throws Damage
 */
export async function verifyTrail(disk: Disk, data: string, formats: Formats = {}): Promise<ChainHead> {
  let head = GENESIS;
  for await (const event of readTrail(disk, data, formats)) {
    const next = followChain(event, head);
    if (typeof next === 'string') throw new Damage(data, 0, `the audit trail is broken: ${next}`);
    head = next;
  }
  return head;
}

/** All that a journal still has. */
async function* entriesOf(disk: Disk, folder: string, formats: Formats): AsyncGenerator<Buffer> {
  const segments = await surveyJournal(disk, folder, formats);
  const from = segments.find(hasBegun)?.beginning.first ?? 1;
  for await (const { entries } of walkJournal(disk, segments, from, formats))
    for (const { bytes } of entries) yield Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
