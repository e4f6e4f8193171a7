/** The two devices of a recorded session that sent the same tags: how many sets are complete after which wait. */
import { decode } from '../../src/protocols/c37118/codec.js';
import { readHead, typeOf, viewOf } from '../../src/protocols/c37118/frame.js';
import { tagUs } from '../../src/protocols/c37118/time.js';
import { Aligner, type SnapshotTerms } from '../../src/routing/snapshot.js';
import { describeRecorded, recordedFrames } from '../protocols/c37118/recordings.js';

const RATE = 50;

/** Share of complete sets, per cent, with the frames coming as they came. */
function share(wait: Pick<SnapshotTerms, 'waitUs' | 'mode'>): { percent: number; late: number } {
  const frames = recordedFrames('C37.118_2PMUsInSync_TCP');
  const timeBases = new Map<number, number>();
  for (const { bytes } of frames) {
    const frame = decode(bytes);
    if (frame.kind === 'configuration2') timeBases.set(frame.streamId, frame.timeBase);
  }
  const ids = [...timeBases.keys()];
  const aligner = new Aligner<number>(ids.length, { ...wait, rate: RATE, isPreemptive: true }, () => {});
  const arrivals = frames
    .filter(({ bytes }) => typeOf(bytes) === 'data')
    .map(({ bytes, arrivedUs }) => {
      const head = readHead(viewOf(bytes));
      return { arrivedUs, member: ids.indexOf(head.streamId), us: tagUs(head, timeBases.get(head.streamId) ?? 1) };
    })
    .sort((a, b) => a.arrivedUs - b.arrivedUs);
  for (const { arrivedUs, member, us } of arrivals) {
    for (let due = aligner.dueUs; due !== undefined && due < arrivedUs; due = aligner.dueUs) aligner.advance(due);
    aligner.take(member, us, us, { monotonicUs: arrivedUs, wallUs: arrivedUs });
  }
  aligner.advance(Infinity);
  const { complete, incomplete, late } = aligner.figures;
  expect(complete + incomplete).toBe(1501);
  return { percent: (100 * complete) / 1501, late };
}

describeRecorded('two devices on one switch', () => {
  test.each([
    [10_000, 2.0],
    [20_000, 34.0],
    [30_000, 60.3],
    [40_000, 85.3],
    [50_000, 99.8],
    [70_000, 100],
    [100_000, 100],
  ])('are together in a set after a relative wait of %d us as often as was measured: %d %%', (waitUs, percent) => {
    expect(share({ waitUs, mode: 'relative' }).percent).toBeCloseTo(percent, 1);
  });

  test('none of their samples is lost to a wait of 100 ms', () => {
    expect(share({ waitUs: 100_000, mode: 'relative' }).late).toBe(0);
  });
});
