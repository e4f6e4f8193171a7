import { decodeEntry, OpenChunk, RECORDS_A_CHUNK, type Chunk, type Stored } from '../../src/store/history-chunk.js';
import { historyFolder } from '../../src/store/layout.js';
import fc from 'fast-check';
import { seededRandom } from '../../src/random.js';
import { HistoryStage, numbers, SECOND_US, settled, UNLIMITED } from './history-stage.js';

const stored: fc.Arbitrary<Omit<Stored, 'mediaType' | 'configuration'>> = fc.record({
  measuredUs: fc.integer({ min: 0, max: 2 ** 52 }),
  createdUs: fc.integer({ min: 0, max: 2 ** 52 }),
  sizeBytes: fc.nat(),
  quality: fc.nat(15),
  name: fc.option(fc.string(), { nil: undefined }),
  creator: fc.option(fc.string({ unit: 'grapheme' }), { nil: undefined }),
  attributes: fc.option(fc.json(), { nil: undefined }),
  content: fc.uint8Array({ maxLength: 200 }),
});
const chunk = fc
  .tuple(
    fc.string({ unit: 'grapheme' }),
    fc.nat(),
    fc.integer({ min: 1, max: 2 ** 47 }),
    fc.string(),
    fc.option(fc.uint8Array({ maxLength: 300 }), { nil: undefined }),
    fc.array(stored, { minLength: 1, maxLength: 10 }),
  )
  .map(([reference, epoch, n, mediaType, configuration, records]) => ({
    ...{ reference, epoch, n },
    records: records.map((record) => ({ ...record, mediaType, configuration })),
  }));

function encoded({ reference, epoch, n, records }: Chunk): Buffer {
  const [first] = records;
  if (!first) throw new Error('a chunk without records');
  const open = new OpenChunk({ reference, epoch }, first, 0);
  for (const record of records) expect(open.add(record)).toBe(true);
  return open.sealed(n);
}

describe('a chunk', () => {
  test('comes back as it was, whatever is in it', () => {
    fc.assert(
      fc.property(chunk, (written) => {
        const read = decodeEntry(encoded(written));
        const plain = (records: readonly Stored[] | undefined) =>
          records?.map((record) => ({
            ...record,
            configuration: record.configuration && [...record.configuration],
            content: [...record.content],
          }));
        expect({ ...read, records: plain(read?.records) }).toEqual({ ...written, records: plain(written.records) });
      }),
    );
  });

  test('with a changed or missing byte is none', () => {
    fc.assert(
      fc.property(chunk, fc.nat(), fc.integer({ min: 1, max: 255 }), (written, place, change) => {
        const bytes = encoded(written);
        const at = place % bytes.length;
        expect(decodeEntry(bytes.subarray(0, at))).toBeUndefined();
        bytes[at]! ^= change; // `at` is below the length
        expect(decodeEntry(bytes)).toBeUndefined();
      }),
    );
  });
});

