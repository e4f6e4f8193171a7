/** What can be seen of a daemon from outside only: how its journal is open, what it has told V8, how it ends before it has begun. */
import { execFileSync } from 'node:child_process';
import { constants, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../support/folder.js';
import { SCRIPT, Spawned, stopPrograms } from '../support/program.js';

const FLAGS_TOLD = fileURLToPath(new URL('../support/flags-told.mjs', import.meta.url));

afterAll(stopPrograms);

const serve = (data: string): Spawned =>
  new Spawned(process.execPath, [
    ...['--import', FLAGS_TOLD, SCRIPT],
    ...['serve', '--http', '0', '--coap', '0', '--data', data],
  ]);

/** Paths of the files that a process has open, with the flags they were opened with. */
const openFiles = (pid: number): readonly (readonly [path: string, flags: number])[] =>
  readdirSync(`/proc/${pid}/fd`).flatMap((descriptor) => {
    try {
      const info = readFileSync(`/proc/${pid}/fdinfo/${descriptor}`, 'utf8');
      const [, flags = ''] = /^flags:\s+(\d+)$/m.exec(info) ?? [];
      return [[readlinkSync(`/proc/${pid}/fd/${descriptor}`), parseInt(flags, 8)] as const];
    } catch {
      return []; // closed meanwhile
    }
  });

test('a journal is written through to the disk: its segments are open with O_DSYNC, in a new store and in one that stood', async () => {
  const data = temporaryFolder();
  for (const life of ['new', 'stood']) {
    const broker = serve(data);
    await broker.told(/HTTP +(\S+)/);
    const segments = openFiles(broker.pid).filter(([path]) => path.startsWith(`${data}/state/`));
    expect([life, segments.length > 0]).toEqual([life, true]);
    for (const [path, flags] of segments)
      expect([life, path, flags & constants.O_DSYNC]).toEqual([life, path, constants.O_DSYNC]);
    await broker.stop();
  }
}, 60_000);

test('the daemon lets its heap grow and has nothing made among what is old, by flags that this V8 has', async () => {
  const broker = serve(temporaryFolder());
  const flags = [
    await broker.told(/^V8 (--heap-growing-percent)=300$/),
    await broker.told(/^V8 --no-(allocation-site-pretenuring)$/),
  ];
  const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8', maxBuffer: 16 * 1024 * 1024 });
  for (const flag of flags) expect(known).toContain(`${flag} `);
  await broker.stop('SIGKILL');
}, 60_000);

test('a SIGTERM that comes while it starts stops it, in order', async () => {
  const broker = serve(temporaryFolder());
  await broker.told(/^V8 /); // its configuration is read, nothing listens
  expect(await broker.stop()).toBe(0);
}, 60_000);
