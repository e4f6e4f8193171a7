/** `gridcast store` and `gridcast audit` on a folder of this machine. */
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../src/cli/program.js';
import type { Shell } from '../../src/cli/shell.js';
import { systemClock } from '../../src/clock.js';
import { systemDisk } from '../../src/disk.js';
import { isRefusal } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { lockFolder } from '../../src/store/folder-lock.js';
import { JournalStore } from '../../src/store/journal-store.js';
import { startDaemon } from '../support/daemon.js';
import { temporaryFolder } from '../support/folder.js';

async function run(...words: string[]) {
  const [out, complaints]: [string[], string[]] = [[], []];
  const shell: Shell = {
    clock: systemClock,
    isTerminal: false,
    interrupted: new AbortController().signal,
    print: (line) => out.push(line),
    write: () => {},
    note: () => {},
    complain: (line) => complaints.push(line),
    paint: (_style, text) => text,
  };
  const exitCode = await runProgram(words, shell);
  return { exitCode, out, complaint: complaints.join('\n') };
}

describe('a data folder', () => {
  let root: string;
  let folder: string;
  let store: JournalStore;

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), 'gridcast-cli-'));
    folder = join(root, 'data');
    store = new JournalStore({
      disk: systemDisk,
      clock: systemClock,
      log: silentLog,
      folder,
      lock: lockFolder,
      segmentBytes: 16384,
    });
    const rows = await store.open();
    if (isRefusal(rows)) throw new Error(rows.detail);
    const audit = [{ event: 'tried', originator: 'admin', target: '/m2m' }];
    const changes = [{ table: 'alarm', key: 'a', row: { document: { n: 1 }, bytes: Buffer.from('x') } }] as const;
    await new Promise((resolve) => store.write({ changes, audit, durability: 'synced' }, resolve));
  });
  afterEach(async () => {
    await store.close();
    rmSync(root, { recursive: true });
  });

  test('is exported, verified, shown and backed up while a daemon runs on it', async () => {
    expect(await run('store', 'export', folder)).toEqual({
      exitCode: 0,
      out: ['{"table":"alarm","key":"a","document":{"n":1},"bytes":"eA=="}'],
      complaint: '',
    });
    const verified = await run('audit', 'verify', folder);
    expect(verified.out[0]).toMatch(/^1 events, the last with hash [0-9a-f]{64}: the chain holds\.$/);
    const [line = ''] = (await run('audit', 'show', folder)).out;
    expect(JSON.parse(line)).toMatchObject({ number: 1, event: 'tried', originator: 'admin', target: '/m2m' });
    const backup = await run('store', 'backup', folder, join(root, 'copy'));
    expect(backup.out).toEqual([
      'All is well: rows 0 of resource, 0 of instance, 0 of command, 1 of alarm; 1 audit events; 0 instances of 0 containers on disk.',
    ]);
    expect(await run('store', 'check', join(root, 'copy'))).toMatchObject({ exitCode: 0, out: backup.out });
    const again = await run('store', 'backup', folder, join(root, 'copy'));
    expect(again).toMatchObject({ exitCode: 1, out: [] });
    expect(again.complaint).toContain('is not empty; a backup goes into a folder of its own.');
  });

  test('is not checked while a daemon runs on it', async () => {
    const { exitCode, complaint } = await run('store', 'check', folder);
    expect(exitCode).toBe(1);
    expect(complaint).toContain('Another process uses this store');
    expect(complaint).toContain('gridcast store backup');
  });

  test('that is damaged is told with file and place', async () => {
    await store.close();
    const state = join(folder, 'state');
    const [name = ''] = readdirSync(state);
    const bytes = readFileSync(join(state, name));
    bytes.writeUInt8(bytes.readUInt8(1070) ^ 1, 1070);
    writeFileSync(join(state, name), bytes);
    const { exitCode, complaint, out } = await run('store', 'check', folder);
    expect({ exitCode, out }).toEqual({ exitCode: 1, out: [] });
    expect(complaint).toBe(`${state}/${name} is damaged at byte 1024: the content of a frame is not what was written.`);
    expect((await run('audit', 'verify', folder)).exitCode).toBe(1);
  });

  test('that is none is told so', async () => {
    for (const words of [
      ['store', 'check'],
      ['store', 'export'],
      ['audit', 'verify'],
      ['audit', 'show'],
    ]) {
      const { exitCode, complaint } = await run(...words, join(root, 'nowhere'));
      expect({ exitCode, complaint }).toEqual({
        exitCode: 1,
        complaint: `gridcast: There is no store in ${join(root, 'nowhere')}.`,
      });
    }
  });
});

test('a daemon that starts on a backup has the history on disk of the one that it was taken from', async () => {
  const [data, copy] = [temporaryFolder(), join(temporaryFolder(), 'copy')];
  const first = await startDaemon({ data });
  const load = '/m2m/containers/load';
  const post = async (path: string, body: string, type = 'application/json'): Promise<void> => {
    const response = await fetch(`${first.roots.http}${path}`, {
      method: 'POST',
      headers: { 'content-type': type },
      body,
    });
    expect(response.status).toBe(201);
  };
  await post('/m2m/containers', JSON.stringify({ container: { id: 'load', storage: 'disk', durability: 'synced' } }));
  for (let n = 1; n <= 20; n++) await post(`${load}/contentInstances`, `reading ${n}`, 'text/plain');
  // What waits for its turn is written within a second.
  const wellWith20 = /^All is well: .* 20 instances of 1 containers on disk\.$/;
  let backup = await run('store', 'backup', data, copy);
  for (let tries = 1; tries < 10 && !wellWith20.test(backup.out[0] ?? ''); tries++) {
    await new Promise((resolve) => systemClock.after(300, () => resolve(undefined)));
    rmSync(copy, { recursive: true });
    backup = await run('store', 'backup', data, copy);
  }
  expect(backup.out).toEqual([expect.stringMatching(wellWith20)]);
  expect(await run('store', 'check', copy)).toEqual({ exitCode: 0, out: backup.out, complaint: '' });
  await first.stop();
  const second = await startDaemon({ data: copy });
  const response = await fetch(`${second.roots.http}${load}/contentInstances/oldest/content`);
  const newest = await fetch(`${second.roots.http}${load}/contentInstances/latest/content`);
  expect([await response.text(), await newest.text()]).toEqual(['reading 1', 'reading 20']);
  await second.stop();
  const segments = join(copy, 'history', 'log');
  const [name = ''] = readdirSync(segments);
  const bytes = readFileSync(join(segments, name));
  const last = bytes.findLastIndex((byte) => byte !== 0);
  bytes.writeUInt8(bytes.readUInt8(last) ^ 1, last);
  writeFileSync(join(segments, name), bytes);
  const { exitCode, complaint } = await run('store', 'check', copy);
  expect({ exitCode, complaint }).toEqual({
    exitCode: 1,
    complaint: expect.stringContaining(`${segments}/${name} is damaged`),
  });
}, 60_000);
