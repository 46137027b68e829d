import { expect } from 'chai';
import OpenAI, { APIError } from 'openai';
import { answers, chats, hangs, type Backend } from '../support/backend.ts';
import { startSystem, until, type System, type WorkerProcess } from '../support/system.ts';

type Message = OpenAI.Chat.ChatCompletionMessageParam;

const CLOSED_WITHIN_MS = 2_500; // ten times the bound of docs/spec.md §5
const user = (content: string): Message => ({ role: 'user', content });

/** What a call throws; fails when it does not. */
async function thrownBy(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work();
  } catch (thrown) {
    return thrown;
  }
  return expect.fail('it did not throw');
}

describe('the openai package as client of /v1', function () {
  this.timeout(60_000);
  let t: System;
  let worker: WorkerProcess;
  let backend: Backend;
  let client: OpenAI;

  const clientWith = (apiKey: string): OpenAI =>
    new OpenAI({ baseURL: `${t.url}/v1`, apiKey, maxRetries: 0, logLevel: 'off' });
  const ask = (messages: Message[]) => ({ model: 'desk', messages });
  const create = (content: string) => client.chat.completions.create(ask([user(content)]));
  const stream = (messages: Message[]) =>
    client.chat.completions.create({ ...ask(messages), stream: true as const });

  before(async () => {
    t = await startSystem();
    backend = t.backend;
    worker = await t.startWorker([{ name: 'desk', poolName: 'house', backend }]);
    client = clientWith(t.token);
  });
  after(() => t.close());

  it('lists the models that are served, and finds one by its id', async () => {
    const ids: string[] = [];
    for await (const model of client.models.list()) ids.push(model.id);
    expect(ids).to.deep.equal(['desk']);
    expect(await client.models.retrieve('desk')).to.include({ id: 'desk', object: 'model' });
    expect(await thrownBy(() => client.models.retrieve('nowhere'))).to.be.instanceOf(OpenAI.NotFoundError);
  });

  it('gets a whole answer', async () => {
    backend.once(chats(['Hello', ' there']));
    const answer = await create('hi');
    expect(answer.choices[0]).to.deep.include({ index: 0, finish_reason: 'stop' });
    expect(answer.choices[0]?.message).to.include({ role: 'assistant', content: 'Hello there' });
    expect(answer.model).to.equal('desk');
    expect(answer.usage?.total_tokens).to.be.greaterThan(0);
    expect(answer._request_id).to.be.a('string');
  });

  it('holds a conversation over several turns, streamed', async () => {
    const messages: Message[] = [{ role: 'system', content: 'Be brief.' }];
    for (const [question, words] of [
      ['Who are you?', ['I am', ' a', ' model.']],
      ['Say it again.', ['I', ' am a', ' model.']],
      ['Thanks.', ['Bye.']],
    ] as const) {
      messages.push(user(question));
      backend.once(chats(words));
      const deltas: string[] = [];
      const finishes: string[] = [];
      for await (const chunk of await stream(messages)) {
        const choice = chunk.choices[0]; // as the tutorials read it: always there unless usage was asked for
        expect(choice).to.not.equal(undefined);
        expect(chunk).to.include({ object: 'chat.completion.chunk', model: 'desk' });
        if (choice?.delta.content) deltas.push(choice.delta.content);
        if (choice?.finish_reason) finishes.push(choice.finish_reason);
      }
      expect(deltas).to.deep.equal(words);
      expect(finishes).to.deep.equal(['stop']);
      messages.push({ role: 'assistant', content: deltas.join('') });
    }
    expect(backend.requests.at(-1)?.json?.['messages']).to.deep.equal(messages.slice(0, -1));
  });

  it('counts tokens at the end of a stream for who asks', async () => {
    backend.once(chats(['a', 'b']));
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    const asked = { ...ask([user('hi')]), stream_options: { include_usage: true } };
    for await (const chunk of await client.chat.completions.create({ ...asked, stream: true as const }))
      chunks.push(chunk);
    expect(chunks.at(-1)).to.deep.include({ choices: [] });
    expect(chunks.at(-1)?.usage?.completion_tokens).to.equal(2);
  });

  it('serves the stream() helper', async () => {
    backend.once(chats(['Hello', ' there']));
    const helper = client.chat.completions.stream(ask([user('hi')]));
    const deltas: string[] = [];
    helper.on('content', (delta) => deltas.push(delta));
    const final = await helper.finalChatCompletion();
    expect(deltas).to.deep.equal(['Hello', ' there']);
    expect(final.choices[0]).to.have.nested.property('message.content', 'Hello there');
    expect(final.choices[0]?.finish_reason).to.equal('stop');
  });

  /** The close that belongs to the last request, not to one before. */
  const closes = async (marker: string): Promise<void> => {
    while (!(await backend.next('closed', CLOSED_WITHIN_MS)).body.includes(marker));
  };

  it('stops the backend when a stream is aborted midway', async () => {
    backend.once(chats(['one', 'two', 'three'], { paced: true }));
    backend.release();
    const answer = await stream([user('abort-me')]);
    let got = '';
    for await (const chunk of answer) {
      got += chunk.choices[0]?.delta.content ?? '';
      if (got === 'one') answer.controller.abort();
    }
    expect(got).to.equal('one');
    await closes('abort-me');
  });

  it('stops the backend when the reader leaves the loop', async () => {
    backend.once(chats(['one', 'two', 'three'], { paced: true }));
    backend.release();
    for await (const chunk of await stream([user('break-me')])) if (chunk.choices[0]?.delta.content) break;
    await closes('break-me');
  });

  it('stops the backend when a call for a whole answer is aborted', async () => {
    backend.once(hangs());
    const abort = new AbortController();
    const asked = client.chat.completions.create(ask([user('drop-me')]), { signal: abort.signal });
    const thrown = thrownBy(async () => await asked);
    while (!(await backend.next('request')).body.includes('drop-me'));
    abort.abort();
    expect(await thrown).to.be.instanceOf(OpenAI.APIUserAbortError);
    await closes('drop-me');
    await until(
      () => t.openTasks(),
      (open) => open === 0,
    );
  });

  it('raises AuthenticationError for a wrong key', async () => {
    const wrong = clientWith('mcpctl_wrong-wrong-wrong-wrong-wrong-wrong-wrong-wrong');
    for (const call of [
      () => wrong.chat.completions.create(ask([user('hi')])),
      () => wrong.chat.completions.create({ ...ask([user('hi')]), stream: true }),
      async () => await wrong.models.list(),
    ])
      expect(await thrownBy(call)).to.be.instanceOf(OpenAI.AuthenticationError);
  });

  it('raises NotFoundError for a model that is not there, naming one that is close', async () => {
    const thrown = await thrownBy(() =>
      client.chat.completions.create({ model: 'dsek', messages: [user('hi')] }),
    );
    expect(thrown).to.be.instanceOf(OpenAI.NotFoundError).and.to.include({ code: 'model_not_found' });
    expect((thrown as APIError).message)
      .to.include('dsek')
      .and.to.match(/Did you mean .*desk/);
  });

  it('raises BadRequestError for a faulty request, with the path', async () => {
    const thrown = await thrownBy(() => client.chat.completions.create(ask([])));
    expect(thrown).to.be.instanceOf(OpenAI.BadRequestError).and.to.include({ param: 'messages' });
  });

  it('passes a backend’s 400 on as it is', async () => {
    const error = {
      message: 'This model has a context of 10 tokens.',
      type: 'invalid_request_error',
      param: 'messages',
      code: 'context_length_exceeded',
    };
    for (const call of [() => create('hi'), () => stream([user('hi')])]) {
      backend.once(answers(400, { error }));
      const thrown = await thrownBy(call);
      expect(thrown).to.be.instanceOf(OpenAI.BadRequestError);
      expect((thrown as APIError).error).to.deep.equal(error);
    }
  });

  it('raises a 502 for a backend’s 500, without its words', async () => {
    for (const call of [() => create('hi'), () => stream([user('hi')])]) {
      backend.reply(answers(500, { error: { message: 'stack trace at http://10.0.0.7:8000' } }));
      const thrown = await thrownBy(call);
      backend.reply(chats(['ok']));
      expect(thrown).to.be.instanceOf(OpenAI.InternalServerError).and.to.include({ status: 502 });
      expect((thrown as APIError).message).to.not.include('10.0.0.7');
    }
  });

  for (const [how, script, rest] of [
    ['dies', chats(['one', 'two', 'three'], { paced: true, dieAfter: 2 }), 2],
    [
      'ends without a finish_reason',
      chats(['one', 'two'], { paced: true, finishReason: null, noDone: true }),
      1,
    ],
  ] as const) {
    it(`raises APIError when the backend ${how} in the middle of a stream`, async () => {
      await create('hi'); // the member has rested from what came before
      backend.once(script);
      backend.release();
      let got = '';
      const thrown = await thrownBy(async () => {
        for await (const chunk of await stream([user('hi')])) {
          const content = chunk.choices[0]?.delta.content ?? '';
          got += content;
          // The rest comes when this was shown; until then another member might be asked.
          if (content === 'one') backend.release(rest);
        }
      });
      expect(got).to.equal('onetwo');
      expect(thrown).to.be.instanceOf(APIError).and.to.not.be.instanceOf(OpenAI.APIConnectionError);
      expect((thrown as APIError).code).to.be.equal('upstream_error');
      backend.once(script);
      backend.release();
      const helper = client.chat.completions.stream(ask([user('hi')]));
      helper.once('content', () => backend.release(rest));
      expect(await thrownBy(() => helper.done())).to.be.instanceOf(OpenAI.OpenAIError);
    });
  }

  it('raises a 503 with retry-after when nobody serves the model', async () => {
    expect(await worker.kill('SIGTERM')).to.equal(0);
    for (const call of [() => create('hi'), () => stream([user('hi')])]) {
      const thrown = await thrownBy(call);
      expect(thrown)
        .to.be.instanceOf(OpenAI.InternalServerError)
        .and.to.include({ status: 503, code: 'no_worker_available' });
      expect(Number((thrown as APIError).headers?.get('retry-after'))).to.be.within(1, 60);
    }
    expect((await client.models.list()).data).to.deep.equal([]);
  });
});
