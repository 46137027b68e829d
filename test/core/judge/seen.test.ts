import { expect } from 'chai';
import type { Blame } from '../../../core/judge/fault.ts';
import { StreamJudge } from '../../../core/judge/stream.ts';
import { isFault, judgeWhole } from '../../../core/judge/whole.ts';
import type { Operation } from '../../../core/llm.ts';
import { eventsIn } from '../../../core/text/sse.ts';

/** Whose a fault is; `tooLong` is the caller's, and of a text alone. */
type Verdict = Blame | 'tooLong';
const verdictOf = ({ blame, tooLong }: { blame: Blame; tooLong?: true }): Verdict =>
  tooLong ? 'tooLong' : blame;

const errorOf = (message: string, more: object = {}): object => ({ error: { message, ...more } });

type End = Verdict | { finishReason: string };

describe('a whole answer that was seen', () => {
  const chat = (message: object, finish_reason: string | null = 'stop', more: object = {}): object => ({
    choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason, ...more }],
  });
  const wholes: [seen: string, Operation, object, End][] = [
    [
      'OleksandrChekhovskyi/hax#15 (OpenRouter)',
      'chat',
      chat({ content: '' }, 'stop', { native_finish_reason: 'network_error' }),
      'broken',
    ],
    [
      'the same, in the middle',
      'chat',
      chat({ content: 'half' }, 'stop', { native_finish_reason: 'error' }),
      'broken',
    ],
    [
      'its own words for a plain end',
      'chat',
      chat({ content: 'a' }, 'stop', { native_finish_reason: 'end_turn' }),
      { finishReason: 'stop' },
    ],
    [
      'genkit-ai/genkit#6259 (z.AI)',
      'chat',
      chat({ content: 'a' }, 'model_context_window_exceeded'),
      { finishReason: 'length' },
    ],
    ['Gemini', 'chat', chat({ content: 'a' }, 'STOP'), { finishReason: 'stop' }],
    ['Gemini', 'chat', chat({ content: '' }, 'PROHIBITED_CONTENT'), { finishReason: 'content_filter' }],
    ['Gemini', 'chat', chat({ content: '' }, 'RECITATION'), { finishReason: 'content_filter' }],
    ['Bedrock', 'chat', chat({ content: '' }, 'guardrail_intervened'), { finishReason: 'content_filter' }],
    ['Mistral', 'chat', chat({ content: 'a' }, 'model_length'), { finishReason: 'length' }],
    [
      'Gemini’s older door',
      'chat',
      chat({ content: 'a' }, null, { finishReason: 'MAX_TOKENS' }),
      { finishReason: 'length' },
    ],
    [
      'oobabooga/textgen#7257 (llama.cpp, with 200)',
      'chat',
      errorOf('the request exceeds the available context size.', { code: 400 }),
      'tooLong',
    ],
    [
      'zendev-sh/goai#110 (LM Studio)',
      'chat',
      { ...errorOf('Compute error.'), message: 'Compute error.' },
      'broken',
    ],
    ['garrytan/gbrain#328 (Ollama)', 'embeddings', { data: [{ embedding: [], index: 0 }] }, 'broken'],
    [
      'huggingface/text-embeddings-inference#51',
      'embeddings',
      { data: [{ embedding: [null, null] }] },
      'unable',
    ],
    [
      'ggml-org/llama.cpp#13854, in one place',
      'embeddings',
      { data: [{ embedding: [0.5, null] }] },
      'unable',
    ],
    ['ollama/ollama#2140', 'embeddings', { data: [{ embedding: null }] }, 'broken'],
  ];
  for (const [seen, operation, body, end] of wholes)
    it(`is what it says by its strongest mark: ${seen}`, () => {
      const judged = judgeWhole(JSON.stringify(body), { operation });
      if (isFault(judged)) expect(verdictOf(judged)).to.equal(end);
      else expect({ finishReason: judged.finishReason }).to.deep.equal(end);
    });

  it('has calls as clients take them: an id, a type, and arguments that are a text (Ollama behind gateways)', () => {
    const calls = [
      { function: { name: 'f', arguments: { a: 1 } } },
      { id: 'k', type: 'function', function: { name: 'g', arguments: null } },
      { id: 'l', type: 'function', function: { name: 'h', arguments: '{"b":2}' } },
    ];
    const judged = judgeWhole(JSON.stringify(chat({ content: null, tool_calls: calls })), {
      operation: 'chat',
    });
    if (isFault(judged)) return expect.fail(judged.message);
    expect(judged.finishReason).to.equal('tool_calls');
    const { choices } = JSON.parse(judged.body) as {
      choices: { message: { tool_calls: Record<string, unknown>[] } }[];
    };
    const mendedCalls = choices[0]?.message.tool_calls ?? [];
    expect(mendedCalls.map((call) => call['function'])).to.deep.equal([
      { name: 'f', arguments: '{"a":1}' },
      { name: 'g', arguments: '{}' },
      { name: 'h', arguments: '{"b":2}' },
    ]);
    expect(mendedCalls[0]?.['id']).to.match(/^call_.{36}$/);
    for (const call of mendedCalls) expect(call['type']).to.equal('function');
  });
});

