import fc from 'fast-check';
import { DedupBudget, Recent } from '../../../src/protocols/coap/dedup.js';
import { Shelf } from '../../../src/protocols/coap/shelf.js';
import { ManualClock } from '../../support/manual-clock.js';

const LIFETIME_MS = 247_000;
const REPLY = Buffer.alloc(1_000);
const MIB = 1024 * 1024;

describe('de-duplication', () => {
  test('forgets with age, and gives back what it took', () => {
    const budget = new DedupBudget();
    const recent = new Recent(budget);
    recent.answered(recent.remember(1, 0, LIFETIME_MS), REPLY);
    expect(recent.find(1, LIFETIME_MS * 1000 - 1)?.reply).toHaveLength(1_000);
    expect(recent.find(1, LIFETIME_MS * 1000)).toBeUndefined();
    recent.remember(2, LIFETIME_MS * 1000, LIFETIME_MS);
    expect(recent.size).toBe(1);
    recent.clear();
    expect(budget.bytes).toBe(0);
  });

  test('of one peer stays within 4 MiB: the oldest goes, and is counted', () => {
    const budget = new DedupBudget();
    const recent = new Recent(budget);
    for (let id = 0; id < 5_000; id++) recent.answered(recent.remember(id, 0, LIFETIME_MS), REPLY);
    expect(budget.bytes).toBeLessThanOrEqual(4 * MIB + 2_000);
    expect(budget.evicted).toBe(5_000 - recent.size);
    expect([recent.find(0, 1), recent.find(4_999, 1) !== undefined]).toEqual([undefined, true]);
  });

  test('of all stays within 32 MiB, at the cost of who adds: a quiet peer keeps its entry', () => {
    const budget = new DedupBudget();
    const quiet = new Recent(budget);
    quiet.remember(1, 0, LIFETIME_MS);
    for (let peer = 0; peer < 12; peer++) {
      const loud = new Recent(budget);
      for (let id = 0; id < 4_000; id++) loud.answered(loud.remember(id, 0, LIFETIME_MS), REPLY);
    }
    expect(budget.bytes).toBeLessThanOrEqual(32 * MIB + 12 * 2_000);
    expect(budget.evicted).toBeGreaterThan(0);
    expect(quiet.find(1, 1)).toBeDefined();
  });

  test('an answer that comes after its entry was pushed out is not charged', () => {
    const budget = new DedupBudget();
    const recent = new Recent(budget);
    const first = recent.remember(0, 0, LIFETIME_MS);
    for (let id = 1; id < 5_000; id++) recent.answered(recent.remember(id, 0, LIFETIME_MS), REPLY);
    const before = budget.bytes;
    recent.answered(first, REPLY);
    expect(budget.bytes).toBe(before);
  });
});

describe("a non-confirmable's id", () => {
  const NON_LIFETIME_MS = 145_000;

  test('is known until its life is over, whatever ids came between', () => {
    const lives = fc.array(fc.record({ id: fc.nat(0xffff), afterUs: fc.nat(60_000_000) }), { maxLength: 300 });
    fc.assert(
      fc.property(lives, (heard) => {
        const budget = new DedupBudget();
        const recent = new Recent(budget);
        const until = new Map<number, number>();
        let nowUs = 0;
        for (const { id, afterUs } of heard) {
          nowUs += afterUs;
          const isKnown = (until.get(id) ?? 0) > nowUs;
          expect(recent.find(id, nowUs) !== undefined).toBe(isKnown);
          if (isKnown) continue;
          expect(recent.rememberNon(id, nowUs, NON_LIFETIME_MS).reply).toBeUndefined();
          until.set(id, nowUs + NON_LIFETIME_MS * 1000);
        }
        recent.find(0, nowUs);
        expect(recent.size).toBe([...until.values()].filter((untilUs) => untilUs > nowUs).length);
        recent.find(0, Infinity);
        expect([recent.size, budget.bytes]).toEqual([0, 0]);
      }),
    );
  });

  test('takes a dozen bytes, and is pushed out by newer ones of its peer alone', () => {
    const budget = new DedupBudget();
    const recent = new Recent(budget);
    for (let id = 0; id < 10_000; id++) recent.rememberNon(id, 0, NON_LIFETIME_MS);
    expect(budget.bytes).toBeLessThanOrEqual(10_000 * 16);
    recent.answered(recent.remember(20_000, 0, LIFETIME_MS), Buffer.alloc(4 * MIB));
    recent.rememberNon(10_001, 0, NON_LIFETIME_MS);
    expect([recent.find(0, 1), recent.find(10_001, 1) !== undefined, budget.evicted > 0]).toEqual([
      undefined,
      true,
      true,
    ]);
  });
});

describe('a shelf', () => {
  const LIMITS = { perPeer: 2, inAll: 3, bytes: 100, ageMs: 1_000 };
  const shelf = (): { clock: ManualClock; kept: Shelf<string> } => {
    const clock = new ManualClock();
    return { clock, kept: new Shelf<string>(clock, clock, LIMITS) };
  };

  test('refuses beyond number per peer, number in all, and bytes', () => {
    const { kept } = shelf();
    expect([kept.put('a1', 'a', 'x', 10), kept.put('a2', 'a', 'x', 10), kept.put('a3', 'a', 'x', 10)]).toEqual([
      true,
      true,
      false,
    ]);
    expect([kept.put('b1', 'b', 'x', 81), kept.put('b1', 'b', 'x', 80), kept.put('c1', 'c', 'x', 0)]).toEqual([
      false,
      true,
      false,
    ]);
    expect([kept.grow('a1', 11), kept.grow('a1', 10), kept.grow('gone', 1)]).toEqual([false, true, false]);
  });

  test('lets the longest untouched of the same owner give way first, then of all', () => {
    const { kept } = shelf();
    for (const key of ['b1', 'a1', 'a2', 'a3']) kept.putAnyway(key, key.slice(0, 1), key, 10);
    expect([kept.get('a1'), kept.get('b1')]).toEqual([undefined, 'b1']);
    kept.putAnyway('c1', 'c', 'c1', 10);
    expect([kept.get('b1'), kept.get('c1'), kept.evicted]).toEqual([undefined, 'c1', 2]);
    kept.putAnyway('huge', 'c', 'huge', 101);
    expect([kept.get('huge'), kept.get('c1')]).toEqual([undefined, 'c1']);
  });

  test('forgets with age since the last touch, with one timer, and none while empty', () => {
    const { clock, kept } = shelf();
    kept.put('a1', 'a', 'x', 10);
    kept.put('a2', 'a', 'x', 10);
    clock.advance(600);
    kept.grow('a1', 20);
    expect(clock.pending).toBe(1);
    clock.advance(400);
    expect([kept.get('a1'), kept.get('a2')]).toEqual(['x', undefined]);
    clock.advance(600);
    expect([kept.size, clock.pending]).toEqual([0, 0]);
  });
});
