import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { mendAfter, mending } from './mend.ts';
import { isUntaught, mayTeach, onceTaught } from './link/taught.ts';
import { pause } from '../runtime/clock.ts';
import { mayPass } from '../trouble.ts';
import { isPatient } from './link/connect.ts';
import { sending } from './line/wide.ts';
import { redisTroubleOf } from './trouble.ts';

/** The Lua of the dispatch protocol. Each file's head says its KEYS, ARGV, answers and callers. */
export const scriptNames = [
  'enqueue',
  'turn',
  'lay',
  'claim',
  'take',
  'emit',
  'read',
  'beat',
  'look',
  'fence',
  'rest',
  'last',
  'end',
  'show',
  'deliver',
  'place',
  'handback',
  'requeue',
  'pass',
  'done',
  'fail',
  'close',
  'attach',
  'detach',
  'announce',
  'members',
  'leave',
  'held',
  'wake',
  'hold',
  'unhold',
  'generation',
  'mend',
  'host',
  'watch',
  'capture',
  'subscribe',
  'share',
  'strike',
  'link',
] as const;
export type ScriptName = (typeof scriptNames)[number];

const written = (name: string): string =>
  readFileSync(new URL(`./scripts/${name}.lua`, import.meta.url), 'utf8');

/** One that does what another does as well has that in the place of a line `--@<its name>`; so has it what several share (tell.lua, open.lua, tags.lua). */
const load = (name: ScriptName): { lua: string; sha: string } => {
  const lua = written(name).replace(/^--@(\w+)$/gm, (_, other: string) => written(other));
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
};
const scripts = Object.fromEntries(scriptNames.map((name) => [name, load(name)])) as Record<
  ScriptName,
  ReturnType<typeof load>
>;

export const textOf = (name: ScriptName): string => scripts[name].lua;

export interface ScriptCall {
  keys: readonly string[];
  args: readonly (string | number)[];
}

/** Longer than a fail-over takes, or a disk to be emptied; a claim that was lost meanwhile says so in its answer. */
const PATIENCE_MS = 60_000;
const AGAIN_MS = { first: 25, most: 250 };

/**
 * What a worker says for its claims must not be lost because Redis fails over or is full for a moment: an error reply
 * that may pass is no broken connection and no end, so the same is said again (each script bears being run twice).
 * Others fail at once: their callers wait.
 */
function saysLater(redis: Redis, thrown: unknown): boolean {
  const trouble = redisTroubleOf(thrown);
  return isPatient(redis) && mayPass(trouble) && trouble !== 'away' && trouble !== 'refused';
}

/**
 * Runs a script by its hash, again for a minute where Redis says that it cannot now, and again where something else stood in
 * the place of one of its keys: one that is broken off there, too, does what is left (decision 0005). Each token goes this way.
 */
export async function runScript(redis: Redis, name: ScriptName, call: ScriptCall): Promise<unknown> {
  if (!mayBeLarge.has(name)) return await runOver(redis, name, call);
  let bytes = 0;
  for (const arg of call.args) if (typeof arg === 'string') bytes += arg.length;
  return await sending(redis, bytes, (over) => runOver(over, name, call));
}

async function runOver(redis: Redis, name: ScriptName, call: ScriptCall): Promise<unknown> {
  try {
    return await runHash(redis, name, call);
  } catch (thrown) {
    if (await mendAfter(redis, call.keys, thrown))
      return await mending(redis, call.keys, () => runPatiently(redis, name, call));
    if (!isUntaught(thrown)) {
      if (!saysLater(redis, thrown)) throw thrown;
      await pause(AGAIN_MS.first);
    }
    return await mending(redis, call.keys, () => runPatiently(redis, name, call));
  }
}

async function runPatiently(redis: Redis, name: ScriptName, call: ScriptCall): Promise<unknown> {
  const until = performance.now() + PATIENCE_MS;
  for (let waitMs = AGAIN_MS.first; ; waitMs = Math.min(waitMs * 2, AGAIN_MS.most)) {
    try {
      return await runTaught(redis, name, call);
    } catch (thrown) {
      if (!saysLater(redis, thrown) || performance.now() > until) throw thrown;
      await pause(waitMs);
    }
  }
}

/**
 * A Redis that does not know it yet (new, or restarted) gets the text. Who may bring no script, as a session's own user,
 * waits until an edge has taught it.
 */
