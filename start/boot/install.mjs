/** Installs the packages when package-lock.json differs from what lies in node_modules. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { complain, progress } from './say.mjs';

const stampOf = (root) => join(root, 'node_modules', '.mcpctl-installed');
/** npm writes this last, so it is there only after a whole install. */
const installedOf = (root) => join(root, 'node_modules', '.package-lock.json');

export function needsInstall(root) {
  const wanted = readFileSync(join(root, 'package-lock.json'));
  const hash = createHash('sha256')
    .update(wanted)
    .update(`${process.platform}-${process.arch}`)
    .digest('hex');
  if (read(stampOf(root)) === hash) return false;
  // A person may have run npm themselves.
  if (!sameAs(JSON.parse(wanted).packages, read(installedOf(root)))) return true;
  writeFileSync(stampOf(root), hash);
  return false;
}

/** @returns whether node_modules is whole now. */
export async function install(root) {
  // First of all: an install that is broken off must not look like a whole one.
  rmSync(stampOf(root), { force: true });
  rmSync(installedOf(root), { force: true });
  const step = progress('Installing the packages (npm ci, without their scripts: none is needed)');
  const code = await npm(root, ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']);
  if (code !== 0) {
    complain('npm ci failed (see above). With a working network, run this again.');
    step.done('Not installed');
    return false;
  }
  needsInstall(root); // stamps it
  step.done('Packages are installed');
  return true;
}

/** The lockfile lists the packages of every platform; npm leaves out optional ones that do not fit here. */
function sameAs(wanted, installedText) {
  if (installedText === undefined) return false;
  const installed = JSON.parse(installedText).packages;
  return Object.entries(wanted).every(([path, entry]) => {
    const there = installed[path];
    if (there) return there.version === entry.version && there.integrity === entry.integrity;
    return path === '' || entry.optional === true || entry.devOptional === true;
  });
}

function npm(root, args) {
  const script = process.env.npm_execpath;
  const [command, first] =
    script && basename(script) === 'npm-cli.js' ? [process.execPath, [script]] : ['npm', []];
  const child = spawn(command, [...first, ...args], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  return new Promise((done) => {
    child.on('error', (error) => done(complain(`npm could not be run: ${error.message}`)));
    child.on('exit', (code) => done(code ?? 1));
  });
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // not there, so not installed
  }
}
