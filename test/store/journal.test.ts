import { encodeSegmentHeader } from '../../src/store/segment.js';
import { MemoryDisk } from '../support/memory-disk.js';
import { appended, during, openJournal, SEGMENT_BYTES, settle } from '../support/store.js';

const texts = (count: number, prefix = 'entry'): string[] => Array.from({ length: count }, (_, n) => `${prefix} ${n}`);

describe('a journal', () => {
  test('gives back what was appended, in order, over several segments', async () => {
    const disk = new MemoryDisk();
    const { journal, append, clock } = await openJournal(disk);
    for (const text of texts(100)) expect(await append(text.padEnd(200, '.'))).toBeUndefined();
    await during(clock, journal.close());
    expect([...disk.contents().keys()].length).toBeGreaterThan(5);
    const { read, append: appendMore } = await openJournal(disk.kill());
    expect(read.map((text) => text.replace(/\.+$/, ''))).toEqual(texts(100));
    expect(await appendMore('more')).toBeUndefined();
  });

  test('prepares a segment of its exact size in pieces of 2 MiB, the head last', async () => {
    const disk = new MemoryDisk();
    const writes = new Map<string, number>();
    disk.fault = ({ kind, path }) => {
      if (kind === 'write' && path.endsWith('.part')) writes.set(path, (writes.get(path) ?? 0) + 1);
      return undefined;
    };
    const segmentBytes = 5 * 1024 * 1024;
    const { clock } = await openJournal(disk, { segmentBytes });
    await settle(clock);
    expect([...writes.values()]).toEqual([4, 4]);
    expect([...disk.contents().values()].map(({ length }) => length)).toEqual([segmentBytes, segmentBytes]);
  });

  test('puts all of one turn into one frame', async () => {
    const disk = new MemoryDisk();
    const { journal, clock } = await openJournal(disk);
    let syncs = 0;
    disk.fault = ({ kind }) => void (syncs += kind === 'sync' ? 1 : 0);
    const all = texts(20).map((text) => appended(journal, [text]));
    await during(clock, Promise.all(all));
    expect(syncs).toBe(1);
  });

  test('answers what is grouped at once, and syncs it within 50 ms', async () => {
    const disk = new MemoryDisk();
    const { journal, clock } = await openJournal(disk);
    let isDone = false;
    journal.append({ entries: [Buffer.from('grouped')], durability: 'grouped' }, () => (isDone = true));
    expect(isDone).toBe(true);
    await settle(clock);
    expect(journal.durableSequence).toBe(0);
    clock.advance(50);
    await settle(clock);
    expect(journal.durableSequence).toBe(1);
    expect((await openJournal(disk.crash())).read).toEqual(['grouped']);
  });

  test('lets what is grouped wait until it is durable where 2 MiB wait already', async () => {
    const { journal, clock } = await openJournal(new MemoryDisk(), { segmentBytes: 4 * 1024 * 1024 });
    const durableAt: number[] = [];
    const entries = [Buffer.alloc(1024 * 1024)];
    for (let n = 0; n < 4; n++)
      journal.append({ entries, durability: 'grouped' }, () => durableAt.push(journal.durableSequence));
    expect(durableAt).toEqual([0, 0]);
    await settle(clock);
    expect(durableAt).toEqual([0, 0, 3, 4]);
  });

  test('refuses none of those who wait for their answers, however much more they have than it may hold', async () => {
    const { journal, clock } = await openJournal(new MemoryDisk(), { segmentBytes: 4 * 1024 * 1024 });
    const client = async (): Promise<unknown[]> => {
      const refusals: unknown[] = [];
      for (let n = 0; n < 6; n++)
        refusals.push(await appended(journal, ['x'.repeat(512 * 1024)], { durability: 'grouped' }));
      return refusals;
    };
    const refusals = await during(clock, Promise.all(Array.from({ length: 32 }, client)));
    expect(refusals.flat()).toEqual(Array(32 * 6).fill(undefined));
  });
});

