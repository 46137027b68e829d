/**
 * `npm run packages`: everything that people install, of this tree and this build, in `dist/packages/`. `-- npm`, `-- file`,
 * `-- deb`, `-- rpm`: only these kinds.
 */
import { McpctlError } from '../../core/errors.ts';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { singleFile } from './binary.ts';
import { debianPackage } from './debian.ts';
import { nodeLicence } from './installed.ts';
import { programs, type Program } from './programs.ts';
import { rpmPackage } from './rpm.ts';
import { openTree, packed, stage, type Tree } from './stage.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const kinds = ['npm', 'file', 'deb', 'rpm'] as const;
type Kind = (typeof kinds)[number];

const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function make(
  tree: Tree,
  program: Program,
  how: { into: string; wanted: readonly Kind[] },
): Promise<void> {
  const { into, wanted } = how;
  const { name, single } = program;
  const work = join(root, '.boot', 'packages', name);
  rmSync(work, { recursive: true, force: true });
  const staged = join(work, 'npm');
  const { files } = await stage(tree, program, staged);
  cpSync(join(staged, `${name}.cdx.json`), join(into, `${name}.cdx.json`));
  if (wanted.includes('npm')) packed(staged, into);
  say(`${name}: ${String(files.length)} files of dist/`);
  if (single === undefined || process.platform !== 'linux') return;
  if (wanted.every((kind) => kind === 'npm')) return;
  const binary = await singleFile(tree, program, join(work, 'file'));
  const built = { program, staged, binary };
  if (wanted.includes('file'))
    cpSync(binary, join(into, `${name}-${tree.manifest.version}-linux-${process.arch}`));
  if (wanted.includes('deb')) debianPackage(tree, built, { work, into });
  if (wanted.includes('rpm')) rpmPackage(tree, built, { work, into });
}

async function main(asked: readonly string[]): Promise<void> {
  const unknown = asked.find((word) => !kinds.some((kind) => kind === word));
  if (unknown !== undefined)
    throw new McpctlError('setup_failed', `'${unknown}' is no kind of package: ${kinds.join(', ')}.`);
  const wanted = asked.length === 0 ? kinds : kinds.filter((kind) => asked.includes(kind));
  const tree = openTree(root, process.env);
  const into = join(root, 'dist', 'packages');
  rmSync(into, { recursive: true, force: true });
  mkdirSync(into, { recursive: true });
  if (process.platform !== 'linux') say('Only npm packages are made here: the others are made on Linux.');
  for (const program of programs) await make(tree, program, { into, wanted });
  if (wanted.includes('file')) {
    // Of what is in the single files, which carry nothing beside them.
    const notices = readFileSync(join(root, 'dist/bundle/third-party-licences.txt'), 'utf8');
    writeFileSync(
      join(into, 'licences.txt'),
      `Node.js ${process.version}\n\n${nodeLicence()}\n${'-'.repeat(72)}\n\n${notices}`,
    );
  }
  const names = readdirSync(into).sort();
  const sums = names.map(
    (name) =>
      `${createHash('sha256')
        .update(readFileSync(join(into, name)))
        .digest('hex')}  ${name}`,
  );
  writeFileSync(join(into, 'SHA256SUMS'), `${sums.join('\n')}\n`);
  for (const name of names)
    say(`${(statSync(join(into, name)).size / 1_000_000).toFixed(2).padStart(8)} MB  ${name}`);
  say(`In dist/packages, with Node ${process.version}; SHA256SUMS is beside them.`);
}

main(process.argv.slice(2)).catch((thrown: unknown) => {
  process.stderr.write(`${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  process.exitCode = 1;
});
