import { MemoryDisk } from '../support/memory-disk.js';
import { appended, during, openJournal, settle } from '../support/store.js';

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
});
