/** Runs docs/quickstart.md as a reader would, in one shell, on free ports. */
import { runPage } from '../support/page.js';

test('the quickstart does what it says', async () => {
  const { output, exitCode } = await runPage('docs/quickstart.md', ['8080', '5683', '4712']);
  expect(output).toContain('page ended');
  expect(exitCode).toBe(0);
  expect(output).toMatch(/pmu-2 application/);
  expect(output.match(/^coap +pmu-1 .* Hz$/gm)).toHaveLength(5);
  expect(output.match(/^ws +pmu-2 .* Hz$/gm)).toHaveLength(5);
  expect(output.match(/^http +pmu-1 .* Hz$/gm)).toHaveLength(2);
  expect(output).toMatch(/"n":"frequency","u":"Hz"/);
  expect(output).toMatch(/rate 7 does not divide the source's 30 per second; possible: 30, 15, 10/);
  expect(output).toContain('meter-7/');
  expect(output).toMatch(/executed after \d+ ms/);
  expect(output).toMatch(/^ready$/m);
}, 60_000);
