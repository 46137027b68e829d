import { McpctlError } from '../../core/errors.ts';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { z } from 'zod';
import { billOf } from './bill.ts';
import { reachOf, type Reach } from './graph.ts';
import { readLock, shrinkwrapOf, type Lock } from './locked.ts';
import { manualOf } from './manual.ts';
import { outputOf } from './output-of.ts';
import type { Program } from './programs.ts';

const manifestSchema = z.object({
  version: z.string(),
  license: z.string(),
  engines: z.object({ node: z.string() }),
  dependencies: z.record(z.string(), z.string()),
});

/** The tree that everything is made of. */
export interface Tree {
  root: string;
  manifest: z.infer<typeof manifestSchema>;
  lock: Lock;
  /** Seconds since 1970 that every file of every package is from: of the commit, so that two builds are one. */
  epoch: number;
  /** What the programs that make packages are started with. */
  env: Readonly<Record<string, string | undefined>>;
}

/** @throws McpctlError `setup_failed` where there is neither a commit nor SOURCE_DATE_EPOCH to date the packages by. */
export function openTree(root: string, env: NodeJS.ProcessEnv): Tree {
  const read = (name: string): string => readFileSync(join(root, name), 'utf8');
  const commit = spawnSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' });
  const epoch = Number(env['SOURCE_DATE_EPOCH'] ?? (commit.status === 0 ? commit.stdout.trim() : NaN));
  if (!Number.isInteger(epoch))
    throw new McpctlError(
      'setup_failed',
      'There is no commit here to date the packages by: set SOURCE_DATE_EPOCH, in seconds since 1970.',
    );
  return {
    root,
    manifest: manifestSchema.parse(JSON.parse(read('package.json'))),
    lock: readLock(read('package-lock.json')),
    epoch,
    env: { ...env, SOURCE_DATE_EPOCH: String(epoch) },
  };
}

/**
 * What npm's package of a program says of itself. @throws McpctlError `setup_failed` where the files want what the tree does not name.
 * @internal
 */
export function packageJsonOf({ manifest }: Tree, program: Program, { atOnce, later, beside }: Reach) {
  const { version, license, engines } = manifest;
  const early = atOnce.filter((name) => program.optional.includes(name) || program.elsewhere.includes(name));
  if (early.length > 0)
    throw new McpctlError(
      'setup_failed',
      `${program.name} does not start without ${early.join(', ')}: it may be loaded later alone.`,
    );
  const pick = (names: readonly string[]): Record<string, string> =>
    Object.fromEntries(
      names.map((name) => {
        const exact = manifest.dependencies[name];
        if (exact === undefined)
          throw new McpctlError(
            'setup_failed',
            `${program.name} needs ${name}, which package.json does not name.`,
          );
        return [name, exact];
      }),
    );
  const rest = later.filter((name) => !program.optional.includes(name) && !program.elsewhere.includes(name));
  return {
    ...{ name: program.name, version, description: program.summary, license, type: 'module', engines },
    bin: Object.fromEntries(Object.entries(program.bin).map(([name, file]) => [name, `dist/${file}`])),
    man: [`man/${program.name}.1`],
    // npm 11 leaves a shrinkwrap out that is not named.
    files: ['dist', 'man', ...beside, `${program.name}.cdx.json`, 'npm-shrinkwrap.json'],
    dependencies: pick([...atOnce, ...rest].sort()),
    optionalDependencies: pick(later.filter((name) => program.optional.includes(name))),
  };
}

/**
 * Lays out the package of a program in `folder`, as npm takes it. Of `dist/` it has what the program reaches and nothing else.
 * @throws McpctlError `setup_failed` where a file has a path of this machine in it, or what looks like a secret.
 */
export async function stage(tree: Tree, program: Program, folder: string): Promise<Reach> {
  const { root, lock, epoch } = tree;
  const reach = await reachOf(root, Object.values(program.bin));
  const json = packageJsonOf(tree, program, reach);
  rmSync(folder, { recursive: true, force: true });
  const write = (name: string, content: string | object): void => {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(
      join(folder, name),
      typeof content === 'string' ? content : `${JSON.stringify(content, null, 2)}\n`,
    );
  };
  for (const file of reach.files) {
    mkdirSync(dirname(join(folder, 'dist', file)), { recursive: true });
    cpSync(join(root, 'dist', file), join(folder, 'dist', file));
  }
  for (const name of reach.beside) cpSync(join(root, name), join(folder, name), { recursive: true });
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  write('package.json', json);
  write('npm-shrinkwrap.json', shrinkwrapOf(lock, json));
  write(`${program.name}.cdx.json`, billOf(lock, json, { takenIn: reach.takenIn, epoch }));
  write(
    `man/${program.name}.1`,
    manualOf(program, { dist: join(folder, 'dist'), version: json.version, epoch }),
  );
  write('README.md', readmeOf(program));
  needNoLeaks(program.name, folder, root);
  return reach;
}

const readmeOf = ({ name, summary, about }: Program): string =>
  `# ${name}\n\n${summary[0]?.toUpperCase() ?? ''}${summary.slice(1)}.\n\n${about}\n\n\`${name} --help\`, or \`man ${name}\`, says what there is. Its bill of materials is \`${name}.cdx.json\`\n(CycloneDX); the licences of what is taken in are in \`dist/bundle/third-party-licences.txt\`.\n`;

/** A token of ours, a key in PEM, a key of the well-known providers. */
const secret =
  /\bmcp[a-z]{0,5}_[0-9A-Za-z]{24,}|-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{20}|\bsk-[A-Za-z0-9-]{32,}/;

/** @throws McpctlError `setup_failed` where a file has a path of this machine in it, or what looks like a secret. */
export function needNoLeaks(what: string, folder: string, root: string): void {
  const leaks = leaksIn(folder, [root, homedir()]);
  if (leaks.length > 0)
    throw new McpctlError(
      'setup_failed',
      `There is something of this machine in ${what}:\n${leaks.join('\n')}`,
    );
}

/**
 * Each place in these files that names a folder of this machine, or has a secret in it, as one line.
 * @internal
 */
export function leaksIn(folder: string, paths: readonly string[]): string[] {
  const telling = paths.filter((path) => path.length > '/root'.length);
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .flatMap((entry) => {
      const file = join(entry.parentPath, entry.name);
      const text = readFileSync(file, 'latin1');
      const of = relative(folder, file);
      const names = telling.filter((path) => text.includes(path)).map((path) => `${of}: ${path}`);
      const match = secret.exec(text);
      return match ? [...names, `${of}: a secret at ${String(match.index)}`] : names;
    });
}

/** npm's archive of a staged package. @returns its path */
export function packed(folder: string, into: string): string {
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', into, folder];
  const stdout = outputOf('npm', args, { shell: process.platform === 'win32' });
  const [{ filename }] = z.tuple([z.object({ filename: z.string() })]).parse(JSON.parse(stdout));
  return join(into, filename);
}
