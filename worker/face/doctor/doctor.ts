import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { McpctlError, messageOf } from '../../../core/errors.ts';
import { poolKeyOf } from '../../../core/names.ts';
import { systemClock } from '../../../core/runtime/clock.ts';
import { askWorker } from '../../local/client.ts';
import { providerTypes } from '../../providers/index.ts';
import { userOfLinger } from '../../service/linger.ts';
import { serviceState } from '../../service/service.ts';
import { readWorkerConfig, type ConfiguredProvider } from '../../sources/config.ts';
import { readOwnCredentials } from '../../sources/credentials.ts';
import type { Face } from '../face.ts';
import type { JoinedServer } from '../server-calls.ts';
import { clocksApart, lookThere, releases, whoIs } from './at-server.ts';

/** What one look came to. */
export interface Check {
  level: 'PASS' | 'WARN' | 'FAIL';
  /** What it was about, in a word that stays. */
  name: string;
  says: string;
  /** What to do about it; only where there is something. */
  fix?: string;
}

const pass = (name: string, says: string): Check => ({ level: 'PASS', name, says });
const warn = (name: string, says: string, fix: string): Check => ({ level: 'WARN', name, says, fix });
const fail = (name: string, says: string, fix: string): Check => ({ level: 'FAIL', name, says, fix });

const WITHIN_MS = 10_000;
const BACKEND_MS = 5_000;
const MOST_SKEW_S = 60;
const FEW_BYTES = 100 * 1024 * 1024;
/** Whose certificates end sooner are named. */
const SOON_MS = 14 * 86_400_000;

/** A sentence ends once. */
const plainly = (thrown: unknown): string => messageOf(thrown).replace(/\.$/, '');

async function checkConfig({ home }: Face): Promise<{ checks: Check[]; published: ConfiguredProvider[] }> {
  try {
    const { providers, published, warnings, mcpServers } = await readWorkerConfig(home.config, home.root);
    const many = `${String(published.length)} of ${String(providers.length)} models shared`;
    const warned = warnings.map((text) => warn('config', text.replace(/\.$/, ''), `mend ${home.config}`));
    if (published.length + mcpServers.length === 0)
      return {
        checks: [...warned, fail('config', 'nothing is shared', 'mcplocal init')],
        published: [],
      };
    return { checks: [...warned, pass('config', `config.json is understood; ${many}`)], published };
  } catch (thrown) {
    const check = fail('config', plainly(thrown), `mend ${home.config}, and look again`);
    return { checks: [check], published: [] };
  }
}

async function checkFiles({ home }: Face): Promise<{ checks: Check[]; joined?: JoinedServer }> {
  const { credentials, warnings } = await readOwnCredentials(home);
  if (!credentials) {
    const says = (warnings[0] ?? 'there are no credentials').replace(/: nothing is published.*$/, '');
    return { checks: [fail('credentials', says, 'mcplocal join https://mcpctl.example')] };
  }
  const checks = warnings.map((text) => warn('credentials', text, 'see there'));
  const { bavail, bsize } = await statfs(home.root).catch(() => ({ bavail: Infinity, bsize: 1 }));
  if (bavail * bsize < FEW_BYTES)
    checks.push(
      warn(
        'disk',
        `${home.root} has less than 100 MB left`,
        'make room: logs and credentials are written there',
      ),
    );
  return { checks, joined: { server: credentials.mcpdUrl.replace(/\/+$/, ''), token: credentials.token } };
}

async function checkServer(face: Face, { server }: JoinedServer): Promise<Check[]> {
  try {
    const there = await lookThere(face.network(), server, WITHIN_MS);
    const { steps, certificate, skewS } = there;
    const until = certificate?.until.toDateString() ?? '';
    const facts = [...steps, ...(certificate ? [`certificate of ${certificate.by} until ${until}`] : [])];
    const checks = [pass('server', `${server}: ${[...facts, clocksApart(there)].join(', ')}`)];
    if (certificate && certificate.until.getTime() - systemClock.now() < SOON_MS)
      checks.push(warn('certificate', `it ends on ${until}`, 'have it renewed at the server'));
    if (skewS > MOST_SKEW_S)
      checks.push(
        warn('clock', `clocks are ${String(Math.round(skewS))} s apart`, 'set the clock of this machine'),
      );
    return checks;
  } catch (thrown) {
    const fix = 'check the address in the credentials, the network, and HTTPS_PROXY where you are behind one';
    return [fail('server', plainly(thrown), fix)];
  }
}

async function checkCredential(
  face: Face,
  joined: JoinedServer,
  published: readonly ConfiguredProvider[],
): Promise<Check[]> {
  try {
    const { token, user, pools, may, version } = await whoIs(face.network(), joined, WITHIN_MS);
    const checks = [pass('credential', `of '${token}' of ${user}, not revoked`)];
    if (!may.create.includes('session') && pools === null)
      checks.push(
        fail('credential', `'${token}' may not publish`, 'mcplocal join, or a token of the preset publish'),
      );
    const outside = published.filter((provider) => pools?.includes(poolKeyOf(provider)) === false);
    for (const provider of outside)
      checks.push(
        fail(
          'pool',
          `${provider.name} is shared in ${poolKeyOf(provider)}, and the credential is for ${(pools ?? []).join(', ')}`,
          `set its "poolName" in ${face.home.config}`,
        ),
      );
    const { says, fix } = releases(version);
    checks.push(fix === undefined ? pass('version', says) : warn('version', says, fix));
    return checks;
  } catch (thrown) {
    if (!(thrown instanceof McpctlError)) throw thrown;
    if (thrown.code === 'server_unreachable') return [];
    if (thrown.code === 'bad_answer')
      return [fail('credential', plainly(thrown), 'check the address in the credentials')];
    const fix = 'mcplocal join again, with a new code';
    return [fail('credential', `the server refuses it: ${plainly(thrown)}`, fix)];
  }
}

