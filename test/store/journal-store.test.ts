import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/clock.js';
import { systemDisk, type Disk } from '../../src/disk.js';
import { isRefusal } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { describeEvent } from '../../src/store/audit-chain.js';
import { backUp } from '../../src/store/backup.js';
import { openLevel } from '../../src/store/level.js';
import { checkStore } from '../../src/store/check.js';
import { lockFolder } from '../../src/store/folder-lock.js';
import { JournalStore } from '../../src/store/journal-store.js';
import { TABLES, type Row, type Table, type Writing } from '../../src/store/store.js';
import { encodeSegmentHeader, FORMAT_VERSION } from '../../src/store/segment.js';
import { readTrail, verifyTrail } from '../../src/store/trail.js';
import { MemoryDisk } from '../support/memory-disk.js';
import { during, openStore, plain, settle, type OpenStore } from '../support/store.js';

const event = (n: number) => ({ event: 'tried', originator: 'admin', target: `/m2m/${n}`, details: { n } });
const row = (n: number): Row => ({ document: { n } });

/** Owners that keep their rows as the store's contract wants it: changed when the write is done. */
class Owners {
  readonly rows = new Map<Table, Map<string, Row>>(TABLES.map((table) => [table, new Map()]));

  constructor(private readonly open: Pick<OpenStore, 'store' | 'clock' | 'rows'>) {
    for (const table of TABLES) {
      for (const [key, value] of open.rows[table]) this.rows.get(table)?.set(key, value);
      open.store.provide(table, () => this.rows.get(table) ?? []);
    }
  }

  /** Settles meanwhile. */
  put(...row: Parameters<Owners['begin']>): Promise<boolean> {
    return during(this.open.clock, this.begin(...row));
  }

  /** Whether it is durable; never known after a crash. */
  begin(table: Table, key: string, value: Row | undefined, writing: Partial<Writing> = {}): Promise<boolean> {
    return new Promise((resolve) =>
      this.open.store.write({ changes: [{ table, key, row: value }], durability: 'synced', ...writing }, (refusal) => {
        if (!refusal) {
          this.rows.get(table)?.delete(key);
          if (value) this.rows.get(table)?.set(key, value);
        }
        resolve(!refusal);
      }),
    );
  }

  plain() {
    return plain(Object.fromEntries(this.rows) as Record<Table, Map<string, Row>>);
  }
}

/** Order aside: a snapshot has it from its owners. */
const sorted = (rows: Record<string, [string, Row][]>) =>
  Object.fromEntries(Object.entries(rows).map(([table, all]) => [table, all.sort(([a], [b]) => (a < b ? -1 : 1))]));

const events = async (disk: Disk, folder = 'data'): Promise<unknown[]> => {
  const found = [];
  for await (const bytes of readTrail(disk, folder)) found.push(describeEvent(bytes));
  return found;
};