describe('a journal whose disk fails', () => {
  test.each([
    ['sync', 'EIO', 'failed'],
    ['write', 'EIO', 'failed'],
    ['write', 'ENOSPC', 'full'],
    ['sync', 'EDQUOT', 'full'],
  ])('refuses what a %s that fails with %s leaves uncertain, tries again and goes on', async (kind, code, trouble) => {
    const disk = new MemoryDisk();
    const { journal, append, clock } = await openJournal(disk);
    await append('before');
    let isFailing = true;
    disk.fault = (operation) => (isFailing && operation.kind === kind ? code : undefined);
    const told: string[] = [];
    journal.onTrouble((news) => told.push(news?.kind ?? 'over'));
    const answers = [appended(journal, ['first']), appended(journal, ['second'])];
    await settle(clock);
    const refusals = await Promise.all(answers);
    expect(refusals.map((refusal) => refusal?.status)).toEqual(Array(2).fill('STATUS_SERVICE_UNAVAILABLE'));
    expect(journal.trouble?.kind).toBe(trouble);
    expect((await append('while it lasts'))?.detail).toBe(journal.trouble?.detail);
    clock.advance(250);
    await settle(clock);
    expect(told).toEqual([trouble]);
    isFailing = false;
    clock.advance(250);
    await settle(clock);
    expect(told).toEqual([trouble, 'over']);
    expect(journal.trouble).toBeUndefined();
    expect(await append('after')).toBeUndefined();
    expect((await openJournal(disk.crash())).read).toEqual(['before', 'after']);
  });

  test('never syncs a descriptor again that has failed', async () => {
    const disk = new MemoryDisk();
    const { journal, append, clock } = await openJournal(disk);
    const synced: string[] = [];
    disk.fault = ({ kind, path }) => {
      if (kind === 'sync') synced.push(path);
      return kind === 'sync' && synced.length === 1 ? 'EIO' : undefined;
    };
    expect(await append('lost')).toBeDefined();
    clock.advance(250);
    await settle(clock);
    expect(journal.trouble).toBeUndefined();
    await append('kept');
    expect(synced.slice(1)).not.toContain(synced[0]);
    expect((await openJournal(disk.crash())).read).toEqual(['kept']);
  });

  test('keeps what it has answered already, and writes it when the disk works again', async () => {
    const disk = new MemoryDisk();
    const { journal, clock, append } = await openJournal(disk);
    disk.fault = ({ kind }) => (kind === 'sync' ? 'EIO' : undefined);
    const answers: unknown[] = [];
    journal.append({ entries: [Buffer.from('answered')], durability: 'grouped' }, (refusal) => answers.push(refusal));
    clock.advance(50);
    await settle(clock);
    expect(answers).toEqual([undefined]);
    expect(journal.trouble?.kind).toBe('failed');
    disk.fault = () => undefined;
    clock.advance(250);
    await settle(clock);
    await append('later');
    expect((await openJournal(disk.crash())).read).toEqual(['answered', 'later']);
  });

  test('tells that the disk is full while it has room, and keeps that for what is vital', async () => {
    const disk = new MemoryDisk();
    disk.capacityBytes = 2 * SEGMENT_BYTES;
    const { journal, clock, append } = await openJournal(disk);
    const refused: string[] = [];
    for (let n = 0; journal.trouble === undefined; n++)
      if (await append(`ordinary ${n}`.padEnd(700))) refused.push(`${n}`);
    expect(journal.trouble).toMatchObject({ kind: 'full' });
    expect(refused).toEqual([]); // nothing was refused before it was told
    expect(await append('ordinary')).toMatchObject({ status: 'STATUS_SERVICE_UNAVAILABLE' });
    let vital = 0;
    while (!(await during(clock, appended(journal, [`vital ${vital}`.padEnd(200)], { isVital: true })))) vital++;
    expect(vital).toBeGreaterThan(5);
    disk.capacityBytes = Infinity;
    clock.advance(250);
    await settle(clock);
    expect(journal.trouble).toBeUndefined();
    expect(await append('after')).toBeUndefined();
    const { read } = await openJournal(disk.crash());
    expect(read.filter((text) => text.startsWith('vital'))).toHaveLength(vital);
    expect(read.at(-1)).toBe('after');
  });

  test.each(['synced', 'grouped'] as const)('refuses more than 32 MiB, %s, that wait for it', async (durability) => {
    const { journal, clock } = await openJournal(new MemoryDisk(), { segmentBytes: 4 * 1024 * 1024 });
    const answers = Array.from({ length: 34 }, () => appended(journal, ['x'.repeat(1024 * 1024)], { durability }));
    const refusals = await during(clock, Promise.all(answers));
    expect(refusals.filter((refusal) => refusal === undefined)).toHaveLength(32);
    expect(refusals.at(-1)?.detail).toContain('32 MiB wait for the disk already');
  });
});

