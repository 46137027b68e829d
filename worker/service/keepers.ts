import { spawnSync } from 'node:child_process';
import { isAbsolute, join } from 'node:path';
import { McpctlError } from '../../core/errors.ts';
import { personsHome } from '../../core/runtime/files/home.ts';
import { shellWord } from '../../core/runtime/plain.ts';
import type { Face } from '../face/face.ts';
import { LABEL, launchdPlist, systemdUnit, windowsTask, type Unit } from './units.ts';

/** A command, and what it is for, as it is shown. */
export type Call = readonly [program: string, ...args: string[]];

/** What keeps services on one kind of machine: where its file is, what is in it, and what is run. */
export interface Keeper {
  file: string;
  /** As text, or as the bytes of another encoding. */
  textOf: (unit: Unit) => string | Buffer;
  /** Once the file is there. */
  install: readonly Call[];
  /** Before it is taken away; a failure is that of something that was gone already. */
  uninstall: readonly Call[];
  /** After it was taken away. */
  after: readonly Call[];
  isEnabled: Call;
  isActive: Call;
  logs: (follow: boolean) => Call | null;
  /** Whether a user's services end as they log out, unless that is switched on. */
  lingers: boolean;
}

interface Where {
  platform: NodeJS.Platform;
  system: boolean;
  env: NodeJS.ProcessEnv;
}

function systemd({ system, env }: Where): Keeper {
  const systemctl = (...args: string[]): Call => ['systemctl', ...(system ? [] : ['--user']), ...args];
  const named = env['XDG_CONFIG_HOME'] ?? '';
  // What is no whole path is none, as systemd itself has it.
  const config = isAbsolute(named) ? named : join(personsHome(env['HOME']), '.config');
  const name = 'mcplocal.service';
  return {
    file: system ? `/etc/systemd/system/${name}` : join(config, 'systemd/user', name),
    textOf: systemdUnit,
    install: [systemctl('daemon-reload'), systemctl('enable', name), systemctl('restart', name)],
    uninstall: [systemctl('disable', '--now', name)],
    after: [systemctl('daemon-reload')],
    isEnabled: systemctl('is-enabled', name),
    isActive: systemctl('is-active', name),
    logs: (follow) => [
      'journalctl',
      ...(system ? [] : ['--user']),
      '-u',
      name,
      ...(follow ? ['-f'] : ['-n', '200', '--no-pager']),
    ],
    lingers: !system,
  };
}

function launchd({ system, env }: Where): Keeper {
  const home = personsHome(env['HOME']);
  const file = join(
    system ? '/Library' : join(home, 'Library'),
    system ? 'LaunchDaemons' : 'LaunchAgents',
    `${LABEL}.plist`,
  );
  const log = system ? '/Library/Logs/mcplocal.log' : join(home, 'Library/Logs/mcplocal.log');
  const domain = system ? 'system' : `gui/${String(process.getuid?.())}`;
  return {
    file,
    textOf: (unit) => launchdPlist(unit, log),
    install: [['launchctl', 'bootstrap', domain, file]],
    uninstall: [['launchctl', 'bootout', `${domain}/${LABEL}`]],
    after: [],
    isEnabled: ['launchctl', 'print', `${domain}/${LABEL}`],
    isActive: ['launchctl', 'print', `${domain}/${LABEL}`],
    logs: (follow) => ['tail', '-n', '200', ...(follow ? ['-f'] : []), log],
    lingers: false,
  };
}

function scheduledTask({ system }: Where, home: string): Keeper {
  if (system)
    throw new McpctlError(
      'usage',
      'On Windows it is kept as a task of its user, without --system: a service of the machine would need an account of its own.',
    );
  const file = join(home, 'mcplocal-task.xml');
  return {
    file,
    // What schtasks reads.
    textOf: (unit) => Buffer.from(`\ufeff${windowsTask(unit)}`, 'utf16le'),
    install: [
      ['schtasks', '/Create', '/TN', LABEL, '/XML', file, '/F'],
      ['schtasks', '/Run', '/TN', LABEL],
    ],
    uninstall: [
      ['schtasks', '/End', '/TN', LABEL],
      ['schtasks', '/Delete', '/TN', LABEL, '/F'],
    ],
    after: [],
    isEnabled: ['schtasks', '/Query', '/TN', LABEL],
    isActive: ['schtasks', '/Query', '/TN', LABEL],
    logs: () => null,
    lingers: false,
  };
}

/** @throws McpctlError `usage` where this system has none that is known here. */
export function keeperOf(where: Where, { home }: Pick<Face, 'home'>): Keeper {
  if (where.platform === 'linux') return systemd(where);
  if (where.platform === 'darwin') return launchd(where);
  if (where.platform === 'win32') return scheduledTask(where, home.root);
  throw new McpctlError(
    'usage',
    `What keeps services on ${where.platform} is not known here: let it run "mcplocal run".`,
  );
}

/** As it is pasted into a shell: that of POSIX, or of Windows where it is a path of Windows. */
export const shownCall = (call: Call): string => call.map(shownWord).join(' ');

const shownWord = (word: string): string => (/^[A-Za-z]:\\/.test(word) ? `"${word}"` : shellWord(word));

const WITHIN_MS = 60_000;
const MOST_BYTES = 1024 * 1024;

/** What a command printed, and how it ended; `null`: there is no such program. */
export function runCall(
  [program, ...args]: Call,
  { env }: Pick<Face, 'env'>,
): { status: number | null; text: string } {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    ...{
      env,
      encoding: 'utf8',
      timeout: WITHIN_MS,
      killSignal: 'SIGKILL',
      maxBuffer: MOST_BYTES,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  });
  if (error && (error as NodeJS.ErrnoException).code === 'ENOENT')
    return { status: null, text: `there is no ${program} here` };
  return { status: status ?? 1, text: `${stdout}${stderr}`.trim() };
}

/** @throws McpctlError `setup_failed` with what it printed. */
export function needCall(call: Call, face: Pick<Face, 'env'>): void {
  const { status, text } = runCall(call, face);
  if (status === 0) return;
  const last = text.split('\n').at(-1) ?? '';
  throw new McpctlError(
    'setup_failed',
    `"${shownCall(call)}" failed: ${last === '' ? 'it said nothing' : last}.`,
  );
}
