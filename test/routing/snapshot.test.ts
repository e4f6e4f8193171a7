import fc from 'fast-check';
import { Aligner, type AlignedSet, type SnapshotTerms } from '../../src/routing/snapshot.js';

const SECOND_US = 1_000_000;
const START_US = 1_700_000_000 * SECOND_US;
const PERIOD_US = 20_000;
const RELATIVE: SnapshotTerms = { rate: 50, waitUs: 30_000, mode: 'relative', isPreemptive: true };

interface Arrival {
  readonly atUs: number;
  readonly member: number;
  /** From START_US on. */
  readonly slot: number;
}

interface Outcome {
  readonly sets: { slot: number; members: number[]; atUs: number }[];
  readonly late: number;
  readonly duplicates: number;
}

/** Feeds arrivals in order; time moves to each, and to each instant that something is due at. The clocks agree at START_US. */
function run(terms: SnapshotTerms, members: number, arrivals: readonly Arrival[]): Outcome {
  let nowUs = 0;
  const sets: Outcome['sets'] = [];
  const published = ({ slotUs, items, present }: AlignedSet<string>): void => {
    const there = [...items.keys()].filter((member) => items[member] !== undefined);
    expect(present).toBe(there.length);
    sets.push({ slot: Math.round((slotUs - START_US) / PERIOD_US), members: there, atUs: nowUs });
  };
  const aligner = new Aligner<string>(members, terms, published);
  const move = (toUs: number): void => {
    for (let due = aligner.dueUs; due !== undefined && due <= toUs; due = aligner.dueUs) {
      nowUs = Math.max(nowUs, due);
      aligner.advance(nowUs);
    }
    nowUs = toUs;
  };
  for (const { atUs, member, slot } of arrivals) {
    move(atUs);
    const now = { monotonicUs: nowUs, wallUs: START_US + nowUs };
    aligner.take(member, `${member} ${slot}`, START_US + slot * PERIOD_US, now);
  }
  move(Infinity);
  const { taken, complete, incomplete, late, duplicates } = aligner.figures;
  expect(complete + incomplete).toBe(sets.length);
  expect(complete).toBe(sets.filter((set) => set.members.length === members).length);
  expect(taken).toBe(sets.reduce((sum, set) => sum + set.members.length, 0) + late + duplicates);
  return { sets, late, duplicates };
}

/**
 * The same by definition, looking at all arrivals anew each microsecond that matters: a set is what has come of a slot; it is
 * over when it, or one behind it, is due, or when it is complete and none before it is open.
 */
function model(terms: SnapshotTerms, members: number, arrivals: readonly Arrival[]): Outcome {
  const closing = ({ atUs, slot }: Arrival): number =>
    terms.waitUs + (terms.mode === 'absolute' ? slot * PERIOD_US : atUs);
  const instants = [...new Set(arrivals.flatMap((each) => [each.atUs, closing(each)]))].sort((a, b) => a - b);
  const sets: Outcome['sets'] = [];
  const first = new Map<number, Arrival>();
  const come = new Map<number, Set<number>>();
  const absent = Array.from({ length: members }, () => 0);
  let [late, duplicates, gone] = [0, 0, -Infinity];
  const publish = (slot: number, atUs: number): void => {
    const there = [...come.get(slot)!].sort((a, b) => a - b);
    absent.forEach((_, member) => (absent[member] = there.includes(member) ? absent[member]! : absent[member]! + 1));
    sets.push({ slot, members: there, atUs });
    gone = slot;
  };
  const waiting = (): number[] => [...come.keys()].filter((slot) => slot > gone).sort((a, b) => a - b);
  const settle = (atUs: number): void => {
    const dueSlots = waiting().filter((slot) => closing(first.get(slot)!) <= atUs);
    const lastDue = Math.max(-Infinity, ...dueSlots);
    for (const slot of waiting()) if (slot <= lastDue) publish(slot, atUs);
    complete(atUs);
  };
  const complete = (atUs: number): void => {
    for (const slot of waiting()) {
      const expected = absent.flatMap((sets, member) => (sets >= 3 && sets / terms.rate >= 1 ? [] : [member]));
      if (!terms.isPreemptive || !expected.every((member) => come.get(slot)!.has(member))) return;
      publish(slot, atUs);
    }
  };
  for (const atUs of instants) {
    settle(atUs);
    for (const arrival of arrivals.filter((each) => each.atUs === atUs)) {
      const { slot, member } = arrival;
      absent[member] = 0;
      const isGone = slot <= gone || (!come.has(slot) && closing(arrival) < atUs);
      if (isGone) late++;
      else if (come.get(slot)?.has(member)) duplicates++;
      else {
        if (!first.has(slot)) first.set(slot, arrival);
        come.set(slot, (come.get(slot) ?? new Set()).add(member));
        complete(atUs);
      }
    }
    settle(atUs);
  }
  return { sets, late, duplicates };
}

const anyTerms: fc.Arbitrary<SnapshotTerms> = fc.record({
  rate: fc.constant(50),
  waitUs: fc.constantFrom(1, 10_000, 30_000, 100_000),
  mode: fc.constantFrom('relative', 'absolute'),
  isPreemptive: fc.boolean(),
});
/** Slots of a few seconds, each with a delay: some lost, some twice, some out of order, some members gone for a while. */
const anyArrivals = (members: number): fc.Arbitrary<Arrival[]> =>
  fc
    .array(
      fc.record({
        slot: fc.nat(30),
        member: fc.nat(members - 1),
        delayUs: fc.oneof(fc.nat(60_000), fc.nat(200_000)),
      }),
      { maxLength: 120 },
    )
    .map((all) =>
      all
        .map(({ slot, member, delayUs }) => ({ slot, member, atUs: slot * PERIOD_US + delayUs }))
        .sort((a, b) => a.atUs - b.atUs),
    );