describe('a journal that is opened again', () => {
  test('writes its last frame once more, as it may never have reached the disk', async () => {
    const disk = new MemoryDisk();
    const { append } = await openJournal(disk);
    await append('kept');
    disk.fault = ({ kind }) => (kind === 'sync' ? 'EIO' : undefined);
    expect(await append('in the page cache only')).toBeDefined();
    disk.fault = () => undefined;
    const killed = disk.kill();
    const { read } = await openJournal(killed);
    const { read: afterPowerCut } = await openJournal(killed.crash());
    expect(afterPowerCut).toEqual(read);
  });

  test('makes a torn tail zero again, and goes on in the same segment', async () => {
    const disk = new MemoryDisk();
    const { append } = await openJournal(disk);
    await append('kept');
    const [path = ''] = disk.contents().keys();
    const bytes = Buffer.from(disk.contents().get(path) ?? []);
    await append('x'.repeat(1500)); // three sectors and a bit
    const torn = Buffer.from(disk.contents().get(path) ?? []);
    torn.fill(0, 2048, 2560);
    disk.put(path, torn);
    const next = disk.kill();
    const { read, append: appendMore } = await openJournal(next);
    expect(read).toEqual(['kept']);
    expect(Buffer.from(next.contents().get(path) ?? [])).toEqual(bytes);
    await appendMore('more');
    expect((await openJournal(next.crash())).read).toEqual(['kept', 'more']);
  });

  test('takes a zero sector for a torn write only where none was written: contents of zeros are found damaged', async () => {
    const disk = new MemoryDisk();
    const { append } = await openJournal(disk);
    await append('\0'.repeat(2000));
    const [path = ''] = disk.contents().keys();
    const flipped = Buffer.from(disk.contents().get(path) ?? []);
    flipped.writeUInt8(flipped.readUInt8(1600) ^ 4, 1600);
    disk.put(path, flipped);
    await expect(openJournal(disk.kill())).rejects.toThrow('log/0000000001.log is damaged at byte 1024');
  });

  test('names segments that are missing', async () => {
    const disk = new MemoryDisk();
    const { append } = await openJournal(disk);
    for (let n = 0; n < 60; n++) await append('.'.repeat(300));
    const paths = [...disk.contents().keys()];
    expect(paths.length).toBeGreaterThan(4);
    for (const [path, sentence] of [
      [paths[0], 'the entries from 1 to 8 are missing before it'],
      [paths[1], 'the segments from 2 to 2 are missing'],
      [paths.at(-2), 'are missing'], // the newest: the one prepared behind it is there
    ]) {
      const copy = new MemoryDisk();
      for (const [each, bytes] of disk.contents()) if (each !== path) copy.put(each, bytes);
      await expect(openJournal(copy)).rejects.toThrow(sentence);
    }
  });

  test('reads what an older version wrote, and goes on in a segment of its own version', async () => {
    const disk = new MemoryDisk();
    const { append } = await openJournal(disk);
    await append('a=1', 'b=2');
    for (const [path, bytes] of disk.contents()) disk.put(path, ofVersion(0, bytes));
    await expect(openJournal(disk.kill())).rejects.toThrow('it has format 0, and this program reads 1');
    const formats = { 0: (entry: Uint8Array) => [Buffer.from(Buffer.from(entry).toString().replace('=', ': '))] };
    const { read, append: appendMore } = await openJournal(disk.kill(), { formats });
    expect(read).toEqual(['a: 1', 'b: 2']);
    await appendMore('c: 3');
    expect((await openJournal(disk.crash(), { formats })).read).toEqual(['a: 1', 'b: 2', 'c: 3']);
  });

  test('reads from a sequence on, and deletes what is before one', async () => {
    const disk = new MemoryDisk();
    const { journal, clock, append } = await openJournal(disk);
    for (const text of texts(50)) await append(text.padEnd(300));
    const readFrom = async (from: number): Promise<number[]> => {
      const sequences: number[] = [];
      for await (const entries of journal.read(from)) sequences.push(...entries.map(({ sequence }) => sequence));
      return sequences;
    };
    expect(await during(clock, readFrom(48))).toEqual([48, 49, 50]);
    await during(clock, journal.truncateBefore(30));
    expect(journal.firstSequence).toBeGreaterThan(20);
    expect(journal.firstSequence).toBeLessThanOrEqual(30);
    expect(await during(clock, readFrom(30))).toHaveLength(21);
    const { read } = await openJournal(disk.crash(), { from: 30 });
    expect(read).toHaveLength(21);
  });

  test('deletes no segment that holds what is still to be read', async () => {
    const disk = new MemoryDisk();
    const { journal, clock, append } = await openJournal(disk);
    for (const text of texts(50)) await append(text.padEnd(300));
    for (let from = 1; from <= 50; from++) {
      await during(clock, journal.truncateBefore(from));
      expect(journal.firstSequence).toBeLessThanOrEqual(from);
    }
    expect(journal.firstSequence).toBeGreaterThan(40);
  });
});

/** A segment as a program of that version would have headed it. */
function ofVersion(version: number, bytes: Uint8Array): Buffer {
  const copy = Buffer.from(bytes);
  const header = { version, size: copy.readUIntLE(8, 6), number: copy.readUIntLE(14, 6) };
  encodeSegmentHeader(header).copy(copy);
  return copy;
}
