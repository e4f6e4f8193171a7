import { Batch } from '../../../src/protocols/ws/batch.js';

test('a batch is due when its timer says so, be it a little before the clock does', () => {
  let nowUs = 0;
  let fire = (): void => {};
  const clock = { wallUs: () => nowUs, monotonicUs: () => nowUs, atTurnEnd: () => {} };
  const due: boolean[] = [];
  const after = (_delayMs: number, run: () => void) => {
    fire = run;
    return () => {};
  };
  const batch: Batch = new Batch({ ...clock, after }, () => due.push(batch.isDue));
  batch.add(Uint8Array.of(1), {} as never, 20);
  nowUs = 19_600;
  expect(batch.isDue).toBe(false);
  fire();
  expect(due).toEqual([true]);
});