describe('the time-aligned set', () => {
  test('is what the model says, for any arrivals, waits and modes', () => {
    const cases = fc
      .integer({ min: 1, max: 4 })
      .chain((members) => fc.tuple(fc.constant(members), anyArrivals(members)));
    fc.assert(
      fc.property(anyTerms, cases, (terms, [members, arrivals]) => {
        const { sets, ...counts } = run(terms, members, arrivals);
        expect({ sets, ...counts }).toEqual(model(terms, members, arrivals));
        sets.slice(1).forEach(({ slot }, index) => expect(slot).toBeGreaterThan(sets[index]!.slot));
      }),
      { numRuns: 2000 },
    );
  });

  test('goes when the last of its members has come, and not before', () => {
    const arrivals = [
      { atUs: 0, member: 0, slot: 0 },
      { atUs: 12_000, member: 1, slot: 0 },
    ];
    expect(run(RELATIVE, 2, arrivals).sets).toEqual([{ slot: 0, members: [0, 1], atUs: 12_000 }]);
    expect(run({ ...RELATIVE, isPreemptive: false }, 2, arrivals).sets[0]?.atUs).toBe(30_000);
  });

  test('goes without the missing at the end of the wait, and counts who comes later', () => {
    const outcome = run(RELATIVE, 2, [
      { atUs: 5_000, member: 0, slot: 0 },
      { atUs: 36_000, member: 1, slot: 0 },
    ]);
    expect(outcome).toEqual({ sets: [{ slot: 0, members: [0], atUs: 35_000 }], late: 1, duplicates: 0 });
  });

  test('waits for an older one that is open, and goes right behind it', () => {
    const arrivals = [
      { atUs: 0, member: 0, slot: 0 },
      { atUs: 20_000, member: 0, slot: 1 },
      { atUs: 21_000, member: 1, slot: 1 },
    ];
    expect(run(RELATIVE, 2, arrivals).sets).toEqual([
      { slot: 0, members: [0], atUs: 30_000 },
      { slot: 1, members: [0, 1], atUs: 30_000 },
    ]);
  });

  test('is not held up for a member that has been away for a second, until that comes again', () => {
    const one = Array.from({ length: 60 }, (_, slot) => ({ atUs: slot * PERIOD_US, member: 0, slot }));
    const other = { atUs: 59 * PERIOD_US + 5_000, member: 1, slot: 59 };
    const last = { atUs: 60 * PERIOD_US, member: 0, slot: 60 };
    const { sets, late } = run(RELATIVE, 2, [...one, other, last]);
    const waited = sets.map(({ slot, atUs }) => atUs - slot * PERIOD_US);
    expect(waited.slice(0, 45).every((us) => us === 30_000)).toBe(true);
    expect(waited.slice(55, 60).every((us) => us === 0)).toBe(true);
    // The late one says that it is back: the next set waits for it.
    expect([late, waited[60]]).toEqual([1, 30_000]);
  });

  test('with no wait at all is what has come until time is next told', () => {
    const sets: AlignedSet<number>[] = [];
    const aligner = new Aligner<number>(3, { ...RELATIVE, waitUs: 0 }, (set) => sets.push(set));
    const now = { monotonicUs: 0, wallUs: START_US };
    aligner.take(0, 1, START_US, now);
    aligner.take(2, 3, START_US, now);
    expect([sets.length, aligner.dueUs]).toEqual([0, 0]);
    aligner.advance(0);
    expect(sets).toEqual([{ slotUs: START_US, items: [1, undefined, 3], present: 2 }]);
  });

  test('by the local clock ignores what is older than the wait from the beginning', () => {
    const absolute = { ...RELATIVE, mode: 'absolute', waitUs: 50_000 } as const;
    const { sets, late } = run(absolute, 2, [
      { atUs: 50_001, member: 0, slot: 0 },
      { atUs: 50_002, member: 0, slot: 1 },
    ]);
    expect({ sets, late }).toEqual({ sets: [{ slot: 1, members: [0], atUs: 70_000 }], late: 1 });
  });

  test('below one a second has its slots at whole multiples of its period', () => {
    const sets: number[] = [];
    const aligner = new Aligner<number>(1, { ...RELATIVE, rate: 1 / 10 }, ({ slotUs }) => sets.push(slotUs));
    aligner.take(0, 1, START_US, { monotonicUs: 0, wallUs: START_US });
    aligner.take(0, 2, START_US + 10_000_003, { monotonicUs: 0, wallUs: START_US });
    expect(sets).toEqual([START_US, START_US + 10_000_000]);
  });

  test('holds a bounded number of sets, however far ahead a source is', () => {
    const patient = { ...RELATIVE, waitUs: SECOND_US, isPreemptive: false };
    const aligner = new Aligner<number>(2, patient, () => {});
    for (let slot = 0; slot < 2_000; slot++)
      aligner.take(0, slot, START_US + slot * PERIOD_US, { monotonicUs: 0, wallUs: START_US });
    expect(aligner.figures).toMatchObject({ taken: 2_000, incomplete: 2_000 - 512 });
  });
});
