import { expect } from 'chai';
import fc from 'fast-check';
import { faultOfRefusal, type Blame } from '../../../../core/judge/fault.ts';
import { withoutNaN } from '../../../../core/judge/mend/numbers.ts';
import { StreamJudge } from '../../../../core/judge/stream.ts';
import { isFault, judgeWhole } from '../../../../core/judge/whole.ts';
import { eventsIn } from '../../../../core/text/sse.ts';

/** Whose a fault is, and how many seconds it asks to wait; `tooLong` is the caller's, and of a text alone. */
type Verdict = Blame | 'tooLong' | `later ${number}`;

const errorOf = (message: string, more: object = {}): object => ({ error: { message, ...more } });

/** Reports of gateways and backends, each with where it was made. */
const refusals: [seen: string, Verdict, number, object | string][] = [
  [
    'ollama/ollama#15934',
    'later',
    503,
    { error: 'Server overloaded, please retry shortly (ref: aaa65c70-cfa0-446b-86f1-4ab0e2deb9e4)' },
  ],
  [
    'valentinfrlch/ha-llmvision#648 (Ollama)',
    'later',
    503,
    { error: 'server busy, please try again.  maximum pending requests exceeded' },
  ],
  [
    'mostlygeek/llama-swap#218',
    'broken',
    502,
    'unable to start process: upstream command exited prematurely but successfully',
  ],
  ['mostlygeek/llama-swap#92', 'broken', 502, 'unable to start process: health check failed after 15s'],
  [
    'aws-samples/bedrock-access-gateway#84',
    'unable',
    500,
    {
      detail:
        'An error occurred (ValidationException) when calling the ConverseStream operation: The number of toolResult blocks at messages.2.content exceeds the number of toolUse blocks of the previous turn.',
    },
  ],
  [
    'the same as its caller’s',
    'caller',
    400,
    {
      detail:
        'An error occurred (ValidationException) when calling the ConverseStream operation: The number of toolResult blocks at messages.2.content exceeds the number of toolUse blocks of the previous turn.',
    },
  ],
  [
    'posit-dev/positron#7844 (Bedrock)',
    'later',
    400,
    { name: 'ThrottlingException', $fault: 'client', $metadata: { httpStatusCode: 429, attempts: 3 } },
  ],
  ['Bedrock', 'later', 429, { message: 'Too many tokens, please wait before trying again.' }],
  [
    'BerriAI/litellm#6629 (Bedrock)',
    'tooLong',
    200,
    errorOf(
      'litellm.BadRequestError: BedrockException Context Window Error - Input is too long for requested model.',
      {
        code: '400',
      },
    ),
  ],
  ['BerriAI/litellm#40578 (hosted vLLM)', 'later', 200, errorOf('Queue is full', { code: 429 })],
  [
    'LiteLLM’s router',
    'later 5',
    429,
    errorOf('No deployments available for selected model, Try again in 5 seconds. Passed model=gpt-4.', {
      type: 'None',
      code: '429',
    }),
  ],
  [
    'LiteLLM',
    'owner',
    400,
    errorOf('Budget has been exceeded! Current cost: 1.1, Max budget: 1.0', { type: 'budget_exceeded' }),
  ],
  [
    'vllm-project/vllm#42362',
    'broken',
    500,
    errorOf('EngineCore encountered an issue. See stack trace (above) for the root cause.', {
      type: 'InternalServerError',
    }),
  ],
  [
    'Hugging Face',
    'unable',
    400,
    { error: ['Error in `parameters.max_new_tokens`: ensure this value is less than or equal to 250'] },
  ],
  [
    'TEI',
    'unable',
    413,
    { error: 'batch size 64 > maximum allowed batch size 32', error_type: 'Validation' },
  ],
  [
    'Cloudflare’s gateway',
    'owner',
    400,
    {
      success: false,
      result: [],
      messages: [],
      error: [{ code: 2009, message: 'Unauthorized: invalid api key' }],
    },
  ],
  [
    'Cloudflare',
    'owner',
    429,
    {
      errors: [
        {
          message: 'you have used up your daily free allocation of 10,000 neurons, please upgrade',
          code: 4006,
        },
      ],
    },
  ],
  [
    'Azure',
    'later 26',
    429,
    errorOf(
      'Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-02-01 have exceeded call rate limit of your current OpenAI S0 pricing tier. Please retry after 26 seconds.',
      { code: '429' },
    ),
  ],
  ['GitHub Models', 'owner', 400, errorOf('Unavailable model: o3', { code: 'unavailable_model' })],
  [
    'GitHub Models',
    'later 41034',
    429,
    errorOf(
      'Rate limit of 50 per 86400s exceeded for UserByModelByDay. Please wait 41034 seconds before retrying.',
      {
        code: 'RateLimitReached',
      },
    ),
  ],
  [
    'Mistral',
    'caller',
    400,
    {
      object: 'error',
      message:
        'Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant',
      type: 'invalid_request_error',
    },
  ],
  ['llama.cpp', 'caller', 400, errorOf('Assistant response prefill is incompatible with enable_thinking.')],
  [
    'vLLM',
    'caller',
    400,
    errorOf('Cannot set `add_generation_prompt` to True when the last message is from the assistant.'),
  ],
  [
    'Anthropic',
    'unable',
    400,
    errorOf(
      'This model does not support assistant message prefill. The conversation must end with a user message.',
    ),
  ],
  [
    'Groq',
    'caller',
    400,
    errorOf(
      "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.",
      {
        code: 'tool_use_failed',
        type: 'invalid_request_error',
        failed_generation: '<function=look>',
      },
    ),
  ],
  [
    'Groq',
    'caller',
    400,
    errorOf("Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more details.", {
      code: 'json_validate_failed',
    }),
  ],
  [
    'SGLang',
    'caller',
    400,
    {
      object: 'error',
      message: 'Failed to parse fc related info to json format!',
      type: 'FailedToParse',
      code: 400,
    },
  ],
  ['LM Studio', 'tooLong', 400, { error: 'Cannot truncate prompt with n_keep (6402) >= n_ctx (4096)' }],
  [
    'llama.cpp',
    'tooLong',
    500,
    errorOf(
      'input (1031 tokens) is too large to process. increase the physical batch size (current batch size: 512)',
      {
        code: 500,
        type: 'server_error',
      },
    ),
  ],
  [
    'Ollama',
    'owner',
    403,
    { error: 'this model requires a subscription, upgrade for access: https://ollama.com/upgrade' },
  ],
  [
    'Together',
    'later',
    429,
    errorOf('You have exceeded the dynamic rate limit for this model.', { type: 'dynamic_request_limited' }),
  ],
  ['MiniMax', 'later', 200, { base_resp: { status_code: 1002, status_msg: 'rate limit exceeded(RPM)' } }],
  [
    'Vertex',
    'later',
    429,
    [
      errorOf(
        'Resource exhausted. Please try again later. Please refer to the documentation for more details.',
        {
          code: 429,
          status: 'RESOURCE_EXHAUSTED',
        },
      ),
    ],
  ],
  [
    'xAI',
    'owner',
    403,
    {
      code: 'The caller does not have permission to execute the specified operation',
      error: "Your newly created team doesn't have any credits or licenses yet.",
    },
  ],
  ['a proxy', 'broken', 522, '<html><body>522: Connection timed out</body></html>'],
  [
    'OpenAI',
    'caller',
    400,
    errorOf(
      "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.",
    ),
  ],
];

