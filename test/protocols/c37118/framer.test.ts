import fc from 'fast-check';
import { seededRandom } from '../../../src/random.js';
import { encode } from '../../../src/protocols/c37118/codec.js';
import { layoutOf } from '../../../src/protocols/c37118/data-frame.js';
import { seal } from '../../../src/protocols/c37118/frame.js';
import {
  CANDIDATE_PATIENCE_US,
  noFramingCounts,
  splitDatagram,
  StreamFramer,
  type FramingCounts,
} from '../../../src/protocols/c37118/framer.js';
import { CAPTURES, describeRecorded, recordedFrames } from './recordings.js';
import { frames, stream } from './stream.js';

const CONFIGURATION = stream();
const FRAME_BYTES = layoutOf(CONFIGURATION).frameBytes;
/** A beginning that claims 60,000 bytes. */
const FALSE_BEGINNING = Buffer.from('aa01ea60003c', 'hex');

interface Framing {
  readonly push: (bytes: Uint8Array, nowUs?: number) => void;
  readonly got: string[];
  readonly counts: FramingCounts;
}

/** A framer that knows the length of stream 60's data frames. */
function framing(expectedBytes = FRAME_BYTES): Framing {
  const got: string[] = [];
  const counts = noFramingCounts();
  const framer = new StreamFramer(
    counts,
    (frame) => void got.push(Buffer.from(frame).toString('hex')),
    (streamId) => (streamId === 60 ? expectedBytes : undefined),
  );
  return { push: (bytes, nowUs = 0) => framer.push(bytes, nowUs), got, counts };
}

const hexOf = (list: readonly Uint8Array[]): string[] => list.map((bytes) => Buffer.from(bytes).toString('hex'));

/** Cuts a stream at the given fractions of its length. */
function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const borders = [0, ...cuts.map((cut) => Math.floor(cut * bytes.length)).sort((a, b) => a - b), bytes.length];
  return borders.slice(1).map((end, index) => bytes.subarray(borders[index], end));
}

const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 60 });

