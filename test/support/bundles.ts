import { readFile, rm } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import { build, type Plugin } from 'esbuild';
import type { Program } from './program.ts';

const programs: readonly Program[] = ['edge', 'scheduler', 'worker', 'cli'];

/**
 * They read files of their own, load some by a name that they make up, or are CommonJS that we import later: Node finds
 * their names then, a bundle does not.
 */
const asTheyAre = ['knex', 'pg', 'pino-pretty', '@bull-board/*', 'prom-client'];

/**
 * Makes one file of each program in `dist/` and of the packages that it imports. The run starts about five hundred of them,
 * and to find and read six hundred files is half of what a start costs. What tells of installing, building and deploying
 * (test/start, test/deploy) runs `dist/` as it is.
 */
export async function bundlePrograms(outdir: string): Promise<void> {
  await rm(outdir, { recursive: true, force: true });
  await build({
    entryPoints: Object.fromEntries(programs.map((name) => [name, `dist/${name}/main.js`])),
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true, // what a program imports later is loaded later here too
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: asTheyAre,
    plugins: [whereTheyWere(resolve(outdir))],
    // CommonJS packages ask for Node's own modules so.
    banner: {
      js: `import { createRequire as __requireFrom } from 'node:module'; const require = __requireFrom(import.meta.url);`,
    },
    logLevel: 'warning',
  });
}

/** Our files find what lies beside them (scripts, pages, package.json) from where they are in `dist/`. */
const whereTheyWere = (outdir: string): Plugin => ({
  name: 'where-they-were',
  setup(made) {
    made.onLoad({ filter: /\/dist\/.*\.m?js$/ }, async ({ path }) => {
      if (path.includes('/node_modules/')) return undefined;
      const text = await readFile(path, 'utf8');
      const place = `new URL(${JSON.stringify(relative(outdir, path))}, import.meta.url).href`;
      return { contents: text.replaceAll('import.meta.url', `(${place})`), loader: 'js' };
    });
  },
});