describe('a report of a refusal', () => {
  for (const [seen, verdict, status, given] of refusals)
    it(`is held against who it is of: ${seen}, ${String(status)} ${JSON.stringify(given).slice(0, 80)}`, () => {
      const body = typeof given === 'string' ? given : JSON.stringify(given);
      const { blame, tooLong, retryAfterS } = faultOfRefusal({ ...(status === 200 ? {} : { status }), body });
      const asks = /\d+$/.exec(verdict) ? ` ${String(retryAfterS)}` : '';
      expect(tooLong ? 'tooLong' : `${blame}${asks}`).to.equal(verdict);
    });
});

describe('a number that is none', () => {
  const choice = (more: string): string =>
    `{"choices":[{"index":0,"message":{"content":"NaN is -Infinity"},"finish_reason":"stop",${more}}]}`;

  it('is no number in JSON, whole (vllm-project/vllm#19661)', () => {
    const judged = judgeWhole(choice('"logprobs":{"content":[{"token":"a","logprob":-Infinity,"x":NaN}]}'), {
      operation: 'chat',
    });
    if (isFault(judged)) return expect.fail(judged.message);
    const { choices } = JSON.parse(judged.body) as { choices: { message: object; logprobs: object }[] };
    expect(choices[0]?.message).to.include({ content: 'NaN is -Infinity' });
    expect(choices[0]?.logprobs).to.deep.equal({ content: [{ token: 'a', logprob: -9999, x: null }] });
  });

  it('is none in a stream', () => {
    const judge = new StreamJudge({ operation: 'chat' });
    const chunk = (rest: string): string =>
      `data: {"choices":[{"index":0,"delta":{"content":"a"},${rest}}]}\n\n`;
    const { events, last } = judge.pass(
      eventsIn(chunk('"logprobs":{"content":[{"logprob":-Infinity}]}') + chunk('"finish_reason":"stop"')),
    );
    expect(last).to.equal(undefined);
    expect(judge.endOf('closed')?.finishReason).to.equal('stop');
    expect(events.map((event) => JSON.parse(event) as unknown)).to.have.length(2);
  });

  it('in a vector is of that text alone, however it is written', () => {
    for (const vector of ['[NaN,1]', '[0.1,-Infinity]', '[null,null]', '[1,Infinity]']) {
      const judged = judgeWhole(`{"data":[{"index":0,"embedding":${vector}}]}`, { operation: 'embeddings' });
      expect(judged, vector).to.include({ blame: 'unable', code: 'backend_incomplete', retryable: true });
    }
  });

  it('is looked for outside of texts alone', () => {
    fc.assert(
      fc.property(fc.json(), fc.string(), (json, text) => {
        expect(withoutNaN(json)).to.equal(undefined);
        const body = `{"text":${JSON.stringify(`${text}NaN`)},"n":[NaN,-Infinity],"json":${json}}`;
        expect(JSON.parse(withoutNaN(body) ?? '')).to.deep.equal({
          text: `${text}NaN`,
          n: [null, -9999],
          json: JSON.parse(json) as unknown,
        });
      }),
    );
  });
});
