import { z } from 'zod';
import { assemble } from '../../core/agent/assemble.ts';
import { McpctlError } from '../../core/errors.ts';
import { scripted } from '../backend/script.ts';
import type { Endpoint } from '../load/client.ts';
import { nowMs } from '../report/clock.ts';
import { quantile, spread, summary } from '../report/stats.ts';
import type { Bench, Comparison, Result, Row, Scenario } from './scenario.ts';

const AGENT = 'bench-agent';
/** Its llm says how much it takes, and nobody serves it: its turns are accepted, and cancelled. */
const [NARROW, ROOM] = ['bench-narrow', 8_192];
const TOKENS = 5;
/** Each round is one thread, so that what was said before weighs the same in each. */
const [ROUNDS, TURNS] = [20, 20];
const MESSAGES = 5_000;
const EVENTS = 1_000;
const WITHIN_MS = 30_000;
const idSchema = z.looseObject({ id: z.string() });
const turnSchema = z.looseObject({ taskId: z.string(), turn: z.number() });

interface Answered {
  ms: number;
  text: string;
}

/** Asks the product, and times it to the last byte. @throws McpctlError `bad_answer` unless it is 2xx. */
async function ask(
  { system: { url, token } }: Bench,
  path: string,
  {
    body,
    headers = {},
    method = 'POST',
  }: { body?: object; headers?: Record<string, string>; method?: string } = {},
): Promise<Answered> {
  const from = nowMs();
  const answer = await fetch(`${url}/api/v1${path}`, {
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    signal: AbortSignal.timeout(WITHIN_MS),
    ...(body && { method, body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  const ms = nowMs() - from;
  if (!answer.ok)
    throw new McpctlError('bad_answer', `${path}: status ${answer.status}, ${text.slice(0, 200)}`);
  return { ms, text };
}

const threadOf = async (bench: Bench, body: object, agent = AGENT): Promise<string> =>
  idSchema.parse(JSON.parse((await ask(bench, `/agents/${agent}/threads`, { body })).text)).id;

/** The same words to the same agent, in turn as a call and as a turn of a thread. */
async function added(bench: Bench): Promise<{ rows: Row[]; comparisons: Comparison[]; calls: number }> {
  const { system, client, quick } = bench;
  const [rounds, turns] = quick ? [1, 2] : [ROUNDS, TURNS];
  const headers = { authorization: `Bearer ${system.token}` };
  const call: Endpoint = { url: `${system.url}/v1/chat/completions`, headers };
  const turn: Endpoint = { url: `${system.url}/api/v1/agents/${AGENT}/chat`, headers };
  const timed = async (to: Endpoint, body: string): Promise<number> => {
    const { firstToken, ended } = client.stream(to, body);
    const [ms] = await Promise.all([firstToken, ended]);
    return ms;
  };
  const message = JSON.stringify({ tokens: TOKENS });
  const [calls, inThread]: [number[][], number[][]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const threadId = await threadOf(bench, {});
    const [mine, theirs]: [number[], number[]] = [[], []];
    for (let n = 0; n < turns; n++) {
      mine.push(await timed(turn, JSON.stringify({ message, threadId, stream: true })));
      theirs.push(await timed(call, scripted({ tokens: TOKENS }, { model: AGENT })));
    }
    inThread.push(mine);
    calls.push(theirs);
  }
  const differences = (share: number): number[] =>
    inThread.map((mine, n) => quantile(mine, share) - quantile(calls[n] ?? [], share));
  return {
    rows: [
      { what: 'first token, a call of the agent', summary: summary(calls) },
      { what: 'first token, a turn', summary: summary(inThread) },
    ],
    comparisons: [0.5, 0.99].map((share) => ({
      ...{ what: `added by a turn, p${share * 100}`, unit: 'ms' },
      ...spread(differences(share)),
    })),
    calls: 2 * rounds * turns,
  };
}

/** Lists and turns of a thread in which much was said. */
async function long(bench: Bench): Promise<{ rows: Row[]; calls: number }> {
  const { quick } = bench;
  const [most, times] = quick ? [10, 1] : [MESSAGES, 40];
  const messages = Array.from({ length: most }, (_, n) => ({
    role: n % 2 === 0 ? 'user' : 'assistant',
    content: `what was said as number ${n}`,
  }));
  const id = await threadOf(bench, { messages });
  const each = async (what: string, act: () => Promise<number>): Promise<Row> => {
    const ms: number[] = [];
    for (let n = 0; n < times; n++) ms.push(await act());
    return { what: `${what}, ${most} messages`, summary: summary([ms]) };
  };
  const accepted = async (): Promise<number> => {
    const body = { message: JSON.stringify({ tokens: 1 }), threadId: id };
    const { ms, text } = await ask(bench, `/agents/${AGENT}/chat`, {
      body,
      headers: { prefer: 'respond-async' },
    });
    // The next one would wait in line.
    await ask(bench, `/tasks/${turnSchema.parse(JSON.parse(text)).taskId}?wait=20`);
    return ms;
  };
  const narrow = await threadOf(bench, { messages }, NARROW);
  const narrowly = async (): Promise<number> => {
    const body = { message: 'x', threadId: narrow };
    const { ms, text } = await ask(bench, `/agents/${NARROW}/chat`, {
      body,
      headers: { prefer: 'respond-async' },
    });
    const { turn: n } = turnSchema.parse(JSON.parse(text));
    await ask(bench, `/threads/${narrow}/turns/${n}`, { method: 'DELETE', body: {} });
    return ms;
  };
  const rows = [
    await each('listing threads', async () => (await ask(bench, `/threads?agent=${AGENT}`)).ms),
    await each('its first page', async () => (await ask(bench, `/threads/${id}/messages?limit=100`)).ms),
    await each('its last page', async () => (await ask(bench, `/threads/${id}/messages?last=100`)).ms),
    await each('accepting a turn of all of it', accepted),
    await each(`accepting one of what ${ROOM} tokens take`, narrowly),
  ];
  return { rows, calls: times };
}

/** What putting an answer together costs, which is done once a turn. */
function assembling(quick: boolean): Row {
  const event = (n: number): string =>
    JSON.stringify({ id: 'c', model: 'm', choices: [{ index: 0, delta: { content: `word${n} ` } }] });
  const events = Array.from({ length: EVENTS }, (_, n) => event(n));
  const rounds = Array.from({ length: quick ? 2 : 60 }, () => {
    const from = nowMs();
    assemble('t', events);
    return [nowMs() - from];
  });
  return { what: `assemble, per ${EVENTS} events`, summary: summary(rounds.slice(1)) };
}

async function run(bench: Bench): Promise<Result> {
  const agent = { name: AGENT, llm: 'bench', systemPrompt: 'You are measured.' };
  await ask(bench, '/agents', { body: agent });
  const llm = { name: `${NARROW}-llm`, type: 'openai', model: 'm', url: 'http://127.0.0.1:9/v1' };
  await ask(bench, '/llms', { body: { ...llm, capabilities: { contextLength: ROOM } } });
  await ask(bench, '/agents', { body: { name: NARROW, llm: `${NARROW}-llm` } });
  const beside = await added(bench);
  bench.progress('turn: a thread of many messages');
  const within = await long(bench);
  const rows = [...beside.rows, ...within.rows, assembling(bench.quick)];
  return { rows, comparisons: beside.comparisons, derived: {}, calls: beside.calls + within.calls };
}

export const turn: Scenario = {
  name: 'turn',
  about:
    'From the question to the first token, of a turn of a thread and of a call of the same agent without one, in turn, twenty ' +
    'turns a thread. Then a thread of 5,000 messages, imported: its lists, and a turn from the question to 202, composed of ' +
    'all of them, and for a llm that says how much it takes. Last what it costs this process to put an answer together from its events.',
  run,
};
