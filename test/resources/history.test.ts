import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { formatTime } from '../../src/clock.js';
import { isRefusal } from '../../src/errors.js';
import { History, InstanceRecord, type Retention } from '../../src/resources/history.js';
import { Revisions } from '../../src/resources/revision.js';
import { accepted, NOW_US, refused, SECOND_US } from './small-grid.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const UNLIMITED: Retention = { count: Infinity, bytes: Infinity, ageS: Infinity };
const history = (limits: Partial<Retention> = {}): History<string> =>
  new History<string>(new Revisions(), { ...UNLIMITED, ...limits });
const tagged = (value: string, measuredUs: number, createdUs = measuredUs): InstanceRecord<string> =>
  new InstanceRecord(value, measuredUs, createdUs, value.length);
const named = (name: string, createdUs = NOW_US, sizeBytes = 1): InstanceRecord<string> =>
  new InstanceRecord(name, createdUs, createdUs, sizeBytes, name);

/** What a history does, in the plainest form: a list that is filtered and sliced anew each time. */
class Model {
  records: InstanceRecord<string>[] = [];
  constructor(public limits: Retention) {}

  get bytes(): number {
    return this.records.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  append(record: InstanceRecord<string>): boolean {
    if (record.sizeBytes > this.limits.bytes) return false;
    this.prune(record.createdUs);
    if (this.records.some(({ id }) => id === record.id)) return false;
    this.records.push(record);
    this.fit();
    return true;
  }

  prune(nowUs: number): void {
    this.records = this.records.filter(({ createdUs }) => nowUs - createdUs <= this.limits.ageS * SECOND_US);
  }

  retain(limits: Retention, nowUs: number): void {
    this.limits = limits;
    this.prune(nowUs);
    this.fit();
  }

  delete(record: InstanceRecord<string>): void {
    this.records = this.records.filter((other) => other !== record);
  }

  private fit(): void {
    while (this.records.length > this.limits.count || this.bytes > this.limits.bytes) this.records.shift();
  }
}

const limits = fc.record({
  count: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constant(Infinity)),
  bytes: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.constant(Infinity)),
  ageS: fc.oneof(fc.integer({ min: 0, max: 20 }), fc.constant(Infinity)),
});
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ op: fc.constant('tagged' as const), slot: fc.nat(30), size: fc.nat(12) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('named' as const), slot: fc.nat(15), size: fc.nat(12) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('delete' as const), slot: fc.nat(30) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('wait' as const), slot: fc.nat(8) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('retain' as const), limits }) },
);