describe('an open chunk', () => {
  const record = (values: Partial<Stored> = {}): Stored => ({
    ...{ measuredUs: 1, createdUs: 2, sizeBytes: 3, quality: 0, name: undefined, creator: undefined },
    ...{ attributes: undefined, mediaType: 'text/plain', configuration: undefined, content: Buffer.from('7') },
    ...values,
  });
  const owner = { reference: '/m2m/containers/load', epoch: 7 };
  const contents = (records: readonly Stored[] | undefined) =>
    records?.map(({ content }) => Buffer.from(content).toString());

  test('is read while it grows: who has read it keeps what he read', () => {
    const open = new OpenChunk(owner, record(), 0);
    for (const text of ['a', 'b']) open.add(record({ content: Buffer.from(text) }));
    const read = open.records();
    for (const text of ['c', 'x'.repeat(10_000)]) open.add(record({ content: Buffer.from(text) }));
    expect(contents(read)).toEqual(['a', 'b']);
    expect(contents(open.records(3))).toEqual(['a', 'b', 'c']);
    expect(contents(decodeEntry(open.sealed(1))?.records)).toEqual(['a', 'b', 'c', 'x'.repeat(10_000)]);
  });

  test('is kept for who reads it later, whatever is written once it has gone', () => {
    const [open, gone] = [new OpenChunk(owner, record(), 300), new OpenChunk(owner, record(), 300)];
    for (const chunk of [open, gone]) chunk.add(record({ content: Buffer.from('a') }));
    open.keep();
    for (const chunk of [open, gone]) chunk.leave();
    for (let n = 0; n < 3; n++) new OpenChunk(owner, record(), 300).add(record({ content: Buffer.alloc(99, 'x') }));
    expect(contents(open.records())).toEqual(['a']);
  });

  test('takes what writes itself', () => {
    const open = new OpenChunk(owner, record());
    open.add({ ...record(), content: { frameBytes: 5, writeFrame: (into, at) => void into.write('frame', at) } });
    open.add(record({ content: Buffer.from('bytes') }));
    expect(contents(decodeEntry(open.sealed(1))?.records)).toEqual(['frame', 'bytes']);
  });

  test('refuses what must begin another: another media type, another configuration, too many, too much', () => {
    const open = new OpenChunk(owner, record());
    expect(open.add(record({ mediaType: 'text/html' }))).toBe(false);
    expect(open.add(record({ configuration: Buffer.from('cfg') }))).toBe(false);
    for (let n = 0; n < RECORDS_A_CHUNK; n++) expect(open.add(record())).toBe(true);
    expect(open.add(record())).toBe(false);
    const large = new OpenChunk(owner, record());
    expect(large.add(record({ content: Buffer.alloc(1024 * 1024) }))).toBe(true);
    expect(large.add(record())).toBe(false);
    expect([open.count, large.count]).toEqual([RECORDS_A_CHUNK, 1]);
  });
});

