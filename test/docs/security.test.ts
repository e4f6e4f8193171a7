import { hasOpenssl } from '../support/certificates.js';
import { runPage } from '../support/page.js';

(hasOpenssl ? test : test.skip)(
  'the steps to a secure broker do what the page says',
  async () => {
    const { output, exitCode } = await runPage('docs/security.md', ['8443', '5683']);
    expect(output).toContain('page ended');
    expect(exitCode).toBe(0);
    expect(output).toMatch(/HTTP +https:\/\/127\.0\.0\.1:\d+\/m2m/);
    // tree, then the same representation by three clients, then the one without a token.
    expect(output.match(/"sclBase"/g)).toHaveLength(3);
    expect(output).toContain('A token is needed here.');
    expect(output).toContain('certificates and keys have been read again');
  },
  60_000,
);
