/** What stands in memory for those who observe: a thousand endpoints with two relations each, in a process of their own. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { InsideOrder, InsideReport } from '../../bench/inside.js';

const INSIDE = fileURLToPath(new URL('../../bench/inside.ts', import.meta.url));
const ORDER: InsideOrder = { subscribers: 1000, messages: 8, idle: 100 };

describe('what the broker keeps', () => {
  let report: InsideReport;
  beforeAll(async () => {
    const child = fork(INSIDE, { execArgv: ['--expose-gc', '--import', 'tsx', '--max-semi-space-size=256'], env: {} });
    child.send(ORDER);
    [report] = (await once(child, 'message')) as [InsideReport];
    child.kill();
  }, 120_000);

  test('of an endpoint with a relation is 7 to 8 KB: no xstate actor, no table for more than it asks', () => {
    expect(report.endpointBytes).toBeLessThan(10_000);
  });

  test('of a further relation is 2 KB: no xstate actor, no closure, nothing of its request', () => {
    expect(report.relationBytes).toBeLessThan(2_800);
  });

  test('of one that has come and gone is the ids of its requests', () => {
    expect(report.passedBytes).toBeLessThan(1_000);
  });
});
