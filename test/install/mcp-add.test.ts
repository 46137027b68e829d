import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import { McpctlError } from '../../core/errors.ts';
import { templateSchema } from '../../core/mcp/hosted/template.ts';
import { homeAt } from '../../core/runtime/files/home.ts';
import type { ReadTemplates } from '../../core/runtime/files/template-files.ts';
import { readMcpArguments } from '../../worker/install/arguments.ts';
import { runMcpCommand } from '../../worker/install/commands.ts';
import { ensureProgram } from '../../worker/install/ensure.ts';
import { packageSpec } from '../../worker/install/package-spec.ts';
import { parseWorkerConfig } from '../../worker/sources/config.ts';
import { packageRegistry, type PackageRegistry } from './registry.ts';

describe('mcplocal mcp add, list and remove', function () {
  this.timeout(30_000);
  let folder: string;
  let registry: PackageRegistry;
  const homes: string[] = [];
  let templates: ReadTemplates['files'] = [];
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mcp-add-'));
    registry = await packageRegistry(folder);
    const scripts = {
      preinstall: `touch ${join(folder, 'ran')}`,
      postinstall: `touch ${join(folder, 'ran')}`,
    };
    registry.publish({ name: 'needed', version: '1.0.0', scripts } as never);
    const more = { scripts, bin: { 'mcp-files': 'dist.js' }, dependencies: { needed: '^1.0.0' } };
    const integrity = registry.publish(
      { name: '@here/server-files', version: '1.2.3', ...more },
      {
        'dist.js': '// a server\n',
      },
    );
    const template = templateSchema.parse({
      ...{ name: 'files', version: '1.0.0', title: 'Files', description: 'Files of a folder' },
      ...{ transport: 'stdio', package: '@here/server-files', packageVersion: '1.2.3', integrity },
      ...{ program: 'mcp-files', args: ['--in', '${folder}'], reaches: ['files'], docs: 'https://docs.test' },
      params: [{ name: 'folder', description: 'a path', pattern: '/[^/]+' }],
      env: [
        { name: 'LOG', description: 'how much it prints', value: 'warn' },
        { name: 'TOKEN', description: 'whose files', secret: true },
      ],
      healthCheck: { everySeconds: 30, withinSeconds: 10 },
    });
    templates = [{ template, sha256: 'x' }];
  });
  after(async () => {
    await registry.close();
    rmSync(folder, { recursive: true });
    for (const home of homes) rmSync(home, { recursive: true });
  });
  const newHome = (config?: object): string => {
    const home = mkdtempSync(join(tmpdir(), 'mcp-home-'));
    homes.push(home);
    if (config) writeFileSync(join(home, 'config.json'), JSON.stringify(config));
    return home;
  };
  /** @param answer what somebody types there; null: Ctrl-D. Nobody is there unless told. */
  const run = async (home: string, argv: readonly string[], answer?: string | null): Promise<string> => {
    let printed = '';
    const asked = readMcpArguments(argv);
    if (asked.command === 'connect' || asked.command === 'help')
      throw new TypeError('it runs until it is ended');
    const input = new PassThrough();
    if (answer === null) input.end();
    else if (answer !== undefined) input.write(`${answer}\n`);
    await runMcpCommand(asked, {
      home: homeAt(home),
      environment: {
        ...{ PATH: process.env['PATH'], HOME: home, MCPCTL_TOKEN: 'mcpctl_secret' },
        npm_config_registry: registry.url,
        npm_config_fetch_retries: '0',
      },
      print: (text) => (printed += text),
      terminal: answer === undefined ? null : { input, output: new PassThrough() },
      now: Date.now(),
      templates: () => Promise.resolve({ files: templates, faults: [] }),
    });
    return printed;
  };
  const refusal = async (work: Promise<unknown>): Promise<string> =>
    await work.then(
      () => 'nothing',
      (thrown: unknown) =>
        thrown instanceof McpctlError ? `${thrown.code}: ${thrown.message}` : String(thrown),
    );
  const configOf = (home: string): Record<string, unknown> =>
    JSON.parse(readFileSync(join(home, 'config.json'), 'utf8')) as Record<string, unknown>;
  const packagesIn = (home: string): string[] =>
    readdirSync(join(home, 'mcp')).filter((name) => name !== 'journal');

  it('installs exactly that, runs nothing of it, shows how it would be started, and enters it', async () => {
    const home = newHome({ providers: [], someone: 'else wrote this' });
    const env = ['--env', 'LOG=warn', '--secret', 'TOKEN=files/token'];
    const argv = ['add', '@here/server-files@1.2.3', ...env, '--', '/srv/docs', 'a b'];
    const printed = await run(home, argv, 'y');
    const [sum = ''] = packagesIn(home);
    const program = join(home, 'mcp', sum, 'node_modules/@here/server-files/dist.js');
    expect(printed).to.include(`  node ${program} /srv/docs 'a b'\n`);
    expect(printed).to.match(/@here\/server-files 1\.2\.3, and 1 packages.*\nIts sum is sha512-/);
    expect(existsSync(join(folder, 'ran')), 'a script of a package').to.equal(false);
    expect(existsSync(program)).to.equal(true);
    const config = configOf(home);
    expect(config['someone']).to.equal('else wrote this');
    expect(config['mcpServers']).to.deep.equal([
      {
        ...{ name: 'server-files', command: 'node', args: [program, '/srv/docs', 'a b'] },
        env: [
          { name: 'LOG', value: 'warn' },
          { name: 'TOKEN', valueFrom: { secretRef: { name: 'files', key: 'token' } } },
        ],
      },
    ]);
    expect(parseWorkerConfig(JSON.stringify(config), home).mcpServers).to.have.lengthOf(1);
    expect(await run(home, ['list'])).to.match(/^NAME +STATE +STARTED AS\nserver-files +not run +node /);
    expect(await refusal(run(home, ['add', '@here/server-files@1.2.3', '--yes']))).to.match(/^name_taken: /);
    await run(home, ['add', '@here/server-files@1.2.3', '--yes', '--name', 'second']);
    expect(packagesIn(home), 'the same packages are there once').to.deep.equal([sum]);
    await run(home, ['remove', 'server-files']);
    expect(packagesIn(home)).to.deep.equal([sum]);
    await run(home, ['remove', 'second']);
    expect(packagesIn(home)).to.deep.equal([]);
    expect(await refusal(run(home, ['remove', 'second']))).to.match(/^server_not_found: /);
    expect(await run(home, ['list', '-o', 'json'])).to.equal('[]\n');
  });

  it('leaves nothing where it was not agreed to, or where nobody could be asked', async () => {
    const home = newHome();
    expect(await refusal(run(home, ['add', '@here/server-files@1.2.3'], 'n'))).to.include(
      'Nothing was added',
    );
    expect(packagesIn(home)).to.deep.equal([]);
    expect(existsSync(join(home, 'config.json'))).to.equal(false);
    // Whatever npm is told to do for its owner otherwise.
    writeFileSync(join(home, '.npmrc'), 'package-lock=false\nsave=false\n');
    expect(await refusal(run(home, ['add', '@here/server-files@1.2.3'], null))).to.include('Given up');
    expect(packagesIn(home)).to.deep.equal([]);
    expect(await refusal(run(home, ['add', '@here/server-files@1.2.3']))).to.include('say --yes');
  });

  it('makes a server of a template of its own release: what it is told is an argument, or is refused', async () => {
    const home = newHome();
    const argv = ['add', '--template', 'files', '--yes', '--secret', 'TOKEN=files/token'];
    for (const folder of ['--flag', '../..', 'x; rm -rf ~', '/a\n/b', ''])
      expect(await refusal(run(home, [...argv, '--param', `folder=${folder}`])), folder).to.match(
        /^usage: --param folder /,
      );
    expect(existsSync(join(home, 'mcp')), 'nothing was installed').to.equal(false);
    const param = ['--param', 'folder=/x; rm -rf ~ "$(id)"'];
    expect(await refusal(run(home, ['add', '--template', 'file', '--yes']))).to.include('Did you mean files');
    expect(await refusal(run(home, [...argv.slice(0, 4), ...param]))).to.include('--secret TOKEN=FILE/KEY');
    expect(await refusal(run(home, [...argv.slice(0, 4), ...param, '--env', 'TOKEN=hush']))).to.include(
      'TOKEN is a secret',
    );
    await run(home, [...argv, ...param]);
    const [entry] = configOf(home)['mcpServers'] as { args: string[] }[];
    expect(entry?.args.slice(1)).to.deep.equal(['--in', '/x; rm -rf ~ "$(id)"']);
    expect(entry).to.deep.include({
      name: 'files',
      env: [
        { name: 'LOG', value: 'warn' },
        { name: 'TOKEN', valueFrom: { secretRef: { name: 'files', key: 'token' } } },
      ],
      healthCheck: { everySeconds: 30, withinSeconds: 10 },
    });
    const [files] = templates;
    if (!files) expect.fail();
    const other = `sha512-${'A'.repeat(86)}==`;
    templates = [{ ...files, template: { ...files.template, integrity: other } }];
    expect(await refusal(run(home, [...argv, ...param, '--name', 'b']))).to.include(
      'is not what it is to be',
    );
    templates = [files];
  });

  it('for a hosted worker it is installed once, and anew where what says where it is was torn', async () => {
    const root = join(newHome(), 'mcp');
    const {
      package: name,
      packageVersion: version,
      integrity,
    } = templates[0]?.template ?? expect.fail('none');
    const environment = {
      ...{ PATH: process.env['PATH'], HOME: root },
      ...{ npm_config_registry: registry.url, npm_config_fetch_retries: '0' },
    };
    const ensure = (PATH = environment.PATH) =>
      ensureProgram(
        { package: name, version, integrity, program: null },
        { root, environment: { ...environment, PATH }, now: Date.now() },
      );
    const path = await ensure();
    expect(existsSync(path)).to.equal(true);
    expect(await ensure('/nowhere')).to.equal(path);
    for (const pointer of readdirSync(join(root, 'known'))) writeFileSync(join(root, 'known', pointer), '');
    expect(await ensure()).to.equal(path);
    expect(await ensure('/nowhere')).to.equal(path);
  });

  it('is pruned of packages that nothing is started from, but for those of an hour, of a hosted worker, and while a worker runs', async () => {
    const home = newHome();
    const root = join(home, 'mcp');
    const used = 'd'.repeat(32);
    const args = [join(root, used, 'node_modules', 'x', 'main.js')];
    writeFileSync(
      join(home, 'config.json'),
      JSON.stringify({ mcpServers: [{ name: 'x', command: 'node', args }] }),
    );
    const put = (name: string, version: string, at: Date): string => {
      const folder = join(root, name.repeat(32));
      mkdirSync(join(folder, 'node_modules', 'x'), { recursive: true });
      writeFileSync(join(folder, 'package.json'), JSON.stringify({ dependencies: { x: version } }));
      writeFileSync(join(folder, 'node_modules', 'x', 'main.js'), 'x'.repeat(150_000));
      utimesSync(folder, at, at);
      return folder;
    };
    const long = new Date(Date.now() - 7_200_000);
    put('d', '4.0.0', long);
    const [old, young, hosted] = [
      put('a', '1.0.0', long),
      put('b', '2.0.0', new Date()),
      put('c', '3.0.0', long),
    ];
    mkdirSync(join(root, 'known'));
    writeFileSync(join(root, 'known', 'pointer'), 'c'.repeat(32));
    const shown = await run(home, ['prune', '--dry-run']);
    expect(shown)
      .to.include(`Would be removed: x@1.0.0, 0.2 MB, in ${old}\n`)
      .and.include('Kept, as it is not an hour old: x@2.0.0');
    expect(shown).to.include('1, 0.2 MB in all.').and.not.include('3.0.0').and.not.include(used);
    expect(existsSync(old)).to.equal(true);
    const worker = createServer(
      (_req, res) => void res.writeHead(200, { 'content-type': 'application/json' }).end('{}'),
    );
    await new Promise<void>((resolve) => worker.listen(homeAt(home).socket, resolve));
    const refused = await run(home, ['prune']).catch((thrown: unknown) => String(thrown));
    await new Promise((resolve) => worker.close(resolve));
    expect(refused).to.include('A worker runs').and.include('--dry-run');
    expect(existsSync(old)).to.equal(true);
    expect(await run(home, ['prune'])).to.include('Removed: x@1.0.0');
    expect([old, young, hosted, join(root, used)].map((at) => existsSync(at))).to.deep.equal([
      false,
      true,
      true,
      true,
    ]);
    expect(await run(home, ['prune'])).to.include('Nothing to remove.');
    const linked = `${home}-linked`; // what it is started from is the same by another path
    symlinkSync(home, linked);
    homes.push(linked);
    expect(await run(linked, ['prune'])).to.include('Nothing to remove.');
    expect(existsSync(args[0] ?? '')).to.equal(true);
  });

  it('takes nothing that is not what it is to be', async () => {
    const home = newHome();
    const other = ['--integrity', 'sha512-other', '--yes'];
    expect(await refusal(run(home, ['add', '@here/server-files@1.2.3', ...other]))).to.match(
      /^setup_failed: .*its integrity is sha512-.*, not sha512-other\.$/,
    );
    expect(await refusal(run(home, ['add', '@here/server-files@9.9.9', '--yes']))).to.match(
      /^setup_failed: /,
    );
    registry.publish({ name: 'changed', version: '1.0.0' });
    registry.tamper('changed');
    expect(await refusal(run(home, ['add', 'changed@1.0.0', '--yes']))).to.match(
      /^setup_failed: npm could not install changed@1\.0\.0: .*EINTEGRITY/,
    );
    expect(packagesIn(home)).to.deep.equal([]);
  });

  it('wants one version, and no range, tag or address, which are another tomorrow', () => {
    expect(packageSpec('@a/b@1.2.3-rc.1')).to.deep.equal({ name: '@a/b', version: '1.2.3-rc.1' });
    for (const text of [
      'a',
      '@a/b',
      'a@latest',
      'a@^1.2.3',
      'a@1.2',
      'a@file:../x',
      '../x@1.2.3',
      'A@1.2.3',
      '--x@1.2.3',
    ])
      expect(() => packageSpec(text), text)
        .to.throw(McpctlError)
        .with.property('code', 'usage');
    for (const argv of [
      ['ad'],
      ['add'],
      ['add', 'a@1.0.0', 'b'],
      ['add', 'a@1.0.0', '--secret', 'X=y'],
      ['logs'],
    ])
      expect(() => readMcpArguments(argv), argv.join(' '))
        .to.throw(McpctlError)
        .with.property('code', 'usage');
  });
});
