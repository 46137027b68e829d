/**
 * What every `npm` script of this checkout begins with: it makes sure that the packages are installed and
 * `dist/` is built, then runs the real thing. Plain JavaScript without dependencies, because it is the only
 * code that runs while there is no node_modules.
 */
import { spawn } from 'node:child_process';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, needsBuild } from './boot/build.mjs';
import { install, needsInstall } from './boot/install.mjs';
import { complain, say } from './boot/say.mjs';
import { exclusively, runningFrom, runningMark } from './boot/turns.mjs';
import { holderOf } from '../core/runtime/files/lock.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const tsx = ['--import', 'tsx'];

/** `strict`: a build with type errors ends it. Tests and checks go on, and name the errors themselves. */
const verbs = {
  start: { run: ['dist/start/main.js'], builds: true, strict: true },
  test: { run: [...tsx, 'test/run.ts'], builds: true, strict: false },
  check: { run: [...tsx, 'test/check.ts'], builds: true, strict: false },
  build: { run: undefined, builds: true, strict: true },
  packages: { run: [...tsx, 'deploy/packages/main.ts'], builds: true, strict: true },
  smoke: { run: [...tsx, 'test/smoke.ts'], builds: false, strict: false },
  bench: { run: [...tsx, 'bench/main.ts'], builds: true, strict: true },
  hostile: { run: [...tsx, 'test/hostile/main.ts'], builds: true, strict: true },
  fuzz: { run: [...tsx, 'test/fuzz/main.ts'], builds: false, strict: false },
  chaos: { run: [...tsx, 'test/chaos/main.ts'], builds: true, strict: true },
};

async function main() {
  const [name = '', ...args] = process.argv.slice(2);
  const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
  if (!verb) return complain(`Say one of: ${Object.keys(verbs).join(', ')}.`, 2);
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    return complain(`mcpctl needs Node 20.19 or newer; this is ${process.version}. See https://nodejs.org.`);
  }
  if (name === 'start') {
    const other = holderOf(join(homeRoot(), 'start.lock'));
    if (other) return complain(alreadyRunning(other));
  }
  const ready = await prepare(verb, name);
  if (!ready) return 1;
  return verb.run ? hand(verb.run.concat(args), name) : 0;
}

function homeRoot() {
  const configured = process.env.MCPCTL_HOME;
  return configured ? resolve(configured) : join(homedir(), '.mcpctl');
}

function alreadyRunning(other) {
  const where = other.url ? ` at ${other.url}` : '';
  return `mcpctl is running already${where} (process ${other.pid}, home ${homeRoot()}). Stop it with Ctrl-C there, or set MCPCTL_HOME and PORT to run a second one.`;
}

/** @returns whether node_modules and dist are as the sources want them. */
async function prepare(verb, name) {
  if (!needsInstall(root) && !(verb.builds && needsBuild(root))) return true;
  return exclusively(root, async () => {
    if (needsInstall(root)) {
      const running = runningFrom(root);
      if (running) {
        complain(
          `package-lock.json has changed, so packages must be installed, but mcpctl (process ${running.pid}) runs from this folder. Stop it with Ctrl-C there, then run this again.`,
        );
        return false;
      }
      if (!(await install(root))) return false;
    }
    if (!verb.builds || !needsBuild(root)) return true;
    const built = await build(root);
    if (!built && !verb.strict) say(`The build has errors; npm ${name} goes on with what could be built.`);
    return built || !verb.strict;
  });
}

/** Runs the real thing in our place: signals go through, its exit code becomes ours. */
function hand(argv, name) {
  const mark = name === 'start' ? runningMark(root) : undefined;
  const child = spawn(process.execPath, argv, { cwd: root, stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  // Our own parent is npm. When it is killed nobody would tell the child, and nobody would be left to stop it.
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    child.kill('SIGTERM');
  }, 250);
  return new Promise((done) => {
    child.on('error', (error) => done(complain(`node could not be started: ${error.message}`)));
    child.on('exit', (code, signal) => {
      clearInterval(watch);
      mark?.release();
      done(code ?? (signal === 'SIGINT' ? 130 : signal === 'SIGKILL' ? 137 : 143));
    });
  });
}

process.exitCode = await main();