describe('a store on a journal', () => {
  test('tells of a row the number that its document ends with, and no other', async () => {
    const disk = new MemoryDisk();
    const { write } = await openStore(disk);
    const documents: Row['document'][] = [
      { type: 'application', revision: 766_200_933_827 },
      { revision: 0 },
      { revision: 5, modifiedUs: 7 },
      { attributes: { revision: 5 } },
      { revision: -5 },
      { revision: 1.5 },
      { revision: '5' },
      { prevision: 5 },
      {},
    ];
    for (const [n, document] of documents.entries())
      await write({
        changes: [{ table: 'resource', key: `${n}`, row: { document, ...(n === 1 && { bytes: Buffer.from('5}') }) } }],
      });
    const { rows } = await openStore(disk.crash());
    const last = Array.from(rows.resource.values(), (each) => each.lastNumber?.('revision'));
    expect(last).toEqual([766_200_933_827, 0, ...Array.from({ length: 7 }, () => undefined)]);
  });

  test('has after a crash every row that was put, in the order of the last put', async () => {
    const disk = new MemoryDisk();
    const { write } = await openStore(disk);
    await write({ changes: [{ table: 'resource', key: 'a', row: row(1) }] });
    await write({
      changes: [
        { table: 'resource', key: 'b', row: { document: { n: 2 }, bytes: Buffer.from('content') } },
        { table: 'alarm', key: 'x', row: row(0) },
      ],
    });
    await write({
      changes: [
        { table: 'resource', key: 'a', row: row(3) },
        { table: 'alarm', key: 'x', row: undefined },
      ],
    });
    const { rows, store, clock } = await openStore(disk.crash());
    expect(plain(rows)).toEqual({
      resource: [
        ['b', { document: { n: 2 }, bytes: Uint8Array.from(Buffer.from('content')) }],
        ['a', { document: { n: 3 } }],
      ],
      instance: [],
      command: [],
      alarm: [],
    });
    await during(clock, store.close());
  });

  test('writes changes and audit events of one writing together, or none', async () => {
    const disk = new MemoryDisk();
    const { write } = await openStore(disk);
    await write({ changes: [{ table: 'command', key: 'a', row: row(1) }], audit: [event(1), event(2)] });
    disk.fault = ({ kind }) => (kind === 'write' ? 'EIO' : undefined);
    expect(await write({ changes: [{ table: 'command', key: 'b', row: row(2) }], audit: [event(3)] })).toBeDefined();
    disk.fault = () => undefined;
    const next = disk.crash();
    const { rows } = await openStore(next);
    expect([...rows.command.keys()]).toEqual(['a']);
    expect(await events(next)).toMatchObject([
      { number: 1, details: { n: 1 } },
      { number: 2, details: { n: 2 } },
    ]);
  });

  test('continues the audit chain without a gap behind a frame that failed', async () => {
    const disk = new MemoryDisk();
    const { write, clock } = await openStore(disk);
    await write({ audit: [event(1)] });
    disk.fault = ({ kind }) => (kind === 'sync' ? 'EIO' : undefined);
    expect(await write({ audit: [event(2)] })).toBeDefined();
    disk.fault = () => undefined;
    clock.advance(250);
    await settle(clock);
    await write({ audit: [event(3)] });
    expect(await verifyTrail(disk, 'data')).toMatchObject({ number: 2 });
    expect(await events(disk)).toMatchObject([
      { number: 1, details: { n: 1 } },
      { number: 2, details: { n: 3 } },
    ]);
  });

  test('is smaller after snapshots, and has the same rows and the whole trail', async () => {
    const disk = new MemoryDisk();
    const open = await openStore(disk, { snapshotBytes: 20_000 });
    const owners = new Owners(open);
    for (let n = 0; n < 400; n++) {
      await owners.put(
        'resource',
        `r-${n % 40}`,
        n % 7 === 0 ? undefined : { ...row(n), bytes: Buffer.alloc(100, n) },
        {
          audit: [event(n)],
        },
      );
    }
    await settle(open.clock, 400);
    const names = [...disk.contents().keys()];
    expect(names.filter((name) => name.includes('snapshot-'))).toHaveLength(1);
    const numbers = names.flatMap((name) => /state\/(\d{10})\.log$/.exec(name)?.[1] ?? []).map(Number);
    expect(numbers[0]).toBeGreaterThan(10);
    const next = disk.crash();
    const { rows } = await openStore(next);
    expect(sorted(plain(rows))).toEqual(sorted(owners.plain()));
    expect(await checkStore(next, 'data')).toMatchObject({ faults: [], audit: { number: 400 } });
    expect(await events(next)).toMatchObject(
      Array.from({ length: 400 }, (_, n) => ({ number: n + 1, details: { n } })),
    );
  });

  test('moves the audit trail in slices: the broker has its turns between', async () => {
    const disk = new MemoryDisk();
    const open = await openStore(disk, { snapshotBytes: 1000, segmentBytes: 4 * 1024 * 1024 });
    const frames = 64;
    for (let n = 0; n < frames; n++) await open.write({ audit: Array.from({ length: 64 }, (_, m) => event(m)) });
    const owners = new Owners(open);
    void owners.begin('resource', 'last', row(1));
    const isTaken = () => [...disk.contents().keys()].some((name) => /snapshot-\d+\//.test(name));
    let turns = 0;
    for (; !isTaken(); turns++) await settle(open.clock, 1);
    expect(turns).toBeGreaterThan((frames * 64) / 256);
    expect(await events(disk.crash())).toHaveLength(frames * 64);
  });

  test.each([
    ['the journal behind its snapshot', /state\/\d+\.log$/, 'the snapshot needs it from'],
    ['the archive of its audit trail', /audit\/\d+\.log$/, 'the audit archive ends at event 0'],
  ])('is not opened without %s', async (_what, lost, sentence) => {
    const disk = new MemoryDisk();
    const open = await openStore(disk, { snapshotBytes: 2000 });
    const owners = new Owners(open);
    for (let n = 0; n < 40; n++) await owners.put('resource', `${n}`, row(n), { audit: [event(n)] });
    await settle(open.clock);
    const copy = new MemoryDisk();
    for (const [path, bytes] of disk.contents()) if (!lost.test(path)) copy.put(path, bytes);
    expect([...copy.contents().keys()].filter((path) => path.includes('snapshot'))).not.toEqual([]);
    await expect(openStore(copy)).rejects.toThrow(sentence);
  });

  test('takes no snapshot while a table has no owner', async () => {
    const disk = new MemoryDisk();
    const { store, write, clock } = await openStore(disk, { snapshotBytes: 1000 });
    store.provide('resource', () => []);
    for (let n = 0; n < 30; n++) await write({ changes: [{ table: 'alarm', key: `${n}`, row: row(n) }] });
    await settle(clock);
    expect([...disk.contents().keys()].filter((name) => name.includes('snapshot'))).toEqual([]);
  });

  test('gives a snapshot up when a write fails while it is taken', async () => {
    const disk = new MemoryDisk();
    const open = await openStore(disk, { snapshotBytes: 2000 });
    const owners = new Owners(open);
    let isFailing = false;
    // The state journal fails while the snapshot's own files do not.
    disk.fault = ({ kind, path }) => (isFailing && kind === 'sync' && /state\/\d/.test(path) ? 'EIO' : undefined);
    open.store.provide('alarm', function* () {
      isFailing = true;
      open.store.write({ changes: [{ table: 'command', key: 'lost', row: row(1) }], durability: 'synced' }, () => {});
      yield ['taken back', row(1)] as const;
    });
    for (let n = 0; n < 40 && !isFailing; n++) await owners.put('resource', `${n}`, row(n));
    await settle(open.clock);
    expect(isFailing).toBe(true);
    isFailing = false;
    const { rows } = await openStore(disk.crash());
    expect(rows.alarm.size).toBe(0);
    expect(sorted(plain(rows)).resource).toEqual(sorted(owners.plain()).resource);
  });

  test('gives a snapshot up when a write has failed, though the disk is well again before its end', async () => {
    const disk = new MemoryDisk();
    const open = await openStore(disk, { snapshotBytes: 2000 });
    const { store, clock } = open;
    const owners = new Owners(open);
    let isFailing = false;
    disk.fault = ({ kind, path }) => (isFailing && kind === 'sync' && /state\/\d/.test(path) ? 'EIO' : undefined);
    let [isBegun, isEnded] = [false, false];
    store.provide('alarm', function* () {
      if (isBegun) return;
      isBegun = isFailing = true;
      store.write({ changes: [{ table: 'command', key: 'lost', row: row(1) }], durability: 'synced' }, () => {});
      // Many slices, a turn each.
      for (let n = 0; n < 256 * 100; n++) yield [`taken back ${n}`, row(n)] as const;
      isEnded = true;
    });
    for (let n = 0; !isBegun; n++) await owners.put('resource', `${n}`, row(n));
    await settle(clock, 10);
    expect(store.trouble).toBeDefined();
    isFailing = false;
    clock.advance(250);
    await settle(clock, 10);
    expect([store.trouble, isEnded]).toEqual([undefined, false]);
    while (!isEnded) await settle(clock, 1);
    await settle(clock);
    const { rows } = await openStore(disk.crash());
    expect(rows.alarm.size).toBe(0);
    expect(sorted(plain(rows)).resource).toEqual(sorted(owners.plain()).resource);
  });

  test('ends no snapshot before what its rows may show is durable', async () => {
    let isStuck = false;
    const disk = new MemoryDisk({
      // A write that has begun and never ends.
      clock: { after: (ms, act) => (ms === 0 && act(), () => {}) },
      latencyMs: ({ kind, path }) => (isStuck && kind === 'write' && /state\/\d/.test(path) ? 1 : 0),
    });
    const open = await openStore(disk, { snapshotBytes: 2000 });
    const { store, clock } = open;
    const owners = new Owners(open);
    store.provide('alarm', function* () {
      isStuck = true;
      store.write({ changes: [{ table: 'alarm', key: 'early', row: row(1) }], durability: 'synced' }, () => {});
      yield ['early', row(1)] as const;
    });
    for (let n = 0; !isStuck; n++) {
      void owners.begin('resource', `${n}`, row(n));
      await settle(clock, 10);
    }
    await settle(clock);
    isStuck = false;
    const { rows } = await openStore(disk.crash());
    expect(rows.alarm.size).toBe(0);
    expect(sorted(plain(rows)).resource).toEqual(sorted(owners.plain()).resource);
  });

  test('has all it acknowledged after crashes at any moment of a snapshot', async () => {
    let [crashes, snapshots] = [0, 0];
    for (let crashAt = 0; crashAt < 150; crashAt++) {
      const disk = new MemoryDisk();
      const open = await openStore(disk, { snapshotBytes: 3000 });
      const owners = new Owners(open);
      let operations = 0;
      let next: MemoryDisk | undefined;
      disk.fault = () => {
        if (operations++ === crashAt + 60) next = disk.crash();
        return undefined;
      };
      const acknowledged: number[] = [];
      let isOver = false;
      void (async () => {
        for (let n = 0; n < 60; n++)
          if (await owners.begin('resource', `r-${n}`, row(n), { audit: [event(n)] })) acknowledged.push(n);
        isOver = true;
      })();
      while (!isOver && !next) await settle(open.clock, 1);
      const after = next ?? disk.crash();
      if (next) crashes++;
      if ([...after.contents().keys()].some((path) => path.includes('snapshot-'))) snapshots++;
      const { rows } = await openStore(after);
      for (const n of acknowledged) expect(rows.resource.get(`r-${n}`)?.document).toEqual({ n });
      expect(rows.resource.size - acknowledged.length).toBeLessThanOrEqual(1);
      expect((await checkStore(after, 'data')).faults).toEqual([]);
    }
    expect(crashes).toBeGreaterThan(140);
    expect(snapshots).toBeGreaterThan(20); // under way or just made
  }, 60_000);

  test('finds an audit event that was changed, with all checksums made good', async () => {
    const disk = new MemoryDisk();
    const { write } = await openStore(disk);
    await write({ audit: [event(1)] });
    const forged = new MemoryDisk();
    const { write: writeForged } = await openStore(forged);
    await writeForged({ audit: [{ ...event(1), originator: 'nobody' }] });
    await writeForged({ audit: [event(2)] });
    const honest = await verifyTrail(disk, 'data');
    const trail = [];
    for await (const bytes of readTrail(forged, 'data')) trail.push(bytes);
    expect(describeEvent(trail[0] ?? Buffer.alloc(0))).not.toMatchObject({
      hash: Buffer.from(honest.hash).toString('hex'),
    });
  });

  test('reads what an older version wrote, and writes all of it anew with the next snapshot', async () => {
    const old = new MemoryDisk();
    const { write, store, clock } = await openStore(old);
    await write({ changes: [{ table: 'resource', key: 'a', row: { document: { oldName: 1 } } }] });
    await during(clock, store.close());
    for (const [path, bytes] of old.contents()) if (path.endsWith('.log')) old.put(path, ofVersion(0, bytes));
    const formats = {
      0: (entry: Uint8Array) => [
        Buffer.from(Buffer.from(entry).toString('latin1').replace('oldName', 'newName'), 'latin1'),
      ],
    };
    const disk = old.kill();
    const open = await openStore(disk, { formats });
    expect(plain(open.rows).resource).toEqual([['a', { document: { newName: 1 } }]]);
    const owners = new Owners(open);
    await owners.put('resource', 'b', row(2));
    await settle(open.clock, 200);
    const after = disk.crash();
    const state = [...after.contents()].filter(([path]) => path.includes('/state/'));
    expect(state.map(([, bytes]) => Buffer.from(bytes).readUInt32LE(4))).toEqual(state.map(() => FORMAT_VERSION));
    const { rows } = await openStore(after, { formats }); // the archive keeps what it has
    expect(plain(rows).resource).toEqual([
      ['a', { document: { newName: 1 } }],
      ['b', { document: { n: 2 } }],
    ]);
  });
});

function ofVersion(version: number, bytes: Uint8Array): Buffer {
  const copy = Buffer.from(bytes);
  encodeSegmentHeader({ version, size: copy.readUIntLE(8, 6), number: copy.readUIntLE(14, 6) }).copy(copy);
  return copy;
}

describe('a store on the disk of this machine', () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'gridcast-store-'))));
  afterEach(() => rmSync(folder, { recursive: true }));
  const open = async (data = folder) => {
    const store = new JournalStore({
      disk: systemDisk,
      clock: systemClock,
      log: silentLog,
      folder: data,
      lock: lockFolder,
      segmentBytes: 64 * 1024,
      snapshotBytes: 100_000,
    });
    return { store, rows: await store.open() };
  };
  const write = (store: JournalStore, writing: Partial<Writing>) =>
    new Promise((resolve) => store.write({ durability: 'synced', ...writing }, resolve));

  test('comes back after it was closed', async () => {
    const { store } = await open();
    expect(
      await write(store, { changes: [{ table: 'alarm', key: 'a', row: row(1) }], audit: [event(1)] }),
    ).toBeUndefined();
    await store.close();
    const { store: again, rows } = await open();
    if (isRefusal(rows)) throw new Error(rows.detail);
    expect(plain(rows).alarm).toEqual([['a', row(1)]]);
    await again.close();
    expect((await checkStore(systemDisk, folder)).faults).toEqual([]);
  });

  test('is refused to a second daemon, and free when the first has ended', async () => {
    const { store } = await open();
    const { rows } = await open();
    expect(rows).toMatchObject({
      status: 'STATUS_SERVICE_UNAVAILABLE',
      detail: `Another process uses this store (${folder}/lock is locked): stop it, or choose another folder with --data.`,
    });
    await store.close();
    const { store: next, rows: mine } = await open();
    expect(isRefusal(mine)).toBe(false);
    await next.close();
  });

  test('is backed up while it is written and takes snapshots', async () => {
    const { store } = await open();
    const rows = new Map<string, Row>();
    for (const table of TABLES) store.provide(table, () => (table === 'resource' ? rows : []));
    let [count, isOver] = [0, false];
    const writing = (async () => {
      while (!isOver) {
        const value = { ...row(count), bytes: Buffer.alloc(400, count) };
        const key = `r-${count}`;
        const changes = [{ table: 'resource', key, row: value }] as const;
        await new Promise<void>((resolve) =>
          store.write({ changes, audit: [event(count)], durability: 'synced' }, () => {
            rows.set(key, value);
            resolve();
          }),
        );
        count++;
      }
    })();
    for (let copy = 0; copy < 5; copy++) {
      const least = count;
      const report = await backUp(systemDisk, folder, join(folder, `copy-${copy}`), openLevel);
      expect(report).toMatchObject({ faults: [] });
      const { store: restored, rows: found } = await open(join(folder, `copy-${copy}`));
      if (isRefusal(found)) throw new Error(found.detail);
      expect(found.resource.size).toBeGreaterThanOrEqual(least);
      expect([...found.resource.keys()]).toEqual(Array.from(found.resource, (_, n) => `r-${n}`));
      await restored.close();
    }
    isOver = true;
    await writing;
    await store.close();
    expect(count).toBeGreaterThan(50);
  }, 60_000);
});
