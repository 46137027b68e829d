import { expect } from 'chai';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { startDemoEngine, type DemoEngine } from '../support/demo-engine.ts';
import { startSystem, until, type System } from '../support/system.ts';

/** Where `npm run packages` has put them: `npm run packages:check`. Minutes, and a Debian that is fetched. */
const PACKAGES = process.env['MCPCTL_PACKAGES'];
/** Whoever installs the package, with a home of their own. */
const ADA = 1_000;

describe('the packages of Debian and Fedora, installed in a Debian of their own', function () {
  this.timeout(300_000);
  let debian: string;
  let packages: string;
  let t: System;
  let engine: DemoEngine;
  const children = new Set<ChildProcess>();

  const called = (command: string, ...args: string[]): string => {
    const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
    expect(status, `${command} ${args.join(' ')}: ${error?.message ?? stderr}`).to.equal(0);
    return stdout;
  };
  /** In the other Debian, with nothing of this machine but its network. */
  const inside = (env: Record<string, string>, argv: readonly string[]): string[] => [
    // With processes to be seen in its /proc, which ends with the command.
    ...['unshare', '--mount', 'sh', '-c', 'mount -t proc proc "$0/proc" && exec chroot "$@"', debian],
    ...[`--userspec=${ADA}:${ADA}`, debian, '/usr/bin/env', '-i', 'HOME=/home/ada', 'PATH=/usr/bin:/bin'],
    ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
    ...argv,
  ];
  const ada = (argv: readonly string[], env: Record<string, string> = {}): string => {
    const [command = '', ...args] = inside(env, argv);
    return called(command, ...args);
  };
  const named = (pattern: RegExp): string =>
    join(
      packages,
      readdirSync(packages).find((name) => pattern.test(name)) ?? expect.fail(`no ${String(pattern)}`),
    );

  before(async function () {
    if (PACKAGES === undefined) return this.skip();
    packages = resolve(PACKAGES);
    debian = mkdtempSync(join(tmpdir(), 'debian-'));
    called('mmdebstrap', '--quiet', '--variant=minbase', 'bookworm', debian);
    t = await startSystem();
    engine = (await startDemoEngine()) ?? expect.fail('there is no demo engine');
  });
  after(async () => {
    for (const child of children) child.kill('SIGKILL');
    await engine?.stop();
    await t?.close();
    if (debian) rmSync(debian, { recursive: true, force: true });
  });

  it('are what lintian finds no fault with', function () {
    if (spawnSync('lintian', ['--version']).status !== 0) return this.skip();
    for (const name of ['mcpctl', 'mcplocal'])
      expect(
        called('lintian', '--fail-on', 'error,warning', named(new RegExp(`^${name}_.*\\.deb$`))),
      ).to.equal('');
  });

  it('are installed by apt, enable nothing, and serve a model', async () => {
    for (const name of ['mcpctl', 'mcplocal'])
      cpSync(named(new RegExp(`^${name}_.*\\.deb$`)), join(debian, `${name}.deb`));
    called(
      'chroot',
      debian,
      'apt-get',
      'install',
      '-y',
      '--no-install-recommends',
      '/mcpctl.deb',
      '/mcplocal.deb',
    );
    called('chroot', debian, 'useradd', '--uid', String(ADA), '--create-home', 'ada');
    const unit = '/usr/lib/systemd/user/mcplocal.service';
    expect(readFileSync(join(debian, unit), 'utf8')).to.include('ExecStart=/usr/bin/mcplocal run');
    expect(existsSync(join(debian, 'etc/systemd/user/default.target.wants/mcplocal.service'))).to.equal(
      false,
    );
    // Its systemd takes no root of another user's units: the file is looked at from here.
    const verified = join(debian, 'mcplocal.service');
    const text = readFileSync(join(debian, unit), 'utf8');
    writeFileSync(verified, text.replace('ExecStart=', `ExecStart=${debian}`));
    expect(called('systemd-analyze', 'verify', '--man=no', verified)).to.equal('');

    const home = join(debian, 'home/ada/.mcpctl');
    mkdirSync(home, { mode: 0o700 });
    const provider = {
      name: 'tiny',
      type: 'llamacpp',
      url: `${engine.url}/v1`,
      model: 'tiny-chat',
      poolName: 'tiny',
    };
    writeFileSync(join(home, 'config.json'), JSON.stringify({ providers: [{ ...provider, publish: true }] }));
    called('chown', '-R', `${ADA}:${ADA}`, home);
    const person = { MCPCTL_SERVER: t.url, MCPCTL_TOKEN: t.token };
    const invited = JSON.parse(
      ada(['mcpctl', 'worker', 'invite', '--pool', 'tiny', '-o', 'json'], person),
    ) as { code: string };
    ada(['mcplocal', 'join', t.url, '--code', invited.code, '--yes']);
    const [command = '', ...args] = inside({}, ['mcplocal', 'run']);
    const worker = spawn(command, args, { stdio: 'ignore' });
    children.add(worker);
    const ended = once(worker, 'exit');
    await until(
      () => t.llm('tiny').catch(() => undefined),
      (llm) => llm?.status === 'active',
      30_000,
    );
    expect(ada(['mcpctl', 'chat-llm', 'tiny', '--message', 'hi'], person).trim()).to.not.equal('');
    expect(ada(['mcplocal', 'update', '-o', 'json'])).to.include('"newer": false');
    const service = ada(['mcplocal', 'service', 'install', '--dry-run', '-o', 'json']);
    expect((JSON.parse(service) as { text: string }).text).to.include('ExecStart="/usr/bin/mcplocal" run');
    ada(['mcplocal', 'drain']);
    expect((await ended)[0]).to.equal(0);
    called('chroot', debian, 'apt-get', 'remove', '-y', 'mcpctl', 'mcplocal');
    expect(existsSync(join(debian, 'usr/bin/mcplocal'))).to.equal(false);
  });

  it('have in rpm what they have in deb', () => {
    for (const name of ['mcpctl', 'mcplocal']) {
      const [deb, rpm] = [join(debian, 'of-deb'), join(debian, 'of-rpm')];
      called('dpkg-deb', '--extract', named(new RegExp(`^${name}_.*\\.deb$`)), deb);
      mkdirSync(rpm, { recursive: true });
      called(
        'rpm',
        '--root',
        rpm,
        '--install',
        '--nodeps',
        '--force-debian',
        named(new RegExp(`^${name}-.*\\.rpm$`)),
      );
      const own = readdirSync(join(rpm, 'usr'), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.name.startsWith(name))
        .map((entry) => join(entry.parentPath, entry.name).slice(rpm.length));
      expect(own).to.include(`/usr/bin/${name}`).and.include(`/usr/share/man/man1/${name}.1.gz`);
      for (const path of own)
        expect(readFileSync(join(rpm, path)).equals(readFileSync(join(deb, path))), path).to.equal(true);
      rmSync(deb, { recursive: true });
      rmSync(rpm, { recursive: true });
    }
  });
});
