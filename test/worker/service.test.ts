import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import { programOf } from '../support/program.ts';
import { atTerminal, hasPseudoTerminal } from '../support/pseudo-terminal.ts';
import { openFace } from '../../worker/face/face.ts';
import { service, serviceState, type ServiceOptions } from '../../worker/service/service.ts';
import { launchdPlist, systemdUnit, windowsTask, type Unit } from '../../worker/service/units.ts';

const odd: Unit = {
  program: ['/opt/no de/bin/node', '/srv/a"b\\c/$x/100%/main.js'],
  home: '/home/ada & co/<.mcpctl>',
  environment: { HTTPS_PROXY: 'http://proxy.example:8080' },
  user: null,
};

describe('a worker that is kept running', function () {
  this.timeout(20_000);
  let root: string;
  let env: NodeJS.ProcessEnv;
  /** What was run by whom, in order. */
  const calls = async (): Promise<string[]> =>
    (await readFile(join(root, 'calls'), 'utf8').catch(() => '')).split('\n').filter(Boolean);
  const standIn = async (name: string, body: string): Promise<void> => {
    const file = join(root, 'bin', name);
    await writeFile(file, `#!/bin/sh\necho "${name} $*" >> "${root}/calls"\n${body}\n`);
    await chmod(file, 0o755);
  };
  const run = async (
    word: string,
    more: Partial<ServiceOptions> & { yes?: boolean } = {},
  ): Promise<string> => {
    let shown = '';
    const stream = () =>
      Object.assign(
        new PassThrough().on('data', (piece: Buffer) => (shown += piece.toString())),
        { isTTY: false },
      ) as never;
    const { yes = false, ...given } = more;
    const streams = { stdin: stream(), stdout: stream(), stderr: stream() };
    const options = { system: false, dryRun: false, follow: false, waitMs: 0, program: 'package.json' };
    const face = openFace(env, { json: false, yes, input: true }, streams);
    await service(face, word, { ...options, platform: 'linux', ...given });
    return shown;
  };
  const state = (platform: NodeJS.Platform) =>
    serviceState(openFace(env, { json: false, yes: false, input: false }), { system: false, platform });

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'service-'));
    await mkdir(join(root, 'bin'));
    await mkdir(join(root, 'home'));
    env = { PATH: `${join(root, 'bin')}:/usr/bin:/bin`, HOME: root, MCPCTL_HOME: join(root, 'home') };
    for (const name of ['systemctl', 'launchctl', 'schtasks']) await standIn(name, 'exit 0');
    await standIn('loginctl', `case "$1" in show-user) echo ${'no'};; esac`);
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  it('has a unit that systemd takes, whatever its paths are, without a secret', function () {
    const unit = systemdUnit(odd);
    expect(unit).to.include('ExecStart="/opt/no de/bin/node" "/srv/a\\"b\\\\c/$$x/100%%/main.js" run');
    expect(unit).to.include('Environment="MCPCTL_HOME=/home/ada & co/<.mcpctl>"');
    for (const line of ['Restart=always', 'RestartSec=5', 'TimeoutStopSec=5min', 'WantedBy=default.target'])
      expect(unit.split('\n')).to.include(line);
    const single = { ...odd, program: ['/usr/bin/mcplocal'] };
    expect(systemdUnit(single).split('\n')).to.include('ExecStart="/usr/bin/mcplocal" run');
    const ofMachine = systemdUnit({ ...odd, user: 'ada' }).split('\n');
    expect(ofMachine).to.include.members([
      'User=ada',
      'WantedBy=multi-user.target',
      'After=network-online.target',
    ]);
    expect(() => systemdUnit({ ...odd, home: '/a\nExecStart=/bin/evil' })).to.throw(/control characters/);
  });

  it('is verified by systemd itself, where there is one', async function () {
    if (spawnSync('systemd-analyze', ['--version']).status !== 0) return this.skip();
    const file = join(root, 'mcplocal.service');
    for (const user of [null, userInfo().username]) {
      const script = join(root, 'bin', 'a $b %c');
      const real = { ...odd, program: [process.execPath, script], user };
      await writeFile(script, '');
      await writeFile(file, systemdUnit(real));
      const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', file], {
        encoding: 'utf8',
      });
      const ofIt = stderr.split('\n').filter((line) => line.includes('mcplocal.service'));
      expect([status, ofIt], stderr).to.deep.equal([0, []]);
    }
  });

  it('has a property list and a task that are XML, with every path as it is', () => {
    const plist = launchdPlist(odd, '/home/ada & co/log');
    for (const part of [
      '<string>/home/ada &amp; co/&lt;.mcpctl&gt;</string>',
      '<key>SuccessfulExit</key>',
      '<string>Background</string>',
    ])
      expect(plist).to.include(part);
    const task = windowsTask({ ...odd, program: ['C:\\Program Files\\node.exe', 'C:\\main.js'] });
    expect(task).to.include('&quot;C:\\Program Files\\node.exe&quot;').and.include('LogonTrigger');
    for (const text of [plist, task]) expect(text.match(/<[^>]*[&](?!amp;|lt;|gt;|quot;)/)).to.equal(null);
  });

  it('is written, enabled and started; lingering is turned on and off again by nobody but us', async () => {
    env['HTTPS_PROXY'] = 'http://ada:secret@proxy.example:8080';
    env['HTTP_PROXY'] = 'http://ada:no/secret@proxy.example:8080';
    const file = join(root, '.config/systemd/user/mcplocal.service');
    const shown = await run('install', { yes: true });
    expect(shown).to.include(`${file} written, enabled, started`).and.include('uninstall turns it off again');
    expect(shown).to.include('HTTPS_PROXY holds a password and is left out');
    expect(shown).to.include('HTTP_PROXY holds a password and is left out');
    const unit = await readFile(file, 'utf8');
    expect(unit).not.to.include('secret');
    expect((await stat(file)).mode & 0o777).to.equal(0o644);
    const user = userInfo().username;
    expect(await calls()).to.deep.equal([
      'systemctl --user daemon-reload',
      'systemctl --user enable mcplocal.service',
      'systemctl --user restart mcplocal.service',
      `loginctl show-user ${user} --property=Linger --value`,
      `loginctl enable-linger ${user}`,
    ]);
    expect(state('linux')).to.deep.equal({
      file,
      installed: true,
      enabled: true,
      active: true,
      lingers: false,
    });
    expect(await run('status')).to.include('Lingers:    no');
    await rm(join(root, 'calls'));
    expect(await run('uninstall')).to.include('lingering is off again');
    expect(await calls()).to.deep.equal([
      'systemctl --user disable --now mcplocal.service',
      'systemctl --user daemon-reload',
      `loginctl disable-linger ${user}`,
    ]);
    expect(await stat(file).catch(() => null)).to.equal(null);
    expect(await run('uninstall')).to.include('No service is installed here');
    expect((await calls()).filter((call) => call.includes('linger'))).to.have.length(1);
  });

  it('asks nobody and turns nothing on where nobody can be asked, and says how', async () => {
    const shown = await run('install');
    expect(shown).to.include('sudo loginctl enable-linger');
    expect((await calls()).some((call) => call.includes('enable-linger'))).to.equal(false);
    expect(shown).to.include('mcplocal doctor');
  });

  it('asks at a terminal whether to linger: Enter does, n and Ctrl-C do not', async function () {
    if (!hasPseudoTerminal()) return this.skip();
    const lingersAfter = async (typed: string): Promise<boolean> => {
      await rm(join(root, 'calls'), { force: true });
      const command = [process.execPath, programOf('worker'), 'service', 'install'];
      const { text } = await atTerminal(command, env, [['Turn it on?', typed]]);
      expect(text).to.include('Lingering is off').and.include('[Y/n]');
      return (await calls()).some((call) => call.startsWith('loginctl enable-linger'));
    };
    const each: boolean[] = [];
    for (const typed of ['\r', 'n\r', '\u0003']) each.push(await lingersAfter(typed));
    expect(each).to.deep.equal([true, false, false]);
    expect(existsSync(join(root, '.config/systemd/user/mcplocal.service'))).to.equal(true);
  });

  it('writes and runs nothing for --dry-run, and leaves what somebody else wrote', async () => {
    const shown = await run('install', { dryRun: true });
    expect(shown).to.include('ExecStart=').and.include('$ systemctl --user daemon-reload');
    const file = join(root, '.config/systemd/user/mcplocal.service');
    expect(await stat(file).catch(() => null)).to.equal(null);
    expect(await calls()).to.deep.equal([]);
    await mkdir(join(root, '.config/systemd/user'), { recursive: true });
    await writeFile(file, '[Service]\nExecStart=/bin/true\n');
    for (const word of ['install', 'uninstall']) {
      const why = await run(word).catch(({ message }: Error) => message);
      expect(why).to.include('was written by somebody else');
    }
    expect(await readFile(file, 'utf8')).to.include('/bin/true');
    expect(state('linux')).to.include({ installed: false, active: false });
  });

  it('is written at a whole path whatever the environment says, and what is printed can be pasted', async () => {
    const printed = (platform: NodeJS.Platform) => run('install', { dryRun: true, platform });
    for (const odd of ['', 'config']) {
      env['XDG_CONFIG_HOME'] = odd;
      expect(await printed('linux')).to.include(`# ${root}/.config/systemd/user/mcplocal.service\n`);
    }
    for (const odd of ['', 'ada']) {
      env['HOME'] = odd;
      expect(await printed('linux')).to.match(/^# \/.*\/\.config\/systemd\/user\/mcplocal\.service$/m);
    }
    const home = join(root, "it's; $(echo mine)");
    env['HOME'] = home;
    const [, , domain = '', file = ''] =
      /^\$ (launchctl bootstrap) (\S+) (.*)$/m.exec(await printed('darwin')) ?? [];
    const words = spawnSync('sh', ['-c', `printf '%s\\n' ${domain} ${file}`], { encoding: 'utf8' });
    expect(words.stdout.split('\n')[1]).to.equal(join(home, 'Library/LaunchAgents/mcpctl.mcplocal.plist'));
  });

  it('is the machine’s with --system: as whose home it is, without lingering, printed as systemd takes it', async function () {
    const shown = await run('install', { system: true, dryRun: true });
    const user = userInfo().username;
    expect(shown).to.include('# /etc/systemd/system/mcplocal.service').and.include(`User=${user}`);
    const printed = shown.split('\n').filter((line) => line.startsWith('$ '));
    const unit = 'mcplocal.service';
    expect(printed).to.deep.equal([
      '$ systemctl daemon-reload',
      `$ systemctl enable ${unit}`,
      `$ systemctl restart ${unit}`,
    ]);
    expect(await run('uninstall', { system: true, dryRun: true })).to.include(
      `$ systemctl disable --now ${unit}`,
    );
    expect(await calls()).to.deep.equal([]);
    const why = await run('install', { system: true, platform: 'win32' }).catch(
      ({ message }: Error) => message,
    );
    expect(why).to.include('without --system');
    env['MCPCTL_HOME'] = join(root, 'nobody');
    const none = await run('install', { system: true, dryRun: true }).catch(({ message }: Error) => message);
    expect(none).to.include('set MCPCTL_HOME to the home of who has joined');
    if (spawnSync('systemd-analyze', ['--version']).status !== 0) return this.skip();
    const file = join(root, unit);
    await writeFile(file, shown.slice(shown.indexOf('['), shown.indexOf('\n$ ')));
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', file], {
      encoding: 'utf8',
    });
    const ofIt = stderr.split('\n').filter((line) => line.includes(unit));
    expect([status, ofIt], stderr).to.deep.equal([0, []]);
  });

  it('is written for the machine, enabled and started, by its administrator alone', function () {
    // On a machine whose folder of units is another, so that this one's stays as it is.
    const units = join(root, 'units');
    const script = `mkdir -p "$1" && mount --bind "$1" /etc/systemd/system && shift && exec "$@"`;
    const apart = (...args: string[]) =>
      spawnSync('unshare', ['--mount', 'sh', '-c', script, 'sh', units, ...args], { env, encoding: 'utf8' });
    if (apart('true').status !== 0) return this.skip();
    const mcplocal = (...args: string[]) =>
      apart(process.execPath, programOf('worker'), 'service', ...args, '--system', '--no-input');
    const installed = mcplocal('install');
    expect(installed.status, installed.stderr).to.equal(0);
    const written = readFileSync(join(units, 'mcplocal.service'), 'utf8');
    expect(written).to.include(`User=${userInfo().username}`).and.include('WantedBy=multi-user.target');
    expect(mcplocal('uninstall').status).to.equal(0);
    expect(existsSync(join(units, 'mcplocal.service'))).to.equal(false);
    expect(readFileSync(join(root, 'calls'), 'utf8').trim().split('\n')).to.deep.equal([
      'systemctl daemon-reload',
      'systemctl enable mcplocal.service',
      'systemctl restart mcplocal.service',
      'systemctl disable --now mcplocal.service',
      'systemctl daemon-reload',
    ]);
  });

  it('is kept for a user whose number has no name, and says what is missing where they have no home', function () {
    if (process.getuid?.() !== 0) return this.skip(); // only root can be somebody else
    const nameless = 54_321;
    for (const folder of [root, join(root, 'home')]) chownSync(folder, nameless, nameless);
    const mcplocal = (of: NodeJS.ProcessEnv, ...args: string[]) =>
      spawnSync(process.execPath, [programOf('worker'), ...args], {
        ...{ env: of, uid: nameless, gid: nameless, encoding: 'utf8' },
      });
    const installed = mcplocal(env, 'service', 'install', '--yes');
    expect(installed.status, installed.stderr).to.equal(0);
    const called = readFileSync(join(root, 'calls'), 'utf8').split('\n');
    expect(called).to.include(`loginctl enable-linger ${nameless}`);
    const homeless = mcplocal({ PATH: env['PATH'] }, 'status');
    expect([homeless.status, homeless.stderr]).to.deep.equal([
      1,
      'mcplocal: This machine knows no home of this user: set HOME, or MCPCTL_HOME, to a folder of theirs.\n',
    ]);
  });

  it('says what failed, and that a word is none', async () => {
    await writeFile(join(root, '.config'), 'no folder');
    expect(await run('install').catch(({ message }: Error) => message)).to.match(
      /mcplocal\.service cannot be written \(\w+\): make room there, or run it as who may write there\.$/,
    );
    expect(await calls()).to.deep.equal([]);
    await rm(join(root, '.config'));
    await standIn('systemctl', 'echo "Failed to connect to bus" >&2; exit 1');
    const why = await run('install').catch(({ message }: Error) => message);
    expect(why).to.include('"systemctl --user daemon-reload" failed: Failed to connect to bus.');
    expect(existsSync(join(root, '.config/systemd/user/mcplocal.service')), 'half of a service').to.equal(
      false,
    );
    expect(await run('begin').catch(({ message }: Error) => message)).to.include('install | uninstall');
    expect(await run('status', { platform: 'aix' }).catch(({ message }: Error) => message)).to.include(
      'mcplocal run',
    );
  });

  it('is kept by launchd and by Windows, as far as stand-ins can tell', async () => {
    const agent = join(root, 'Library/LaunchAgents/mcpctl.mcplocal.plist');
    expect(await run('install', { platform: 'darwin' })).to.include(agent);
    const domain = `gui/${String(userInfo().uid)}`;
    expect(await calls()).to.deep.equal([`launchctl bootstrap ${domain} ${agent}`]);
    await run('install', { platform: 'darwin' });
    expect((await calls()).slice(1)).to.deep.equal([
      `launchctl bootout ${domain}/mcpctl.mcplocal`,
      `launchctl bootstrap ${domain} ${agent}`,
    ]);
    expect(await run('uninstall', { platform: 'darwin' })).to.include('is deleted');
    await rm(join(root, 'calls'));
    const task = join(root, 'home/mcplocal-task.xml');
    await run('install', { platform: 'win32' });
    expect(await calls()).to.deep.equal([
      `schtasks /Create /TN mcpctl.mcplocal /XML ${task} /F`,
      'schtasks /Run /TN mcpctl.mcplocal',
    ]);
    const bytes = await readFile(task);
    expect(bytes.subarray(0, 2)).to.deep.equal(Buffer.from([0xff, 0xfe]));
    expect(bytes.toString('utf16le')).to.include('encoding="UTF-16"');
    expect(await run('uninstall', { platform: 'win32' })).to.include('is deleted');
    const logs = await run('logs', { platform: 'win32' }).catch(({ message }: Error) => message);
    expect(logs).to.include('keeps no log');
  });
});
