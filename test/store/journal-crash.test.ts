/**
 * Random lives of a journal on a disk that loses what was not synced, and that sometimes fails: whatever was acknowledged is
 * there afterwards, in order, and nothing else than what was appended.
 */
import fc from 'fast-check';
import { seededRandom, type Random } from '../../src/random.js';
import { Journal } from '../../src/store/journal.js';
import { ManualClock } from '../support/manual-clock.js';
import { MemoryDisk } from '../support/memory-disk.js';
import { SEGMENT_BYTES } from '../support/store.js';

/** What was appended, in order, and what was said of it. */
interface Told {
  readonly text: string;
  readonly isGrouped: boolean;
  readonly appendedUs: number;
  answer?: 'done' | 'refused';
}

/** `grouped` promises its fsync by then; the disk of this test takes up to 4 operations of 3 ms each for it. */
const GROUPED_MS = 100;

async function live(
  seed: number,
  lives: number,
  hasFaults: boolean,
): Promise<{ acknowledged: number; recovered: number }> {
  const random = seededRandom(seed);
  const latency = seededRandom(seed + 1);
  const clock = new ManualClock();
  let disk = new MemoryDisk({ random: seededRandom(seed + 2), clock, latencyMs: () => latency.below(4) });
  const pass = async (ms: number): Promise<void> => {
    for (let step = 0; step < ms; step++) {
      clock.advance(1);
      await turns();
    }
  };
  const wait = async <Value>(promise: Promise<Value>): Promise<Value> => {
    let isOver = false;
    void promise.finally(() => (isOver = true)).catch(() => {});
    while (!isOver) await pass(1);
    return promise;
  };
  let before: string[] = [];
  let told: Told[] = [];
  let [acknowledged, crashedUs] = [0, 0];
  for (let life = 0; life <= lives; life++) {
    const journal = new Journal({ disk, clock, folder: 'log', segmentBytes: SEGMENT_BYTES });
    const read: string[] = [];
    await wait(journal.open(1, ({ bytes }) => read.push(Buffer.from(bytes).toString())));
    check(before, told, read, crashedUs, hasFaults);
    acknowledged += told.filter(({ answer }) => answer === 'done').length;
    before = read;
    if (life === lives) break;
    told = await act(journal, disk, clock, random, pass, `${life}`, hasFaults);
    crashedUs = clock.monotonicUs();
    disk.fault = () => undefined;
    disk = random.below(4) === 0 ? disk.kill() : disk.crash();
  }
  return { acknowledged, recovered: before.length };
}

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
};

async function act(
  journal: Journal,
  disk: MemoryDisk,
  clock: ManualClock,
  random: Random,
  pass: (ms: number) => Promise<void>,
  life: string,
  hasFaults: boolean,
): Promise<Told[]> {
  const told: Told[] = [];
  const answers: string[] = [];
  for (let step = random.below(30); step >= 0; step--) {
    for (let count = random.below(4); count > 0; count--) {
      const isGrouped = random.below(3) === 0;
      const text = `${life}-${told.length} ${'x'.repeat(random.below(1200))}`;
      const entry: Told = { text, isGrouped, appendedUs: clock.monotonicUs() };
      told.push(entry);
      journal.append({ entries: [Buffer.from(text)], durability: isGrouped ? 'grouped' : 'synced' }, (refusal) => {
        expect(entry.answer).toBeUndefined();
        entry.answer = refusal ? 'refused' : 'done';
        if (!isGrouped) answers.push(text);
      });
    }
    if (hasFaults && random.below(8) === 0) {
      const [kinds, code] = [random.below(2) === 0 ? ['write', 'sync'] : ['sync'], ['EIO', 'ENOSPC'][random.below(2)]];
      const untilUs = clock.monotonicUs() + random.below(400) * 1000;
      disk.fault = ({ kind }) => (clock.monotonicUs() < untilUs && kinds.includes(kind) ? code : undefined);
    }
    await pass(random.below(40));
  }
  const synced = told.filter(({ isGrouped, answer }) => !isGrouped && answer !== undefined).map(({ text }) => text);
  expect(answers).toEqual(synced); // in the order of the calls
  return told;
}

function check(
  before: readonly string[],
  told: readonly Told[],
  read: readonly string[],
  crashedUs: number,
  hasFaults: boolean,
): void {
  expect(read.slice(0, before.length)).toEqual(before);
  const gained = read.slice(before.length);
  const order = new Map(told.map(({ text }, index) => [text, index]));
  const places = gained.map((text) => order.get(text) ?? -1);
  expect(places).not.toContain(-1); // nothing invented
  expect(places).toEqual([...new Set(places)].sort((a, b) => a - b)); // in order, once
  const missing = told.filter(({ text, answer }) => answer === 'done' && !gained.includes(text));
  expect(missing.filter(({ isGrouped }) => !isGrouped)).toEqual([]);
  if (!hasFaults) expect(missing.filter(({ appendedUs }) => crashedUs - appendedUs > GROUPED_MS * 1000)).toEqual([]);
}

describe('what was acknowledged is there after', () => {
  test.each([
    ['power cuts and kills', false],
    ['power cuts and kills of a disk that fails and fills up', true],
  ])(
    '%s',
    async (_what, hasFaults) => {
      let acknowledged = 0;
      await fc.assert(
        fc.asyncProperty(fc.nat(), async (seed) => {
          acknowledged += (await live(seed, 4, hasFaults)).acknowledged;
        }),
        { numRuns: 40 },
      );
      expect(acknowledged).toBeGreaterThan(500);
    },
    120_000,
  );

  test('the same in every run of a seed', async () => {
    expect(await live(7, 5, true)).toEqual(await live(7, 5, true));
  });
});
