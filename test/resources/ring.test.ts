import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { isRefusal } from '../../src/errors.js';
import { History, InstanceRecord, type Retention } from '../../src/resources/history.js';
import { Revisions } from '../../src/resources/revision.js';
import type { Kind, Packing } from '../../src/resources/ring.js';
import { accepted, NOW_US, SECOND_US } from './small-grid.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const UNLIMITED: Retention = { count: Infinity, bytes: Infinity, ageS: Infinity };
const SLOT_US = 33_333;

/** Numbers of one of several lengths, as the frames of one PMU under one configuration or another; or what can not be packed. */
interface Frame {
  readonly stream: number;
  readonly numbers: readonly number[];
}

class NumbersKind implements Kind<Frame> {
  constructor(private readonly stream: number) {}

  get bytes(): number {
    return 3 + 7 * this.stream;
  }

  isOf({ stream }: Frame): boolean {
    return stream === this.stream;
  }

  write({ numbers }: Frame, into: Buffer, at: number): void {
    for (const [n, number] of numbers.entries()) into[at + n] = number;
  }

  read(from: Buffer, at: number): Frame {
    return { stream: this.stream, numbers: [...from.subarray(at, at + this.bytes)] };
  }
}

const KINDS = [0, 1, 2].map((stream) => new NumbersKind(stream));
const packing: Packing<Frame> = { kindOf: ({ stream }) => KINDS[stream] };
const frameOf = (stream: number, seed: number): Frame => ({
  stream,
  numbers: Array.from({ length: KINDS[stream]?.bytes ?? 1 }, (_, n) => (seed * 31 + n) & 255),
});

const limits = fc.record({
  count: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constant(Infinity)),
  bytes: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.constant(Infinity)),
  ageS: fc.oneof(fc.integer({ min: 0, max: 20 }), fc.constant(Infinity)),
});
const step = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      op: fc.constant('frame' as const),
      // Mostly those of the configuration that holds; 3: one that stays as it is.
      stream: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.nat(3)),
      ticks: fc.integer({ min: -1, max: 3 }),
      seed: fc.nat(255),
      size: fc.nat(12),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('named' as const), id: fc.nat(15), size: fc.nat(12) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('described' as const), by: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('delete' as const), place: fc.nat(30) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('wait' as const), seconds: fc.nat(8) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('retain' as const), limits }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('watch' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer One> ? One : never;

/** One history, and all that it has told of what it forgot. */
class Subject {
  readonly history: History<Frame>;
  readonly forgotten: InstanceRecord<Frame>[] = [];
  private nowUs = NOW_US;
  private tagUs = NOW_US;

  constructor(first: Retention, form?: Packing<Frame>) {
    this.history = new History<Frame>(new Revisions(), first, undefined, form);
  }

  take(step: Step): unknown {
    const { history } = this;
    switch (step.op) {
      case 'frame':
        this.tagUs += step.ticks * SLOT_US;
        return this.append(frameOf(step.stream, step.seed), step.size);
      case 'named':
        return this.append(frameOf(0, step.id), step.size, `n${step.id}`);
      case 'described': {
        this.tagUs += SLOT_US;
        const attributes = new Map([['searchStrings', 'one']]);
        return this.append(
          frameOf(0, 1),
          1,
          undefined,
          step.by ? attributes : undefined,
          step.by ? undefined : 'somebody',
        );
      }
      case 'delete': {
        const held = history.newest();
        const record = held[step.place % Math.max(1, held.length)];
        // Once it is gone it is gone.
        return record && [history.delete(record, this.nowUs), history.delete(record, this.nowUs)];
      }
      case 'wait':
        this.nowUs += step.seconds * SECOND_US;
        history.prune(this.nowUs);
        return;
      case 'retain':
        history.retain(step.limits, this.nowUs);
        return;
      case 'watch':
        history.onForget = (record) => void this.forgotten.push(record);
        return;
    }
  }

  private append(
    value: Frame,
    size: number,
    ...rest: readonly [string?, ReadonlyMap<string, string>?, string?]
  ): boolean {
    const [name, attributes, creator] = rest;
    const record = new InstanceRecord(value, this.tagUs, this.nowUs, size, name, attributes, creator);
    return isRefusal(this.history.append(record));
  }

  /** Everything that can be read of it. */
  get shown(): unknown {
    const { history, forgotten } = this;
    const { count, byteSize, oldest, latest, revision, changedUs, state } = history;
    const records = history.newest();
    return {
      ...{ count, byteSize, oldest, latest, revision, changedUs, state, records, forgotten },
      some: history.newest(3),
      found: records.map(({ id }) => history.find(id)),
      after: records.map(({ sequence }) => [...history.after(sequence)].length),
    };
  }
}

describe('Ring', () => {
  test('a history that packs is the same to whoever reads it as one that does not', () => {
    fc.assert(
      fc.property(limits, fc.array(step, { maxLength: 120 }), (first, steps) => {
        const [packed, plain] = [new Subject(first, packing), new Subject(first)];
        for (const each of steps) {
          expect(packed.take(each)).toEqual(plain.take(each));
          expect(packed.shown).toEqual(plain.shown);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('keeps no object of what is packed, and the newest as it came', async () => {
    const history = new History<Frame>(new Revisions(), UNLIMITED, undefined, packing);
    const append = (n: number): WeakRef<Frame> => {
      const record = new InstanceRecord(frameOf(0, n), NOW_US + n * SLOT_US, NOW_US, 3);
      accepted(history.append(record));
      return new WeakRef(record.value);
    };
    const values = Array.from({ length: 100 }, (_, n) => append(n));
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    expect(values.filter((value) => value.deref() !== undefined)).toEqual([values[99]]);
    expect(history.latest?.value).toBe(values[99]?.deref());
    expect(history.newest().map(({ value }) => value)).toEqual(values.map((_, n) => frameOf(0, n)));
  });

  test('the one before the newest is the newest when that is deleted, the same object each time', () => {
    const history = new History<Frame>(new Revisions(), UNLIMITED, undefined, packing);
    for (let n = 0; n < 3; n++) accepted(history.append(new InstanceRecord(frameOf(1, n), NOW_US + n, NOW_US, 3)));
    const { latest } = history;
    expect(latest && history.delete(latest, NOW_US)).toBe(true);
    expect(history.latest).toBe(history.latest);
    expect(history.latest?.value).toEqual(frameOf(1, 1));
  });
});
