import { Redis } from 'ioredis';
import { McpctlError } from '../../core/errors.ts';
import { pause } from '../../core/runtime/clock.ts';
import { scripted } from '../backend/script.ts';
import { submitOf, tokenOf } from '../product/api.ts';
import { revokeTokensOf } from '../product/rows.ts';
import { nowMs } from '../report/clock.ts';
import { summary } from '../report/stats.ts';
import type { Bench, Result, Row, Scenario } from './scenario.ts';

const WITHIN_MS = 30_000;
const POLL_MS = 25;
const things = ['a streamed answer', "a task's stream", 'a wait', 'a new call'] as const;
type Ends = Record<(typeof things)[number], number>;

interface Trial {
  user: string;
  taskId: string;
  ended: Promise<Ends>;
}

/** All that a token has open, and one who asks anew all the time; each tells when it is over. */
async function open({ system, product }: Bench, user: string): Promise<Trial> {
  const token = await tokenOf(system, user);
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const signal = AbortSignal.timeout(WITHIN_MS * 2);
  const call = (path: string, body?: string): Promise<Response> =>
    fetch(path.startsWith('http') ? path : `${system.url}/api/v1${path}`, {
      headers,
      signal,
      ...(body !== undefined && { method: 'POST', body }),
    });
  const ends = (answer: Promise<Response>): Promise<number> =>
    answer.then((response) => response.text()).then(nowMs, nowMs);
  const made = await call('/tasks', submitOf('bench', scripted({ tokens: 1, holds: true })));
  const { id } = (await made.json()) as { id: string };
  const answer = await call(product.url, scripted({ tokens: 1, holds: true }));
  const stream = await call(`/tasks/${id}/stream`);
  if (!answer.ok || !stream.ok) throw new McpctlError('bad_answer', 'What is to be revoked was not opened.');
  const wait = ends(call(`/tasks/${id}?wait=60`));
  const anew = async (): Promise<number> => {
    while ((await call('/whoami')).status === 200) await pause(POLL_MS);
    return nowMs();
  };
  const ended = Promise.all([ends(Promise.resolve(answer)), ends(Promise.resolve(stream)), wait, anew()]);
  return {
    user,
    taskId: id,
    ended: ended.then((at) => Object.fromEntries(things.map((thing, i) => [thing, at[i]])) as Ends),
  };
}

/** Revoked by a row that somebody else wrote, as another edge does: nobody tells this one. */
async function trials(bench: Bench, how: string, frozen: boolean): Promise<Row[]> {
  const count = bench.quick ? 2 : 50;
  const opened: Trial[] = [];
  for (let n = 0; n < count; n++) opened.push(await open(bench, `${how}-${n}`));
  const thaw = frozen ? await freeze(bench.system.redisUrl) : (): void => undefined;
  try {
    const late = await Promise.all(
      opened.map(async ({ user, ended }, n) => {
        await pause(n * 40);
        const from = await revokeTokensOf(bench.system, user);
        const at = await ended;
        return things.map((thing) => at[thing] - from);
      }),
    );
    bench.progress(`revocation, ${how}: ${String(count)} trials`);
    return things.map((thing, i) => ({
      what: `${thing}, ${how}`,
      summary: summary([late.map((each) => each[i] ?? Number.NaN)]),
    }));
  } finally {
    thaw();
    // They outlive the token: that is their policy.
    for (const { taskId } of opened) await cancelled(bench, taskId);
  }
}

async function cancelled({ system: { url, token } }: Bench, id: string): Promise<void> {
  const authorization = `Bearer ${token}`;
  const signal = AbortSignal.timeout(WITHIN_MS);
  await fetch(`${url}/api/v1/tasks/${id}`, { method: 'DELETE', headers: { authorization }, signal }).catch(
    () => undefined,
  );
}

/** SIGSTOP: it takes connections and answers nothing. */
async function freeze(url: string): Promise<() => void> {
  const redis = new Redis(url);
  const pid = Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1]);
  redis.disconnect();
  process.kill(pid, 'SIGSTOP');
  return () => void process.kill(pid, 'SIGCONT');
}

async function run(bench: Bench): Promise<Result> {
  const rows = [
    ...(await trials(bench, 'redis-there', false)),
    ...(await trials(bench, 'redis-stopped', true)),
  ];
  return { rows, derived: {}, calls: 0 };
}

export const revocation: Scenario = {
  name: 'revocation',
  about:
    'From a token revoked in Postgres, as another edge does it, to the end of what it has open and to the first 401, 50 ' +
    'trials each, 40 ms apart; then again with Redis stopped (SIGSTOP). Five seconds are the promise. Not in it: a worker’s streams.',
  run,
};
