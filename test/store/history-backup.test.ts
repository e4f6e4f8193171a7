/** The history in `store backup` and `store check`. */
import { MemoryLevel } from 'memory-level';
import { isRefusal } from '../../src/errors.js';
import { backUp } from '../../src/store/backup.js';
import { checkStore } from '../../src/store/check.js';
import { historyLogFolder } from '../../src/store/layout.js';
import { BINARY, indexOn } from '../../src/store/level.js';
import { openStore } from '../support/store.js';
import { HistoryStage, numbers } from './history-stage.js';

const SEGMENT_BYTES = 6 * 1024;

/** A store with 150 instances of each of two containers in several segments, and a log that goes on. */
async function filled() {
  const stage = await HistoryStage.open(SEGMENT_BYTES);
  await openStore(stage.disk);
  const load = stage.track();
  const tap = stage.track('/m2m/containers/tap');
  for (const track of [load, tap]) await stage.run(track, 150);
  await stage.flush();
  const segments = [...(await stage.disk.list(historyLogFolder('data')))].sort();
  expect(segments.length).toBeGreaterThan(3);
  return { stage, load, segments };
}

async function backedUp(stage: HistoryStage) {
  const level = new MemoryLevel<Uint8Array, Uint8Array>(BINARY);
  await level.open();
  const index = indexOn(level);
  const report = await backUp(stage.disk, 'data', 'copy', () =>
    Promise.resolve({ ...index, close: () => Promise.resolve() }),
  );
  if (isRefusal(report)) throw new Error(report.detail);
  return { report, level };
}

const flip = async (stage: HistoryStage, path: string, at: number): Promise<void> => {
  const file = await stage.disk.open(path, 'write-through');
  const [byte = 0] = await file.read(at, 1);
  await file.write(at, Uint8Array.of(byte ^ 1));
};

describe('a backup', () => {
  test('has the history with an index that is used as it is, and checks as well', async () => {
    const { stage, load } = await filled();
    stage.push(load); // waits, and is not in it
    const { report, level } = await backedUp(stage);
    expect(report).toMatchObject({ faults: [], history: { containers: 2, instances: 300 } });
    expect(await checkStore(stage.disk, 'copy')).toMatchObject({ faults: [], history: report.history });

    // Whoever makes an index anew clears it first.
    stage.level = level;
    let isCleared = false;
    level.clear = () => ((isCleared = true), Promise.resolve());
    await stage.start('copy');
    const restored = stage.track();
    expect(await stage.read(restored)).toEqual(numbers(1, 150));
    expect(isCleared).toBe(false);
    stage.push(restored, { text: 'new' });
    await stage.flush();
    expect(await stage.read(restored)).toEqual([...numbers(1, 150), 'new']);
  });

  test('has a history without a gap, when the daemon deletes its oldest segments meanwhile', async () => {
    const { stage, segments } = await filled();
    const [first = '', second = ''] = segments;
    const [from, to] = [historyLogFolder('data'), historyLogFolder('copy')];
    const { disk } = stage;
    let hasBegun = false;
    disk.fault = ({ kind, path }) => {
      if (kind !== 'open' || !path.startsWith(to) || hasBegun) return undefined;
      hasBegun = true;
      for (const name of [first, second]) void disk.remove(`${from}/${name}`);
      return undefined;
    };
    const { report } = await backedUp(stage);
    expect(hasBegun).toBe(true);
    expect(report.faults).toEqual([]);
    expect(report.history?.instances).toBeLessThan(300);
    const copied = [...(await disk.list(to))];
    expect(copied).not.toContain(second);
    expect(copied).toContain(segments[2]);
    expect((await checkStore(disk, 'copy')).history).toEqual(report.history);
  });

  test('of a store without a history has none', async () => {
    const stage = await HistoryStage.open();
    await openStore(stage.disk);
    const { report } = await backedUp(stage);
    expect(report.history).toEqual({ containers: 0, instances: 0 });
    expect(await stage.disk.list('copy/history')).toEqual([]);
  });

  test('is refused where the history is damaged', async () => {
    const { stage, segments } = await filled();
    await flip(stage, `${historyLogFolder('data')}/${segments[1]}`, 2000);
    await expect(backedUp(stage)).rejects.toThrow(/history\/log\/\d+\.log is damaged at byte \d+/);
    expect(await stage.disk.list('copy/FORMAT')).toEqual([]);
  });
});

describe('a check', () => {
  test('finds a byte that has changed in any segment of the history', async () => {
    const { stage, segments } = await filled();
    for (const name of segments.slice(0, 3)) {
      const path = `${historyLogFolder('data')}/${name}`;
      for (const at of [0, 514, 1030, 2000]) {
        await flip(stage, path, at);
        const { faults, history } = await checkStore(stage.disk, 'data');
        expect({ at, faults }).toEqual({ at, faults: [expect.stringContaining(`${path} is damaged`)] });
        expect(history).toBeUndefined();
        await flip(stage, path, at);
      }
    }
    expect((await checkStore(stage.disk, 'data')).faults).toEqual([]);
  });

  test('finds a segment that is missing', async () => {
    const { stage, segments } = await filled();
    await stage.disk.remove(`${historyLogFolder('data')}/${segments[1]}`);
    expect((await checkStore(stage.disk, 'data')).faults).toEqual([expect.stringContaining('are missing')]);
  });
});