describe('History', () => {
  test('holds what a plain list would hold, whatever is appended, deleted, aged and limited anew', () => {
    fc.assert(
      fc.property(limits, fc.array(step, { maxLength: 80 }), (first, steps) => {
        const [real, model] = [history(first), new Model(first)];
        let nowUs = NOW_US;
        for (const each of steps) {
          if (each.op === 'tagged' || each.op === 'named') {
            const name = each.op === 'named' ? `n${each.slot}` : undefined;
            const record = new InstanceRecord(String(each.slot), NOW_US + each.slot * 33_333, nowUs, each.size, name);
            expect(isRefusal(real.append(record))).toBe(!model.append(record));
          } else if (each.op === 'delete') {
            const record = model.records[each.slot % Math.max(1, model.records.length)];
            if (record) expect(real.delete(record, nowUs)).toBe(true);
            if (record) model.delete(record);
          } else if (each.op === 'wait') {
            nowUs += each.slot * SECOND_US;
            real.prune(nowUs);
            model.prune(nowUs);
          } else {
            real.retain(each.limits, nowUs);
            model.retain(each.limits, nowUs);
          }
          expect(real.newest()).toEqual(model.records);
          expect([real.count, real.byteSize]).toEqual([model.records.length, model.bytes]);
          expect([real.oldest, real.latest]).toEqual([model.records[0], model.records.at(-1)]);
          for (const record of model.records) expect(real.find(record.id)).toBe(record);
        }
      }),
    );
  });

  test('forgets the ids of what it evicted', () => {
    const two = history({ count: 2 });
    for (const name of ['a', 'b', 'c']) accepted(two.append(named(name)));
    expect(two.find('a')).toBeUndefined();
    expect(two.append(named('a'))).toBeUndefined();
    expect(two.newest().map(({ id }) => id)).toEqual(['c', 'a']);
  });

  test('refuses a content that alone exceeds maxByteSize, and keeps what it had', () => {
    const small = history({ bytes: 10 });
    accepted(small.append(named('a', NOW_US, 10)));
    const before = [small.revision, small.byteSize, small.latest];
    expect(refused(small.append(named('b', NOW_US, 11)))).toMatchObject({
      status: 'STATUS_BAD_REQUEST',
      detail: expect.stringContaining('11 bytes'),
    });
    expect([small.revision, small.byteSize, small.latest]).toEqual(before);
  });

  test('refuses the id of a held instance: 409', () => {
    const both = history();
    accepted(both.append(named('a')));
    accepted(both.append(tagged('x', NOW_US)));
    for (const again of [named('a'), tagged('y', NOW_US)]) {
      expect(refused(both.append(again)).status).toBe('STATUS_CONFLICT');
    }
    expect(both.count).toBe(2);
  });

  test('finds a frame by its time tag as it is written, and by no other spelling', () => {
    const frames = history();
    const record = tagged('x', NOW_US + 33_333);
    accepted(frames.append(record));
    expect(record.id).toBe('2026-11-23T08:15:00.033333Z');
    expect(frames.find(record.id)).toBe(record);
    for (const other of [
      '2026-11-23T08:15:00.0333330Z',
      '2026-11-23T09:15:00.033333+01:00',
      '__proto__',
      'constructor',
      '',
    ]) {
      expect(frames.find(other)).toBeUndefined();
    }
  });

  test('takes frames out of order, and a tag again after the clock was stepped back for long', () => {
    const frames = history();
    for (const slot of [0, 2, 1, 3]) accepted(frames.append(tagged(`${slot}`, NOW_US + slot * 33_333)));
    expect(refused(frames.append(tagged('again', NOW_US))).status).toBe('STATUS_CONFLICT');
    for (let slot = 4; slot < 100; slot++) accepted(frames.append(tagged(`${slot}`, NOW_US + slot * 33_333)));
    const stepped = tagged('stepped', NOW_US);
    accepted(frames.append(stepped));
    expect(frames.find(formatTime(NOW_US))).toBe(stepped);
  });

  test('ages on reading alone, oldest first, one second past the limit and not before', () => {
    const aging = history({ ageS: 10 });
    accepted(aging.append(named('a', NOW_US)));
    accepted(aging.append(named('b', NOW_US + SECOND_US)));
    aging.prune(NOW_US + 10 * SECOND_US);
    expect(aging.count).toBe(2);
    const { revision } = aging;
    aging.prune(NOW_US + 10 * SECOND_US + 1);
    expect(aging.oldest?.id).toBe('b');
    expect(aging.revision).toBeGreaterThan(revision);
    expect(aging.changedUs).toBe(NOW_US + 10 * SECOND_US + 1);
  });

  test('numbers every change higher than the one before', () => {
    const three = history({ count: 3 });
    const sequences = ['a', 'b', 'c', 'd'].map((name) => {
      const record = named(name);
      accepted(three.append(record));
      expect(three.revision).toBe(record.sequence);
      return record.sequence;
    });
    expect(new Set(sequences).size).toBe(4);
    expect([...sequences].sort((a, b) => a - b)).toEqual(sequences);
    const gone = three.latest;
    if (gone) expect([three.delete(gone, NOW_US), three.delete(gone, NOW_US)]).toEqual([true, false]);
    expect(three.revision).toBeGreaterThan(sequences.at(-1) ?? Infinity);
  });

  test('lets go of the records it evicted', async () => {
    const one = history({ count: 1 });
    const evicted = (() => {
      const record = tagged('x', NOW_US);
      accepted(one.append(record));
      return new WeakRef(record);
    })();
    accepted(one.append(tagged('y', NOW_US + 1)));
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    expect(evicted.deref()).toBeUndefined();
  });
});
