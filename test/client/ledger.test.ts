/** A device's ledger on a disk that forgets what was not synced, and the simulated device that keeps one. */
import { JournalLedger, ledgerIn, type LedgerEntry } from '../../src/client/index.js';
import { systemClock } from '../../src/clock.js';
import { temporaryFolder } from '../support/folder.js';
import { MemoryDisk } from '../support/memory-disk.js';
import { Spawned, stopPrograms } from '../support/program.js';

afterEach(stopPrograms);

const entry = (commandId: string, more: Partial<LedgerEntry> = {}): LedgerEntry => ({
  command: {
    commandId,
    action: 'operate',
    point: 'breaker-1',
    value: { position: 'open' },
    deadlineMs: 100,
    leaseMs: 30_000,
    dueUs: undefined,
    issuedUs: undefined,
    isSelected: false,
  },
  word: undefined,
  isTold: false,
  ...more,
});
const executed = (commandId: string) => ({ commandId, state: 'executed', reason: 'in 40 ms' }) as const;
const ledgerOn = (disk: MemoryDisk): JournalLedger => new JournalLedger({ disk, clock: systemClock, folder: 'ledger' });

test('what was written synced is there after a power cut, each command once and as it was last', async () => {
  let disk = new MemoryDisk();
  const ledger = ledgerOn(disk);
  expect(await ledger.open()).toEqual([]);
  const last = [entry('a', { word: executed('a'), isTold: true }), entry('b'), entry('c', { word: executed('c') })];
  await ledger.write(entry('a'), 'synced');
  await ledger.write(entry('b'), 'synced');
  await ledger.write(entry('a', { word: executed('a') }), 'synced');
  await ledger.write(entry('a', { word: executed('a'), isTold: true }), 'grouped');
  await ledger.write(entry('c', { word: executed('c') }), 'synced');
  disk = disk.crash();
  expect(await ledgerOn(disk).open()).toEqual(last);
});

test('one that is full rejects, and what it has stays', async () => {
  const disk = new MemoryDisk();
  const ledger = ledgerOn(disk);
  await ledger.open();
  await ledger.write(entry('a'), 'synced');
  disk.fault = ({ kind }) => (kind === 'write' || kind === 'sync' ? 'ENOSPC' : undefined);
  await expect(ledger.write(entry('b'), 'synced')).rejects.toThrow('The disk of the store is full');
  disk.fault = () => undefined;
  expect(await ledgerOn(disk.crash()).open()).toEqual([entry('a')]);
});

test('it stays small: what was overtaken, and what need not be kept, goes', async () => {
  const disk = new MemoryDisk();
  const ledger = ledgerOn(disk);
  await ledger.open();
  await ledger.write(entry('intent'), 'synced');
  for (let n = 0; n < 6000; n++) {
    await ledger.write(
      entry(`c-${n}`, { word: executed(`c-${n}`), isTold: true }),
      n % 100 === 0 ? 'synced' : 'grouped',
    );
    ledger.forget(`c-${n - 10}`);
  }
  await ledger.close();
  const bytes = [...disk.contents().values()].reduce((sum, { length }) => sum + length, 0);
  // 6,000 entries of some 200 bytes are 1.2 MB.
  expect(bytes).toBeLessThan(1_100_000);
  const next = ledgerOn(disk.kill());
  const entries = await next.open();
  expect(entries.map(({ command }) => command.commandId)).toContain('intent');
  expect(entries.map(({ command }) => command.commandId)).toEqual(expect.arrayContaining(['c-5999', 'c-5990']));
  await next.close();
});

test('one process has it at a time: the next is refused until that one has closed it, or is dead', async () => {
  const folder = temporaryFolder();
  const script = `
    const { ledgerIn } = await import('./src/client/index.ts');
    await ledgerIn(${JSON.stringify(folder)}).open();
    console.log('has it');
    setInterval(() => {}, 60_000);`;
  const hold = (): Spawned => new Spawned(process.execPath, ['--import', 'tsx', '-e', script], { NODE_OPTIONS: '' });
  const first = hold();
  await first.told(/has it/);
  const ledger = ledgerIn(folder);
  await expect(ledger.open()).rejects.toMatchObject({
    kind: 'argument',
    message: expect.stringMatching(/^Another process uses this ledger .* give this device a folder of its own\.$/),
  });
  expect(await first.stop('SIGKILL')).toBe('SIGKILL');
  expect(await ledger.open()).toEqual([]);
  await ledger.write(entry('a'), 'synced');
  const second = hold();
  expect(await second.ended()).toBe(1);
  expect(second.complaint).toContain('Another process uses this ledger');
  await ledger.close();
  await hold().told(/has it/);
});
