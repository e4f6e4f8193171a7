/** Runs the example of docs/rights.md. */
import { runPage } from '../support/page.js';

test('the example of the rights is decided as the page says', async () => {
  const { output, exitCode } = await runPage('docs/rights.md', ['8080', '5683', '4712']);
  expect(output).toContain('page ended');
  expect(exitCode).toBe(0);
  expect(output).toContain('holds for operator-1 by applicationID, and gives CREATE.');
  expect(output).toMatch(/^refused STATUS_PERMISSION_DENIED\nrule {3}permissions: DELETE/m);
  expect(output).toContain(
    'No entry in the permissions of /m2m/applications/feeder/accessRights/desk holds for rival.',
  );
  expect(output).toContain('Default rights hold, as /m2m/applications has no accessRightID: only administrators may.');
  expect(output).toContain('There is nothing at /m2m/applications/feeder that anonymous may know of.');
  expect(output).toMatch(/^hidden$/m);
}, 60_000);