async function runTaught(redis: Redis, name: ScriptName, call: ScriptCall): Promise<unknown> {
  try {
    return await runHash(redis, name, call);
  } catch (thrown) {
    if (!isUntaught(thrown)) throw thrown;
    if (!mayTeach(redis)) return await onceTaught(() => runHash(redis, name, call));
    return await redis.eval(scripts[name].lua, call.keys.length, ...call.keys, ...call.args);
  }
}

/** Of these a session's own user may look at the keys, and no more. */
const onlyLooks: ReadonlySet<ScriptName> = new Set(['generation']);

/** These say what is asked, or an answer, whole or in events; what is large of it goes over a connection of its own. */
const mayBeLarge: ReadonlySet<ScriptName> = new Set(['enqueue', 'emit', 'end']);

function runHash(redis: Redis, name: ScriptName, { keys, args }: ScriptCall): Promise<unknown> {
  const { sha } = scripts[name];
  if (onlyLooks.has(name) && !mayTeach(redis))
    return redis.call('evalsha_ro', sha, keys.length, ...keys, ...args);
  return redis.evalsha(sha, keys.length, ...keys, ...args);
}

/** Runs a script by its hash. @returns undefined, and nothing was done, when this Redis does not know it. */
export async function runKnownScript(redis: Redis, name: ScriptName, call: ScriptCall): Promise<unknown> {
  try {
    return await runHash(redis, name, call);
  } catch (thrown) {
    if (!isUntaught(thrown)) throw thrown;
    return undefined;
  }
}

/** For a connection that is new, or to a Redis that may be: what it knows then is run by its hash. */
export async function teachScript(redis: Redis, name: ScriptName): Promise<void> {
  await redis.script('LOAD', scripts[name].lua);
}

/** Many calls of a script in one round trip. @returns their answers. Rejects when one of them fails. */
export async function queryScripts(
  redis: Redis,
  name: ScriptName,
  calls: readonly ScriptCall[],
): Promise<unknown[]> {
  if (calls.length === 0) return [];
  const { sha } = scripts[name];
  const pipeline = redis.pipeline();
  for (const { keys, args } of calls) pipeline.evalsha(sha, keys.length, ...keys, ...args);
  const answers = (await pipeline.exec()) ?? [];
  const results: unknown[] = [];
  for (const [i, call] of calls.entries()) {
    const [failed, answer] = answers[i] ?? [null, null];
    if (failed && !isUntaught(failed) && !(await mendAfter(redis, call.keys, failed))) throw failed;
    results.push(failed ? await runScript(redis, name, call) : answer);
  }
  return results;
}

/** The same, where one that fails is an answer like the others': the error. */
export function tryScripts(redis: Redis, name: ScriptName, calls: readonly ScriptCall[]): Promise<unknown[]> {
  return trySeveral(
    redis,
    calls.map((call) => ({ name, ...call })),
  );
}

/** The same of several scripts, in this order. */
export async function trySeveral(
  redis: Redis,
  calls: readonly (ScriptCall & { name: ScriptName })[],
): Promise<unknown[]> {
  if (calls.length === 0) return [];
  const pipeline = redis.pipeline();
  for (const { name, keys, args } of calls)
    pipeline.evalsha(scripts[name].sha, keys.length, ...keys, ...args);
  const answers = (await pipeline.exec()) ?? [];
  const untaught = new Set(calls.flatMap(({ name }, at) => (isUntaught(answers[at]?.[0]) ? [name] : [])));
  if (untaught.size > 0) {
    for (const name of untaught) await teachScript(redis, name);
    // Each of them does nothing when it is sent twice.
    return await trySeveral(redis, calls);
  }
  const results: unknown[] = [];
  for (const [at, { name, ...call }] of calls.entries()) {
    const [failed, answer] = answers[at] ?? [new Error('Redis did not answer a command.'), null];
    const isMended = failed !== null && (await mendAfter(redis, call.keys, failed));
    results.push(isMended ? await runScript(redis, name, call).catch(asError) : (failed ?? answer));
  }
  return results;
}

const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)));

/** The same, for those who need no answer. */
export async function runScripts(
  redis: Redis,
  name: ScriptName,
  calls: readonly ScriptCall[],
): Promise<void> {
  await queryScripts(redis, name, calls);
}
