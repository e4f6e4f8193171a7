/** Runs docs/quickstart.md as a reader would, in one shell, on free ports. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { temporaryFolder } from '../support/folder.js';

const PAGE = readFileSync('docs/quickstart.md', 'utf8');

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}

async function run(): Promise<{ output: string; exitCode: number | null }> {
  let commands = [...PAGE.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) => block).join('\n');
  for (const port of ['8080', '5683', '4712']) commands = commands.replaceAll(port, String(await freePort()));
  const script = `gridcast() { "${process.execPath}" dist/cli/gridcast.js "$@"; }\nset -e\n${commands}\necho "quickstart ended"`;
  // A process group of its own: what the page leaves running ends with it.
  const shell = spawn('bash', ['-c', script], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, GRIDCAST_DATA: temporaryFolder() },
  });
  let output = '';
  for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (bytes: Buffer) => (output += bytes.toString()));
  const exitCode = await new Promise<number | null>((exited) => shell.once('exit', exited));
  if (shell.pid !== undefined) process.kill(-shell.pid, 'SIGTERM');
  return { output, exitCode };
}

test('the quickstart does what it says', async () => {
  const { output, exitCode } = await run();
  expect(output).toContain('quickstart ended');
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