/** One that its worker starts, or wakes, need not run now. */
async function checkAsleep(
  { home }: Face,
  { name, managed, wake }: ConfiguredProvider,
): Promise<Check | null> {
  if (wake) return pass('backend', `${name}: it sleeps, and its worker wakes it when it is called`);
  if (!managed) return null;
  const status = await askWorker(home.socket, 'status').catch(() => undefined);
  const kept = status?.llms.find((llm) => llm.name === name)?.managed;
  if (kept?.state !== 'failed')
    return pass('backend', `${name}: it does not run, and its worker starts it when it is called`);
  const says = (kept.reason ?? 'it does not run').replace(/\.$/, '');
  const log = join(home.logs, `backend-${name}.log`);
  return fail(
    'backend',
    `${name}: ${says}`,
    `what it printed is in ${log}; its "managed" is in ${home.config}`,
  );
}

async function checkBackend(face: Face, configured: ConfiguredProvider): Promise<Check> {
  const { type, name, url, model, readKey, params } = configured;
  const provider = providerTypes[type].create({ name, url, readKey, model, params });
  try {
    const models = await provider.listModels(AbortSignal.timeout(BACKEND_MS));
    const isThere = models.some(({ id }) => id === model || id === `${model}:latest`);
    if (isThere) return pass('backend', `${name}: ${type} answers and has ${model}`);
    const says = `${name}: ${type} answers, but ${model} is not there`;
    if (type === 'ollama') return fail('backend', says, `ollama pull ${model}, or mcplocal init`);
    // Some answer for more than they list.
    return warn('backend', says, 'mcplocal test tries it; mcplocal init chooses another');
  } catch (thrown) {
    return (
      (await checkAsleep(face, configured)) ??
      fail('backend', `${name}: ${plainly(thrown)}`, `start ${type} at ${url}, or correct its entry`)
    );
  }
}

async function checkWorker({ home }: Face): Promise<Check> {
  try {
    const { state, connected, refused, pid } = await askWorker(home.socket, 'status');
    if (refused !== undefined)
      return fail('worker', `refused: ${refused.replace(/\.$/, '')}`, 'mcplocal join again');
    if (state === 'paused') return warn('worker', 'it is paused', 'mcplocal resume');
    return connected
      ? pass('worker', `it runs (process ${String(pid)}) and is connected`)
      : warn(
          'worker',
          `it runs (process ${String(pid)}) and is not connected`,
          'mcplocal status; its log says why',
        );
  } catch (thrown) {
    return warn('worker', plainly(thrown), 'mcplocal run, or mcplocal service install');
  }
}

function checkService(face: Face): Check[] {
  try {
    const { installed, enabled, lingers } = serviceState(face, { system: false, platform: process.platform });
    if (!installed) return [];
    if (!enabled)
      return [warn('service', 'it is installed, and does not begin by itself', 'mcplocal service install')];
    return lingers === false
      ? [warn('service', 'it stops when you log out', `sudo loginctl enable-linger ${userOfLinger()}`)]
      : [pass('service', 'it is installed and begins by itself')];
  } catch {
    return []; // a system whose services are not known here has none of ours
  }
}

/** Node 20 has had no fixes since April 2026. */
const OLDEST_NODE = 22;

function checkNode(version: string): Check {
  const major = Number(version.split('.')[0]);
  if (major >= OLDEST_NODE) return pass('node', `Node ${version}`);
  return warn(
    'node',
    `Node ${version} gets no fixes any more`,
    `install Node ${String(OLDEST_NODE)} or newer`,
  );
}

/** Everything that could be wrong, in the order in which one thing needs the other. Changes nothing. @returns false: something is. */
export async function doctor(face: Face): Promise<boolean> {
  const [config, files] = [await checkConfig(face), await checkFiles(face)];
  const { joined } = files;
  const atServer = joined
    ? [...(await checkServer(face, joined)), ...(await checkCredential(face, joined, config.published))]
    : [];
  const backends = await Promise.all(config.published.map((each) => checkBackend(face, each)));
  const rest = [await checkWorker(face), ...checkService(face), checkNode(process.versions.node)];
  const checks = [...config.checks, ...files.checks, ...atServer, ...backends, ...rest];
  for (const { level, says, fix } of checks)
    face.say(`${level} ${says}${fix === undefined ? '' : ` → ${fix}`}`);
  const count = (level: Check['level']): number => checks.filter((check) => check.level === level).length;
  const [failed, warned] = [count('FAIL'), count('WARN')];
  face.say(failed + warned === 0 ? 'Everything is well.' : `${String(failed)} FAIL, ${String(warned)} WARN.`);
  face.answer({ checks, failed, warned });
  return failed === 0;
}
