import { expect } from 'chai';
import { spawn } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { holderOf, takeLock } from '../../core/runtime/files/lock.mjs';

interface Ran {
  code: number;
  /** What it printed, on either stream. */
  output: string;
}

/** A checkout with the real boot.mjs, one dependency (a folder), and a program to run. */
function checkout(): string {
  const root = mkdtempSync(join(tmpdir(), 'mcpctl-boot-'));
  const write = (path: string, content: unknown): void => {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), typeof content === 'string' ? content : JSON.stringify(content));
  };
  for (const path of [
    'start/boot',
    'start/boot.mjs',
    'core/runtime/files/lock.mjs',
    'core/runtime/files/private-file.mjs',
  ]) {
    cpSync(path, join(root, path), { recursive: true });
  }
  const dependencies = { dep: 'file:dep', 'typescript-7': 'file:typescript', esbuild: 'file:esbuild' };
  const versions = { dep: { version: '1.0.0' }, 'node_modules/dep': { resolved: 'dep', link: true } };
  const tools = {
    typescript: { version: '1.0.0' },
    'node_modules/typescript-7': { resolved: 'typescript', link: true },
    esbuild: { version: '1.0.0' },
    'node_modules/esbuild': { resolved: 'esbuild', link: true },
  };
  write('package.json', { name: 'x', version: '1.0.0', type: 'module', dependencies });
  write('package-lock.json', {
    ...{ name: 'x', version: '1.0.0', lockfileVersion: 3, requires: true },
    packages: { '': { name: 'x', version: '1.0.0', dependencies }, ...versions, ...tools },
  });
  write('dep/package.json', { name: 'dep', version: '1.0.0' });
  write('typescript/package.json', { name: 'typescript', version: '1.0.0', type: 'module' });
  const real = pathToFileURL(resolve('node_modules/typescript-7/bin/tsc')).href;
  write('typescript/bin/tsc', `await import(${JSON.stringify(real)});\n`);
  write('esbuild/package.json', { name: 'esbuild', version: '1.0.0', main: 'main.cjs' });
  write(
    'esbuild/main.cjs',
    `module.exports = require(${JSON.stringify(resolve('node_modules/esbuild'))});\n`,
  );
  write('tsconfig.build.json', {
    compilerOptions: { rootDir: '.', outDir: 'dist', incremental: true, module: 'esnext', target: 'es2022' },
    include: ['core', 'start'],
  });
  write('core/one.ts', 'export const one: number = 1;\n');
  write('core/queue/scripts/claim.lua', 'return 1\n');
  write('cli/main.js', '');
  write('start/main.ts', `declare const process: any; console.log('it runs'); process.exitCode = 7;\n`);
  return root;
}