describe('a history on disk', () => {
  test('goes on as one across another media type and while it is being written', async () => {
    const stage = await HistoryStage.open();
    const track = stage.track();
    await settled(stage.clock); // its files are made
    for (let n = 0; n < 5; n++) stage.push(track);
    for (let n = 0; n < 3; n++) stage.push(track, { mediaType: 'text/html' });
    let isWriting = false;
    stage.disk.fault = ({ kind }) => {
      if (kind === 'write' && !isWriting) {
        isWriting = true;
        for (let n = 0; n < 2; n++) stage.push(track);
      }
      return undefined;
    };
    for (let turn = 0; turn < 2 && !isWriting; turn++) {
      stage.clock.advance(500);
      await settled(stage.clock);
    }
    expect(track.waiting).toBe(2);
    expect(await stage.read(track)).toEqual(numbers(1, 10));
    await stage.flush();
    await stage.kill();
    expect(await stage.read(stage.track())).toEqual(numbers(1, 10));
  });

  test('is read in order, what is on disk and what waits as one', async () => {
    const stage = await HistoryStage.open();
    const track = stage.track();
    await stage.run(track, 95);
    stage.push(track);
    expect(stage.log.waiting).toBeGreaterThan(0);
    expect(track.head.next).toBeGreaterThan(50);
    expect(await stage.read(track)).toEqual(numbers(1, 96));
    expect(await stage.read(track, { after: 42 })).toEqual(numbers(43, 96));
    expect(await stage.read(track, { after: 96 })).toEqual([]);
    expect(track).toMatchObject({ count: 96, byteSize: 960, first: 1, last: 96 });
  });

  test('makes its files with the first container that wants them, which may be read at once', async () => {
    const stage = await HistoryStage.open();
    expect(await stage.disk.list(historyFolder('data'))).toEqual([]);
    stage.clock.advance(60_000);
    await settled(stage.clock);
    expect(await stage.disk.list(historyFolder('data'))).toEqual([]);
    expect(stage.clock.pending).toBe(0);
    const track = stage.track();
    stage.push(track);
    expect(await stage.read(track)).toEqual(['1']);
    await stage.flush();
    expect([...(await stage.disk.list(historyFolder('data')))].sort()).toEqual(['index', 'log']);
    await stage.kill();
    expect(await stage.read(stage.track())).toEqual(['1']);
  });

  test('a container waits a second at most', async () => {
    const stage = await HistoryStage.open();
    const tracks = Array.from({ length: 8 }, (_, n) => stage.track(`/m2m/containers/c${n}`));
    await stage.run(tracks[0]!, 30); // there are 8
    for (const track of tracks) stage.push(track);
    for (let turn = 0; turn < 4; turn++) {
      stage.clock.advance(250);
      await settled(stage.clock);
    }
    expect(stage.log.waiting).toBe(0);
  });

  test('goes on after a kill with what had its turn, and ordinals follow', async () => {
    const stage = await HistoryStage.open();
    let track = stage.track();
    await stage.run(track, 60);
    const kept = track.head.next - 1;
    await stage.kill();
    track = stage.track();
    expect(track.last).toBe(kept);
    expect(kept).toBeGreaterThanOrEqual(50);
    await stage.run(track, 20);
    expect(await stage.read(track)).toEqual(numbers(1, kept + 20));
  });

  test('what is closed in order is all there', async () => {
    const stage = await HistoryStage.open();
    let track = stage.track();
    await stage.run(track, 33);
    const closing = stage.log.close();
    await settled(stage.clock);
    await closing;
    await stage.start();
    track = stage.track();
    expect(await stage.read(track)).toEqual(numbers(1, 33));
  });

  test('a container of the same name that was created anew begins empty', async () => {
    const stage = await HistoryStage.open();
    const old = stage.track('/m2m/containers/load', 1);
    await stage.run(old, 20);
    stage.log.remove(old);
    await settled(stage.clock);
    const track = stage.track('/m2m/containers/load', 2);
    await stage.run(track, 5);
    expect(await stage.read(track)).toEqual(numbers(1, 5));
    await stage.flush();
    await stage.kill();
    expect(await stage.read(stage.track('/m2m/containers/load', 2))).toEqual(numbers(1, 5));
    expect(stage.track('/m2m/containers/load', 1).count).toBe(0);
  });

  test('a container that is not there any more at a start loses its history', async () => {
    const stage = await HistoryStage.open();
    await stage.run(stage.track('/m2m/containers/gone'), 20);
    await stage.kill();
    stage.log.settle();
    stage.clock.advance(500);
    await settled(stage.clock);
    await stage.kill();
    expect(stage.track('/m2m/containers/gone').count).toBe(0);
  });

  test.each([
    ['count', { ...UNLIMITED, count: 20 }],
    ['bytes', { ...UNLIMITED, bytes: 200 }],
    ['age', { ...UNLIMITED, ageS: 2 }],
  ])('keeps no more than its %s allows, and says how much that is', async (_, limits) => {
    const stage = await HistoryStage.open();
    const track = stage.track('/m2m/containers/load', 7, limits);
    await stage.run(track, 105);
    const texts = await stage.read(track);
    expect(texts).toEqual(numbers(106 - texts.length, 105));
    // 20, but that bytes go by whole chunks of a second.
    expect(texts.length).toBeLessThanOrEqual(20);
    expect(texts.length).toBeGreaterThanOrEqual(limits.bytes === 200 ? 5 : 19);
    if (limits.ageS === Infinity) expect(track.count).toBe(texts.length);
    await stage.flush();
    const flushed = await stage.read(track);
    await stage.kill();
    expect(await stage.read(stage.track('/m2m/containers/load', 7, limits))).toEqual(flushed);
  });

  test('segments in which nothing is wanted any more are deleted', async () => {
    const stage = await HistoryStage.open(8 * 1024);
    const track = stage.track('/m2m/containers/load', 7, { ...UNLIMITED, ageS: 5 });
    const segments = () => [...stage.disk.contents().keys()].filter((path) => path.endsWith('.log')).length;
    await stage.run(track, 600);
    const standing = segments();
    await stage.run(track, 600);
    // They are looked for every ten seconds.
    expect(segments()).toBeLessThanOrEqual(standing + 4);
    expect(await stage.read(track)).toEqual(numbers(1151, 1200));
  });
});