describe('StreamFramer', () => {
  test('finds the same frames wherever the stream is cut', () => {
    const sent = [encode(CONFIGURATION), ...frames(CONFIGURATION, 20)];
    fc.assert(
      fc.property(cuts, (borders) => {
        const { push, got, counts } = framing();
        for (const piece of pieces(Buffer.concat(sent), borders)) push(piece);
        expect(got).toEqual(hexOf(sent));
        expect(counts).toEqual({ ...noFramingCounts(), frames: sent.length });
      }),
    );
  });

  test('loses to garbage no frame that the garbage does not touch, and counts every byte of it', () => {
    const [before, between, after] = [
      frames(CONFIGURATION, 3),
      frames(CONFIGURATION, 2, 1_700_000_100),
      frames(CONFIGURATION, 30),
    ];
    const noise = fc.uint8Array({ maxLength: 400 });
    fc.assert(
      fc.property(noise, noise, cuts, (one, two, borders) => {
        const { push, got, counts } = framing();
        const sent = Buffer.concat([...before, one, ...between, two, ...after]);
        pieces(sent, borders).forEach((piece, index) => push(piece, index));
        push(new Uint8Array(), 2 * CANDIDATE_PATIENCE_US);
        const whole = hexOf([...before, ...between, ...after]);
        expect(got).toEqual(whole);
        const framed = whole.reduce((bytes, hex) => bytes + hex.length / 2, 0);
        // The last few bytes of garbage could still begin a frame; here frames end the stream.
        expect(counts.skippedBytes).toBe(sent.length - framed);
      }),
    );
  });

  test('costs a damaged frame and no other, whichever byte it is', () => {
    const sent = frames(CONFIGURATION, 5);
    for (let at = 0; at < FRAME_BYTES; at++) {
      const { push, got } = framing();
      const damaged = Buffer.concat(sent);
      damaged[2 * FRAME_BYTES + at]! ^= 0x10;
      push(damaged);
      expect(got).toEqual(hexOf(sent.filter((_, index) => index !== 2)));
    }
  });

  test('goes on behind deleted and inserted bytes', () => {
    const sent = frames(CONFIGURATION, 6);
    const { push, got } = framing();
    push(
      Buffer.concat([
        sent[0]!,
        sent[1]!.subarray(0, 7),
        sent[2]!,
        sent[3]!.subarray(5),
        sent[4]!,
        Buffer.from([0xaa, 1]),
        sent[5]!,
      ]),
    );
    expect(got).toEqual(hexOf([0, 2, 4, 5].map((index) => sent[index]!)));
  });

  test('is not held up by a false beginning that claims 60,000 bytes', () => {
    const sent = frames(CONFIGURATION, 2);
    const { push, got, counts } = framing();
    push(FALSE_BEGINNING);
    push(sent[0]!);
    expect(got).toHaveLength(1);
    push(sent[1]!);
    expect(got).toHaveLength(2);
    expect(counts).toMatchObject({ abandoned: 1, skippedBytes: FALSE_BEGINNING.length });
  });

  test('waits a second for a data frame of exactly the expected length, and no longer', () => {
    const [first, inside] = frames(CONFIGURATION, 2) as [Uint8Array, Uint8Array];
    // A frame begun and broken off, of the length that is expected; a whole one stands where its values should be.
    const begun = Buffer.concat([
      FALSE_BEGINNING.subarray(0, 2),
      Buffer.from([0, 200]),
      FALSE_BEGINNING.subarray(4),
      inside,
    ]);
    const { push, got } = framing(200);
    push(begun, 0);
    push(first, CANDIDATE_PATIENCE_US - 1);
    expect(got).toEqual([]);
    push(new Uint8Array(), CANDIDATE_PATIENCE_US);
    expect(got).toEqual(hexOf([inside, first]));
  });

  test('counts frames of the 2024 text and drops them whole', () => {
    const [good, next] = frames(CONFIGURATION, 2) as [Uint8Array, Uint8Array];
    const newer = Buffer.from(good);
    newer[1] = 0x83;
    seal(newer);
    const { push, got, counts } = framing();
    push(Buffer.concat([newer, next]));
    expect(got).toEqual(hexOf([next]));
    expect(counts).toMatchObject({ generation3: 1, skippedBytes: 0, crcErrors: 0 });
  });

  test('takes time linear in the bytes even when every second byte is a false beginning', () => {
    const { push, got, counts } = framing();
    const hostile = Buffer.alloc(1_000_000);
    for (let at = 0; at < hostile.length; at += 2) hostile.writeUInt16BE(0xaa01, at);
    const start = performance.now();
    for (let at = 0; at < hostile.length; at += 20) push(hostile.subarray(at, at + 20), at);
    // Checking each candidate's CRC byte by byte, or looking at all that wait each time, would take minutes.
    expect(performance.now() - start).toBeLessThan(5000);
    expect(counts).toMatchObject({ frames: 0, generation3: 0 });
    expect(counts.abandoned + counts.crcErrors).toBeGreaterThan(400_000);
    const [good] = frames(CONFIGURATION, 1) as [Uint8Array];
    push(good, hostile.length);
    expect(got).toEqual(hexOf([good]));
  });

  test('keeps a bounded window for a megabyte of noise', () => {
    const { push, got, counts } = framing();
    const noise = seededRandom(7).bytes(1_000_000);
    for (let at = 0; at < noise.length; at += 1400) push(noise.subarray(at, at + 1400), at * 10);
    expect(got).toEqual([]);
    expect(noise.length - counts.skippedBytes).toBeLessThan(2 * 65_535);
  });
});

describeRecorded('StreamFramer on captures', () => {
  test.each(CAPTURES)('%s: cut at random borders, each stream gives its recorded frames', (capture) => {
    const bySource = new Map<string, Buffer[]>();
    for (const { source, bytes } of recordedFrames(capture))
      bySource.set(source, [...(bySource.get(source) ?? []), bytes]);
    const random = seededRandom(1);
    for (const recorded of bySource.values()) {
      const { push, got } = framing();
      const bytes = Buffer.concat(recorded);
      for (let at = 0; at < bytes.length;) {
        const end = at + 1 + random.below(1460);
        push(bytes.subarray(at, end));
        at = end;
      }
      expect(got).toEqual(hexOf(recorded));
    }
  });
});

describe('splitDatagram', () => {
  const split = (datagram: Uint8Array): { got: string[]; counts: FramingCounts } => {
    const got: string[] = [];
    const counts = noFramingCounts();
    splitDatagram(datagram, counts, (frame) => void got.push(Buffer.from(frame).toString('hex')));
    return { got, counts };
  };

  test('takes several frames of one datagram', () => {
    const sent = frames(CONFIGURATION, 3);
    expect(split(Buffer.concat(sent)).got).toEqual(hexOf(sent));
  });

  test('drops what follows a bad frame, and counts it', () => {
    const [good, bad] = frames(CONFIGURATION, 2) as [Uint8Array, Uint8Array];
    const damaged = Buffer.from(bad);
    damaged[20]! ^= 1;
    const { got, counts } = split(Buffer.concat([good, damaged, good]));
    expect(got).toEqual(hexOf([good]));
    expect(counts).toMatchObject({ frames: 1, crcErrors: 1, skippedBytes: 2 * FRAME_BYTES });
  });

  test('never throws, whatever arrives', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(split(bytes).counts.skippedBytes).toBeLessThanOrEqual(bytes.length);
      }),
    );
  });
});
