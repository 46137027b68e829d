import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { McpctlError } from '../../core/errors.ts';
import { pause } from '../../core/runtime/clock.ts';
import type { Face } from '../face/face.ts';
import { askWorker } from '../local/client.ts';
import { writing } from '../sources/writing.ts';
import { keeperOf, needCall, runCall, shownCall, type Keeper } from './keepers.ts';
import { askToLinger, doesLinger, stopLingering } from './linger.ts';
import { MARK, type Unit } from './units.ts';

export interface ServiceOptions {
  /** Of the whole machine, which needs its administrator. */
  system: boolean;
  /** Only print what would be written and run. */
  dryRun: boolean;
  /** Logs: go on as they are written. */
  follow: boolean;
  platform: NodeJS.Platform;
  /** The program that is kept running. */
  program: string;
  /** How long to wait until it is connected. */
  waitMs: number;
}

const networkNames = ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY', 'MCPCTL_CA_FILE', 'NODE_EXTRA_CA_CERTS'];

/** A file that others may read is no place for a password. */
function environmentOf({ env, say }: Face): Record<string, string> {
  const entries = networkNames.flatMap((name): [string, string][] => {
    const value = env[name] ?? env[name.toLowerCase()];
    if (value === undefined || value === '') return [];
    // Not asked of a URL: a password with a slash in it makes it none.
    const isSecret = value.includes('@') && (name.endsWith('_PROXY') || value.includes('://'));
    if (!isSecret) return [[name, value]];
    say(`! ${name} holds a password and is left out: others may read the file of a service.`);
    return [];
  });
  return Object.fromEntries(entries);
}

/** Whose the worker's files are runs it. @throws McpctlError `usage` */
function userOf({ home, env }: Face): string {
  const { uid } = statSync(home.root, { throwIfNoEntry: false }) ?? {};
  if (uid === undefined)
    throw new McpctlError(
      'usage',
      `There is no ${home.root}: set MCPCTL_HOME to the home of who has joined.`,
    );
  const { status, text } = runCall(['id', '-nu', String(uid)], { env });
  if (status !== 0) throw new McpctlError('usage', `${home.root} belongs to nobody that this machine knows.`);
  return text;
}

const switchers = /[\\/](\.nvm|\.fnm|fnm|\.volta|\.asdf|mise)[\\/]/;

function unitOf(face: Face, { system, program }: ServiceOptions): Unit {
  const node = process.execPath;
  if (switchers.test(node))
    face.say(`! ${node} belongs to a switcher of versions: it is gone when you switch. Install again then.`);
  const file = realpathSync(program);
  return {
    program: file === realpathSync(node) ? [file] : [node, file],
    home: face.home.root,
    environment: environmentOf(face),
    user: system ? userOf(face) : null,
  };
}

/** What is there of that name; undefined: nothing. @throws McpctlError `setup_failed` where somebody else wrote it. */
function ownFile(file: string): string | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch {
    return undefined; // the first time
  }
  const isWide = bytes[0] === 0xff && bytes[1] === 0xfe;
  const text = bytes.toString(isWide ? 'utf16le' : 'utf8');
  if (text.includes(MARK)) return text;
  throw new McpctlError(
    'setup_failed',
    `${file} was written by somebody else, and stays: take it away first.`,
  );
}

function needAdministrator({ system, dryRun, platform }: ServiceOptions): void {
  if (!system || dryRun || platform === 'win32' || process.getuid?.() === 0) return;
  throw new McpctlError(
    'usage',
    'With --system it is the machine’s: run it with sudo, with MCPCTL_HOME set to the home of who has joined.',
  );
}

async function connected({ home }: Face, withinMs: number): Promise<string | undefined> {
  // What has joined no server connects to none, however long it is waited for.
  if (![home.credentials, home.workerCredentials].some((file) => existsSync(file))) return undefined;
  const until = performance.now() + withinMs;
  while (performance.now() < until) {
    const status = await askWorker(home.socket, 'status').catch(() => undefined);
    if (status?.refused !== undefined) return `! the server refuses it: ${status.refused}`;
    if (status?.connected) {
      const serving = status.llms.filter(({ state }) => state === 'serving').length;
      return `✓ connected, ${String(serving)} of ${String(status.llms.length)} llms serving`;
    }
    await pause(250);
  }
  return undefined;
}

function takeAway(face: Face, { file, uninstall: before, after }: Keeper): void {
  for (const call of before) runCall(call, face);
  rmSync(file, { force: true });
  for (const call of after) runCall(call, face);
}

