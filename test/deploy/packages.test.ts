import { expect } from 'chai';
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { readLock, shrinkwrapOf } from '../../deploy/packages/locked.ts';
import { programs, type Program } from '../../deploy/packages/programs.ts';
import { leaksIn, openTree, packageJsonOf, packed, stage } from '../../deploy/packages/stage.ts';
import { root } from '../docs/markdown.ts';

const tree = openTree(root, { SOURCE_DATE_EPOCH: '1800000000' });
const versions = tree.manifest.dependencies;
const pick = (...names: string[]): Record<string, string> =>
  Object.fromEntries(names.map((name) => [name, versions[name] ?? '']));
const of = (name: Program['name']): Program =>
  programs.find((program) => program.name === name) ?? expect.fail(name);
const json = (folder: string, file: string): Record<string, Record<string, unknown>> =>
  JSON.parse(readFileSync(join(folder, file), 'utf8')) as Record<string, Record<string, unknown>>;

describe('the packages of this tree', function () {
  this.timeout(120_000);
  let folder: string;
  const at = (name: string): string => join(folder, name);
  const run = (argv: readonly string[], env: Record<string, string> = {}): SpawnSyncReturns<string> =>
    spawnSync(process.execPath, argv, { env: { MCPCTL_HOME: at('home'), ...env }, encoding: 'utf8' });

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'packages-'));
    mkdirSync(at('home'));
    for (const program of programs) await stage(tree, program, at(program.name));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('are what is published, and the tree, which is called as one of them, is not', () => {
    expect(json(root, 'package.json')).to.include({ name: 'mcpctl', private: true });
    for (const { name } of programs) expect(json(at(name), 'package.json')).to.not.have.property('private');
  });

  it('depend on what their own files ask for, and on nothing else', () => {
    const dependencies = Object.fromEntries(
      programs.map(({ name }) => {
        const { dependencies, optionalDependencies } = json(at(name), 'package.json');
        return [name, { dependencies, optionalDependencies }];
      }),
    );
    expect(dependencies).to.deep.equal({
      mcpctl: { dependencies: {}, optionalDependencies: {} },
      mcplocal: { dependencies: {}, optionalDependencies: pick('bullmq', 'ioredis') },
      mcpd: {
        dependencies: pick(
          ...['@asteasolutions/zod-to-openapi', '@bull-board/api', '@bull-board/express', 'age-encryption'],
          ...[
            'bullmq',
            'eventsource-parser',
            'express',
            'fastest-levenshtein',
            'helmet',
            'ioredis',
            'ipaddr.js',
          ],
          ...['knex', 'pg', 'pino', 'pino-pretty', 'prom-client', 'uuid', 'zod'],
        ),
        optionalDependencies: {},
      },
    });
  });

  it('are not made where a program does not start without what it may do without', () => {
    const reach = { files: [], atOnce: ['ioredis'], later: [], beside: [], takenIn: [] };
    expect(() => packageJsonOf(tree, of('mcplocal'), reach)).to.throw('does not start without ioredis');
    expect(() => packageJsonOf(tree, of('mcpctl'), { ...reach, atOnce: ['left-pad'] })).to.throw(
      'needs left-pad, which package.json does not name',
    );
  });

  it('pin every package that they bring, whole: what each asks for is found where Node looks, as our own lock has it', () => {
    const ours = readLock(readFileSync(join(root, 'package-lock.json'), 'utf8'));
    for (const { name } of programs) {
      const lock = readLock(readFileSync(join(at(name), 'npm-shrinkwrap.json'), 'utf8'));
      const folders = Object.keys(lock).filter(Boolean);
      for (const path of folders) {
        expect(lock[path]?.integrity, path)
          .to.match(/^sha512-/)
          .and.equal(ours[path]?.integrity);
        for (const needs of Object.keys(lock[path]?.dependencies ?? {})) {
          let from = path;
          while (from !== '' && !lock[`${from}/node_modules/${needs}`])
            from = from.includes('/node_modules/') ? from.slice(0, from.lastIndexOf('/node_modules/')) : '';
          expect(
            lock[`${from === '' ? '' : `${from}/`}node_modules/${needs}`],
            `${path} → ${needs}`,
          ).to.not.equal(undefined);
        }
      }
      const bill = json(at(name), `${name}.cdx.json`)['components'] as unknown as {
        name: string;
        version: string;
      }[];
      const billed = bill.map((each) => `${each.name}@${each.version}`);
      expect(billed, name).to.include.members(
        folders.map((path) => `${path.replace(/^.*node_modules\//, '')}@${String(lock[path]?.version)}`),
      );
      expect(billed, 'what was taken in').to.include(`zod@${String(versions['zod'])}`);
    }
  });

  it('take along what a package needs in a version of its own, and say what may be missing', () => {
    const lock = readLock(
      JSON.stringify({
        packages: {
          'node_modules/a': {
            version: '1.0.0',
            dependencies: { b: '2' },
            optionalDependencies: { c: '1', d: '1' },
          },
          'node_modules/a/node_modules/b': { version: '2.0.0', dependencies: { e: '1' } },
          'node_modules/b': { version: '1.0.0' },
          'node_modules/c': { version: '1.0.0', optional: true },
          'node_modules/e': {
            version: '1.0.0',
            peerDependencies: { f: '1', g: '1' },
            peerDependenciesMeta: { g: { optional: true } },
          },
          'node_modules/f': { version: '1.0.0', dev: true },
          'node_modules/g': { version: '1.0.0' },
        },
      }),
    );
    const wrapped = shrinkwrapOf(lock, {
      name: 'x',
      version: '1.0.0',
      dependencies: { a: '1' },
      optionalDependencies: {},
    });
    const optional = Object.entries(wrapped.packages).filter(([, entry]) => 'optional' in entry);
    expect(Object.keys(wrapped.packages)).to.deep.equal([
      ...['', 'node_modules/a', 'node_modules/a/node_modules/b'],
      ...['node_modules/c', 'node_modules/e', 'node_modules/f'],
    ]);
    expect(optional.map(([path]) => path)).to.deep.equal(['node_modules/c']);
    expect(wrapped.packages['node_modules/f']).to.deep.equal({ version: '1.0.0' });
  });

  it('tell nothing of the machine that made them, and are not made with a secret in them', () => {
    const bad = at('bad');
    mkdirSync(bad);
    writeFileSync(join(bad, 'a.js'), `at ${root}/core/x.ts`);
    writeFileSync(join(bad, 'b.js'), `const token = 'mcpctl_${'a1'.repeat(20)}';`);
    writeFileSync(join(bad, 'c.js'), `-----BEGIN PRIVATE KEY-----\n${'QUJD'.repeat(8)}`);
    expect(leaksIn(bad, [root]).sort()).to.deep.equal([
      `a.js: ${root}`,
      'b.js: a secret at 15',
      'c.js: a secret at 0',
    ]);
    for (const { name } of programs) expect(leaksIn(at(name), [root]), name).to.deep.equal([]);
  });

  it('know every module that reads files beside it', () => {
    const reading = ['core', 'edge', 'worker', 'scheduler', 'cli'].flatMap((part) =>
      readdirSync(join(root, part), { recursive: true, encoding: 'utf8' })
        .filter(
          (path) =>
            path.endsWith('.ts') && readFileSync(join(root, part, path), 'utf8').includes('import.meta'),
        )
        .map((path) => `${part}/${path}`),
    );
    // Of each kind of package: package.json lies above; a folder goes along (deploy/packages/graph.ts); a single file has neither.
    expect(reading.sort()).to.deep.equal([
      'cli/package-version.ts',
      'core/queue/mend.ts',
      'core/queue/scripts.ts',
      'core/runtime/files/own-package.ts',
      'core/runtime/files/template-files.ts',
      'edge/web/files.ts',
      'worker/face/update.ts',
    ]);
    expect(readdirSync(join(at('mcplocal'), 'dist/core/queue/scripts'))).to.include('claim.lua');
    expect(readdirSync(join(at('mcpd'), 'dist/web'))).to.include('manifest.json');
    for (const name of ['mcplocal', 'mcpd'])
      expect(readdirSync(join(at(name), 'templates'))).to.deep.equal(readdirSync(join(root, 'templates')));
  });

  it('are installed from nothing but their own file, where there is no network', () => {
    const archives = ['mcpctl', 'mcplocal'].map((name) => packed(at(name), folder));
    const again = packed(at('mcpctl'), mkdtempSync(join(folder, 'again-')));
    expect(readFileSync(again).equals(readFileSync(archives[0] ?? '')), 'to the byte').to.equal(true);
    for (const archive of archives)
      expect(spawnSync('tar', ['-tzf', archive], { encoding: 'utf8' }).stdout.split('\n')).to.include.members(
        ['package/npm-shrinkwrap.json', 'package/package.json'],
      );
    mkdirSync(at('prefix'));
    const { status, stderr } = spawnSync(
      'npm',
      [
        ...['install', '--offline', '--omit=optional', '--no-audit', '--no-fund', '--global'],
        ...['--prefix', at('prefix'), '--cache', at('cache'), ...archives],
      ],
      { encoding: 'utf8' },
    );
    expect(status, stderr).to.equal(0);
    const bin = (name: string): string => join(at('prefix'), 'bin', name);
    expect(run([bin('mcpctl'), '--version']).stdout).to.equal(`${tree.manifest.version}\n`);
    expect(run([bin('mcplocal'), 'version']).stdout).to.equal(`mcplocal ${tree.manifest.version}\n`);
    expect(readdirSync(join(at('prefix'), 'lib/node_modules')).sort()).to.deep.equal(['mcpctl', 'mcplocal']);
    const man = readFileSync(join(at('prefix'), 'share/man/man1/mcplocal.1'), 'utf8');
    expect(man).to.include('.SH COMMANDS AND OPTIONS').and.include('mcplocal doctor');
    const redis = run([bin('mcplocal'), 'run'], { REDIS_URL: 'redis://127.0.0.1:1' });
    expect(redis.stderr).to.include('REDIS_URL takes the packages bullmq and ioredis, which are not here.');
    const hosted = run([bin('mcplocal'), 'run'], {
      WORKER_SOURCE: 'registry',
      DATABASE_URL: 'postgres://127.0.0.1:1/x',
    });
    expect(hosted.stderr).to.include('run it as mcpd-worker');
  });

  it('have every module of the server, beside the packages that it names', () => {
    for (const path of Object.keys(json(at('mcpd'), 'npm-shrinkwrap.json')['packages'] ?? {})) {
      if (path === '' || path.lastIndexOf('node_modules/') > 0) continue;
      mkdirSync(dirname(join(at('mcpd'), path)), { recursive: true });
      symlinkSync(join(root, path), join(at('mcpd'), path));
    }
    for (const file of Object.values(of('mcpd').bin)) {
      const { stderr, stdout } = run([join(at('mcpd'), 'dist', file), 'run'], {
        DATABASE_URL: 'nonsense',
        REDIS_URL: 'nonsense',
      });
      expect(stderr + stdout, file)
        .to.match(/DATABASE_URL|REDIS_URL|not known; use/)
        .and.not.include('ERR_MODULE');
    }
  });
});
