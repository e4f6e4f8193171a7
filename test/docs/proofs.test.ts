/** docs/proofs.md: what it names is there. */
import { readFileSync } from 'node:fs';

const PAGE = 'docs/proofs.md';
const CRASH_TESTS = 'test/crash/run.ts';

/** Claim, file and title of each row that names a test. */
const rows = readFileSync(PAGE, 'utf8')
  .split('\n')
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .filter(([, , file]) => file?.startsWith('`'))
  .map(([, claim = '', file = '', title = '']) => ({ claim, file: file.slice(1, -1), title }));

const escaped = (text: string): string => text.replace(/[$()*+.?[\\\]^{|}]/g, '\\$&');

test('every claim names a test that is there, by its whole title', () => {
  expect(rows.length).toBeGreaterThan(50);
  for (const { claim, file, title } of rows) {
    expect(claim).not.toBe('');
    const text = readFileSync(file, 'utf8');
    // A part of the crash tests is a key of their table; a title may go on with what is told of it (`... ${...}`).
    const pattern = file === CRASH_TESTS ? `^ {2}'?${escaped(title)}'?[:,]` : `['\`]${escaped(title)}(?:['\`]|\\$\\{)`;
    if (!new RegExp(pattern, 'm').test(text)) throw new Error(`${PAGE} names "${title}", which ${file} does not have`);
  }
});

test('each part of the crash tests is there', () => {
  const [, table = ''] = /PARTS[^{]*\{([^}]*)\}/.exec(readFileSync(CRASH_TESTS, 'utf8')) ?? [];
  const parts = [...table.matchAll(/^ {2}'?([\w-]+)'?[:,]/gm)].map(([, part]) => part);
  expect(parts.length).toBeGreaterThan(5);
  expect(rows.filter(({ file }) => file === CRASH_TESTS).map(({ title }) => title)).toEqual(
    expect.arrayContaining(parts),
  );
});