async function install(face: Face, keeper: Keeper, options: ServiceOptions): Promise<void> {
  const { file } = keeper;
  needAdministrator(options);
  const text = keeper.textOf(unitOf(face, options));
  const calls = keeper.install.map(shownCall);
  if (options.dryRun) {
    face.say(`# ${file}`);
    face.say(Buffer.isBuffer(text) ? text.toString('utf16le').replace(/^\ufeff/, '') : text);
    for (const call of calls) face.say(`$ ${call}`);
    return face.answer({ file, text: text.toString(), calls, written: false });
  }
  const before = ownFile(file);
  const write = (): void => {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text, { mode: 0o644 });
  };
  try {
    writing(file, write, 'run it as who may write there');
    // One that is loaded by its former file is taken out first, where the keeper knows of no reload.
    if (before !== undefined) for (const call of keeper.uninstall) runCall(call, face);
    for (const call of keeper.install) needCall(call, face);
  } catch (thrown) {
    // Half of a service is none: it would be said to be installed, and begin one day.
    if (before === undefined && existsSync(file)) takeAway(face, keeper);
    throw thrown;
  }
  face.say(`✓ ${file} written, enabled, started`);
  const lingers = keeper.lingers ? await askToLinger(face) : undefined;
  const state = await connected(face, options.waitMs);
  face.say(state ?? '! It is not connected yet: mcplocal doctor says what is missing.');
  face.say('mcplocal service status | logs -f | uninstall');
  face.answer({ file, calls, written: true, ...(lingers !== undefined && { lingers }) });
}

function uninstall(face: Face, keeper: Keeper, options: ServiceOptions): void {
  const { file } = keeper;
  needAdministrator(options);
  const calls = [...keeper.uninstall, ...keeper.after].map(shownCall);
  if (options.dryRun) {
    for (const call of calls) face.say(`$ ${call}`);
    return face.answer({ file, calls, deleted: false });
  }
  const isThere = ownFile(file) !== undefined;
  if (isThere) takeAway(face, keeper);
  face.say(
    isThere ? `✓ ${file} is deleted, and what it kept running has ended` : 'No service is installed here.',
  );
  if (keeper.lingers) stopLingering(face);
  face.answer({ file, calls, deleted: isThere });
}

export interface ServiceState {
  file: string;
  installed: boolean;
  enabled: boolean;
  active: boolean;
  /** Whether it goes on as its user logs out; absent: it does anyhow, or nobody can tell. */
  lingers?: boolean;
}

export function serviceState(face: Face, options: Pick<ServiceOptions, 'system' | 'platform'>): ServiceState {
  const keeper = keeperOf({ ...options, env: face.env }, face);
  let installed = false;
  try {
    installed = ownFile(keeper.file) !== undefined;
  } catch {
    installed = false; // somebody else's is none of ours
  }
  const is = (call: Keeper['isActive']): boolean => installed && runCall(call, face).status === 0;
  const lingers = keeper.lingers ? doesLinger(face) : undefined;
  const [enabled, active] = [is(keeper.isEnabled), is(keeper.isActive)];
  return { file: keeper.file, installed, enabled, active, ...(lingers !== undefined && { lingers }) };
}

function status(face: Face, options: ServiceOptions): void {
  const state = serviceState(face, options);
  const { file, installed, enabled, active, lingers } = state;
  const yes = (is: boolean): string => (is ? 'yes' : 'no');
  face.say(`Installed:  ${installed ? file : 'no'}`);
  if (installed) {
    face.say(`Enabled:    ${yes(enabled)}`);
    face.say(`Runs:       ${yes(active)}`);
    if (lingers !== undefined) face.say(`Lingers:    ${lingers ? 'yes' : 'no: it stops when you log out'}`);
  }
  face.answer({ ...state });
}

/** @returns when they end, or whoever looks on has gone. */
function logs({ env, home }: Face, keeper: Keeper, follow: boolean): Promise<void> {
  const call = keeper.logs(follow);
  if (!call)
    throw new McpctlError(
      'usage',
      `A task of Windows keeps no log: run "mcplocal run" to see what it says, or "mcplocal status" (${home.root}).`,
    );
  const [program, ...args] = call;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: ['ignore', 'inherit', 'inherit'] });
    child.once('error', () => reject(new McpctlError('setup_failed', `There is no ${program} here.`)));
    child.once('close', () => resolve());
  });
}

const words = ['install', 'uninstall', 'status', 'logs'] as const;

/** Keeps the worker running, by what keeps services on this machine. @throws McpctlError `usage`, `setup_failed`. */
export async function service(face: Face, word: string | undefined, options: ServiceOptions): Promise<void> {
  const what = words.find((each) => each === word);
  if (!what) throw new McpctlError('usage', `Say what: mcplocal service ${words.join(' | ')}.`);
  const keeper = keeperOf({ ...options, env: face.env }, face);
  if (what === 'install') return await install(face, keeper, options);
  if (what === 'uninstall') return uninstall(face, keeper, options);
  if (what === 'status') return status(face, options);
  return await logs(face, keeper, options.follow);
}
