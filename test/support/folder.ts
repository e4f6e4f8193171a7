/** A folder of its own for what a test's process writes; gone when the tests of this file are over. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const made: string[] = [];
process.once('exit', () => made.forEach((path) => rmSync(path, { recursive: true, force: true })));

export function temporaryFolder(): string {
  const path = mkdtempSync(join(tmpdir(), 'gridcast-'));
  made.push(path);
  return path;
}