function boot(root: string, verb: string, nodeArgs: readonly string[] = []): Promise<Ran> {
  const child = spawn(process.execPath, [...nodeArgs, join(root, 'start', 'boot.mjs'), verb], {
    env: { ...process.env, MCPCTL_HOME: join(root, 'home') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  return new Promise((done) => child.on('close', (code) => done({ code: code ?? -1, output })));
}

describe('start/boot.mjs', function () {
  this.timeout(60_000);
  let root: string;
  beforeEach(() => {
    root = checkout();
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('installs and builds once, then runs the real thing and passes its exit code on', async () => {
    const first = await boot(root, 'start');
    expect(first.code, first.output).to.equal(7);
    expect(first.output).to.match(/Packages are installed[^]*dist\/ is built[^]*it runs/);
    const second = await boot(root, 'start');
    expect(second).to.deep.equal({ code: 7, output: 'it runs\n' });
  });

  it('installs again when the lockfile has changed, and not when only its stamp is gone', async () => {
    await boot(root, 'build');
    rmSync(join(root, 'node_modules', '.mcpctl-installed'));
    expect((await boot(root, 'build')).output).to.equal('');
    const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, unknown>;
    };
    lock.packages['dep'] = { version: '1.0.1' };
    writeFileSync(join(root, 'dep', 'package.json'), JSON.stringify({ name: 'dep', version: '1.0.1' }));
    writeFileSync(join(root, 'package-lock.json'), JSON.stringify(lock));
    expect((await boot(root, 'build')).output).to.include('Packages are installed');
  });

  it('does not take an install that failed for a whole one', async () => {
    await boot(root, 'build');
    const lock = readFileSync(join(root, 'package-lock.json'), 'utf8');
    writeFileSync(
      join(root, 'package-lock.json'),
      lock.replace('"dep":{"version":"1.0.0"}', '"dep":{"version":"9.9.9"}'),
    );
    writeFileSync(join(root, 'package.json'), '{ broken');
    const failed = await boot(root, 'build');
    expect(failed.code).to.equal(1);
    expect(failed.output).to.include('npm ci failed');
    expect(existsSync(join(root, 'node_modules', '.mcpctl-installed'))).to.equal(false);
  });

  it('never installs under a running system', async () => {
    await boot(root, 'build');
    appendFileSync(join(root, 'package-lock.json'), '\n');
    rmSync(join(root, 'node_modules', '.package-lock.json'));
    const mark = takeLock(join(root, '.boot', 'running', 'other'));
    const refused = await boot(root, 'build');
    expect(refused.code).to.equal(1);
    expect(refused.output).to.include(`mcpctl (process ${process.pid}) runs from this folder`);
    mark.release?.();
    expect((await boot(root, 'build')).code).to.equal(0);
  });

  it('lets two at the same time install and build one after the other', async () => {
    const [one, two] = await Promise.all([boot(root, 'start'), boot(root, 'start')]);
    expect([one.code, two.code]).to.deep.equal([7, 7]);
    const both = one.output + two.output;
    expect(both.match(/Packages are installed/g)).to.have.length(1);
    expect(both.match(/dist\/ is built/g)).to.have.length(1);
    expect(both).to.include('installs or builds here; waiting for it');
  });

  it('builds again what has changed and drops what is gone', async () => {
    writeFileSync(join(root, 'core/two.ts'), 'export const two = 2;\n');
    await boot(root, 'build');
    expect(existsSync(join(root, 'dist/core/two.js'))).to.equal(true);
    expect(existsSync(join(root, 'dist/core/queue/scripts/claim.lua'))).to.equal(true);
    rmSync(join(root, 'core/two.ts'));
    writeFileSync(join(root, 'core/one.ts'), 'export const one: number = 11;\n');
    expect((await boot(root, 'build')).output).to.include('dist/ is built');
    expect(existsSync(join(root, 'dist/core/two.js'))).to.equal(false);
    expect(readFileSync(join(root, 'dist/core/one.js'), 'utf8')).to.include('11');
  });

  it('fails npm start on a type error, and tries again next time', async () => {
    writeFileSync(join(root, 'core/one.ts'), "export const one: number = 'one';\n");
    for (let round = 0; round < 2; round += 1) {
      const failed = await boot(root, 'start');
      expect(failed.code).to.equal(1);
      expect(failed.output).to.include('core/one.ts');
    }
  });

  it('makes the programs that people run one file each, executable', async () => {
    mkdirSync(join(root, 'cli'), { recursive: true });
    writeFileSync(
      join(root, 'cli/main.ts'),
      "#!/usr/bin/env node\nimport '../core/one.ts';\nprocess.exitCode = 3;\n",
    );
    const config = readFileSync(join(root, 'tsconfig.build.json'), 'utf8');
    writeFileSync(join(root, 'tsconfig.build.json'), config.replace('"core"', '"core","cli"'));
    await boot(root, 'build');
    expect(statSync(join(root, 'dist/cli/main.js')).mode & 0o111).to.equal(0o111);
    const program = readFileSync(join(root, 'dist/cli/main.js'), 'utf8');
    expect(program)
      .to.match(/^#!\/usr\/bin\/env node\n/)
      .and.not.include('core/one', 'it is one file');
  });

  it('leaves nothing of what built beside what runs', async () => {
    mkdirSync(join(root, 'cli'), { recursive: true });
    writeFileSync(join(root, 'cli/main.ts'), 'process.exitCode = 3;\n');
    // Its parent is what built it. What was just told to end may take a moment.
    writeFileSync(
      join(root, 'start/main.ts'),
      `declare const process: any, setTimeout: any;
      const { execFileSync } = process.getBuiltinModule('node:child_process');
      const beside = (): string[] =>
        execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat=,args='], { encoding: 'utf8' })
          .split('\\n')
          .map((line: string) => line.trim().split(/ +/))
          .filter(([pid, parent, stat]: string[]) =>
            Number(parent) === process.ppid && Number(pid) !== process.pid && stat?.startsWith('Z') === false)
          .map((words: string[]) => words.slice(3).join(' '));
      const until = performance.now() + 5_000;
      while (beside().length > 0 && performance.now() < until) await new Promise((done) => setTimeout(done, 50));
      console.log('beside: ' + (beside().join() || 'nothing'));
      export {};`,
    );
    const { output } = await boot(root, 'start');
    expect(output)
      .to.match(/dist\/ is built/)
      .and.include('beside: nothing\n');
  });

  it('asks for a newer Node in one sentence', async () => {
    const old = join(root, 'old.cjs');
    writeFileSync(old, "Object.defineProperty(process, 'versions', { value: { node: '20.18.3' } });");
    const { code, output } = await boot(root, 'start', ['--require', old]);
    expect(code).to.equal(1);
    expect(output).to.match(/^mcpctl needs Node 20\.19 or newer; this is v\S+ See \S+\n$/);
  });

  it('names its verbs when it does not know the one given', async () => {
    const { code, output } = await boot(root, 'fly');
    expect([code, output]).to.deep.equal([
      2,
      'Say one of: start, test, check, build, packages, smoke, bench, hostile, fuzz, chaos.\n',
    ]);
  });
});

describe('a lock file', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'mcpctl-lock-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('is held by one, who is named, until it is released', () => {
    const path = join(folder, 'lock');
    const mine = takeLock(path, { url: 'http://here' });
    expect(takeLock(path).holder).to.deep.include({ pid: process.pid, url: 'http://here' });
    mine.release?.();
    expect(holderOf(path)).to.equal(undefined);
    expect(takeLock(path).release).to.be.a('function');
  });

  it('falls to the next one when its holder has died, also when the process id lives on', () => {
    const path = join(folder, 'lock');
    for (const dead of [
      { pid: 2 ** 22 + 1, began: '1' },
      { pid: process.pid, began: 'another time' },
      'half',
    ]) {
      writeFileSync(path, JSON.stringify(dead));
      expect(holderOf(path)).to.equal(undefined);
      const lock = takeLock(path);
      expect(lock.release).to.be.a('function');
      lock.release?.();
    }
  });
});
