import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('heap.ts', import.meta.url));
/** Noise of the collector and of compiled code, over all 100,000 cycles. */
const FLAT_BYTES = 1_000_000;

interface Measured {
  readonly growth: number;
  readonly received: number;
  readonly opened: number;
  readonly timers: number;
  readonly leases: number;
  readonly perSample: number;
  readonly perIdleCell: number;
  readonly perLease: number;
  readonly transitionRootKeeps: number;
  readonly machineRootKeeps: number;
}

describe('what the kernel keeps', () => {
  let measured: Measured;
  beforeAll(() => {
    const args = ['--expose-gc', '--import', 'tsx', SCRIPT];
    measured = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8', env: {} })) as Measured;
  }, 120_000);

  test('100,000 cells with a machine, a lease and something open, begun and ended, one in ten by a crash, leave the heap flat', () => {
    expect(measured.growth).toBeLessThan(FLAT_BYTES);
    expect(measured.received).toBeGreaterThan(100_000);
  });

  test('nothing stays open, and no timer', () => {
    expect(measured).toMatchObject({ opened: 0, timers: 0, leases: 0 });
  });

  test('a sample told to an idle cell allocates nothing', () => {
    expect(measured.perSample).toBeLessThan(1);
  });

  test('an idle cell is 245 bytes, its path of 54 characters and its key included', () => {
    expect(measured.perIdleCell).toBeLessThan(300);
  });

  test('a lease costs 31 bytes of integers, and what columns that grow have to spare', () => {
    expect(measured.perLease).toBeLessThan(31 * 1.5);
  });

  test('a transition function as root keeps nothing of a child that has ended; a machine as root does', () => {
    expect(measured.transitionRootKeeps).toBeLessThan(20);
    expect(measured.machineRootKeeps).toBeGreaterThan(100);
  });
});
