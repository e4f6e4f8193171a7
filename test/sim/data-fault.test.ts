import { encodeHeader, decodeHeader } from '../../src/protocols/c37118/command.js';
import { noFramingCounts, StreamFramer } from '../../src/protocols/c37118/framer.js';
import { seededRandom } from '../../src/random.js';
import { DataFaults } from '../../src/sim/data-fault.js';
import { parseDisturbances } from '../../src/sim/disturbance.js';

const FRAMES = 2000;
/** A frame that tells its number. */
const numbered = (number: number): Uint8Array =>
  encodeHeader({ kind: 'header', version: 1, streamId: 1, soc: 1, fraction: 0, timeQuality: 0, text: String(number) });

/** Sends frames through the faults into a reader of a stream. */
function through(...texts: string[]) {
  const disturbances = parseDisturbances(texts);
  if ('status' in disturbances) throw new Error(disturbances.detail);
  const faults = new DataFaults(disturbances, seededRandom(7));
  const counts = noFramingCounts();
  const received: number[] = [];
  const framer = new StreamFramer(
    counts,
    (frame) => received.push(Number(decodeHeader(frame).text)),
    () => undefined,
  );
  for (let number = 0; number < FRAMES; number++) {
    for (const bytes of faults.apply(numbered(number))) framer.push(bytes, 0);
  }
  // What was unfinished at the end is given up.
  framer.push(new Uint8Array(0), 10_000_000);
  return { faults, counts, received };
}

describe('DataFaults', () => {
  test('without any, frames pass as they are', () => {
    const { received, counts } = through('ambient');
    expect(received).toEqual([...Array(FRAMES).keys()]);
    expect(counts.skippedBytes).toBe(0);
  });

  test('loss, duplicates and bad CRCs are counted as a reader sees them', () => {
    const { faults, counts, received } = through('loss:share=0.1', 'bad-crc:share=0.05', 'duplicate:share=0.1');
    const { lost, badCrc, duplicated } = faults.counts;
    expect(lost).toBeGreaterThan(150);
    expect(badCrc).toBeGreaterThan(50);
    expect(duplicated).toBeGreaterThan(100);
    expect(counts.crcErrors).toBeGreaterThanOrEqual(badCrc);
    // A damaged frame may be sent twice.
    expect(new Set(received).size).toBe(FRAMES - lost - badCrc);
  });

  test('a reordered frame comes right behind the one that follows it, and none is missing', () => {
    const { faults, received } = through('reorder:share=0.1');
    const back = received.filter((number, index) => number < (received[index - 1] ?? -1));
    expect(back).toHaveLength(faults.counts.reordered);
    expect([...received].sort((a, b) => a - b)).toEqual([...Array(received.length).keys()]);
    back.forEach((number) => expect(received[received.indexOf(number) - 1]).toBe(number + 1));
  });

  test('garbage between frames costs no frame', () => {
    const { faults, counts, received } = through('garbage:share=0.2,bytes=60');
    expect(faults.counts.garbage).toBeGreaterThan(FRAMES * 0.2 * 20);
    expect(counts.skippedBytes).toBe(faults.counts.garbage);
    expect(received).toEqual([...Array(FRAMES).keys()]);
  });

  test('equal seeds do the same', () => {
    const all = ['loss:share=0.1', 'duplicate:share=0.1', 'reorder:share=0.1', 'garbage:share=0.1'];
    expect(through(...all).received).toEqual(through(...all).received);
  });
});
