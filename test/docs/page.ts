/** Runs a page of the documents as a reader would: all its `sh` blocks, in one shell, on free ports. */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { temporaryFolder } from '../support/folder.js';

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}

/** Its last line is `page ended` when every command of it has succeeded. */
export async function runPage(path: string): Promise<{ output: string; exitCode: number | null }> {
  const page = readFileSync(path, 'utf8');
  let commands = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) => block).join('\n');
  for (const port of ['8080', '5683', '4712']) commands = commands.replaceAll(port, String(await freePort()));
  const programs = temporaryFolder();
  // A program and no function of the shell: what a reader puts into the background and kills is the program itself.
  const program = `#!/bin/sh\nexec "${process.execPath}" "${resolve('dist/cli/gridcast.js')}" "$@"\n`;
  writeFileSync(`${programs}/gridcast`, program, { mode: 0o755 });
  const script = `set -e\n${commands}\necho "page ended"`;
  // A process group of its own: what the page leaves running ends with it.
  const shell = spawn('bash', ['-c', script], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: `${programs}:${process.env.PATH}`, GRIDCAST_DATA: temporaryFolder() },
  });
  let output = '';
  for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (bytes: Buffer) => (output += bytes.toString()));
  const exitCode = await new Promise<number | null>((exited) => shell.once('exit', exited));
  if (shell.pid !== undefined) process.kill(-shell.pid, 'SIGTERM');
  return { output, exitCode };
}
