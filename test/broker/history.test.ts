/** Containers whose instances are on disk, through a whole broker and its restarts; the index is LevelDB's own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatTime, parseTime } from '../../src/clock.js';
import { systemDisk } from '../../src/disk.js';
import { crcCcitt } from '../../src/protocols/c37118/crc.js';
import { FORMATS } from '../../src/routing/format.js';
import { openLevel } from '../../src/store/level.js';
import { RememberingStore } from '../support/remembering-store.js';
import {
  closeStage,
  container,
  http,
  nodeAt,
  simulate,
  startBroker,
  until,
  whenStageCloses,
  type RunningBroker,
} from './stage.js';

afterEach(closeStage);

/** A folder and a store that outlive the brokers of one test. */
function lasting() {
  const folder = mkdtempSync(join(tmpdir(), 'gridcast-history-'));
  whenStageCloses(() => rmSync(folder, { recursive: true }));
  const store = new RememberingStore();
  return (flags: Parameters<typeof startBroker>[0] = {}) =>
    startBroker(flags, { store, history: { disk: systemDisk, folder, openIndex: openLevel } });
}

interface Listed {
  readonly id: string;
  readonly content: { readonly contentType: string; readonly textContent: string };
}

async function page(running: RunningBroker, path: string): Promise<{ instances: Listed[]; next: string | undefined }> {
  const { status, json, sentence } = await http(running, 'GET', path);
  if (status !== 200) throw new Error(`${status} ${sentence}`);
  const { contentInstances } = json as unknown as {
    contentInstances: { next?: string; contentInstanceCollection: { contentInstance: Listed[] } };
  };
  return { instances: contentInstances.contentInstanceCollection.contentInstance, next: contentInstances.next };
}

async function all(running: RunningBroker, path: string): Promise<Listed[]> {
  const instances: Listed[] = [];
  for (let next: string | undefined = path; next !== undefined;) {
    const read = await page(running, next);
    instances.push(...read.instances);
    next = read.next;
  }
  return instances;
}

const store = async (running: RunningBroker, path: string, id: string, attributes = {}): Promise<void> => {
  const contentInstance = { id, content: { contentType: 'text/plain', textContent: `the ${id}` }, ...attributes };
  expect((await http(running, 'POST', path, { contentInstance })).status).toBe(201);
};
const ids = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, n) => `i${from + n}`);

test('what is beyond the ring is read from the disk: pages, the oldest, by id; over a restart with the same cursor', async () => {
  const start = lasting();
  const first = await start();
  const path = `${await container(first, { id: 'load', storage: 'disk', durability: 'grouped' })}/contentInstances`;
  await store(first, path, 'i0', { searchStrings: { searchString: ['first'] } });
  for (const id of ids(1, 150)) await store(first, path, id);
  expect((await http(first, 'GET', path)).json).toMatchObject({
    contentInstances: { currentNrOfInstances: 150, contentInstanceCollection: { contentInstance: { length: 64 } } },
  });
  expect((await all(first, `${path}?limit=40`)).map(({ id }) => id)).toEqual(ids(0, 150));
  expect((await all(first, `${path}?searchString=first&creator=anonymous`)).map(({ id }) => id)).toEqual(['i0']);
  expect((await http(first, 'GET', `${path}/oldest/content`)).bytes.toString()).toBe('the i0');
  expect((await http(first, 'GET', `${path}/i3/content`)).bytes.toString()).toBe('the i3');
  expect((await http(first, 'GET', `${path}/i3`)).json).toMatchObject({
    contentInstance: { id: 'i3', contentSize: 6 },
  });
  const missing = await http(first, 'GET', `${path}/i999`);
  expect(missing).toMatchObject({ status: 404, sentence: `There is no "i999" in ${path}.` });
  const begun = await page(first, `${path}?limit=40`);
  const kept = await http(first, 'DELETE', `${path}/i3`);
  expect(kept.status).toBe(403);

  await first.close();
  const next = await start();
  expect((await http(next, 'GET', `${path}/latest/content`)).bytes.toString()).toBe('the i149');
  expect((await http(next, 'GET', `${path}/i7/content`)).bytes.toString()).toBe('the i7');
  await store(next, path, 'i150');
  expect((await all(next, begun.next ?? '')).map(({ id }) => id)).toEqual(ids(40, 151));
});