describe('a span of time', () => {
  test('is found whatever the clocks do', async () => {
    const event = fc.record({
      measuredStep: fc.integer({ min: -8, max: 12 }),
      wait: fc.nat(3),
      step: fc.integer({ min: -3, max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { minLength: 1, maxLength: 60 }),
        fc.array(fc.tuple(fc.nat(80), fc.nat(80), fc.boolean()), { minLength: 1, maxLength: 5 }),
        async (events, spans) => {
          const stage = await HistoryStage.open();
          const track = stage.track();
          const all: { measuredUs: number; createdUs: number; text: string }[] = [];
          const startUs = stage.clock.wallUs();
          let measuredUs = startUs;
          for (const { measuredStep, wait, step } of events) {
            measuredUs += measuredStep * SECOND_US;
            all.push(stage.push(track, { measuredUs }));
            stage.clock.advance(wait * 500);
            stage.clock.step(step * 1000);
            if (wait === 3) await settled(stage.clock);
          }
          for (const [one, other, isCreated] of spans) {
            const bounds = {
              fromUs: startUs + (Math.min(one, other) - 20) * SECOND_US,
              toUs: startUs + (Math.max(one, other) - 20) * SECOND_US,
            };
            const isIn = ({ measuredUs: m, createdUs: c }: { measuredUs: number; createdUs: number }) =>
              (isCreated ? c : m) >= bounds.fromUs && (isCreated ? c : m) <= bounds.toUs;
            const wanted = all.filter(isIn).map(({ text }) => text);
            const read = await stage.read(track, isCreated ? { created: bounds } : { measured: bounds });
            // What is passed over is outside; what is offered beside it, whoever asks leaves out.
            expect(read.filter((text) => wanted.includes(text))).toEqual(wanted);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  test('is found without reading what lies before and behind it', async () => {
    const stage = await HistoryStage.open();
    const track = stage.track();
    const startUs = stage.clock.wallUs();
    await stage.run(track, 400);
    await stage.flush();
    let reads = 0;
    stage.disk.fault = ({ kind, path }) => {
      if (kind === 'read' && path.endsWith('.log')) reads++;
      return undefined;
    };
    const bounds = { fromUs: startUs + 20 * SECOND_US, toUs: startUs + 22 * SECOND_US };
    const texts = await stage.read(track, { measured: bounds });
    expect(texts).toEqual(expect.arrayContaining(numbers(201, 221)));
    expect(texts.length).toBeLessThan(60);
    expect(reads).toBeLessThan(8);
  });
});

test('single instances: the oldest, the latest, by time tag and by name', async () => {
  const stage = await HistoryStage.open();
  const track = stage.track('/m2m/containers/load', 7, { ...UNLIMITED, count: 90 });
  const tag = stage.push(track, { text: 'too old' });
  await stage.run(track, 20);
  const twice = [stage.push(track, { text: 'tagged' }), stage.push(track, { text: 'tagged again' })];
  stage.push(track, { name: 'n', text: 'named once' });
  stage.clock.advance(1);
  await stage.run(track, 30);
  stage.push(track, { name: 'n', text: 'named again' });
  await stage.run(track, 40);
  await stage.flush();
  const one = async (read: () => Promise<{ text: string } | undefined>) => {
    const reading = read();
    await settled(stage.clock);
    return (await reading)?.text;
  };
  expect(await one(() => track.latest())).toBe(String(track.last));
  expect(await one(() => track.oldest())).toBe(String(track.first));
  expect(await one(() => track.measuredAt(twice[0]!.measuredUs))).toBe('tagged again'); // there are two
  expect(await one(() => track.measuredAt(tag.measuredUs))).toBeUndefined();
  expect(await one(() => track.measuredAt(1))).toBeUndefined();
  expect(await one(() => track.named('n'))).toBe('named again');
  expect(await one(() => track.named('m'))).toBeUndefined();
});

describe('an index', () => {
  const loseRow = async ({ level }: HistoryStage) => {
    for await (const [key] of level.iterator()) if (key[0] === 'r'.charCodeAt(0)) return level.del(key);
    throw new Error('an index without rows');
  };
  const filled = async () => {
    const stage = await HistoryStage.open(16 * 1024);
    const track = stage.track();
    await stage.run(track, 150);
    await stage.flush();
    return { stage, track };
  };

  test('that is missing is made anew', async () => {
    const { stage } = await filled();
    await stage.level.clear();
    await stage.kill();
    expect(await stage.read(stage.track())).toEqual(numbers(1, 150));
  });

  test('that is behind catches up', async () => {
    const { stage, track } = await filled();
    stage.indexFails = true;
    await stage.run(track, 30);
    stage.indexFails = false;
    await stage.kill();
    const texts = await stage.read(stage.track());
    expect(texts).toEqual(numbers(1, texts.length));
    expect(texts.length).toBeGreaterThan(150);
  });

  test('is told where a container begins and ends every ten seconds, and of a chunk at once', async () => {
    const stage = await HistoryStage.open();
    const limits = { ...UNLIMITED, count: 200 };
    const track = stage.track('/m2m/containers/load', 7, limits);
    await stage.run(track, 450);
    const written = (kind: string) => stage.indexWrites.filter(({ key }) => key[0] === kind.charCodeAt(0));
    expect(written('h').length).toBeLessThanOrEqual(6);
    expect(written('r').filter(({ value }) => value).length).toBeGreaterThan(40);
    const [{ first, next }, before] = [track.head, stage.rebuilds];
    expect(first).toBeGreaterThan(200);
    await stage.kill();
    const again = stage.track('/m2m/containers/load', 7, limits);
    expect(again.head.next).toBe(next);
    expect(await stage.read(again)).toEqual(numbers(next - 200, next - 1));
    expect(stage.rebuilds).toBe(before);
  });

  test('that is found wrong by two readers is made anew once', async () => {
    const { stage, track } = await filled();
    await loseRow(stage);
    const before = stage.rebuilds;
    const texts = await Promise.all([stage.read(track), stage.read(track)]);
    expect(texts).toEqual([numbers(1, 150), numbers(1, 150)]);
    expect(stage.rebuilds).toBe(before + 1);
  });

  test('that is made anew while the disk fails takes in nothing that has not been written for good', async () => {
    const { stage, track } = await filled();
    stage.disk.fault = ({ kind, path }) => (kind === 'sync' && path.endsWith('.log') ? 'EIO' : undefined);
    for (let n = 0; n < 10; n++) stage.push(track);
    stage.clock.advance(1000);
    await settled(stage.clock);
    await loseRow(stage);
    expect(await stage.read(track)).toEqual(numbers(1, 160));
    stage.disk.fault = () => undefined;
    for (let n = 0; n < 10; n++) stage.push(track);
    for (let turn = 0; turn < 12; turn++) {
      stage.clock.advance(250);
      await settled(stage.clock);
    }
    await stage.level.clear();
    await stage.kill();
    expect(await stage.read(stage.track())).toEqual(numbers(1, 170));
  });

  test('that failed is made anew, and nothing is there twice', async () => {
    const { stage, track } = await filled();
    stage.indexFails = true;
    await stage.run(track, 12);
    stage.indexFails = false;
    await stage.run(track, 38);
    await stage.flush();
    expect(await stage.read(track)).toEqual(numbers(1, 200));
  });

  test('that failed when the broker stops: nothing is in the log twice', async () => {
    const { stage, track } = await filled();
    stage.indexFails = true;
    await stage.run(track, 12);
    stage.indexFails = false;
    const closing = stage.log.close();
    await settled(stage.clock);
    await closing;
    await stage.level.clear();
    await stage.start();
    expect(await stage.read(stage.track())).toEqual(numbers(1, 162));
  });

  test('that fails for good when the broker stops: it closes all the same', async () => {
    const { stage, track } = await filled();
    stage.indexFails = true;
    await stage.run(track, 12);
    const closing = stage.log.close();
    await settled(stage.clock);
    await closing;
    stage.indexFails = false;
    await stage.start();
    const texts = await stage.read(stage.track());
    expect(texts).toEqual(numbers(1, texts.length));
    expect(texts.length).toBeGreaterThanOrEqual(150);
  });

  test('with any value lost or changed never leads to a wrong answer', async () => {
    const { stage } = await filled();
    const entries: [Uint8Array, Uint8Array][] = [];
    for await (const entry of stage.level.iterator()) entries.push(entry);
    expect(entries.length).toBeGreaterThan(12);
    for (const isLost of [true, false]) {
      for (const [key, value] of entries) {
        await stage.level.clear();
        for (const [each, standing] of entries) await stage.level.put(each, standing);
        if (isLost) await stage.level.del(key);
        else
          await stage.level.put(
            key,
            value.map((byte, index) => (index === value.length >> 1 ? byte ^ 4 : byte)),
          );
        await stage.kill();
        expect(await stage.read(stage.track())).toEqual(numbers(1, 150));
      }
    }
  });
});

test('power cuts at any moment: what is read is what was written, from the first on without a gap', async () => {
  const stage = await HistoryStage.open(8 * 1024);
  let track = stage.track();
  for (let round = 0; round < 25; round++) {
    for (let n = 0; n < 17; n++) {
      stage.push(track);
      stage.clock.advance(100);
      if (n % 4 === 0) for (let turn = 0; turn < round; turn++) await new Promise(setImmediate);
    }
    const durable = track.head.next - 1;
    await stage.powerCut();
    track = stage.track();
    expect(track.last).toBeGreaterThanOrEqual(durable);
    expect(await stage.read(track)).toEqual(numbers(1, track.last));
  }
});

test('power cuts that take along what the index was told last: what is read is what was written, of each container its own', async () => {
  const random = seededRandom(11);
  const stage = await HistoryStage.open(4 * 1024);
  const limits = { ...UNLIMITED, count: 120 };
  let epoch = 1;
  const tracks = () =>
    [stage.track('/m2m/containers/load', 7, limits), stage.track('/m2m/containers/other', epoch)] as const;
  let [track, other] = tracks();
  for (let round = 0; round < 40; round++) {
    for (let n = random.below(60); n > 0; n--) {
      stage.push(track);
      stage.push(other);
      stage.clock.advance(100 + random.below(400));
      if (random.below(3) === 0) await settled(stage.clock);
    }
    if (random.below(4) === 0) {
      stage.log.remove(other);
      other = stage.track('/m2m/containers/other', ++epoch);
    }
    const durable = track.head.next - 1;
    await stage.powerCut(1 + random.below(60));
    [track, other] = tracks();
    expect(track.last).toBeGreaterThanOrEqual(durable);
    expect(await stage.read(track)).toEqual(numbers(Math.max(1, track.last - 119), track.last));
    expect(await stage.read(other)).toEqual(numbers(1, other.last));
  }
});

test('a disk that takes nothing: what waits is bounded and counted, and goes on when it takes again', async () => {
  const stage = await HistoryStage.open();
  const track = stage.track();
  await stage.run(track, 20);
  await stage.flush();
  stage.disk.fault = ({ kind }) => (kind === 'write' || kind === 'sync' ? 'EIO' : undefined);
  for (let n = 0; n < 2_500; n++) stage.push(track);
  stage.clock.advance(1000);
  await settled(stage.clock);
  expect(stage.log.lost).toBe(100);
  expect(await stage.read(track)).toHaveLength(2_420);
  stage.disk.fault = () => undefined;
  await stage.flush();
  stage.clock.advance(2000);
  await settled(stage.clock);
  await stage.flush();
  expect(stage.log.waiting).toBe(0);
  expect(await stage.read(track)).toEqual(numbers(1, 2_420));
});
