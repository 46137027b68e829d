import { expect } from 'chai';
import type { MessageView, TurnView } from '../../core/agent/thread.ts';
import type { Outcome } from '../../core/task/outcome.ts';
import type { TaskRow } from '../../core/task/task.ts';
import { edgeFixture, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';
import { speakFor, texts } from '../support/speaker.ts';
import { until } from '../support/system.ts';

const later = { prefer: 'respond-async' };
const incomplete: Outcome = { kind: 'failed', code: 'backend_incomplete', message: 'It broke off.' };

describe('an answer that was cut short', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    for (const [name, prefill] of [
      ['writes-on', true],
      ['plain', false],
    ] as const) {
      const llm = { name, type: 'openai', model: 'm', url: 'http://backend.test/v1' };
      await ask('POST /llms', {
        token: t.tokens.root,
        body: { ...llm, capabilities: prefill ? { prefill } : {} },
      });
    }
    await ask('POST /agents', {
      token: t.tokens.root,
      body: { name: 'writer', llm: 'writes-on', systemPrompt: 'S' },
    });
    await ask('POST /agents', { token: t.tokens.root, body: { name: 'talker', llm: 'plain' } });
  });
  after(() => t.close());

  async function ask(what: string, options: Call = {}): Promise<Answer> {
    const answer = await t.call(what.replace(' ', ' /api/v1'), options);
    expect(answer.status, `${what} ${answer.text}`).to.be.within(200, 204);
    return answer;
  }
  const rowOf = async ({ taskId }: Pick<TurnView, 'taskId'>): Promise<TaskRow> =>
    (await t.registry.tasks.byId(taskId ?? '')) ?? expect.fail('no task');
  const turnOf = async ({ threadId, turn }: TurnView): Promise<TurnView> =>
    (await ask(`GET /threads/${threadId}/turns/${turn}`)).json as TurnView;
  const begin = async (body: object, agent = 'writer'): Promise<TurnView> =>
    (await ask(`POST /agents/${agent}/chat`, { body: { ...body, stream: true }, headers: later }))
      .json as TurnView;
  /** Answers the round that runs, with somebody who reads it. */
  async function speak(turn: TurnView, text: string, outcome: Outcome): Promise<TurnView> {
    const row = await rowOf(turn);
    const speaker = await speakFor(t, row);
    await speaker.say(...texts(text));
    const reading = t.call(`GET /api/v1/tasks/${row.id}/stream`);
    await until(
      async () => (await t.deps.queue.fences.read([{ taskId: row.id, poolKey: row.poolName }]))[0]?.shown,
      (shown) => shown !== undefined && shown !== '',
    );
    await speaker.end(outcome);
    await reading;
    return await until(
      () => turnOf(turn),
      ({ endedAt }) => endedAt !== null,
    );
  }
  const goOn = ({ threadId, turn }: TurnView, options: Call = {}): Promise<Answer> =>
    t.call(`POST /api/v1/threads/${threadId}/turns/${turn}/continue`, {
      ...{ headers: later, body: { stream: true } },
      ...options,
    });
  const resumed = async (turn: TurnView): Promise<TurnView> => {
    const answer = await goOn(turn);
    expect(answer.status, answer.text).to.equal(202);
    return answer.json as TurnView;
  };
  const requestOf = async (turn: TurnView) => {
    const { requestBody } = await t.registry.tasks.bodies(turn.taskId ?? '');
    return JSON.parse(requestBody ?? '') as { messages: { role: string; content: string }[] } & Record<
      string,
      unknown
    >;
  };
  const messages = async ({ threadId }: TurnView): Promise<string[]> =>
    ((await ask(`GET /threads/${threadId}/messages`)).json as { items: MessageView[] }).items.map(
      ({ turn, turnIndex, role, status, content }) => `${turn}.${turnIndex} ${role} ${status}: ${content}`,
    );
  const refusal = async (turn: TurnView): Promise<string> => {
    const { status, json } = await goOn(turn);
    expect(status).to.equal(400);
    return (json as { error: string }).error;
  };

  it('is gone on with from where it was cut, as often as it is, in the turn that it is of', async () => {
    const turn = await speak(await begin({ message: 'A story!' }), 'Once upon', incomplete);
    expect(turn).to.include({ status: 'error', inContext: false });
    const second = await resumed(turn);
    expect(second).to.include({ turn: 1, status: 'running' });
    const { messages: asked, ...params } = await requestOf(second);
    expect(asked).to.deep.equal([
      { role: 'system', content: 'S' },
      { role: 'user', content: 'A story!' },
      { role: 'assistant', content: 'Once upon' },
    ]);
    expect(params).to.include({ add_generation_prompt: false, continue_final_message: true });
    // It is open: no second one meanwhile.
    expect((await goOn(turn)).json).to.include({ code: 'thread_busy', taskId: second.taskId });
    const cut = await speak(second, ' a time', incomplete);
    expect(cut).to.include({ status: 'error', inContext: false });
    const third = await resumed(cut);
    expect((await requestOf(third)).messages.at(-1)?.content).to.equal('Once upon a time');
    const whole = await speak(third, ', the end.', { kind: 'completed', status: 200, finishReason: 'stop' });
    expect(whole).to.include({ status: 'completed', inContext: true, error: null });
    expect(await messages(turn)).to.deep.equal([
      '1.0 user complete: A story!',
      '1.1 assistant error: Once upon',
      '1.2 assistant error:  a time',
      '1.3 assistant complete: , the end.',
    ]);
    // Later turns are told of one answer.
    const next = await begin({ message: 'Another!', threadId: turn.threadId });
    expect((await requestOf(next)).messages.slice(1)).to.deep.equal([
      { role: 'user', content: 'A story!' },
      { role: 'assistant', content: 'Once upon a time, the end.' },
      { role: 'user', content: 'Another!' },
    ]);
    expect(await refusal(turn)).to.include('is whole');
    await ask(`DELETE /threads/${turn.threadId}/turns/2`);
  });

  it('keeps its place in what is told where it had one, whatever becomes of what follows', async () => {
    const length = { kind: 'completed', status: 200, finishReason: 'length' } as const;
    const turn = await speak(await begin({ message: 'List!' }), '1, 2,', length);
    expect(turn).to.include({ status: 'completed', inContext: true });
    const failed = await speak(await resumed(turn), ' 3', incomplete);
    expect(failed).to.include({ status: 'error', inContext: true });
    const next = await begin({ message: 'So?', threadId: turn.threadId });
    expect((await requestOf(next)).messages.map(({ content }) => content)).to.deep.equal([
      ...['S', 'List!', '1, 2, 3', 'So?'],
    ]);
    await ask(`DELETE /threads/${turn.threadId}/turns/2`);
  });

  it('is refused where it can not be, saying what to do instead', async () => {
    const plain = await speak(await begin({ message: 'x' }, 'talker'), 'Half', incomplete);
    const refused = await goOn(plain);
    expect([refused.status, (refused.json as { code: string }).code]).to.deep.equal([
      400,
      'no_capable_member',
    ]);
    expect((refused.json as { error: string }).error).to.include('retry');
    expect(await turnOf(plain)).to.include({ status: 'error' });
    const silent = await begin({ message: 'y' });
    await ask(`DELETE /threads/${silent.threadId}/turns/1`);
    expect(await refusal(silent)).to.include('retry it');
    const params = { response_format: { type: 'json_object' } };
    const shaped = await speak(await begin({ message: 'z', params }), '{"a', incomplete);
    expect(await refusal(shaped))
      .to.include('response_format')
      .and.include('retry it');
    await begin({ message: 'later', threadId: shaped.threadId });
    const old = await speak(await begin({ message: 'w' }), 'Half', incomplete);
    const after = await begin({ message: 'v', threadId: old.threadId });
    await ask(`DELETE /threads/${old.threadId}/turns/${after.turn}`);
    expect(await refusal(old)).to.include('not the last');
    expect((await goOn(old, { token: t.tokens.bob })).status).to.equal(404);
  });
});
