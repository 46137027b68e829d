import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, stop, type BuildOptions, type Plugin } from 'esbuild';

/** What serves: most of what the run starts. */
const services = ['edge', 'scheduler', 'worker'] as const;

/** They read files of their own, or load some by a name that they make up. */
const asTheyAre = ['pino-pretty', '@bull-board/*'];
/** Of the databases that knex knows, those that are not installed here. */
const otherDatabases = [
  ...['better-sqlite3', 'mariadb', 'mysql', 'mysql2', 'oracledb', 'sqlite3', 'tedious'],
  ...['pg-native', 'pg-query-stream'],
];

/** What a program may take that only tells of a fault in its settings, on a machine that is busy with other things. */
const COMPILE_MS = 60_000;

const usual = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  legalComments: 'none',
  logLevel: 'warning',
} as const satisfies BuildOptions;

/**
 * Makes one file of each program in `dist/` and of the packages that it imports. The run starts about five hundred of them,
 * and to find and read six hundred files is half of what a start costs; to compile them is half of the rest, so what V8
 * made of them is kept beside (run-bundle.cjs). What tells of installing, building and deploying (test/start, test/deploy)
 * runs `dist/` as it is.
 */
export async function bundlePrograms(outdir: string): Promise<void> {
  await rm(outdir, { recursive: true, force: true });
  await Promise.all([bundleCli(outdir), bundleSmoke(outdir), bundleServices(outdir)]);
  await stop(); // its process would hold 500 MB for as long as the tests run
}

const modules = (outdir: string) =>
  ({
    ...usual,
    outdir,
    outExtension: { '.js': '.mjs' },
    splitting: true, // what they import later is loaded later here too
    format: 'esm',
    external: [...asTheyAre, 'knex', 'pg', 'prom-client'],
    plugins: [whereTheyWere(resolve(outdir), 'import.meta.url')],
    // CommonJS packages ask for Node's own modules so.
    banner: {
      js: `import { createRequire as __requireFrom } from 'node:module'; const require = __requireFrom(import.meta.url);`,
    },
  }) as const satisfies BuildOptions;

const bundleCli = (outdir: string): Promise<unknown> =>
  build({ ...modules(outdir), entryPoints: { cli: 'dist/cli/main.js' } });

/** Of the sources, as a person runs it. */
const bundleSmoke = (outdir: string): Promise<unknown> =>
  build({ ...modules(join(outdir, 'smoke')), entryPoints: { smoke: 'test/smoke.ts' } });

async function bundleServices(outdir: string): Promise<void> {
  await build({
    ...usual,
    entryPoints: Object.fromEntries(services.map((name) => [name, `dist/${name}/main.js`])),
    outdir,
    format: 'cjs', // V8 keeps what it compiled of scripts only
    external: [...asTheyAre, ...otherDatabases],
    plugins: [whereTheyWere(resolve(outdir), '__here')],
    banner: { js: `const __here = require('node:url').pathToFileURL(__filename).href;` },
  });
  const runner = fileURLToPath(new URL('run-bundle.cjs', import.meta.url));
  const home = await mkdtemp(join(tmpdir(), 'mcpctl-bundles-'));
  for (const name of services)
    await writeFile(
      join(outdir, `${name}.cjs`),
      `require(${JSON.stringify(runner)})(${JSON.stringify(resolve(outdir, `${name}.js`))});\n`,
    );
  await Promise.all(services.map((name) => compile(join(outdir, `${name}.cjs`), home)));
  await rm(home, { recursive: true });
}

/** Loads all of a program once, which then ends: without settings, and with nothing to publish. */
const compile = (program: string, home: string): Promise<void> =>
  new Promise((resolve) => {
    const env = { PATH: process.env.PATH, MCPCTL_HOME: home, MCPCTL_TEST_KEEP_COMPILED: '1' };
    execFile(process.execPath, [program, 'run'], { env, timeout: COMPILE_MS }, () => resolve());
  });

/** Our files find what lies beside them (scripts, pages, package.json) from where they are in `dist/`. */
const whereTheyWere = (outdir: string, here: string): Plugin => ({
  name: 'where-they-were',
  setup(made) {
    made.onLoad({ filter: /\/dist\/.*\.m?js$|\.ts$/ }, async ({ path }) => {
      if (path.includes('/node_modules/')) return undefined;
      const text = await readFile(path, 'utf8');
      const place = `new URL(${JSON.stringify(relative(outdir, path))}, ${here}).href`;
      const loader = path.endsWith('.ts') ? 'ts' : 'js';
      return { contents: text.replaceAll('import.meta.url', `(${place})`), loader };
    });
  },
});
