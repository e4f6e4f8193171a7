// Strict and typed. In src/, time, timers and randomness come only as injected interfaces, and a `!` needs its reason in a
// comment beside it. Tests and benches may be terser, and make their own clocks. There is no eslint-disable.
import js from '@eslint/js';
import tseslint from 'typescript-eslint';

const CLOCKWORK = 'Time is injected: take a Clock (src/clock.ts).';
const CHANCE = 'Randomness is injected: take a Random (src/random.ts).';

const timers = ['setTimeout', 'setInterval', 'setImmediate'].map((name) => ({ name, message: CLOCKWORK }));
const readings = [
  ['Date', 'now', CLOCKWORK],
  ['performance', 'now', CLOCKWORK],
  ['process', 'hrtime', CLOCKWORK],
  ['Math', 'random', CHANCE],
].map(([object, property, message]) => ({ object, property, message }));

/** A comment on the line of the `!` or on one of the two lines above it: code of one thought, as the formatter breaks it. */
const LINES_OF_ONE_THOUGHT = 2;
const reasonedNonNull = {
  create(context) {
    const lastLines = new Set(context.sourceCode.getAllComments().map(({ loc }) => loc.end.line));
    return {
      TSNonNullExpression(node) {
        const { line } = node.loc.end;
        for (let above = 0; above <= LINES_OF_ONE_THOUGHT; above++) if (lastLines.has(line - above)) return;
        context.report({ node, message: 'Say in a comment beside it why this can be neither null nor undefined.' });
      },
    };
  },
};

export default tseslint.config(
  { ignores: ['dist/', 'coverage/', 'gridcast-data/'] },
  { linterOptions: { noInlineConfig: true } },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      eqeqeq: 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      // What a caller's AbortSignal was aborted with is passed on as it is.
      '@typescript-eslint/prefer-promise-reject-errors': [
        'error',
        { allowThrowingAny: true, allowThrowingUnknown: true },
      ],
      // A hook that does nothing by default says so by being empty.
      '@typescript-eslint/no-empty-function': 'off',
      // Classes are used by their shape here, as interfaces are.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      // A mapped or recursive type needs `type`; one word for all is no gain.
      '@typescript-eslint/consistent-type-definitions': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  {
    files: ['src/**/*.ts'],
    plugins: { house: { rules: { 'reasoned-non-null': reasonedNonNull } } },
    rules: {
      'house/reasoned-non-null': 'error',
      'max-lines': ['error', 400],
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/prefer-readonly': 'error',
    },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/clock.ts', 'src/random.ts'],
    rules: {
      'no-restricted-globals': ['error', ...timers],
      'no-restricted-properties': ['error', ...readings],
      'no-restricted-syntax': [
        'error',
        { selector: 'NewExpression[callee.name="Date"][arguments.length=0]', message: CLOCKWORK },
      ],
    },
  },
  { files: ['src/**/*.ts'], ignores: ['src/cli/**'], rules: { 'no-console': 'error' } },
  {
    files: ['test/**/*.ts', 'bench/**/*.ts'],
    rules: {
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/no-base-to-string': 'off',
      '@typescript-eslint/no-invalid-void-type': 'off',
      '@typescript-eslint/no-unnecessary-condition': 'off',
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/restrict-template-expressions': 'off',
      '@typescript-eslint/unbound-method': 'off',
    },
  },
);
