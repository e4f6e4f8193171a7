/**
 * When the frames of recorded streams are played, and with which tags: all streams on one timeline, pass after pass. Pure.
 *
 *     recorded   | f0   f1   f2  ...  fn |              arrival of each frame in the capture
 *     played     | f0   f1   f2  ...  fn |    | f0 ...  the same spacing; the next pass a whole number of seconds later
 *     tags       + shift                      + shift + pass
 *
 * Tags move by whole seconds only, so a frame keeps its slot, and every byte but SOC and CHK. The shift is rounded up to
 * the next second, and the playing waits for it: the promptest frame of the capture leaves at its new tag, all others as
 * much later as they came later. A device whose clock was wrong stays wrong, and equal tags stay equal.
 */
import { seal, viewOf } from '../protocols/c37118/frame.js';
import type { Recording } from './recording.js';

const US_PER_SECOND = 1_000_000;
/** Of SOC in any frame [C37.118.2 6.2]. */
const SOC_AT = 6;

/** One frame's turn. */
export interface Cue {
  /** Since the first frame of the pass. */
  readonly offsetUs: number;
  readonly streamId: number;
  readonly frame: Uint8Array;
}

export class Timeline {
  /** Of one pass, in order; at least one. */
  readonly cues: readonly Cue[];
  /** From one pass to the next: more than any stream's tags span, so that they rise across the seam. */
  readonly passSeconds: number;
  private readonly firstArrivalUs: number;
  /** From tag to arrival of the promptest frame, its clock's error included. */
  private readonly leastDelayUs: number;

  constructor(recordings: readonly Recording[]) {
    const frames = recordings.flatMap(({ streamId, frames }) => frames.map((frame) => ({ ...frame, streamId })));
    frames.sort((a, b) => a.atUs - b.atUs);
    const firstArrivalUs = frames[0]?.atUs ?? 0;
    this.cues = frames.map(({ atUs, streamId, bytes }) => ({
      offsetUs: atUs - firstArrivalUs,
      streamId,
      frame: bytes,
    }));
    this.firstArrivalUs = firstArrivalUs;
    this.leastDelayUs = frames.reduce((least, { atUs, measuredUs }) => Math.min(least, atUs - measuredUs), Infinity);
    const longestUs = recordings.reduce(
      (longest, recording) => Math.max(longest, tagSpanUs(recording) + recording.periodUs),
      this.cues.at(-1)?.offsetUs ?? 0,
    );
    this.passSeconds = Math.ceil(longestUs / US_PER_SECOND);
  }

  /** How many seconds the first pass's tags move if it can begin at `nowUs` (UTC), and how long it waits before it does. */
  start(nowUs: number): { readonly shiftSeconds: number; readonly waitUs: number } {
    // The first frame, on the clock that makes the promptest frame arrive at its own tag.
    const beginUs = this.firstArrivalUs - this.leastDelayUs;
    const shiftSeconds = Math.ceil((nowUs - beginUs) / US_PER_SECOND);
    return { shiftSeconds, waitUs: beginUs + shiftSeconds * US_PER_SECOND - nowUs };
  }
}

function tagSpanUs({ frames }: Recording): number {
  const [first, last] = frames.reduce(
    ([least, most], { measuredUs }) => [Math.min(least, measuredUs), Math.max(most, measuredUs)],
    [Infinity, -Infinity],
  );
  return last - first;
}

/** The frame `seconds` later, its CHK made good. */
export function shifted(frame: Uint8Array, seconds: number): Uint8Array {
  const moved = Uint8Array.from(frame);
  const view = viewOf(moved);
  view.setUint32(SOC_AT, view.getUint32(SOC_AT) + seconds);
  seal(moved);
  return moved;
}
