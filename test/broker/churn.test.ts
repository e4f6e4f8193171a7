/** An expired or deleted subtree leaves nothing. `CHURN_CYCLES=100000` for the long run, as before a release. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { TYPES, type TypeRow } from '../../src/resources/types.js';

const SCRIPT = fileURLToPath(new URL('churn.ts', import.meta.url));
const CYCLES = process.env.CHURN_CYCLES ?? '4000';
/** What the collector and the compiler leave, however long it runs: 0.8 MB after 100,000 cycles, 1.4 MB after 10,000. */
const FLAT_BYTES = 3_000_000;
/** A journal that is due for its next snapshot, and the snapshot. */
const MOST_STATE_BYTES = 16 * 1024 * 1024;

interface Measured {
  readonly cycles: number;
  readonly types: readonly string[];
  readonly growth: number;
  readonly changes: readonly string[];
  readonly leases: number;
  readonly subscriptions: number;
  readonly resources: number;
  readonly left: readonly string[];
  readonly stateBytes: number;
}

describe(`${CYCLES} resources of all types, created and deleted or expired`, () => {
  let measured: Measured;
  beforeAll(() => {
    const args = ['--expose-gc', '--import', 'tsx', SCRIPT, CYCLES];
    measured = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8', env: {} })) as Measured;
  }, 600_000);

  test('are of every type that can be created', () => {
    const creatable = Object.values<TypeRow>(TYPES).flatMap(({ creates }) => creates);
    expect([...measured.types].sort()).toEqual([...new Set(creatable)].sort());
    expect(measured.cycles).toBeGreaterThanOrEqual(Number(CYCLES));
  });

  test('leave nothing in any map, set or list of the broker', () => expect(measured.changes).toEqual([]));

  test('leave no lease, no subscription and nothing that counts against a limit', () =>
    expect(measured).toMatchObject({ leases: 0, subscriptions: 0, resources: 0 }));

  test('leave the heap flat', () => expect(measured.growth).toBeLessThan(FLAT_BYTES));

  test('leave no row, and no store that grows', () => {
    expect(measured.left).toEqual([]);
    expect(measured.stateBytes).toBeLessThan(MOST_STATE_BYTES);
  });
});
