import fc from 'fast-check';
import { Arrivals } from '../../../src/protocols/coap/arrivals.js';
import { MessageIds } from '../../../src/protocols/coap/ids.js';
import { PARAMETERS } from '../../../src/protocols/coap/parameters.js';
import { seededRandom } from '../../../src/random.js';

const LIFETIME_MS = 1_000;

describe('message ids', () => {
  test('never give an id twice within its lifetime, however they are taken', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.array(fc.tuple(fc.nat(40_000), fc.nat(400)), { minLength: 3, maxLength: 12 }),
        (seed, bursts) => {
          const ids = new MessageIds(LIFETIME_MS, seededRandom(seed));
          const takenMs = new Map<number, number>();
          let nowMs = 0;
          for (const [count, pauseMs] of bursts) {
            for (let n = 0; n < count; n++) {
              const id = ids.take(nowMs);
              if (id === undefined) break;
              const before = takenMs.get(id);
              if (before !== undefined && nowMs - before < LIFETIME_MS)
                throw new Error(`id ${id} again after ${nowMs - before} ms`);
              takenMs.set(id, nowMs);
            }
            nowMs += pauseMs;
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  test('refuse when 65,536 are alive, say how many are used, and go on when the oldest have died', () => {
    const ids = new MessageIds(LIFETIME_MS, seededRandom(7));
    for (let n = 0; n < 65_536; n++) expect(ids.take(0)).toBeDefined();
    expect(ids.take(500)).toBeUndefined();
    expect(ids.used(500)).toBe(ids.allowed);
    expect(ids.take(LIFETIME_MS + ids.retryAfterMs)).toBeDefined();
    expect(ids.used(LIFETIME_MS + ids.retryAfterMs)).toBe(1);
  });

  test('the two modes give the rates and the endings that the documents name', () => {
    const rate = (lifetimeMs: number): number => Math.floor(65_536_000 / lifetimeMs);
    expect(PARAMETERS.standard).toMatchObject({
      exchangeLifetimeMs: 247_000,
      nonLifetimeMs: 145_000,
      maxTransmitWaitMs: 93_000,
      nstart: 1,
    });
    expect(rate(PARAMETERS.standard.exchangeLifetimeMs)).toBe(265);
    expect(PARAMETERS.provisioned.exchangeLifetimeMs).toBeCloseTo(14_700);
    expect(PARAMETERS.provisioned.maxTransmitWaitMs).toBeCloseTo(9_300);
    expect(rate(PARAMETERS.provisioned.exchangeLifetimeMs)).toBe(4458);
  });
});

describe('arrivals', () => {
  test('count exactly what was lost, over wrap-around and reordering', () => {
    const cases = fc.record({
      start: fc.nat(0xffff),
      kept: fc.array(fc.boolean(), { minLength: 2, maxLength: 300 }),
      swaps: fc.array(fc.nat(298), { maxLength: 20 }),
    });
    fc.assert(
      fc.property(cases, ({ start, kept, swaps }) => {
        kept[0] = kept[kept.length - 1] = true;
        const ids = kept.flatMap((isKept, index) => (isKept ? [(start + index) & 0xffff] : []));
        // The first stays first: what came before it is not known to exist.
        for (const at of swaps) {
          const [a, b] = [ids[at + 1], ids[at + 2]];
          if (a !== undefined && b !== undefined) [ids[at + 1], ids[at + 2]] = [b, a];
        }
        const arrivals = new Arrivals();
        ids.forEach((id) => arrivals.note(id));
        expect(arrivals.lost).toBe(kept.filter((isKept) => !isKept).length);
      }),
    );
  });

  test('take a far jump for a peer that has started again', () => {
    const arrivals = new Arrivals();
    [10, 11, 13, 40_000, 40_001].forEach((id) => arrivals.note(id));
    expect(arrivals.lost).toBe(1);
  });
});
