import { expect } from 'chai';
import { createOpenAiProvider } from '../../../worker/providers/openai.ts';
import { conformsAsProvider } from '../../conformance/provider.ts';
import { startDemoEngine, type DemoEngine } from '../../support/demo-engine.ts';

interface Answer {
  status: number;
  json: {
    choices?: { message: { content: string | null; tool_calls?: { id: string }[] }; finish_reason: string }[];
    usage?: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
    error?: Record<string, unknown>;
  };
}

describe('the demo engine', () => {
  let engine: DemoEngine;
  before(async function () {
    this.timeout(120_000); // installs it in a fresh clone
    const started = await startDemoEngine({ slots: 1 });
    if (started) engine = started;
    else this.skip();
  });
  after(async () => {
    if (engine) expect(await engine.stop()).to.equal(0);
  });

  const post = (body: unknown, signal?: AbortSignal) =>
    fetch(`${engine.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      ...(signal && { signal }),
    });
  const ask = async (body: unknown): Promise<Answer> => {
    const answer = await post(body);
    return { status: answer.status, json: (await answer.json()) as Answer['json'] };
  };
  const says = (content: string, more: object = {}) => ({
    messages: [{ role: 'user', content }],
    temperature: 0,
    ...more,
  });

  describe('as a provider', () => {
    conformsAsProvider(async () => ({
      provider: createOpenAiProvider({ name: 'demo', url: engine.url }),
      model: 'tiny-chat-demo',
      question: 'Tell me a story',
      close: () => Promise.resolve(),
    }));
  });

  it('is told apart from others by a worker: it chats, and nothing else', async () => {
    const provider = createOpenAiProvider({ name: 'demo', url: engine.url });
    const { capabilities } =
      (await provider.probe?.('tiny-chat-demo', new AbortController().signal)) ?? expect.fail();
    expect(capabilities.operations).to.deep.equal(['chat']);
    expect(capabilities.contextLength).to.be.greaterThan(0);
  });

  it('knows the capital of France, and counts its tokens the same each time', async () => {
    const first = await ask(says('What is the capital of France?'));
    const again = await ask(says('What is the capital of France?'));
    expect(first.json.choices?.[0]?.message.content).to.equal('The capital of France is Paris.');
    expect(first.json.usage).to.deep.equal({ prompt_tokens: 21, completion_tokens: 8, total_tokens: 29 });
    expect(again.json.usage).to.deep.equal(first.json.usage);
  });

  it('stops at the limit that the caller set', async () => {
    const { json } = await ask(says('Tell me a story', { max_tokens: 3 }));
    expect(json.choices?.[0]?.finish_reason).to.equal('length');
    expect(json.usage?.completion_tokens).to.equal(3);
  });

  it('calls tools, with an id', async () => {
    const tools = [{ type: 'function', function: { name: 'get_weather', parameters: { type: 'object' } } }];
    const { json } = await ask(says('What is the weather in Paris?', { tools, tool_choice: 'required' }));
    expect(json.choices?.[0]?.finish_reason).to.equal('tool_calls');
    expect(json.choices?.[0]?.message.tool_calls?.[0]?.id).to.be.a('string').and.not.to.equal('');
  });

  it('says that it is a demo, and how long its context is', async () => {
    const models = (await (await fetch(`${engine.url}/v1/models`)).json()) as { data: object[] };
    expect(models.data).to.deep.equal([
      {
        id: 'tiny-chat-demo',
        object: 'model',
        created: 0,
        owned_by: 'mcpctl-demo',
        max_model_len: 2048,
        context_length: 2048,
      },
    ]);
    expect(engine.printed().trim().split('\n')).to.have.length(1);
    expect(engine.printed()).to.contain('a toy, not a useful model');
  });

  it('refuses what is wrong with a 400 that says what', async () => {
    const wrong: [unknown, string][] = [
      ['{"messages', 'JSON'],
      ['[]', 'object'],
      [{}, 'messages'],
      [{ messages: [] }, 'messages'],
      [{ messages: 'Hi' }, 'messages'],
      [{ messages: [{ role: 'user' }] }, 'messages.0.content'],
      [{ messages: [{ role: 'nobody', content: 'x' }] }, 'messages.0.role'],
      ['{"messages":[{"role":"user","content":"\\ud800"}]}', 'surrogates'],
      [says('x', { temperature: 'hot' }), 'temperature'],
      [says('x', { max_tokens: 0 }), 'max_tokens'],
      [says('x', { n: 2 }), 'n'],
      [says('x', { tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'no' } } }] }), ''],
    ];
    for (const [body, named] of wrong) {
      const { status, json } = await ask(body);
      expect(status, JSON.stringify(body)).to.equal(400);
      expect(String(json.error?.['message'])).to.contain(named);
    }
    const headers = { 'content-type': 'application/json' };
    const missing = await fetch(`${engine.url}/v1/embeddings`, { method: 'POST', body: '{}', headers });
    expect(missing.status).to.equal(404);
    expect((await post(' '.repeat(9 * 1024 * 1024))).status).to.equal(413);
  });

  it('refuses a prompt that is too long as llama.cpp does', async () => {
    const { status, json } = await ask(says('story '.repeat(3000)));
    expect(status).to.equal(400);
    expect(json.error).to.include({ type: 'exceed_context_size_error', n_ctx: 2048, n_prompt_tokens: 3019 });
  });

  it('frees the slot when a caller leaves', async () => {
    // Each fills the context: about a second. Twenty would hold the only slot for long.
    const long = says('story '.repeat(600), { stream: true });
    const leave = new AbortController();
    const first = await post(long, leave.signal);
    await first.body?.getReader().read();
    const waiting = Array.from({ length: 20 }, () => post(long, leave.signal).catch(() => 'gone'));
    for (let n = 0; n < 3; n++) await fetch(`${engine.url}/health`); // by now it has them all
    leave.abort();
    await Promise.all(waiting);
    const start = performance.now();
    expect((await ask(says('Count to ten'))).status).to.equal(200);
    expect(performance.now() - start).to.be.lessThan(3_000);
  });
});
