/** Runs the commands of a document as a reader would, in one shell, on free ports, in a folder of its own. */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { temporaryFolder } from './folder.js';

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}

/** @param ports that the page names, each replaced by a free one. The output ends with "page ended" where no command failed. */
export async function runPage(
  path: string,
  ports: readonly string[],
): Promise<{ output: string; exitCode: number | null }> {
  const page = readFileSync(path, 'utf8');
  let commands = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) => block).join('\n');
  for (const port of ports) commands = commands.replaceAll(port, String(await freePort()));
  const program = resolve('dist/cli/gridcast.js');
  const folder = temporaryFolder();
  // A program and no function: what the page sends signals to is the process itself.
  const bin = temporaryFolder();
  writeFileSync(join(bin, 'gridcast'), `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`, { mode: 0o755 });
  // A process group of its own: what the page leaves running ends with it.
  const shell = spawn('bash', ['-c', `set -e\n${commands}\necho "page ended"`], {
    cwd: folder,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}`, GRIDCAST_DATA: join(folder, 'data') },
  });
  let output = '';
  for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (bytes: Buffer) => (output += bytes.toString()));
  const exitCode = await new Promise<number | null>((exited) => shell.once('exit', exited));
  if (shell.pid !== undefined) process.kill(-shell.pid, 'SIGTERM');
  return { output, exitCode };
}