test('limits of a container on disk are wide, hold for what is on disk, and its place never changes', async () => {
  const running = await lasting()();
  const path = await container(running, { id: 'load', storage: 'disk', maxNrOfInstances: 100_000 });
  expect((await http(running, 'GET', path)).json).toMatchObject({
    container: { storage: 'disk', maxNrOfInstances: 100_000, maxByteSize: 2 ** 40 },
  });
  const moved = await http(running, 'PUT', path, { container: { storage: 'memory' } });
  expect(moved).toMatchObject({ status: 400 });
  expect(moved.sentence).toContain('it never changes after creation');
  for (const id of ids(0, 30)) await store(running, `${path}/contentInstances`, id);
  await http(running, 'PUT', path, { container: { maxNrOfInstances: 10 } });
  expect((await http(running, 'GET', path)).json).toMatchObject({
    container: { storage: 'disk', maxNrOfInstances: 10 },
  });
  expect((await all(running, `${path}/contentInstances?limit=7`)).map(({ id }) => id)).toEqual(ids(20, 30));
  expect((await http(running, 'GET', `${path}/contentInstances`)).json).toMatchObject({
    contentInstances: { currentNrOfInstances: 10 },
  });
  const memory = await container(running, { id: 'small', maxNrOfInstances: 100_000 });
  expect((await http(running, 'GET', memory)).json).toMatchObject({
    container: { storage: 'memory', maxNrOfInstances: 200 },
  });
});

test('a container that is deleted takes its history along', async () => {
  const start = lasting();
  let running = await start();
  const path = await container(running, { id: 'load', storage: 'disk' });
  await store(running, `${path}/contentInstances`, 'old');
  await http(running, 'DELETE', path);
  await container(running, { id: 'load', storage: 'disk' });
  expect(await all(running, `${path}/contentInstances?limit=10`)).toEqual([]);
  await store(running, `${path}/contentInstances`, 'new');
  await running.close();
  running = await start();
  expect((await all(running, `${path}/contentInstances?limit=10`)).map(({ id }) => id)).toEqual(['new']);
});

test('a broker without a disk says so', async () => {
  const running = await startBroker();
  const refused = await http(running, 'POST', '/m2m/containers', { container: { id: 'load', storage: 'disk' } });
  expect(refused).toMatchObject({ status: 501 });
  expect((await http(running, 'GET', '/m2m/containers/load')).status).toBe(404);
});

test('every attached PMU has so much history, and its measurements come back from the disk as they were', async () => {
  const start = lasting();
  const flags = { pmuHistoryS: 3600 };
  const first = await start(flags);
  const { uri, close } = await simulate({ pmus: '2' });
  await http(first, 'POST', '/m2m/applications', { application: { appId: 'line', aPoC: uri } });
  const path = '/m2m/applications/pmu-2/containers/measurements';
  await until('45 frames are there', () => (nodeAt(first, `${path}/contentInstances`)?.history?.count ?? 0) >= 45);
  expect((await http(first, 'GET', path)).json).toMatchObject({ container: { storage: 'disk', maxInstanceAge: 3600 } });
  await close();
  const live = await all(first, `${path}/contentInstances?limit=1000`);
  const ring = nodeAt(first, `${path}/contentInstances`)?.history?.newest() ?? [];
  const bodies = new Map(
    ring.map((record) => [record.id, Buffer.from(record.value.body('content', FORMATS.senmlJson) ?? []).toString()]),
  );
  expect(bodies.size).toBeGreaterThanOrEqual(45);
  await first.close();

  const next = await start(flags);
  const read = await all(next, `${path}/contentInstances?limit=20`);
  expect(read).toEqual(live);
  for (const { id, content } of read) expect(content.textContent).toBe(bodies.get(id));
  const [, , third] = read;
  if (!third) throw new Error('there are 45');
  const raw = await http(next, 'GET', `${path}/contentInstances/${third.id}/content`, undefined, {
    accept: 'application/vnd.gridcast.c37118',
  });
  expect(raw.bytes.readUInt16BE(0)).toBe(0xaa01);
  expect(crcCcitt(raw.bytes)).toBe(0);
  const us = parseTime(third.id) ?? 0;
  const span = `measuredSince=${formatTime(us)}&measuredUntil=${formatTime(us + 100_000)}`;
  expect((await all(next, `${path}/contentInstances?${span}`)).map(({ id }) => id)).toEqual(
    read.slice(2, 5).map(({ id }) => id),
  );
});

