import fc from 'fast-check';
import { encodeHeader } from '../../src/protocols/c37118/command.js';
import { checkFrame, readHead, viewOf } from '../../src/protocols/c37118/frame.js';
import type { Recording } from '../../src/sim/recording.js';
import { shifted, Timeline } from '../../src/sim/timeline.js';

const anyFrame = (soc: number): Uint8Array =>
  encodeHeader({ kind: 'header', version: 1, streamId: 9, soc, fraction: 5, timeQuality: 1, text: 'x' });

/** A stream whose frames arrive `delaysUs` after their tags, 20 ms apart from `firstUs` on. */
const recording = (streamId: number, firstUs: number, delaysUs: readonly number[]): Recording => ({
  streamId,
  configuration2: new Uint8Array(0),
  configuration1: undefined,
  header: undefined,
  periodUs: 20_000,
  frames: delaysUs.map((delayUs, index) => {
    const measuredUs = firstUs + index * 20_000;
    return { measuredUs, atUs: measuredUs + delayUs, bytes: anyFrame(Math.floor(measuredUs / 1e6)) };
  }),
});

const delays = fc.array(fc.integer({ min: -500_000, max: 500_000 }), { minLength: 1, maxLength: 200 });
const anyStart = fc.integer({ min: 0, max: 10_000_000 });
const NOW_US = Date.UTC(2026, 0, 1) * 1000;

describe('Timeline', () => {
  test('begins within a second, no frame leaves before its new tag, and the promptest leaves at it', () => {
    fc.assert(
      fc.property(delays, anyStart, anyStart, (delaysUs, firstUs, late) => {
        const { frames } = recording(1, firstUs, delaysUs);
        const nowUs = NOW_US + late;
        const timeline = new Timeline([recording(1, firstUs, delaysUs)]);
        const { shiftSeconds, waitUs } = timeline.start(nowUs);
        expect(waitUs).toBeGreaterThanOrEqual(0);
        expect(waitUs).toBeLessThan(1_000_000);
        const firstAtUs = Math.min(...frames.map(({ atUs }) => atUs));
        const ages = frames.map(
          ({ atUs, measuredUs }) => nowUs + waitUs + (atUs - firstAtUs) - (measuredUs + shiftSeconds * 1e6),
        );
        expect(Math.min(...ages)).toBe(0);
      }),
    );
  });

  test('tags and departures rise across the seam between two passes, in every stream', () => {
    fc.assert(
      fc.property(fc.tuple(delays, delays), fc.tuple(anyStart, anyStart), (delaysUs, firstUs) => {
        const recordings = [recording(1, firstUs[0], delaysUs[0]), recording(2, firstUs[1], delaysUs[1])];
        const timeline = new Timeline(recordings);
        const passUs = timeline.passSeconds * 1e6;
        expect(Number.isInteger(timeline.passSeconds)).toBe(true);
        expect(timeline.cues.at(-1)?.offsetUs).toBeLessThanOrEqual(passUs);
        for (const { frames, periodUs } of recordings) {
          const tags = frames.map(({ measuredUs }) => measuredUs);
          expect(Math.min(...tags) + passUs - Math.max(...tags)).toBeGreaterThanOrEqual(periodUs);
        }
      }),
    );
  });
});

test('a shifted frame differs in SOC and CHK only, and its CHK is good', () => {
  fc.assert(
    fc.property(fc.nat(2_000_000_000), fc.nat(2_000_000_000), (soc, seconds) => {
      const frame = anyFrame(soc);
      const moved = shifted(frame, seconds);
      expect(readHead(viewOf(moved)).soc).toBe(soc + seconds);
      expect(checkFrame(moved)).toBeUndefined();
      expect([moved.subarray(0, 6), moved.subarray(10, -2)]).toEqual([frame.subarray(0, 6), frame.subarray(10, -2)]);
      expect(readHead(viewOf(frame)).soc).toBe(soc);
    }),
  );
});
