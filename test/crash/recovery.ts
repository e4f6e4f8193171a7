/**
 * How soon a broker serves after kill -9: with ten thousand resources, created over HTTP, and with a million (`--full`), whose
 * rows the store's own writer has laid down. It serves when one of them has been retrieved.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpuUsOf, machineCpu, median } from '../../bench/figures.js';
import { systemClock } from '../../src/clock.js';
import { systemDisk } from '../../src/disk.js';
import { isRefusal } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { JournalStore } from '../../src/store/journal-store.js';
import { TABLES, type Row } from '../../src/store/store.js';
import { BrokerProcess } from './broker-process.js';
import { insist, never, seconds, type Circumstances, type Part } from './part.js';

const SIZES = { many: { resources: 10_000, limitMs: 1_000 }, million: { resources: 1_000_000, limitMs: 10_000 } };
const STARTS = 5;
const CREATORS = 16;
const ROWS_PER_WRITE = 1_000;
/** Cores that other processes may use meanwhile; above it a time says more of them than of the broker. */
const QUIET_CORES = 0.5;

const pathOf = (n: number): string => `/m2m/applications/gateway-${n}`;

async function createOverHttp(broker: BrokerProcess, count: number): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: CREATORS }, async () => {
      for (let n = next++; n < count; n = next++)
        await broker.create('/m2m/applications', { application: { appId: `gateway-${n}` } });
    }),
  );
}

/** Rows of applications, as the broker wrote its own of the first, `gateway-0`: with the store's writer, and its snapshots. */
export async function layDown(data: string, count: number): Promise<void> {
  const store = new JournalStore({ disk: systemDisk, clock: systemClock, log: silentLog, folder: data });
  const tables = await store.open();
  if (isRefusal(tables)) throw new Error(tables.detail);
  const pattern = tables.resource.get(pathOf(0));
  if (!pattern) throw new Error(`the store has no row of ${pathOf(0)}`);
  const revision = Number(pattern.document.revision);
  const rowOf = (n: number): Row => ({ document: { ...pattern.document, revision: revision + n } });
  let laid = 1;
  function* rows(): Generator<readonly [string, Row]> {
    yield* tablesRows;
    for (let n = 1; n < laid; n++) yield [pathOf(n), rowOf(n)];
  }
  const tablesRows = tables.resource;
  for (const table of TABLES) store.provide(table, table === 'resource' ? rows : () => tables[table]);
  while (laid < count) {
    const from = laid;
    laid = Math.min(count, from + ROWS_PER_WRITE);
    const changes = Array.from({ length: laid - from }, (_, n) => ({
      table: 'resource' as const,
      key: pathOf(from + n),
      row: rowOf(from + n),
    }));
    await new Promise<void>((resolve, reject) =>
      store.write({ changes, durability: 'synced' }, (refusal) =>
        refusal ? reject(new Error(refusal.detail)) : resolve(),
      ),
    );
  }
  await store.close();
}

interface Start {
  readonly wallMs: number;
  readonly cpuMs: number;
  /** Cores that others used meanwhile. */
  readonly others: number;
}

async function startOf(broker: BrokerProcess, served: string): Promise<Start> {
  const before = machineCpu().busyUs;
  const wallMs = await broker.start(served);
  const cpuMs = cpuUsOf(broker.pid) / 1000;
  return { wallMs, cpuMs, others: Math.max(0, (machineCpu().busyUs - before) / 1000 - cpuMs) / wallMs };
}

async function recover(size: (typeof SIZES)['many'], progress: (line: string) => void): Promise<string> {
  const { resources, limitMs } = size;
  const folder = mkdtempSync(join(tmpdir(), 'gridcast-recovery-'));
  const data = join(folder, 'data');
  const broker = new BrokerProcess(data);
  const starts: Start[] = [];
  try {
    await broker.start();
    const isLaid = resources > SIZES.many.resources;
    await createOverHttp(broker, isLaid ? 1 : resources);
    if (isLaid) {
      await broker.stop();
      await layDown(data, resources);
    }
    for (let n = 1; n <= STARTS; n++) {
      await broker.kill();
      const start = await startOf(broker, pathOf(resources - n));
      starts.push(start);
      progress(
        `${resources} resources, start ${n}: ${seconds(start.wallMs)}, of these ${seconds(start.cpuMs)} CPU; others used ${start.others.toFixed(1)} cores`,
      );
    }
  } finally {
    await broker.kill();
    rmSync(folder, { recursive: true, force: true });
  }
  const quiet = starts.filter(({ others }) => others <= QUIET_CORES);
  const [wallMs, cpuMs] = [median(starts.map((each) => each.wallMs)), median(starts.map((each) => each.cpuMs))];
  if (quiet.length > 0) {
    const quietMs = median(quiet.map((each) => each.wallMs));
    insist(
      quietMs > limitMs ? [`${resources} resources served after ${seconds(quietMs)}, not ${seconds(limitMs)}`] : [],
    );
  }
  const judged =
    quiet.length > 0
      ? `limit ${seconds(limitMs)}: met in ${quiet.length} quiet starts`
      : `limit ${seconds(limitMs)}: not judged, other processes kept the machine busy`;
  return `${resources} resources served ${seconds(wallMs)} after the spawn (median of ${starts.length}; ${seconds(cpuMs)} CPU; ${judged})`;
}

export const recovery: Part = {
  obstacle: never,
  async run({ isFull, progress }: Circumstances): Promise<string> {
    const summaries = [await recover(SIZES.many, progress)];
    if (isFull) summaries.push(await recover(SIZES.million, progress));
    return summaries.join('; ');
  },
};
