/** Paths: what the short way takes is what the long way would. */
import fc from 'fast-check';
import { isRefusal } from '../../src/errors.js';
import { parsePath } from '../../src/routing/primitive.js';

/** As the rule says it, segment by segment. */
function byTheRule(path: string): readonly string[] | undefined {
  if (!path.startsWith('/')) return undefined;
  if (path === '/') return [];
  try {
    const segments = path.slice(1).split('/').map(decodeURIComponent);
    return segments.some((segment) => ['', '.', '..'].includes(segment) || /[/\0]/.test(segment))
      ? undefined
      : segments;
  } catch {
    return undefined;
  }
}

const piece = fc.oneof(
  fc.constantFrom(
    '.',
    '..',
    '...',
    '',
    '%2F',
    '%2e',
    '%2E%2e',
    '%',
    '%zz',
    '%00',
    '\0',
    'a.',
    '.a',
    'm2m',
    'é',
    '%C3%A9',
  ),
  fc.string({ maxLength: 5 }),
);

test('a path is taken or refused by its segments alone', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), fc.boolean(), (pieces, isRooted) => {
      const path = `${isRooted ? '/' : ''}${pieces.join('/')}`;
      const parsed = parsePath(path);
      expect(isRefusal(parsed) ? undefined : parsed).toEqual(byTheRule(path));
    }),
    { numRuns: 2000 },
  );
});

test('a hostile path costs no more than its length', () => {
  const parsed = parsePath(`/${'./'.repeat(4000)}`);
  expect(isRefusal(parsed)).toBe(true);
});
