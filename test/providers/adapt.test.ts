import { expect } from 'chai';
import { McpctlError } from '../../core/errors.ts';
import { asForward } from '../../worker/providers/adapt.ts';
import type { CompletionDelta, CompletionOptions, LlmProvider } from '../../worker/providers/provider.ts';
import { callOf, conformsAsProvider, readAll } from '../conformance/provider.ts';

const usage = { promptTokens: 2, completionTokens: 3, totalTokens: 5 };

const completeOnly: LlmProvider = {
  name: 'complete-only',
  async complete({ messages, signal }: CompletionOptions) {
    if (signal.aborted) throw new McpctlError('task_cancelled');
    const content = `You said ${String(messages.at(-1)?.['content'])}`;
    return { content, toolCalls: [], usage, finishReason: 'stop' };
  },
  listModels: async () => [{ id: 'plain' }],
  isAvailable: async (signal) => !signal.aborted,
};

const streaming = (deltas: readonly CompletionDelta[]): LlmProvider => ({
  ...completeOnly,
  async *stream() {
    yield* deltas;
  },
});

describe('a provider without forward', () => {
  const open = (provider: LlmProvider) => async () => ({
    provider,
    model: 'plain',
    question: 'Hi',
    close: () => Promise.resolve(),
  });

  describe('with complete alone', () => conformsAsProvider(open(completeOnly)));
  describe('with stream', () =>
    conformsAsProvider(
      open(streaming([{ content: 'You said' }, { content: ' Hi' }, { finishReason: 'stop', usage }])),
    ));

  it('serves a streaming caller with one delta, then the end', async () => {
    const { events, last } = await readAll(asForward(completeOnly)(callOf({})));
    const seen = events.map((data) => JSON.parse(data) as { choices: unknown[]; usage?: unknown });
    expect(seen.map((chunk) => chunk.choices)).to.deep.equal([
      [{ index: 0, delta: { role: 'assistant', content: 'You said Hi' }, finish_reason: null }],
      [{ index: 0, delta: {}, finish_reason: 'stop' }],
      [],
    ]);
    expect(seen[2]?.usage).to.deep.equal({ prompt_tokens: 2, completion_tokens: 3, total_tokens: 5 });
    expect(last).to.deep.equal({ kind: 'end', status: 200, finishReason: 'stop', usage });
  });

  it('passes reasoning and tool calls on', async () => {
    const provider = streaming([
      { reasoning: 'hm' },
      { toolCalls: [{ id: '1', type: 'function', function: { name: 'f', arguments: '{}' } }] },
      { finishReason: 'tool_calls' },
    ]);
    const { events } = await readAll(asForward(provider)(callOf({})));
    expect(events[0]).to.contain('"reasoning_content":"hm"').and.to.contain('"role":"assistant"');
    expect(events[1]).to.contain('"tool_calls":[{"index":0,"id":"1"');
  });

  it('serves chat alone', async () => {
    const { last } = await readAll(asForward(completeOnly)(callOf({ operation: 'embeddings' })));
    expect(last).to.include({ kind: 'failed', code: 'no_capable_member' });
  });

  it('calls a stream that ends without a finish reason unfinished', async () => {
    const { last } = await readAll(asForward(streaming([{ content: 'a' }]))(callOf({})));
    expect(last).to.include({ kind: 'failed', code: 'backend_incomplete' });
  });

  it('says nothing of what the provider threw, unless it is in the catalogue', async () => {
    const throwing = (thrown: Error): LlmProvider => ({
      ...completeOnly,
      complete: () => Promise.reject(thrown),
    });
    const answered = await readAll(asForward(throwing(new TypeError('http://10.0.0.1 key=abc')))(callOf({})));
    expect(answered.last).to.include({ kind: 'failed', code: 'backend_error' });
    expect(JSON.stringify(answered.last)).not.to.contain('10.0.0.1');
    const busy = throwing(new McpctlError('too_many_requests', 'Busy.', { retryAfterS: 3 }));
    const { last } = await readAll(asForward(busy)(callOf({ streaming: false })));
    expect(last).to.include({ code: 'too_many_requests', message: 'Busy.', retryAfterS: 3, retryable: true });
  });

  it('does not wait for a provider that ignores its signal, nor for one that is silent', async () => {
    const deaf: LlmProvider = { ...completeOnly, complete: () => new Promise(() => undefined) };
    for (const streamed of [true, false]) {
      const abort = new AbortController();
      const reading = readAll(asForward(deaf)(callOf({ signal: abort.signal, streaming: streamed })));
      abort.abort();
      expect((await reading).last).to.include({ code: 'task_cancelled' });
      const silent = await readAll(asForward(deaf)(callOf({ stallMs: 10, streaming: streamed })));
      expect(silent.last).to.include({ code: 'backend_timeout' });
    }
  });
});
