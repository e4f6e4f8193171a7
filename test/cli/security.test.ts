/** Security from the command line: keys, tokens and authorities of the commands, and a daemon whose certificates are replaced. */
import { copyFileSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { Authority, hasOpenssl } from '../support/certificates.js';
import { temporaryFolder } from '../support/folder.js';
import { Program, run, stopPrograms } from '../support/program.js';
import { API_KEY, Issuer } from '../support/tokens.js';

afterEach(stopPrograms);

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

test('token key makes a key and its hash, and token hash the same hash', async () => {
  const [, key = '', hash = ''] = /^key: (\S{43})\nsha256: ([0-9a-f]{64})$/.exec((await run('token', 'key')).out) ?? [];
  expect(hash).toBe(sha256(key));
  const hashed = (input: string) => spawnSync(process.execPath, ['dist/cli/gridcast.js', 'token', 'hash'], { input });
  expect(hashed(`${key}\n`).stdout.toString()).toBe(`${hash}\n`);
  const short = hashed('secret\n');
  expect([short.status, short.stderr.toString()]).toEqual([2, expect.stringMatching(/22 or more letters/)]);
  expect(short.stderr.toString()).not.toContain('secret');
});

(hasOpenssl ? test : test.skip)(
  'a daemon over TLS takes commands with --ca and a token, and new certificates on SIGHUP',
  async () => {
    const authority = new Authority();
    const files = authority.signs('/CN=broker');
    const folder = temporaryFolder();
    const config = join(folder, 'gridcast.yaml');
    const issuer = new Issuer();
    const settings = {
      listeners: [{ protocol: 'https', host: '127.0.0.1', port: 0, network: 'public' }],
      tls: files,
      identity: issuer.identity(),
    };
    // JSON is YAML.
    writeFileSync(config, JSON.stringify(settings));
    const daemon = new Program('serve', '--config', config, '--data', join(folder, 'data'));
    const root = await daemon.told(/^ {2}HTTP +(https:\S+)\/m2m$/);
    const wss = root.replace('https', 'wss');
    const channel = ['--ca', authority.file, '--token', API_KEY];

    expect(await run('tree', `${root}/m2m`, '--depth', '1', ...channel)).toMatchObject({ exitCode: 0 });
    expect(await run('get', `${wss}/m2m`, ...channel)).toMatchObject({ exitCode: 0 });
    expect((await run('top', root, '--interval', '0.1', ...channel)).exitCode).toBe(0);
    expect((await run('alarms', 'ack', root, 'nobody', ...channel)).complaint).toMatch(/404/);
    expect((await run('get', `${root}/m2m`, '--ca', authority.file)).complaint).toMatch(
      /A token is needed here\. \(401/,
    );
    expect((await run('get', `${root}/m2m`, '--token', API_KEY)).complaint).toMatch(/No HTTP answer .*certificate/);

    const next = new Authority();
    const renewed = next.signs('/CN=broker');
    copyFileSync(renewed.certificate, files.certificate);
    copyFileSync(renewed.key, files.key);
    daemon.process.kill('SIGHUP');
    const words = ['get', `${root}/m2m`, '--ca', next.file, '--token', API_KEY];
    let exitCode: unknown = 1;
    // A handshake is the only way to see which certificate is shown.
    for (let n = 0; n < 10 && exitCode !== 0; n++) ({ exitCode } = await run(...words));
    expect(exitCode).toBe(0);
    expect(daemon.complaint).toContain('certificates and keys have been read again');
    expect(daemon.complaint + daemon.lines.join('')).not.toContain(API_KEY);
    expect(await daemon.stop()).toBe(0);
  },
  60_000,
);
