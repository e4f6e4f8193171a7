/**
 * Resources of every type come and go on a whole broker with its journal on a disk; what is left of them is measured. Run by
 * churn.test.ts in a process of its own, because only there can garbage be collected on demand:
 * `node --expose-gc --import tsx test/broker/churn.ts 100000`. Prints one JSON object.
 *
 *     a round:  every type is created, with contents and subscribers that are told ──> it goes, in one of three ways:
 *               one by one, the last first │ with its application and SCL │ as its leases end
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { formatTime } from '../../src/clock.js';
import { temporaryFolder, systemDisk } from '../../src/disk.js';
import { isRefusal } from '../../src/errors.js';
import type { JsonObject } from '../../src/json.js';
import { silentLog } from '../../src/log.js';
import { bodyOfValue } from '../../src/protocols/codec.js';
import { Mailbox } from '../../src/kernel/mailbox.js';
import { FORMATS } from '../../src/routing/format.js';
import { isSuccess, parsePath, type Operation } from '../../src/routing/primitive.js';
import { JournalStore } from '../../src/store/journal-store.js';
import { TABLES } from '../../src/store/store.js';
import { startBroker } from '../support/broker.js';
import { census, changesOf } from '../support/census.js';
import { everyType, type Sown } from '../support/every-type.js';
import { ManualClock } from '../support/manual-clock.js';
import { during } from '../support/store.js';

const cycles = Number(process.argv[2] ?? 4_000);
/** Rounds that go on beside each other: their writes share a sync. */
const BESIDE = 16;
const LEASE_MS = 120_000;
/** Small, so that the journal is cut back many times in a run. */
const STORE = { segmentBytes: 1024 * 1024, snapshotBytes: 4 * 1024 * 1024 };

const { gc } = globalThis;
if (!gc) throw new Error('run with --expose-gc');
const heap = (): number => {
  gc();
  return process.memoryUsage().heapUsed;
};

const clock = new ManualClock();
const folder = await temporaryFolder('gridcast-churn');
const storeOf = (): JournalStore => new JournalStore({ disk: systemDisk, clock, log: silentLog, folder, ...STORE });
const { broker, close } = await during(clock, startBroker({}, { clock, store: storeOf() }));
let requests = 0;

async function ask(op: Operation, path: string, document?: JsonObject): Promise<void> {
  const to = parsePath(path);
  if (isRefusal(to)) throw new Error(to.detail);
  const response = await broker.request({
    op,
    to,
    query: new URLSearchParams(),
    originator: 'churn',
    requestId: `churn-${++requests}`,
    binding: 'http',
    accept: [],
    defaultFormat: FORMATS.json,
    ...(document && { body: bodyOfValue(document) }),
  });
  if (!isSuccess(response)) throw new Error(`${op} ${path}: ${response.status} ${response.detail}`);
}

async function lay(sown: readonly Sown[], n: number): Promise<void> {
  for (const { collection, document } of sown) await ask('create', collection, document);
  for (const { path, rewritten } of sown) if (rewritten) await ask('update', path, rewritten);
  await ask('create', `/m2m/applications/meter-${n}/containers/load/contentInstances`, { kw: n });
}

/** The ways of going; `leases` and `roots` take what stands below with them. */
const WAYS = ['one by one', 'roots', 'leases'] as const;

async function clear(sown: readonly Sown[], n: number, way: (typeof WAYS)[number]): Promise<void> {
  if (way === 'leases') return;
  const going =
    way === 'roots' ? [`/m2m/applications/meter-${n}`, `/m2m/scls/gscl-${n}`] : sown.map(({ path }) => path).reverse();
  for (const path of going) await ask('delete', path);
}

let created = 0;
async function rounds(count: number): Promise<void> {
  for (const way of WAYS.flatMap((each) =>
    Array.from({ length: Math.ceil(count / BESIDE / WAYS.length) }, () => each),
  )) {
    const until = formatTime(clock.wallUs() + LEASE_MS * 1000);
    const some = Array.from({ length: BESIDE }, () => {
      const sown = everyType(created, until);
      const n = created++;
      return { sown, n };
    });
    await during(clock, Promise.all(some.map(({ sown, n }) => lay(sown, n))));
    await during(clock, Promise.all(some.map(({ sown, n }) => clear(sown, n, way))));
    clock.advance(LEASE_MS + 1000);
    // What goes without being asked for is written at the turn's end.
    await during(clock, new Promise<unknown>((kept) => broker.resources.kept.commit(kept)));
  }
}

const sizeOf = (path: string): number =>
  statSync(path).isDirectory()
    ? readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0)
    : statSync(path).size;

/** The store is judged on its disk; a mailbox's ring grows with use up to its capacity, whatever comes and goes. */
const count = (): Map<string, number> =>
  census(broker, (held) => held instanceof JournalStore || held instanceof Mailbox);

const types = everyType(0, formatTime(clock.wallUs()));
/** Until rings are full and everything is compiled. */
await rounds(Math.max(3 * BESIDE, cycles / types.length / 10));
const before = { heap: heap(), census: count() };
const from = created;
await rounds(cycles / types.length);
const growth = heap() - before.heap;
const changes = changesOf(before.census, count());
const leases = broker.wheel.size;
const [subscriptions, resources] = [broker.subscriptions.population.size, broker.quotas.resources];
await during(clock, close());
const stateBytes = sizeOf(join(folder, 'state'));
const reopened = storeOf();
const rows = await during(clock, reopened.open());
if (isRefusal(rows)) throw new Error(rows.detail);
const left = TABLES.flatMap((table) => [...rows[table].keys()].filter((key) => /meter-|gscl-/.test(key)));
await during(clock, reopened.close());
await systemDisk.remove(folder);
console.log(
  JSON.stringify({
    cycles: (created - from) * types.length,
    types: [...new Set(types.map(({ type }) => type))],
    growth,
    changes,
    leases,
    subscriptions,
    resources,
    left,
    stateBytes,
  }),
);
process.exit(0);