describe('a stream that was seen', () => {
  const chunk = (delta: object, finish_reason: string | null = null, more: object = {}): object => ({
    choices: [{ index: 0, delta, finish_reason, ...more }],
  });
  const of = (...events: (object | string)[]): string =>
    events.map((event) => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`).join('');
  const a = chunk({ content: 'a' });
  const overloaded = { error: { code: 503, message: 'The model is overloaded.', status: 'UNAVAILABLE' } };
  const created = { type: 'response.created', response: {} };
  const failed = (code: string, message: string): object => ({
    type: 'response.failed',
    response: { status: 'failed', error: { code, message } },
  });
  const streams: [seen: string, Operation, string, End | 'incomplete'][] = [
    [
      'vercel/ai#5217 (Gemini): an error behind the end',
      'chat',
      `${of(a, chunk({}, 'stop'))}${JSON.stringify(overloaded, null, 2)}`,
      { finishReason: 'stop' },
    ],
    ['the same before it', 'chat', `${of(a)}${JSON.stringify(overloaded, null, 2)}`, 'later'],
    [
      'kappa’s OpenRouter (hax#15)',
      'chat',
      of(a, chunk({}, 'stop', { native_finish_reason: 'network_error' })),
      'broken',
    ],
    [
      'earendil-works/pi#9002 (OpenRouter)',
      'chat',
      of(a, chunk({ content: '' }, 'error'), '[DONE]'),
      'broken',
    ],
    [
      'sgl-project/sglang#3912: reasons of nothing',
      'chat',
      of(chunk({ content: 'a' }, ''), chunk({ content: 'b' }, ''), '[DONE]'),
      { finishReason: 'stop' },
    ],
    [
      'waybarrios/vllm-mlx#628, sgl-project/sglang#4550: no reason',
      'chat',
      of(a, a, '[DONE]'),
      { finishReason: 'stop' },
    ],
    [
      'jakobdylanc/llmcord#84 (Gemini): by another name',
      'chat',
      of(a, chunk({ content: 'b' }, null, { finishReason: 'length' }), '[DONE]'),
      { finishReason: 'length' },
    ],
    [
      'sgl-project/sglang#8417: two ends',
      'chat',
      of(chunk({ content: 'a' }, 'stop'), chunk({}, 'stop'), '[DONE]'),
      { finishReason: 'stop' },
    ],
    ['neither reason nor mark (earendil-works/pi#8460)', 'chat', of(a), 'incomplete'],
    [
      'earendil-works/pi#7441: what all of it cost, and no reason',
      'chat',
      of(a, { choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } }),
      { finishReason: 'stop' },
    ],
    [
      'the same without a list of choices',
      'chat',
      of(a, { usage: { prompt_tokens: 1, completion_tokens: 1 } }),
      { finishReason: 'stop' },
    ],
    [
      'the same of what came before there was more',
      'chat',
      of(a, { choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } }, a),
      'incomplete',
    ],
    [
      'and of each piece (vLLM’s continuous usage)',
      'chat',
      of({ ...a, usage: { prompt_tokens: 1, completion_tokens: 1 } }),
      'incomplete',
    ],
    [
      'and of nothing',
      'chat',
      of(chunk({ role: 'assistant' }), { choices: [], usage: { prompt_tokens: 1, completion_tokens: 0 } }),
      'incomplete',
    ],
    [
      'code-yeongyu/oh-my-openagent#1196',
      'chat',
      of({ error: 'Stream error: error decoding response body' }),
      'broken',
    ],
    [
      'damianvtran/local-operator#223 (OpenRouter)',
      'chat',
      of(a, { ...chunk({ content: '' }, 'error'), error: { code: 502, message: 'gone' } }),
      'broken',
    ],
    [
      'Podden/openwebui_anthropic_api_manifold_pipe#19',
      'messages',
      'event: error\ndata: {"type":"error","error":{"details":null,"type":"overloaded_error","message":"Overloaded"}}        \n\n',
      'later',
    ],
    [
      'QuantumNous/new-api#3142',
      'responses',
      of(created, { type: 'response.error', error: { code: 'rate_limit_exceeded', message: 'slow' } }),
      'later',
    ],
    [
      'QuantumNous/new-api#6594',
      'responses',
      of(created, failed('model_at_capacity', 'Selected model is at capacity.')),
      'later',
    ],
    [
      'lsdefine/GenericAgent#753',
      'responses',
      of(created, failed('server_error', 'Our servers are currently overloaded.')),
      'later',
    ],
  ];
  for (const [seen, operation, text, end] of streams)
    it(`comes to what it says: ${seen}`, () => {
      const judge = new StreamJudge({ operation });
      const { last } = judge.pass(eventsIn(text));
      if (last !== undefined && last !== 'done') return expect(verdictOf(last)).to.equal(end);
      const ended = judge.endOf('closed');
      return expect(ended ? { finishReason: ended.finishReason } : 'incomplete').to.deep.equal(end);
    });

  it('tells what it cost wherever it puts that: Groq’s x_groq, Moonshot’s choice', () => {
    const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
    const counted = { promptTokens: 1, completionTokens: 2, totalTokens: 3 };
    for (const last of [{ ...chunk({}, 'stop'), x_groq: { id: 'r', usage } }, chunk({}, 'stop', { usage })]) {
      const judge = new StreamJudge({ operation: 'chat' });
      judge.pass(eventsIn(of(a, last)));
      expect(judge.endOf('closed')?.usage).to.deep.equal(counted);
    }
  });
});
