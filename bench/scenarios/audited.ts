import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { McpctlError } from '../../core/errors.ts';
import { nowMs } from '../report/clock.ts';
import { quantile, spread, summary } from '../report/stats.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

const WITHIN_MS = 60_000;
const STATEMENT_MS = 30_000;
/** Two of each kind, in turn, are one round. */
const ROUNDS = 8;
/** A registration takes so many. */
const OF_ONE = 100;

/** Workers register so many llms at once, each a pool of its own, and leave; their rows are taken away. */
async function registered(bench: Bench, client: pg.Client, llms: number): Promise<number> {
  const from = nowMs();
  const workers = Array.from({ length: Math.ceil(llms / OF_ONE) }, () =>
    register(bench, Math.min(llms, OF_ONE)),
  );
  const leave = await Promise.all(workers);
  const ms = nowMs() - from;
  for (const each of leave) await each();
  await client.query(`delete from llms where name like 'audited-%'`);
  return ms;
}

/** @returns how it leaves. */
async function register({ system }: Bench, llms: number): Promise<() => Promise<void>> {
  const call = async (what: string, body: object): Promise<void> => {
    const answer = await fetch(`${system.url}/api/v1/llms/_provider-${what}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${system.token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(WITHIN_MS),
    });
    const text = await answer.text();
    if (!answer.ok)
      throw new McpctlError('bad_answer', `${what}: status ${answer.status}, ${text.slice(0, 200)}`);
  };
  const session = { providerSessionId: randomUUID(), instanceId: randomUUID() };
  const prefix = `audited-${session.instanceId.slice(0, 8)}-`;
  const providers = Array.from({ length: llms }, (_, n) => ({
    name: `${prefix}${n}`,
    type: 'openai',
    model: 'm',
  }));
  await call('register', { ...session, transports: ['sse'], providers });
  return () => call('goodbye', session);
}

async function run(bench: Bench): Promise<Result> {
  const [rounds, llms] = bench.quick ? [1, 5] : [ROUNDS, 500];
  const client = new pg.Client({
    connectionString: bench.system.databaseUrl,
    query_timeout: STATEMENT_MS,
  });
  await client.connect();
  const [audited, unaudited]: [number[][], number[][]] = [[], []];
  try {
    for (let round = 0; round < rounds; round++) {
      const [withOne, without]: [number[], number[]] = [[], []];
      for (let n = 0; n < 2; n++) {
        withOne.push(await registered(bench, client, llms));
        // Its events are sent as ever, and Postgres writes none.
        await client.query('create rule no_events as on insert to audit do instead nothing');
        try {
          without.push(await registered(bench, client, llms));
        } finally {
          await client.query('drop rule no_events on audit');
        }
      }
      audited.push(withOne);
      unaudited.push(without);
    }
  } finally {
    await client.end();
  }
  const ratios = audited.map((ms, n) => quantile(ms, 0.5) / quantile(unaudited[n] ?? [], 0.5));
  return {
    rows: [
      { what: `registering ${String(llms)} llms`, summary: summary(audited) },
      { what: 'where Postgres writes no event', summary: summary(unaudited) },
    ],
    comparisons: [{ what: 'with events against without, p50', ...spread(ratios) }],
    derived: {},
    calls: 0,
  };
}

export const auditedScenario: Scenario = {
  name: 'audited',
  about:
    'Five workers register 500 llms at once, with the event of it in the audit, and without one, in turn. What is not in it: ' +
    'putting the event together, which is done both times.',
  run,
};
