/**
 * What happens to frames between a device and whoever reads them: a row of steps, each taking frames and giving frames.
 *
 *     frame ─> loss ─> bad CRC ─> duplicate ─> reorder ─> garbage ─> the wire       (and a delay, see `delayMs`)
 *
 * Random, but from a seed: the same seed does the same to the same frames.
 */
import { CHK_BYTES } from '../protocols/c37118/frame.js';
import type { Random } from '../random.js';
import { named, type Disturbance } from './disturbance.js';

type Step = (frames: readonly Uint8Array[]) => readonly Uint8Array[];

/** How often each was done; only rising. Reports compare these with what a reader has noticed. */
export interface FaultCounts {
  lost: number;
  badCrc: number;
  duplicated: number;
  reordered: number;
  /** Bytes. */
  garbage: number;
}

export class DataFaults {
  readonly counts: FaultCounts = { lost: 0, badCrc: 0, duplicated: 0, reordered: 0, garbage: 0 };
  private readonly steps: readonly Step[];
  private held: Uint8Array | undefined;

  constructor(
    private readonly disturbances: readonly Disturbance[],
    private readonly random: Random,
  ) {
    this.steps = [this.lose, this.spoilCrc, this.duplicate, this.reorder, this.addGarbage];
  }

  /** What goes on the wire where `frame` should have gone. */
  apply(frame: Uint8Array): readonly Uint8Array[] {
    return this.steps.reduce<readonly Uint8Array[]>((frames, step) => step(frames), [frame]);
  }

  /** How late the next frame leaves; frames stay in order all the same. */
  delayMs(): number {
    return named(this.disturbances, 'jitter').reduce((total, { ms }) => total + this.unit() * ms, 0);
  }

  private readonly lose: Step = (frames) =>
    frames.filter(() => {
      const isLost = this.strikes('loss');
      if (isLost) this.counts.lost++;
      return !isLost;
    });

  private readonly spoilCrc: Step = (frames) =>
    frames.map((frame) => {
      if (!this.strikes('bad-crc')) return frame;
      this.counts.badCrc++;
      const spoilt = Uint8Array.from(frame);
      spoilt[frame.length - CHK_BYTES] = (frame[frame.length - CHK_BYTES] ?? 0) ^ 0xff;
      return spoilt;
    });

  private readonly duplicate: Step = (frames) =>
    frames.flatMap((frame) => {
      if (!this.strikes('duplicate')) return [frame];
      this.counts.duplicated++;
      return [frame, frame];
    });

  private readonly reorder: Step = (frames) =>
    frames.flatMap((frame) => {
      const { held } = this;
      this.held = undefined;
      if (held) return [frame, held];
      if (!this.strikes('reorder')) return [frame];
      this.counts.reordered++;
      this.held = frame;
      return [];
    });

  private readonly addGarbage: Step = (frames) =>
    frames.flatMap((frame) => {
      const before = named(this.disturbances, 'garbage')
        .filter(({ share }) => this.unit() < share)
        .map(({ bytes }) => this.random.bytes(1 + this.random.below(Math.floor(bytes))));
      for (const bytes of before) this.counts.garbage += bytes.length;
      return [...before, frame];
    });

  private strikes(name: 'loss' | 'bad-crc' | 'duplicate' | 'reorder'): boolean {
    return named(this.disturbances, name).some(({ share }) => this.unit() < share);
  }

  private unit(): number {
    return this.random.below(2 ** 32) / 2 ** 32;
  }
}
