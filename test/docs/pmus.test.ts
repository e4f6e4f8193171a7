/** Runs the example of docs/pmus.md. */
import { loadLibc } from '../../src/network/libc.js';
import { runPage } from '../support/page.js';

test('PMUs that are asked and PMUs that share a port become applications, as the page says', async () => {
  const { output, exitCode } = await runPage('docs/pmus.md', ['8080', '5683', '4712', '4713']);
  expect(output).toContain('page ended');
  expect(exitCode).toBe(0);
  for (const pmu of [60, 2]) expect(output).toContain(`pmu-${pmu}`);
  expect(output).toMatch(/"idCode": ?1\b/);
  // Without the package koffi nobody counts.
  const isCounted = typeof loadLibc() !== 'string';
  expect(/^gridcast_source_unread_total\{at="127\.0\.0\.1:\d+"\} 0$/m.test(output)).toBe(isCounted);
}, 60_000);
