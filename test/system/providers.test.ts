import Anthropic from '@anthropic-ai/sdk';
import { expect } from 'chai';
import OpenAI from 'openai';
import type { LlmView } from '../../core/llm.ts';
import { messages, startAnthropic } from '../support/anthropic.ts';
import { answers, startBackend, type Backend } from '../support/backend.ts';
import { startKnown, type Ollama } from '../support/known-backends.ts';
import { startSystem, until, type System } from '../support/system.ts';

/** The product looks every 5 s; a busy machine is slow. */
const LONG_MS = 60_000;

describe('backends of every kind behind one worker', function () {
  this.timeout(180_000);
  let t: System;
  let studio: Backend;
  let ollama: Ollama;
  let llama: Backend;
  let claude: Backend;
  let house: Backend;
  before(async () => {
    t = await startSystem();
    [studio, ollama, llama, claude] = await Promise.all([
      startKnown.lmStudio(),
      startKnown.ollama(),
      startKnown.llamaCpp({ slots: 3 }),
      startAnthropic(),
    ]);
    house = await startBackend();
    house.models = ['tiny', 'other'];
    await t.startWorker([
      { name: 'house', backend: house },
      { name: 'alias', model: 'by-another-name', backend: house },
      { name: 'studio', type: 'lmstudio', model: 'qwen/qwen3-8b', backend: studio },
      { name: 'ollama', type: 'ollama', model: 'qwen3:30b', backend: ollama },
      { name: 'llama', model: 'anything', backend: llama },
      { name: 'stated', type: 'llamacpp', model: 'anything', backend: llama, maxConcurrency: 2 },
      { name: 'claude', type: 'anthropic', model: 'claude-x', apiKey: 'sk-ant-1', backend: claude },
    ]);
  });
  after(async () => {
    await t.close();
    await Promise.all([studio, ollama, llama, claude, house].map((backend) => backend.close()));
  });

  const published = async (name: string): Promise<Partial<LlmView>> => {
    const { status, capabilities, maxConcurrency } = await t.llm(name);
    return { status, capabilities, maxConcurrency };
  };

  it('is published with what each says of itself', async () => {
    expect(await published('studio')).to.deep.equal({
      status: 'active',
      capabilities: {
        operations: ['chat', 'completions', 'responses', 'messages'],
        contextLength: 8192,
        tools: true,
        vision: false,
      },
      maxConcurrency: 4,
    });
    expect(await published('ollama')).to.deep.nested.include({
      status: 'active',
      maxConcurrency: 1,
      'capabilities.operations': ['chat', 'completions'],
    });
    expect(await published('llama')).to.deep.nested.include({
      maxConcurrency: 3,
      'capabilities.contextLength': 16384,
    });
    expect(await published('stated')).to.deep.nested.include({ maxConcurrency: 2 });
    expect(await published('claude')).to.deep.nested.include({
      'capabilities.operations': ['chat', 'messages'],
      'capabilities.contextLength': 200_000,
    });
  });

  it('is published anew within seconds when a backend loads its model otherwise', async () => {
    ollama.loaded['qwen3:30b'] = 2048;
    await until(
      () => published('ollama'),
      (now) => now.capabilities?.contextLength === 2048,
      LONG_MS,
    );
  });

  it('says in the row that a model which was listed no longer is, or that a call was refused for it', async () => {
    const untilTold = (name: string, isSo: (sentence: string | null) => boolean): Promise<LlmView> =>
      until(
        () => t.llm(name),
        (llm) => isSo(llm.misconfigured),
        LONG_MS,
      );
    const call = (model: string): Promise<Response> =>
      t.call('POST', '/v1/chat/completions', {
        body: { model, messages: [{ role: 'user', content: 'hi' }] },
      });
    house.models = ['other'];
    const refusal = {
      error: { message: 'The model `by-another-name` does not exist.', code: 'model_not_found' },
    };
    house.once(answers(404, refusal));
    expect((await call('alias')).status).to.equal(502);
    const { misconfigured, status } = await untilTold('house', Boolean);
    expect(misconfigured).to.equal('The backend no longer lists the model tiny; it lists other.');
    expect(status).to.equal('active');
    expect((await untilTold('alias', Boolean)).misconfigured).to.include('`by-another-name` does not exist');
    // It answers by a name that it never listed: that is no fault, and what was is forgotten.
    expect(
      (
        await until(
          () => call('alias'),
          (answer) => answer.status === 200,
          LONG_MS,
        )
      ).status,
    ).to.equal(200);
    house.models = ['tiny', 'other'];
    await untilTold('house', (sentence) => sentence === null);
    await untilTold('alias', (sentence) => sentence === null);
  });

  it('gives a chat with Anthropic to an OpenAI client, and its Messages to its own', async () => {
    const openai = new OpenAI({ baseURL: `${t.url}/v1`, apiKey: t.token, maxRetries: 0 });
    claude.reply(
      messages([
        { type: 'text', pieces: ['Two ', 'words'] },
        { type: 'tool_use', id: 't1', name: 'add', pieces: ['{"a":', '1}'] },
      ]),
    );
    const chat = await openai.chat.completions
      .stream({
        model: 'claude',
        messages: [{ role: 'user', content: 'Hi' }],
        stream_options: { include_usage: true },
      })
      .finalChatCompletion();
    expect(chat.choices[0]?.message.content).to.equal('Two words');
    expect(chat.choices[0]?.message.tool_calls?.[0]).to.deep.include({ id: 't1', type: 'function' });
    expect(chat.usage).to.deep.include({ prompt_tokens: 10, completion_tokens: 4, total_tokens: 14 });
    expect(chat.model).to.equal('claude');

    const own = new Anthropic({ baseURL: t.url, apiKey: t.token, maxRetries: 0 });
    const whole = await own.messages
      .stream({ model: 'claude', max_tokens: 9, messages: [{ role: 'user', content: 'Hi' }] })
      .finalMessage();
    expect(whole.content).to.deep.include.members([
      { type: 'tool_use', id: 't1', name: 'add', input: { a: 1 } },
    ]);
    // It said end_turn beside a call of a tool: the call is believed.
    expect(whole.stop_reason).to.equal('tool_use');
    for (const request of claude.requests) expect(request.headers['x-api-key']).to.equal('sk-ant-1');
  });
});
