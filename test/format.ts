/**
 * `npm run format:check`. Prettier says how a file is written; it takes half a minute of a core for all of them. Oxfmt writes
 * nearly all as Prettier does, in half a second: what it would leave as it is passes, and Prettier is asked of the rest.
 */
import { spawnSync } from 'node:child_process';

/** What oxfmt leaves with where it would write some files otherwise, and has listed them. */
const DIFFERENT = 1;

function say(text: string): number {
  process.stderr.write(text);
  return 1;
}

function check(): number {
  const quick = spawnSync('node_modules/.bin/oxfmt', ['--list-different', '-c', '.prettierrc.json', '.'], {
    encoding: 'utf8',
  });
  if (quick.error) return say(`oxfmt could not be run: ${quick.error.message}\n`);
  if (quick.status === 0) return 0;
  const different = quick.stdout.split('\n').filter(Boolean);
  if (quick.status !== DIFFERENT || different.length === 0) return say(quick.stderr);
  const asked = spawnSync(
    'node_modules/.bin/prettier',
    ['--check', '--ignore-unknown', '--log-level=warn', ...different],
    {
      stdio: 'inherit',
    },
  );
  if (asked.error) return say(`Prettier could not be run: ${asked.error.message}\n`);
  return asked.status ?? 1;
}

process.exitCode = check();
