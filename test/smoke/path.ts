import { isDeepStrictEqual } from 'node:util';
import { probeRedis } from '../../start/stores/redis-probe.ts';
import { chats, type Backend } from '../support/backend.ts';
import { nextText, sseData } from '../support/sse.ts';
import { saying, type Answer, type Edge } from './edge.ts';
import { mustBe, SmokeFailure } from './failure.ts';
import type { Publisher } from './publisher.ts';
import type { Step } from './steps.ts';
import type { Target } from './target.ts';

const words = ['Once', ' upon', ' a', ' time.'];

/** The parts that the path goes through. */
export interface Parts {
  target: Target;
  edge: Edge;
  backend: Backend;
  publisher: Publisher;
  name: string;
  /** Of the agent that is published with it. */
  agent: string;
  step: Step;
}

/** The main job from end to end: register, call, leave. @throws SmokeFailure at the first thing that is wrong. */
export async function walk(parts: Parts): Promise<void> {
  const { edge, name, publisher, step, target } = parts;
  await step(`the edge at ${target.url} is ready`, async () => {
    const answer = await edge.call('GET', '/readyz');
    mustBe(answer.status === 200, `/readyz answers ${saying(answer)}`);
  });
  await step('the token is good', async () => {
    const answer = await edge.call('GET', '/api/v1/whoami');
    mustBe(answer.status === 200, saying(answer));
  });
  await step(`Redis answers at ${new URL(target.redisUrl).host}`, async () => {
    const answer = await probeRedis(target.redisUrl, target);
    mustBe(answer.kind !== 'refused', answer.kind === 'refused' ? `${answer.reason}.` : '');
  });
  await step(`a worker registers ${name}`, () => publisher.register());
  await step('its row is virtual and active, in a pool of its own', () => checkRow(parts, 'active'));
  await step(`the agent ${parts.agent} is virtual and active, over it`, () => checkAgent(parts, 'active'));
  await step('the worker takes tasks at the Redis of the edge', () => publisher.serve());
  await step('a whole answer has the content and finish_reason of the backend', () => inferWhole(parts));
  await step('a streamed answer comes token by token, and ends as the backend ended it', () =>
    inferStream(parts),
  );
  await step('the agent answers, and the backend is told what it is', () => inferAgent(parts));
  await step('the worker stops and says goodbye', () => publisher.stop());
  await step('its row is inactive at once', () => checkRow(parts, 'inactive'));
  await step('so is its agent', () => checkAgent(parts, 'inactive'));
  await step('a call is answered 503 at once', () => inferNobody(parts));
}

const at = (value: unknown, ...path: (string | number)[]): unknown =>
  path.reduce<unknown>(
    (inner, key) =>
      typeof inner === 'object' && inner !== null
        ? (inner as Record<string | number, unknown>)[key]
        : undefined,
    value,
  );
const request = { model: 'smoke', messages: [{ role: 'user', content: 'Tell me a story' }] };
const show = (value: unknown): string => JSON.stringify(value) ?? 'nothing';

async function checkRow({ edge, name }: Parts, status: 'active' | 'inactive'): Promise<void> {
  const answer = await edge.call('GET', `/api/v1/llms/${name}`);
  mustBe(answer.status === 200, saying(answer));
  const activeCount = status === 'active' ? 1 : 0;
  const expected = {
    kind: 'virtual',
    status,
    inactiveReason: status === 'active' ? null : 'publisher_gone',
    pool: { key: name, size: 1, activeCount },
  };
  mustHave(answer.json, expected);
}

function mustHave(json: unknown, expected: Record<string, unknown>): void {
  const values = Object.fromEntries(Object.keys(expected).map((key) => [key, at(json, key)]));
  mustBe(isDeepStrictEqual(values, expected), `it is ${show(values)}, not ${show(expected)}.`);
}

async function checkAgent({ edge, name, agent }: Parts, status: 'active' | 'inactive'): Promise<void> {
  const answer = await edge.call('GET', `/api/v1/agents/${agent}`);
  mustBe(answer.status === 200, saying(answer));
  const inactiveReason = status === 'active' ? null : 'publisher_gone';
  const expected = { kind: 'virtual', status, inactiveReason, llm: name, pool: name };
  mustHave(answer.json, expected);
}

async function inferAgent({ edge, backend, agent }: Parts): Promise<void> {
  backend.once(chats(words));
  const answer = await edge.call('POST', '/v1/chat/completions', { ...request, model: agent });
  mustBe(answer.status === 200, saying(answer));
  const asked = backend.requests.at(-1)?.json?.['messages'];
  const system = at(asked, 0, 'content');
  mustBe(system === 'You tell stories.', `the backend was told ${show(system)}.`);
}

async function inferWhole({ edge, backend, name }: Parts): Promise<void> {
  backend.once(chats(words, { finishReason: 'length' }));
  const answer = await edge.call('POST', `/api/v1/llms/${name}/infer`, request);
  mustBe(answer.status === 200, saying(answer));
  const choice = at(answer.json, 'choices', 0);
  const content = at(choice, 'message', 'content');
  mustBe(content === words.join(''), `the content is ${show(content)}, not ${show(words.join(''))}.`);
  const reason = at(choice, 'finish_reason');
  mustBe(reason === 'length', `the finish_reason is ${show(reason)}, not "length".`);
  const asked = (await backend.next('request')).json?.['model'];
  mustBe(asked === 'smoke', `the backend was asked for the model ${show(asked)}.`);
}

/** Each token is let go only after the one before has arrived: nothing may hold them back. */
async function inferStream({ edge, backend, name }: Parts): Promise<void> {
  backend.once(chats(words, { paced: true, finishReason: 'length' }));
  backend.release();
  const answer = await edge.send('POST', `/api/v1/llms/${name}/infer`, { ...request, stream: true });
  if (answer.status !== 200) {
    const refusal: Answer = { status: answer.status, json: await answer.json().catch(() => undefined) };
    throw new SmokeFailure(saying(refusal));
  }
  const reasons: unknown[] = [];
  const events = watched(sseData(answer), (data) => {
    const reason = at(data, 'choices', 0, 'finish_reason');
    if (typeof reason === 'string') reasons.push(reason);
  });
  for (const [n, word] of words.entries()) {
    if (n > 0) backend.release();
    const text = await nextText(events);
    mustBe(text === word, `token ${String(n + 1)} is ${show(text)}, not ${show(word)}.`);
  }
  const more = await nextText(events);
  mustBe(more === undefined, `after the last token came ${show(more)}.`);
  mustBe(isDeepStrictEqual(reasons, ['length', '[DONE]']), `the stream ended with ${show(reasons)}.`);

  async function* watched(
    source: AsyncGenerator<string, void, undefined>,
    see: (data: unknown) => void,
  ): AsyncGenerator<string, void, undefined> {
    for await (const data of source) {
      if (data === '[DONE]') reasons.push(data);
      else see(JSON.parse(data));
      yield data;
    }
  }
}

async function inferNobody({ edge, name }: Parts): Promise<void> {
  const answer = await edge.call('POST', `/api/v1/llms/${name}/infer`, request);
  const code = at(answer.json, 'code');
  mustBe(
    answer.status === 503 && code === 'no_active_llm',
    `it was answered ${String(answer.status)} ${show(code)} instead.`,
  );
}
