/**
 * Every byte of a small store changed in turn, and every file cut at every length: the store is refused with a sentence that
 * names the place, or what it gives back is what was written. Every case is counted.
 */
import { isRefusal } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { seededRandom } from '../../src/random.js';
import { checkStore } from '../../src/store/check.js';
import { describeEvent } from '../../src/store/audit-chain.js';
import { JournalStore } from '../../src/store/journal-store.js';
import type { Row, Rows, Table } from '../../src/store/store.js';
import { readTrail } from '../../src/store/trail.js';
import { systemClock } from '../../src/clock.js';
import { MemoryDisk } from '../support/memory-disk.js';
import { during, openStore, plain, settle } from '../support/store.js';

type Files = ReadonlyMap<string, Uint8Array>;
const SEGMENT_BYTES = 2048;

/** Several segments of state, a snapshot, and several segments of the archive. */
async function smallStore(): Promise<Files> {
  const disk = new MemoryDisk();
  const { store, write, clock } = await openStore(disk, { segmentBytes: SEGMENT_BYTES, snapshotBytes: 1500 });
  const rows = new Map<string, Row>();
  for (const table of ['instance', 'command', 'alarm'] as Table[]) store.provide(table, () => []);
  store.provide('resource', () => rows);
  for (let n = 0; n < 15; n++) {
    const key = `resource-${n % 6}`;
    const row = { document: { n, text: 'x'.repeat(n * 3) }, ...(n % 2 === 0 && { bytes: Buffer.alloc(40, n % 4) }) };
    await write({
      changes: [{ table: 'resource', key, row }],
      audit: [{ event: 'resource-put', originator: 'admin', target: key, details: { n } }],
    });
    rows.delete(key);
    rows.set(key, row);
    await settle(clock);
  }
  await during(clock, store.close());
  return disk.contents();
}

const diskOf = (files: Files): MemoryDisk => {
  const disk = new MemoryDisk();
  for (const [path, bytes] of files) disk.put(path, bytes);
  return disk;
};

/** What a daemon gets, or the sentence with which it does not start. */
async function opened(files: Files): Promise<Readonly<Record<Table, Rows>> | string> {
  const store = new JournalStore({
    disk: diskOf(files),
    clock: systemClock,
    log: silentLog,
    folder: 'data',
    segmentBytes: SEGMENT_BYTES,
  });
  const rows = await store.open();
  if (isRefusal(rows)) return rows.detail;
  await store.close();
  return rows;
}

async function trailOf(files: Files): Promise<unknown[]> {
  const events = [];
  for await (const event of readTrail(diskOf(files), 'data')) events.push(describeEvent(event));
  return events;
}

/** Counts what became of each case; throws where the answer is wrong. */
class Verdicts {
  detected = 0;
  harmless = 0;

  constructor(
    private readonly rows: string,
    private readonly trail: string,
  ) {}

  async judge(files: Files, path: string): Promise<void> {
    const start = await opened(files);
    if (typeof start === 'string') {
      expect(start).toMatch(/is damaged at byte \d+: .*gridcast store check data/);
      this.detected++;
      return;
    }
    expect(JSON.stringify(plain(start))).toBe(this.rows);
    // The archive, and what a snapshot has made needless, are not read whole at the start: the check finds their damage.
    const { faults } = await checkStore(diskOf(files), 'data');
    if (faults.length > 0) {
      expect({ path, faults }).toMatchObject({ path: expect.stringMatching(/^data\/(audit|state)\//) });
      this.detected++;
      return;
    }
    expect(JSON.stringify(await trailOf(files))).toBe(this.trail);
    this.harmless++;
  }
}

describe('a small store', () => {
  let files: Files;
  let bytes = 0;
  let verdicts: Verdicts;

  beforeAll(async () => {
    files = await smallStore();
    bytes = [...files.values()].reduce((sum, { length }) => sum + length, 0);
  });
  beforeEach(async () => {
    const rows = await opened(files);
    if (typeof rows === 'string') throw new Error(rows);
    verdicts = new Verdicts(JSON.stringify(plain(rows)), JSON.stringify(await trailOf(files)));
  });

  test('has all its parts, and nothing wrong', async () => {
    const paths = [...files.keys()];
    for (const part of [/^data\/FORMAT$/, /state\/\d+\.log$/, /state\/snapshot-\d+\/\d+\.log$/, /audit\/\d+\.log$/])
      expect(paths.filter((path) => part.test(path)).length).toBeGreaterThan(0);
    const report = await checkStore(diskOf(files), 'data');
    expect(report.faults).toEqual([]);
    expect(report.audit.number).toBe(15);
    expect(report.state?.rows.resource.size).toBe(6);
  });

  test('is checked as it is started: what is refused at the start has its sentence in the check', async () => {
    for (const [path, good] of files) {
      const bad = Uint8Array.from(good);
      bad[3] = (bad[3] ?? 0) ^ 1;
      const changed = new Map([...files, [path, bad]]);
      const start = await opened(changed);
      const { faults } = await checkStore(diskOf(changed), 'data');
      expect(faults.join()).toContain(path.replace(/\/\d+\.log$/, ''));
      if (typeof start === 'string') expect(start).toContain(faults[0]?.replace(/\.$/, ''));
    }
  });

  test('of which any byte is changed is refused, or gives what was written', async () => {
    const random = seededRandom(1);
    let cases = 0;
    for (const [path, good] of files) {
      for (let at = 0; at < good.length; at++) {
        const bad = Uint8Array.from(good);
        bad[at] = (good[at] ?? 0) ^ (1 << random.below(8));
        await verdicts.judge(new Map([...files, [path, bad]]), path);
        cases++;
      }
    }
    expect(cases).toBe(bytes);
    expect(verdicts.detected + verdicts.harmless).toBe(bytes);
    expect(verdicts.detected).toBeGreaterThan(bytes / 5); // the rest is room that is not written yet
  }, 600_000);

  test('of which any file is cut at any length is refused', async () => {
    let cases = 0;
    for (const [path, good] of files) {
      for (let length = 0; length < good.length; length++) {
        await verdicts.judge(new Map([...files, [path, good.subarray(0, length)]]), path);
        cases++;
      }
    }
    expect(cases).toBe(bytes);
    expect(verdicts).toMatchObject({ detected: bytes, harmless: 0 });
  }, 600_000);
});
