/** Runs docs/tutorial.md as a reader would, with clients that nobody here wrote. */
import { execFileSync } from 'node:child_process';
import { delimiter, resolve } from 'node:path';
import { runPage } from '../support/page.js';

function isThere(tool: string): boolean {
  try {
    execFileSync('which', [tool]);
    return true;
  } catch {
    return false;
  }
}

process.env.PATH = `${resolve('node_modules/.bin')}${delimiter}${process.env.PATH}`;
const hasTools = ['curl', 'coap-client-notls', 'wscat'].every(isThere);

(hasTools ? test : test.skip)(
  'the tutorial does what it says',
  async () => {
    const { output, exitCode } = await runPage('docs/tutorial.md', ['8080', '5683']);
    expect(output).toContain('page ended');
    expect(exitCode).toBe(0);
    expect(output).toMatch(/^location: \/m2m\/applications\/meter-1/im);
    expect(output).toContain('"maxNrOfInstances":200');
    expect(output).toContain('container.maxNrOfInstances is \\"many\\"; it must be a whole number of 0 or more.');
    expect(output).toMatch(/^231 V$/m);
    expect(output).toContain('{"currentNrOfInstances":2}');
    expect(output).toMatch(/^412$/m);
    expect(output).toMatch(/^"reference"$/m);
    expect(output).toMatch(/^229 V$/m);
    expect(output).toMatch(/^"textContent":"229 V"$/m);
    expect(output).toMatch(/^meter-3$/m);
    expect(output.match(/maxNrOfInstances/g)?.length).toBeGreaterThan(2);
    expect(output).toMatch(/"discoveryURI":\{"reference":\["\/m2m\/applications\/meter-1"\]\}/);
    expect(output).toContain('</m2m/applications/meter-1>');
    expect(output).toMatch(/^20[04]$/m);
    expect(output).toMatch(/^4\.04$/m);
  },
  60_000,
);
