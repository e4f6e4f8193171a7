/**
 * Reads the journal in a folder, verifying what it reads: sizes, checksums, chain, and that nothing is missing between the
 * first and the last segment.
 *
 *     surveyJournal ──> segments ──> walkJournal(from) ──> frame, frame, ...     throws Damage
 *
 * An entry that an older version wrote is handed on in today's form: `formats` has, by version, how its entries become entries
 * of the next one.
 */
import type { Disk } from '../disk.js';
import { SECTOR_BYTES, type Frame } from './frame.js';
import {
  Damage,
  FORMAT_VERSION,
  FRAMES_AT,
  framesOf,
  numberOf,
  readSegmentHeader,
  type Beginning,
  type SegmentEnd,
} from './segment.js';

/** By version: the entries of the next version that one entry becomes. */
export type Formats = Readonly<Record<number, (entry: Uint8Array) => readonly Uint8Array[]>>;

export interface Segment {
  readonly path: string;
  readonly number: number;
  readonly version: number;
  readonly size: number;
  /** Undefined while it is only prepared. */
  readonly beginning: Beginning | undefined;
}
export type BegunSegment = Segment & { readonly beginning: Beginning };

export interface Entry {
  readonly sequence: number;
  /** A view on what was read. */
  readonly bytes: Uint8Array;
}

export const hasBegun = (segment: Segment): segment is BegunSegment => segment.beginning !== undefined;

/**
 * The segments of a folder, in order.
 *
 * @throws Damage for a header that is damaged, a file that was cut, and a gap in the numbers
 */
export async function surveyJournal(disk: Disk, folder: string, formats: Formats = {}): Promise<readonly Segment[]> {
  const numbers = (await disk.list(folder)).map((name) => ({ name, number: numberOf(name) }));
  const segments: Segment[] = [];
  for (const { name, number } of numbers.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (number === undefined) continue;
    const path = `${folder}/${name}`;
    const before = segments.at(-1)?.number;
    if (before !== undefined && number !== before + 1)
      throw new Damage(path, 0, `the segments from ${before + 1} to ${number - 1} are missing`);
    const file = await disk.open(path, 'read');
    try {
      const bytes = Buffer.from(await file.read(0, FRAMES_AT));
      const segment = { path, ...readSegmentHeader(path, bytes, await file.size()) };
      for (let { version } = segment; version !== FORMAT_VERSION; version++)
        if (version > FORMAT_VERSION || !formats[version])
          throw new Damage(path, 4, `it has format ${segment.version}, and this program reads ${FORMAT_VERSION}`);
      segments.push(segment);
    } finally {
      await file.close();
    }
  }
  return segments;
}

/** What a walk found at the end of the log. */
export interface JournalEnd extends SegmentEnd {
  readonly segment: BegunSegment;
  /** The whole segment. */
  readonly bytes: Buffer;
}

export interface Step {
  readonly segment: BegunSegment;
  readonly frame: Frame;
  /** In today's form. */
  readonly entries: readonly Entry[];
}

/**
 * Walks all frames of the segments that hold entries from `from` on; with 0 of all there are, with Infinity of the last one. What is before that is
 * not read.
 *
 * @returns undefined where nothing has begun
 * @throws Damage
 */
export async function* walkJournal(
  disk: Disk,
  segments: readonly Segment[],
  from: number,
  formats: Formats = {},
): AsyncGenerator<Step, JournalEnd | undefined> {
  const begun = segments.filter(hasBegun);
  const [oldest] = begun;
  if (from > 0 && oldest && oldest.beginning.first > from)
    throw new Damage(oldest.path, 0, `the entries from ${from} to ${oldest.beginning.first - 1} are missing before it`);
  let end: JournalEnd | undefined;
  const walked = begun.slice(
    begun.findIndex((_, index) => {
      const next = begun[index + 1];
      return !next || next.beginning.first > from;
    }),
  );
  let coming = readAhead(disk, walked[0]);
  for (const [index, segment] of walked.entries()) {
    const { beginning, path } = segment;
    const next = walked[index + 1]?.beginning.first;
    if (end && (end.next !== beginning.first || end.chain !== beginning.chain))
      throw new Damage(
        path,
        SECTOR_BYTES,
        `it begins at entry ${beginning.first}, and the one before it ends at ${end.next}`,
      );
    const bytes = await coming;
    coming = readAhead(disk, walked[index + 1]);
    const frames = framesOf(path, bytes, segment.number, beginning, next);
    let step = frames.next();
    for (; step.done !== true; step = frames.next())
      yield { segment, frame: step.value, entries: entriesIn(step.value, segment.version, formats) };
    end = { ...step.value, segment, bytes };
  }
  return end;
}

/** An entry of an older version keeps its sequence, whatever it has become. */
function entriesIn({ entries, sequence }: Frame, version: number, formats: Formats): readonly Entry[] {
  if (version === FORMAT_VERSION) return entries.map((bytes, index) => ({ sequence: sequence + index, bytes }));
  return entries.flatMap((entry, index) =>
    today(entry, version, formats).map((bytes) => ({ sequence: sequence + index, bytes })),
  );
}

function today(entry: Uint8Array, version: number, formats: Formats): readonly Uint8Array[] {
  const next = version === FORMAT_VERSION ? undefined : formats[version];
  return next ? next(entry).flatMap((bytes) => today(bytes, version + 1, formats)) : [entry];
}

/** A walk may end before it wants what is read already. */
function readAhead(disk: Disk, segment: Segment | undefined): Promise<Buffer> {
  const reading = segment ? wholeOf(disk, segment) : Promise.resolve(Buffer.alloc(0));
  reading.catch(() => {});
  return reading;
}

async function wholeOf(disk: Disk, { path, size }: Segment): Promise<Buffer> {
  const read = await disk.read(path);
  const bytes = Buffer.from(read.buffer, read.byteOffset, read.length);
  if (bytes.length !== size)
    throw new Damage(path, bytes.length, `it has ${bytes.length} bytes, and was written with ${size}`);
  return bytes;
}
