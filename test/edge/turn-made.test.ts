import { expect } from 'chai';
import type { MessageView, TurnDetail, TurnView } from '../../core/agent/thread.ts';
import type { Outcome } from '../../core/task/outcome.ts';
import { edgeFixture, publicLlm, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';
import { speakFor } from '../support/speaker.ts';
import { nextText, sseData } from '../support/sse.ts';
import { until } from '../support/system.ts';

const later = { prefer: 'respond-async' };
const tool = (name: string) => ({ type: 'function', function: { name, parameters: { type: 'object' } } });

interface Sent {
  messages: { role: string; content: string }[];
  tools?: { function: { name: string } }[];
  tool_choice?: unknown;
}

/** What a backend says of a text that is too long for it, in its own words. */
const tooLong: Outcome = {
  kind: 'failed',
  code: 'backend_rejected',
  message: 'too long',
  status: 400,
  body: JSON.stringify({
    error: {
      message: "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens.",
      type: 'invalid_request_error',
      code: 'context_length_exceeded',
    },
  }),
};

describe('of what a turn is made', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  let root: string;
  const make = async (path: string, body: object): Promise<{ id: string }> => {
    const answer = await t.call(`POST /api/v1/${path}`, { token: root, body });
    expect(answer.status, answer.text).to.equal(201);
    return answer.json as { id: string };
  };
  before(async () => {
    t = await edgeFixture({ MCPCTL_KEEPALIVE_MS: '50' });
    root = t.tokens.root;
    await publicLlm(t, 'gpt');
    await make('agents', {
      name: 'reviewer',
      llm: 'gpt',
      systemPrompt: 'You review.',
      defaultParams: { seed: 1 },
    });
    await make('prompts', { name: 'style', agent: 'reviewer', priority: 700, content: 'Short.' });
    await make('personalities', { name: 'grumpy', agent: 'reviewer', prompts: [{ prompt: 'style' }] });
  });
  after(() => t.close());

  const send = async (
    body: object,
    { path = '/agents/reviewer/chat', ...more }: Call & { path?: string } = {},
  ) => {
    const answer = await t.call(`POST /api/v1${path}`, { headers: later, ...more, body });
    expect(answer.status, answer.text).to.equal(202);
    return answer.json as TurnView;
  };
  const detail = async ({ threadId, turn }: TurnView, token?: string): Promise<TurnDetail> => {
    const answer = await t.call(`GET /api/v1/threads/${threadId}/turns/${turn}`, token ? { token } : {});
    expect(answer.status, answer.text).to.equal(200);
    return answer.json as TurnDetail;
  };
  const sentFor = async (taskId: string | null): Promise<Sent> =>
    JSON.parse((await t.registry.tasks.bodies(taskId ?? '')).requestBody ?? '{}') as Sent;
  const ends = async (taskId: string | null, outcome: Outcome): Promise<void> => {
    const row = (await t.registry.tasks.byId(taskId ?? '')) ?? expect.fail('no task');
    await (await speakFor(t, row)).end(outcome);
    await t.call(`GET /api/v1/tasks/${row.id}?wait=10`, { token: root });
  };
  const whole = (content: string, usage?: object): Outcome => ({
    kind: 'completed',
    status: 200,
    body: JSON.stringify({ choices: [{ message: { content }, finish_reason: 'stop' }] }),
    ...(usage && { usage: usage as { promptTokens: number; completionTokens: number; totalTokens: number } }),
  });
  const answered = async (turn: TurnView, content = 'Yes.'): Promise<void> =>
    ends(turn.taskId, whole(content));
  const ended = (turn: TurnView): Promise<TurnDetail> =>
    until(
      () => detail(turn),
      ({ endedAt }) => endedAt !== null,
    );

  it('is told long after, with the revisions of that time; no names for who may not see the persona', async () => {
    const first = await send({ message: 'one', personality: 'grumpy' }, { token: root });
    await answered(first);
    const before = (await detail(first, root)).answers[0]?.made ?? expect.fail('nothing is told');
    expect(before).to.include({ llm: 'gpt', pool: 'gpt', leftOut: 0, turns: 0, isShorter: false });
    expect(before.personality).to.include({ name: 'grumpy', revision: 1 });
    expect(
      before.pieces.map(({ source, name, revision, priority }) => [source, name, revision, priority]),
    ).to.deep.equal([
      ['agent', 'reviewer', 1, null],
      ['personality prompt', 'style', 1, 700],
    ]);
    expect(before.params).to.deep.equal(['seed']);
    const { requestBody } = await t.registry.tasks.bodies(first.taskId ?? '');
    expect(before.bytes).to.equal(Buffer.byteLength(requestBody ?? ''));
    expect(before.sha256).to.match(/^[\da-f]{64}$/);

    const prompts = (await t.call('GET /api/v1/prompts?agent=reviewer', { token: root })).json as {
      items: { id: string }[];
    };
    const changed = await t.call(`PATCH /api/v1/prompts/${prompts.items[0]?.id ?? ''}`, {
      token: root,
      body: { content: 'Shorter.' },
    });
    expect(changed.status, changed.text).to.equal(200);
    const path = `/threads/${first.threadId}/turns`;
    const second = await send({ message: 'two', personality: 'grumpy' }, { token: root, path });
    await answered(second);
    expect((await detail(second, root)).answers[0]?.made?.pieces[1]).to.include({
      name: 'style',
      revision: 2,
    });
    expect((await detail(first, root)).answers[0]?.made).to.deep.equal(before);
    expect((await detail(second, root)).answers[0]?.made).to.include({ turns: 1 });

    const others = await send({ message: 'three', personality: 'grumpy' });
    await answered(others);
    const hidden = (await detail(others)).answers[0]?.made ?? expect.fail('nothing is told');
    expect(hidden.pieces).to.have.length(2);
    expect(hidden.pieces.every((piece) => !('name' in piece))).to.equal(true);
    expect(hidden).to.not.have.any.keys('params', 'sha256');
  });

  it('takes a text in place of the system prompt; the agent’s prompts stay', async () => {
    const asked = { message: 'one', system: 'You sing.', systemAppend: 'Loudly.' };
    const turn = await send(asked, { token: root });
    expect((await sentFor(turn.taskId)).messages[0]?.content).to.equal('You sing.\n\nShorter.\n\nLoudly.');
    const composed = await t.call('POST /api/v1/agents/reviewer/compose', { token: root, body: asked });
    expect(
      (composed.json as { pieces: { source: string }[] }).pieces.map(({ source }) => source),
    ).to.deep.equal(['call', 'agent prompt', 'call']);
    // A turn in line has it too, and so has one that is tried again.
    const path = `/threads/${turn.threadId}/turns`;
    const queued = await send({ message: 'two', system: '' }, { token: root, path });
    expect(queued.status).to.equal('queued');
    await answered(turn);
    const started = await until(
      () => detail(queued, root),
      ({ taskId }) => taskId !== null,
    );
    expect((await sentFor(started.taskId)).messages[0]?.content).to.equal('Shorter.');
    await ends(started.taskId, { kind: 'cancelled', code: 'task_cancelled', message: 'x' });
    const again = await send({}, { token: root, path: `${path}/${queued.turn}/retry` });
    expect((await sentFor(again.taskId)).messages[0]?.content).to.equal('Shorter.');
    await answered(again);
    expect(await detail(again, root)).to.include({ triesAgain: queued.turn });
    expect(await detail(queued, root)).to.include({ triedAgainBy: again.turn });
    const others = (await t.call(`POST /api/v1/agents/reviewer/compose`, { body: asked })).text;
    expect(others).to.not.include('You sing');
  });

  it('lets through the tools that its agent allows, and no others, also by older names', async () => {
    await make('agents', {
      name: 'careful',
      llm: 'gpt',
      extras: { tools: { allow: ['read'] }, note: 'mine' },
    });
    const of = (body: object): Promise<Answer> =>
      t.call('POST /api/v1/agents/careful/chat', { headers: later, body: { message: 'x', ...body } });
    const turn = (
      await of({ tools: [tool('write'), tool('read')], params: { functions: [{ name: 'write' }] } })
    ).json as TurnView;
    const sent = await sentFor(turn.taskId);
    expect(sent.tools?.map(({ function: { name } }) => name)).to.deep.equal(['read']);
    expect(sent).to.not.have.any.keys('functions');
    await answered(turn);
    expect((await detail(turn, t.tokens.ada)).answers[0]?.made?.toolsLeft).to.deep.equal(['write', 'write']);
    const none = (await of({ tools: [tool('write')], params: { tool_choice: 'required' } })).json as TurnView;
    expect(await sentFor(none.taskId)).to.not.have.any.keys('tools', 'tool_choice');
    // No tools are left to wait for.
    await answered(none);
    expect((await detail(none)).status).to.equal('completed');
    const choice = { type: 'function', function: { name: 'write' } };
    const refused = await of({ tools: [tool('write'), tool('read')], params: { tool_choice: choice } });
    expect([refused.status, refused.text]).to.satisfy(
      ([status, text]: [number, string]) => status === 400 && text.includes("the tool 'write' through"),
    );
    const shown = (await t.call('GET /api/v1/agents/careful', { token: root })).json as { extras: unknown };
    expect(shown.extras).to.deep.equal({ tools: { allow: ['read'] }, note: 'mine' });
    const seen = (await t.call('GET /api/v1/agents/careful')).json as object;
    expect(seen).to.not.have.any.keys('extras', 'systemPrompt');
    for (const extras of [{ tools: { allow: 'read' } }, { reasoning: 'ever' }, { callerSystem: 'x' }]) {
      const answer = await t.call('PATCH /api/v1/agents/careful', { token: root, body: { extras } });
      expect(answer.status, JSON.stringify(extras)).to.equal(400);
    }
    await make('agents', { name: 'strict', llm: 'gpt', extras: { callerSystem: 'refuse' } });
    for (const more of [{ system: 'x' }, { systemAppend: 'x' }]) {
      const answer = await t.call('POST /api/v1/agents/strict/chat', {
        headers: later,
        body: { message: 'x', ...more },
      });
      expect([answer.status, answer.text]).to.satisfy(
        ([status, text]: [number, string]) => status === 400 && text.includes('takes no system texts'),
      );
    }
  });

  it('is refused with both numbers where nothing may be left out, and nothing of it is kept', async () => {
    const llm = { name: 'small', type: 'openai', model: 'm', url: 'http://backend.test/v1' };
    await make('llms', { ...llm, capabilities: { contextLength: 1_000 } });
    await make('agents', { name: 'short', llm: 'small' });
    let threadId: string | undefined;
    for (let n = 0; n < 3; n++) {
      const turn = await send({ message: 'x'.repeat(250), threadId }, { path: '/agents/short/chat' });
      ({ threadId } = turn);
      await answered(turn, 'y'.repeat(250));
    }
    const path = `/threads/${threadId ?? ''}/turns`;
    const body = { message: 'z'.repeat(250), truncation: 'disabled' };
    const refused = await t.call(`POST /api/v1${path}`, { headers: later, body });
    expect([refused.status, refused.json]).to.satisfy(
      ([status, { code }]: [number, { code: string }]) =>
        status === 400 && code === 'context_length_exceeded',
    );
    expect(refused.text).to.match(/about \d{3,4} tokens, and 1000 is the most/);
    const shorter = await send({ message: 'z'.repeat(250), truncation: 'auto' }, { path });
    expect(shorter).to.include({ turn: 4 });
    await answered(shorter);
    expect((await detail(shorter)).answers[0]?.made).to.include({ leftOut: 2, contextLength: 1_000 });
    const alone = await send({ message: 'z', truncation: 'disabled' }, { path: '/agents/short/chat' });
    await answered(alone);
  });

  it('is less where its backend has found it too long: asked once more, streamed and whole, and never a third time', async () => {
    const first = await send({ message: `one ${'x'.repeat(2_000)}` });
    await answered(first);
    const path = `/threads/${first.threadId}/turns`;
    const second = await send({ message: 'two' }, { path });
    await answered(second);
    const asked = fetch(`${t.url}/api/v1${path}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${t.tokens.ada}`,
        'content-type': 'application/json',
        prefer: 'wait=20',
      },
      body: JSON.stringify({ message: 'three', stream: true }),
    });
    const third = { ...second, turn: 3 };
    const before = await until(
      async () => (await t.call(`GET /api/v1${path}/3`)).json as TurnDetail,
      ({ taskId }) => typeof taskId === 'string',
    );
    await ends(before.taskId, tooLong);
    const again = await until(
      () => detail(third),
      ({ taskId }) => taskId !== null && taskId !== before.taskId,
    );
    const { messages } = await sentFor(again.taskId);
    expect(messages.map(({ content }) => content.slice(0, 5))).to.deep.equal([
      'You r',
      'two',
      'Yes.',
      'three',
    ]);
    const speaker = await speakFor(
      t,
      (await t.registry.tasks.byId(again.taskId ?? '')) ?? expect.fail('no task'),
    );
    await speaker.say({ content: 'Now.' });
    const events = sseData(await asked);
    expect(await nextText(events)).to.equal('Now.');
    await speaker.end();
    expect(await nextText(events)).to.equal(undefined);
    const { answers, status } = await ended(third);
    expect(status).to.equal('completed');
    expect(
      answers.map((answer) => [answer.status, answer.made?.isShorter, answer.made?.leftOut]),
    ).to.deep.equal([
      ['error', false, 0],
      ['complete', true, 1],
    ]);

    // Once in a turn: then it is the caller's to shorten, and the thread stays as good as it was.
    const whole = t.call(`POST /api/v1${path}`, {
      headers: { prefer: 'wait=20' },
      body: { message: 'four' },
    });
    const fourth = { ...second, turn: 4 };
    let last: string | null = null;
    for (const _ of [1, 2]) {
      const now = await until(
        async () => (await t.call(`GET /api/v1${path}/4`)).json as TurnDetail,
        ({ taskId }) => typeof taskId === 'string' && taskId !== last,
      );
      last = now.taskId;
      await ends(last, tooLong);
    }
    const refused = await whole;
    expect([refused.status, refused.text]).to.satisfy(
      ([status, text]: [number, string]) => status === 400 && text.includes('maximum context length'),
    );
    expect(await ended(fourth)).to.include({ status: 'error', inContext: false });
    const fifth = await send({ message: 'five' }, { path });
    expect(JSON.stringify(await sentFor(fifth.taskId))).to.not.include('four');
    await answered(fifth);
    const { items } = (await t.call(`GET /api/v1/threads/${first.threadId}/messages`)).json as {
      items: MessageView[];
    };
    expect(items.map(({ turnIndex }) => turnIndex)).to.deep.equal([...items.keys()]);
  });

  it('is not made anew of what nothing can be left out of: one message that is too long is refused, ten times, and weighs nothing', async () => {
    const big = { message: 'x'.repeat(50_000) };
    const first = await send(big);
    const path = `/threads/${first.threadId}/turns`;
    await ends(first.taskId, tooLong);
    expect(await ended(first)).to.include({ status: 'error' });
    for (let n = 2; n <= 10; n++) {
      const turn = await send(big, { path });
      await ends(turn.taskId, tooLong);
      const { answers, error } = await ended(turn);
      expect([answers.length, error?.code]).to.deep.equal([1, 'backend_rejected']);
    }
    const small = await send({ message: 'small' }, { path });
    expect((await sentFor(small.taskId)).messages.map(({ content }) => content)).to.deep.equal([
      'You review.\n\nShorter.',
      'small',
    ]);
    await answered(small);
  });

  it('does not measure by a backend that has cut silently; tried again, it is of no more than that has read', async () => {
    const first = await send({ message: `one ${'x'.repeat(4_000)}` });
    const usage = (promptTokens: number) => ({
      promptTokens,
      completionTokens: 1,
      totalTokens: promptTokens + 1,
    });
    await ends(first.taskId, whole('Yes.', usage(1_000)));
    const path = `/threads/${first.threadId}/turns`;
    const second = await send({ message: 'two' }, { path });
    await ends(second.taskId, whole('Hm.', usage(300)));
    const cut = await ended(second);
    expect(cut.answers[0]).to.include({ backendTruncated: true });
    const { items } = (await t.call(`GET /api/v1/threads/${first.threadId}/messages`)).json as {
      items: MessageView[];
    };
    expect(items.map(({ backendTruncated = false }) => backendTruncated)).to.deep.equal([
      false,
      false,
      false,
      true,
    ]);
    const third = await send({ message: 'three' }, { path });
    // By the first, and not by what was cut: as many as before, and some.
    expect(await expectedOf(third)).to.be.greaterThan(1_000);
    await ends(third.taskId, whole('Hm.', usage(300)));
    expect((await ended(third)).answers[0]).to.include({ backendTruncated: true });
    const again = await send({}, { path: `${path}/3/retry` });
    expect((await sentFor(again.taskId)).messages.map(({ content }) => content.slice(0, 3))).to.not.include(
      'one',
    );
    await ends(again.taskId, whole('Yes.', usage(0)));
    expect((await ended(again)).answers[0]).to.not.have.any.keys('backendTruncated');
    expect(await expectedOf(again)).to.be.lessThan(300);
  });
  const expectedOf = async (turn: TurnView): Promise<number> =>
    (await detail(turn)).answers[0]?.made?.expected ?? expect.fail('nothing was measured');
});
