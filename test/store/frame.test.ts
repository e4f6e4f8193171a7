import fc from 'fast-check';
import { encodeFrame, frameBytes, readFrame, SECTOR_BYTES, type Place } from '../../src/store/frame.js';

/** Bytes as users send them: also long runs of one value. */
const entry = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.tuple(fc.nat(255), fc.nat(3000)).map(([value, length]) => new Uint8Array(length).fill(value)),
);
const entries = fc.array(entry, { minLength: 1, maxLength: 6 });
const place = fc.record({
  at: fc.nat(200).map((n) => 1024 + n * 32),
  seed: fc.nat(0xffffffff),
  sequence: fc.integer({ min: 1, max: 2 ** 47 }),
  chain: fc.nat(0xffffffff),
});

/** A segment of zeros with one frame in it. */
function fileWith(contents: readonly Uint8Array[], where: Place): { file: Buffer; crc: number; end: number } {
  const { bytes, crc } = encodeFrame(contents, where);
  const file = Buffer.alloc(where.at + bytes.length + 2048);
  bytes.copy(file, where.at);
  return { file, crc, end: where.at + bytes.length };
}
const kindOf = (file: Buffer, where: Place): string => {
  const read = readFrame(file, where);
  return 'kind' in read ? read.kind : 'frame';
};

describe('a frame', () => {
  test('is read as it was written, whatever its entries are', () => {
    fc.assert(
      fc.property(entries, place, (contents, where) => {
        const { file, crc, end } = fileWith(contents, where);
        expect(end - where.at).toBe(frameBytes(contents));
        const read = readFrame(file, where);
        expect(read).toMatchObject({ ...where, crc, end });
        if ('kind' in read) throw new Error(read.what);
        expect(read.entries.map((bytes) => Uint8Array.from(bytes))).toEqual(contents);
      }),
    );
  });

  test('with one bit changed is damaged, never torn: it may have been acknowledged', () => {
    fc.assert(
      fc.property(entries, place, fc.nat(), fc.nat(7), (contents, where, position, bit) => {
        const { file, end } = fileWith(contents, where);
        const at = where.at + (position % (end - where.at));
        file.writeUInt8(file.readUInt8(at) ^ (1 << bit), at);
        expect(kindOf(file, where)).toBe('damaged');
      }),
      { numRuns: 1000 },
    );
  });

  test('of which any sectors were never written is torn or not there, never damaged: it was not acknowledged', () => {
    fc.assert(
      fc.property(entries, place, fc.nat(), (contents, where, missing) => {
        const { file, end } = fileWith(contents, where);
        const first = Math.floor(where.at / SECTOR_BYTES);
        const sectors = Math.ceil(end / SECTOR_BYTES) - first;
        let lost = 0;
        for (let sector = 0; sector < sectors; sector++) {
          if (((missing >> (sector % 31)) & 1) === 0 && sector !== missing % sectors) continue;
          lost++;
          const start = Math.max(where.at, (first + sector) * SECTOR_BYTES);
          file.fill(0, start, (first + sector + 1) * SECTOR_BYTES);
        }
        expect(lost).toBeGreaterThan(0);
        expect(['torn', 'end']).toContain(kindOf(file, where));
      }),
      { numRuns: 1000 },
    );
  });

  test('is none at another place, in another segment, or behind another frame', () => {
    const contents = [Buffer.from('a content')];
    const where = { at: 1024, seed: 7, sequence: 5, chain: 9 };
    const { file } = fileWith(contents, where);
    const moved = Buffer.alloc(file.length);
    file.copy(moved, 1056, 1024, 1088);
    expect(kindOf(moved, { ...where, at: 1056 })).toBe('damaged');
    for (const other of [{ seed: 8 }, { sequence: 6 }, { chain: 10 }])
      expect(kindOf(file, { ...where, ...other })).toBe('damaged');
  });
});
