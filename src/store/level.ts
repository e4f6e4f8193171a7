/**
 * The ordered key-value index, and the one import site of classic-level. It is no truth: who cannot read it makes it anew.
 */
import { ClassicLevel } from 'classic-level';

export interface IndexWrite {
  readonly key: Uint8Array;
  /** Absent: the key is deleted. */
  readonly value?: Uint8Array;
}

export interface IndexRange {
  readonly from: Uint8Array;
  /** Not with it. */
  readonly to: Uint8Array;
  /** From the highest down. */
  readonly isReverse?: boolean;
  readonly limit?: number;
}

export interface OrderedIndex {
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  /**
   * All, or none of it.
   *
   * @param isDurable done when it is on the disk, and all that was written before it
   */
  write(writes: readonly IndexWrite[], isDurable?: boolean): Promise<void>;
  /** As the index is now, whatever is written meanwhile. */
  entries(range: IndexRange): AsyncIterable<readonly [key: Uint8Array, value: Uint8Array]>;
  clear(): Promise<void>;
  close(): Promise<void>;
}

/** What LevelDB's packages have in common, as far as it is used. */
export interface Level {
  open(): Promise<void>;
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  batch(
    writes: ({ type: 'put'; key: Uint8Array; value: Uint8Array } | { type: 'del'; key: Uint8Array })[],
    options: { readonly sync: boolean },
  ): Promise<void>;
  iterator(range: {
    gte: Uint8Array;
    lt: Uint8Array;
    reverse: boolean;
    limit: number;
  }): AsyncIterable<[Uint8Array, Uint8Array]>;
  clear(): Promise<void>;
  close(): Promise<void>;
}

export const BINARY = { keyEncoding: 'view', valueEncoding: 'view' } as const;

export function indexOn(level: Level): OrderedIndex {
  return {
    get: (key) => level.get(key),
    write: (writes, isDurable = false) =>
      level.batch(
        writes.map(({ key, value }) => (value ? { type: 'put', key, value } : { type: 'del', key })),
        { sync: isDurable },
      ),
    entries: ({ from, to, isReverse = false, limit = -1 }) =>
      level.iterator({ gte: from, lt: to, reverse: isReverse, limit }),
    clear: () => level.clear(),
    close: () => level.close(),
  };
}

/** Opens the index in a folder, made where there is none. Rejects where that cannot be, or somebody else has it open. */
export async function openLevel(folder: string): Promise<OrderedIndex> {
  const level = new ClassicLevel<Uint8Array, Uint8Array>(folder, BINARY);
  await level.open();
  return indexOn(level);
}
