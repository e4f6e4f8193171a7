/** Puts entries of the history's log into its index: those that came after it was last written, or all of them. */
import type { Disk } from '../disk.js';
import { FRAME_HEADER_BYTES } from './frame.js';
import { decodeEntry, type Owner } from './history-chunk.js';
import { extentWrite, headWrite, IndexFault, rowWrite, type Head, type HistoryIndex } from './history-index.js';
import { endOf, NOTHING_YET, rowOf, Span, type HistoryRow, type Place } from './history-row.js';
import { surveyJournal, walkJournal } from './journal-reader.js';
import type { IndexWrite } from './level.js';

/** Rows written to the index together. */
const BATCH = 1_000;
/** Before an entry in its frame. */
export const ENTRY_LENGTH_BYTES = 4;

export const ownerKey = ({ reference, epoch }: Owner): string => `${epoch} ${reference}`;

/** A container without a chunk yet. */
export const newHead = ({ reference, epoch }: Owner, id: number, next = 1): Head => ({
  reference,
  epoch,
  id,
  first: next,
  next,
  sizeBytes: 0,
  hasNames: false,
  measured: NOTHING_YET,
  created: NOTHING_YET,
});

/** The head after one more chunk, which begins with the ordinal `n`, and the chunk's row. @throws IndexFault for one that does not follow */
export function grown(
  head: Head,
  n: number,
  span: Span,
  place: Place,
): { readonly head: Head; readonly row: HistoryRow } {
  if (n !== head.next) throw new IndexFault(`${head.reference} goes on at ${n}, not at ${head.next}`);
  const row = rowOf(n, span, place, head);
  const { reference, epoch, id, first } = head;
  return {
    row,
    head: {
      reference,
      epoch,
      id,
      first,
      next: endOf(row),
      sizeBytes: head.sizeBytes + row.sizeBytes,
      hasNames: head.hasNames || row.names.length > 0,
      measured: { high: row.measured.high, back: row.measured.back },
      created: { high: row.created.high, back: row.created.back },
    },
  };
}

/**
 * @param from first entry that is not in the index; undefined: all there are
 * @param to last entry that can be relied upon: what a write that failed has left behind it is superseded
 * @param standing heads that are in it
 * @returns the heads that are in it afterwards
 * @throws Damage, IndexFault, and what the disk fails with
 */
export async function absorbLog(
  { disk, folder }: { readonly disk: Disk; readonly folder: string },
  index: HistoryIndex,
  from: number | undefined,
  to: number,
  standing: readonly Head[],
): Promise<readonly Head[]> {
  const segments = await surveyJournal(disk, folder);
  const oldest = segments.find(({ beginning }) => beginning)?.beginning?.first;
  if (oldest === undefined) return standing;
  const heads = new Map(standing.map((head) => [ownerKey(head), head]));
  let lastId = standing.reduce((most, { id }) => Math.max(most, id), 0);
  let sequence = (from ?? oldest) - 1;
  let writes: IndexWrite[] = [];
  const flush = async (): Promise<void> => {
    writes.push(...[...heads.values()].map(headWrite), extentWrite({ sequence, rowsTo: sequence, heads: heads.size }));
    await index.ordered.write(writes);
    writes = [];
  };
  for await (const { segment, frame } of walkJournal(disk, segments, from ?? oldest)) {
    let at = frame.at + FRAME_HEADER_BYTES;
    for (const [offset, bytes] of frame.entries.entries()) {
      const place = {
        sequence: frame.sequence + offset,
        segment: segment.number,
        frameAt: frame.at,
        at: at + ENTRY_LENGTH_BYTES,
        length: bytes.length,
      };
      at = place.at + bytes.length;
      if (place.sequence <= sequence || place.sequence > to) continue;
      const entry = decodeEntry(bytes);
      if (!entry) throw new IndexFault(`entry ${place.sequence} is of no kind that is known`);
      const key = ownerKey(entry);
      const head = heads.get(key);
      if (!entry.records) {
        if (writes.length > 0) await flush();
        if (head) writes.push(...(await index.deletions(head.id)));
        heads.delete(key);
      } else {
        const before = head ?? newHead(entry, ++lastId, entry.n);
        const after = grown(before, entry.n, Span.of(entry.records), place);
        heads.set(key, after.head);
        writes.push(rowWrite(before.id, after.row));
      }
      sequence = place.sequence;
    }
    if (writes.length >= BATCH) await flush();
  }
  await flush();
  return [...heads.values()];
}
