/**
 * Writes what waits in tracks: one frame for the log, then one batch for the index, then it is settled. One writing at a time.
 *
 *     chunks ──> log ──> rows ──> settled        heads, rows that have gone, how far: now and then, all at once
 *
 * Where a container ends can be read off the log from where the index was last told of it, so that need not be written each second. Where it
 * begins, its limits say: what a kill brings back they take away again at its next turn.
 */
import { encodeRemoval } from './history-chunk.js';
import { extentWrite, headWrite, rowDeletion, rowWrite, type Head, type HistoryIndex } from './history-index.js';
import { ENTRY_LENGTH_BYTES, grown } from './history-rebuild.js';
import { FRAME_HEADER_BYTES } from './frame.js';
import { endOf, type HistoryRow, type Place } from './history-row.js';
import type { HistoryTrack, Kept } from './history-track.js';
import type { Journal } from './journal.js';
import type { IndexWrite } from './level.js';

/** Chunks that one container may lose at a turn: what a smaller limit makes superfluous goes by and by. */
const EVICTED_AT_ONCE = 100;

export class HistoryWriter {
  /** Containers that have a head in the index. */
  private readonly indexed = new Set<number>();
  /** Last entry of the log that is in the index as a whole. */
  private indexedTo = 0;
  /** What the heads are now that the index has not been told of, or was told otherwise. */
  private readonly changed = new Map<number, Head>();
  /** Rows that are still in the index and no longer wanted. */
  private readonly unwanted: IndexWrite[] = [];

  constructor(private readonly journal: Journal) {}

  /** The index has been read, or made anew: it has these heads, and all that is in the log. */
  adopt(heads: readonly Head[]): void {
    this.indexedTo = this.journal.durableSequence;
    this.indexed.clear();
    for (const { id } of heads) this.indexed.add(id);
    this.changed.clear();
    this.unwanted.length = 0;
  }

  /**
   * @param removed tracks whose containers are gone
   * @param isWhole the index is told everything, and has it on the disk: then segments may go that it does not lead to
   * @returns false: the journal takes nothing now; it is all as it was
   * @throws where the log has it and the index perhaps not
   */
  async write<R extends Kept>(
    index: HistoryIndex,
    due: readonly HistoryTrack<R>[],
    removed: readonly HistoryTrack<R>[],
    isWhole: boolean,
  ): Promise<boolean> {
    const cuts = due.flatMap((track) => {
      let n = track.head.next;
      return track.cut().map((chunk) => {
        const cut = { track, n, span: chunk.span, entry: chunk.sealed(n) };
        n += chunk.count;
        return cut;
      });
    });
    const entries = [...cuts.map(({ entry }) => entry), ...removed.map(({ head }) => encodeRemoval(head))];
    const places = entries.length === 0 ? [] : await this.append(entries);
    if (!places) return false;
    const writes: IndexWrite[] = [];
    const rows = new Map<HistoryTrack<R>, HistoryRow[]>();
    const heads = new Map(due.map((track) => [track, track.head]));
    for (const [position, { track, n, span }] of cuts.entries()) {
      const place = places[position];
      if (!place) throw new Error('an entry without a place'); // there are as many as entries
      const { head, row } = grown(heads.get(track) ?? track.head, n, span, place);
      heads.set(track, head);
      rows.set(track, [...(rows.get(track) ?? []), row]);
      writes.push(rowWrite(head.id, row));
    }
    const oldest = new Map<HistoryTrack<R>, HistoryRow | undefined>();
    for (const [track, head] of heads) {
      const kept = await evict(index, track, head, rows.get(track) ?? [], this.unwanted);
      heads.set(track, kept.head);
      oldest.set(track, kept.oldestRow);
    }
    for (const { head } of removed) {
      writes.push(...(await index.deletions(head.id)));
      this.indexed.delete(head.id);
      this.changed.delete(head.id);
    }
    for (const [track, head] of heads) if (head !== track.head) this.changed.set(head.id, head);
    // Whose rows these are must be in the index with them.
    const hasNew = due.some(({ head }) => !this.indexed.has(head.id));
    if (isWhole || hasNew || removed.length > 0) writes.push(...this.rest());
    const rowsTo = this.journal.durableSequence;
    writes.push(extentWrite({ sequence: this.indexedTo, rowsTo, heads: this.indexed.size }));
    await index.ordered.write(writes, isWhole);
    for (const [track, head] of heads) {
      track.settle(head);
      track.oldestRow = oldest.get(track);
    }
    return true;
  }

  /** What the index has not been told yet. */
  private rest(): readonly IndexWrite[] {
    const writes = this.unwanted.splice(0);
    for (const [id, head] of this.changed) {
      writes.push(headWrite(head));
      this.indexed.add(id);
    }
    this.changed.clear();
    this.indexedTo = this.journal.durableSequence;
    return writes;
  }

  private append(entries: readonly Uint8Array[]): Promise<readonly Place[] | undefined> {
    return new Promise((resolve) => {
      let frame = { segment: 0, frameAt: 0 };
      const form = (place: typeof frame): void => void (frame = place);
      this.journal.append({ entries, durability: 'synced', form }, (refusal) =>
        resolve(refusal ? undefined : placesIn(frame, entries, this.journal.durableSequence)),
      );
    });
  }
}

function placesIn(
  { segment, frameAt }: Pick<Place, 'segment' | 'frameAt'>,
  entries: readonly Uint8Array[],
  last: number,
): readonly Place[] {
  let end = frameAt + FRAME_HEADER_BYTES;
  return entries.map(({ length }, position) => {
    const at = end + ENTRY_LENGTH_BYTES;
    end = at + length;
    return { sequence: last - entries.length + 1 + position, segment, frameAt, at, length };
  });
}

/** Takes out the oldest chunks that are no longer wanted. */
async function evict<R extends Kept>(
  index: HistoryIndex,
  track: HistoryTrack<R>,
  standing: Head,
  fresh: readonly HistoryRow[],
  unwanted: IndexWrite[],
): Promise<{ readonly head: Head; readonly oldestRow: HistoryRow | undefined }> {
  let head = standing;
  let oldestRow = track.oldestRow ?? fresh[0];
  for (let left = EVICTED_AT_ONCE; oldestRow && left > 0 && track.isUnwanted(oldestRow, head); left--) {
    unwanted.push(rowDeletion(head.id, oldestRow));
    head = { ...head, first: endOf(oldestRow), sizeBytes: head.sizeBytes - oldestRow.sizeBytes };
    const { first } = head;
    oldestRow =
      first === head.next ? undefined : (fresh.find(({ n }) => n === first) ?? (await index.rowAt(head.id, first)));
  }
  return { head, oldestRow };
}