test('a stream whose address says how long its history is has that one, whatever the broker gives to others', async () => {
  const running = await lasting()({ pmuHistoryS: 3600 });
  const wishes = {
    '&history=7200': { storage: 'disk', maxInstanceAge: 7200 },
    '&history=0': { storage: 'memory' },
    '': { storage: 'disk', maxInstanceAge: 3600 },
  };
  for (const [wish, expected] of Object.entries(wishes)) {
    const { uri, close } = await simulate({});
    await http(running, 'POST', '/m2m/applications', { application: { appId: 'line', aPoC: `${uri}${wish}` } });
    const path = '/m2m/applications/pmu-1/containers/measurements';
    await until('frames are there', () => (nodeAt(running, `${path}/contentInstances`)?.history?.count ?? 0) > 0);
    const { container } = (await http(running, 'GET', path)).json as { container: object };
    expect(container).toMatchObject(expected);
    expect('maxInstanceAge' in container).toBe('maxInstanceAge' in expected);
    await http(running, 'DELETE', '/m2m/applications/line');
    await close();
  }
});

test('what an address says of its history may change: what is on disk stays, as the limit it has now allows', async () => {
  const start = lasting();
  const { uri, close } = await simulate({});
  const path = '/m2m/applications/pmu-1/containers/measurements';
  const first = await start({ pmu: [`${uri}&history=7200`] });
  await until('frames are there', () => (nodeAt(first, `${path}/contentInstances`)?.history?.count ?? 0) > 30);
  await first.close();

  const next = await start({ pmu: [uri], pmuHistoryS: 3600 });
  await until('frames come', () => (nodeAt(next, `${path}/contentInstances`)?.history?.count ?? 0) > 60);
  const ageOf = async () =>
    ((await http(next, 'GET', path)).json as { container: { maxInstanceAge: number } }).container.maxInstanceAge;
  expect(await ageOf()).toBe(3600);
  const read = await all(next, `${path}/contentInstances?limit=1000`);
  expect(read.length).toBeGreaterThan(60);

  // Also of an application, at any time.
  const line = uri.replace('idcode=1', 'idcode=1&name=line');
  await http(next, 'POST', '/m2m/applications', { application: { appId: 'by-hand', aPoC: `${line}&history=7200` } });
  const other = '/m2m/applications/line/containers/measurements';
  await until('frames come', () => (nodeAt(next, `${other}/contentInstances`)?.history?.count ?? 0) > 10);
  const oldest = nodeAt(next, other);
  await http(next, 'PUT', '/m2m/applications/by-hand/aPoC', { aPoC: `${line}&history=86400` });
  expect((await http(next, 'GET', other)).json).toMatchObject({ container: { maxInstanceAge: 86_400 } });
  expect(nodeAt(next, other)).toBe(oldest);

  // What was in memory alone is made anew, and filled.
  const third = uri.replace('idcode=1', 'idcode=1&name=third');
  await http(next, 'POST', '/m2m/applications', { application: { appId: 'later', aPoC: `${third}&history=0` } });
  const later = '/m2m/applications/third/containers/measurements';
  const count = () => nodeAt(next, `${later}/contentInstances`)?.history?.count ?? 0;
  await until('frames come', () => count() > 0);
  await http(next, 'PUT', '/m2m/applications/later/aPoC', { aPoC: `${third}&history=60` });
  expect((await http(next, 'GET', later)).json).toMatchObject({ container: { storage: 'disk', maxInstanceAge: 60 } });
  await until('frames come', () => count() > 0);
  await close();
});
