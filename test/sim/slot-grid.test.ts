import fc from 'fast-check';
import { slotOf, tagUs } from '../../src/protocols/c37118/time.js';
import { parseRate, SlotGrid } from '../../src/sim/slot-grid.js';

const gridOf = (text: string): SlotGrid => {
  const read = parseRate(text);
  if (!(read instanceof SlotGrid)) throw new Error(read.detail);
  return read;
};
const anyGrid = fc.constantFrom('1', '10', '12', '25', '30', '50', '60', '120', '7', '1/2', '1/10', '1/60').map(gridOf);
const anyUs = fc.integer({ min: 0, max: 4_000_000_000 }).map((ms) => ms * 1000 + 123);

describe('SlotGrid', () => {
  test('slots are numbered through: the next is one period later, and none is skipped', () => {
    fc.assert(
      fc.property(anyGrid, anyUs, (grid, us) => {
        const slot = grid.firstFrom(us);
        expect(grid.us(slot)).toBeGreaterThanOrEqual(us);
        expect(grid.us(slot - 1)).toBeLessThan(us);
        expect(Math.abs(grid.us(slot + 1) - grid.us(slot) - grid.periodUs)).toBeLessThanOrEqual(1);
        expect(grid.secondsBetween(slot, slot + 9)).toBeCloseTo((9 * grid.periodUs) / 1e6, 9);
      }),
    );
  });

  test('the tag of a slot is on the grid of its UTC second, whatever the TIME_BASE', () => {
    fc.assert(
      fc.property(anyGrid, anyUs, fc.constantFrom(1_000_000, 0xff_ffff, 1_000, 600), (grid, us, timeBase) => {
        const slot = grid.firstFrom(us);
        const tag = grid.tag(slot, timeBase);
        expect(Math.abs(tagUs(tag, timeBase) - grid.us(slot))).toBeLessThanOrEqual(0.5e6 / timeBase + 1);
        if (grid.dataRate > 0) {
          expect(slotOf(tag, timeBase, grid.dataRate).slot).toBe(slot % grid.dataRate);
        } else {
          expect([tag.fraction, tag.soc % -grid.dataRate]).toEqual([0, 0]);
        }
      }),
    );
  });

  test.each(['0', '121', '-1', '30.5', '', '1/7', '1/0', '1/120', 'fast'])('refuses the rate %p', (text) => {
    expect(parseRate(text)).toMatchObject({ detail: expect.stringMatching(/--rate is 1 to 120 .* not/) as string });
  });
});
