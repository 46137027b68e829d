import tseslint from 'typescript-eslint';
import mocha from 'eslint-plugin-mocha';

const noEnv = {
  object: 'process',
  property: 'env',
  message: 'Read the environment in main.ts (through core/runtime/settings/config.ts).',
};
const noExit = { object: 'process', property: 'exit', message: 'Only main.ts leaves.' };
const askTheClock = [
  { object: 'Date', property: 'now', message: 'Ask the clock.' },
  { object: 'Math', property: 'random', message: 'Ask the clock.' },
];
const ownErrors = {
  selector: 'ThrowStatement > NewExpression[callee.name="Error"]',
  message: 'Use core/errors.ts.',
};
const syntax = [
  { selector: 'ExportDefaultDeclaration', message: 'Named exports only.' },
  { selector: 'CatchClause > BlockStatement[body.length=0]', message: 'Say why nothing happens.' },
];

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', '**/*.js', '**/*.mjs', '**/*.cjs'] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error', // a lost promise is a lost task
      '@typescript-eslint/no-misused-promises': 'error', // Express ignores what we do not await
      '@typescript-eslint/switch-exhaustiveness-check': 'error', // unions are our state machine
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      // An implementation of an async contract may have nothing to await.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrorsIgnorePattern: '^_' },
      ],
      'max-lines': ['error', { max: 300, skipBlankLines: true, skipComments: true }],
      'max-lines-per-function': ['error', { max: 60, skipBlankLines: true, skipComments: true }],
      'max-params': ['error', 3],
      'no-console': 'error', // stdout belongs to log.ts and output.ts
      'no-restricted-properties': ['error', noEnv, noExit, ...askTheClock],
      'no-restricted-syntax': ['error', ownErrors, ...syntax],
    },
  },
  {
    files: ['**/main.ts'],
    rules: { 'no-restricted-properties': ['error', ...askTheClock] },
  },
  {
    // knex reads the default export of its knexfile.
    files: ['knexfile.ts'],
    rules: { 'no-restricted-properties': ['error', noExit], 'no-restricted-syntax': 'off' },
  },
  { files: ['core/runtime/clock.ts'], rules: { 'no-restricted-properties': ['error', noEnv, noExit] } },
  {
    // Express tells an error handler by its four parameters.
    files: ['edge/middleware/errors.ts', 'edge/admin/refusals.ts'],
    rules: { 'max-params': ['error', 4] },
  },
  {
    files: ['test/**/*.ts', 'bench/**/*.ts'],
    plugins: { mocha },
    rules: {
      'max-lines-per-function': 'off', // a describe block is one function
      'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
      'mocha/no-exclusive-tests': 'error',
      'mocha/no-identical-title': 'error',
      'no-restricted-properties': 'off',
      'no-restricted-syntax': ['error', ...syntax], // a test fails with any error
      '@typescript-eslint/no-unused-expressions': 'off', // chai's property assertions
    },
  },
);
