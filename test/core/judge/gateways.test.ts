import { expect } from 'chai';
import { faultOfRefusal, type Blame } from '../../../core/judge/fault.ts';

type Case = [what: string, status: number, body: unknown, blame: Blame, code: string];

/** Refusals of hosted backends and of what stands before backends, as they were seen. */
const cases: Case[] = [
  [
    'Bedrock: throttled, which is not too long',
    400,
    { __type: 'ThrottlingException', message: 'Too many tokens, please wait before trying again.' },
    'later',
    'too_many_requests',
  ],
  [
    'Bedrock: not ready',
    424,
    { message: 'ModelNotReadyException: The model is not ready for inference. Wait and try again.' },
    'later',
    'backend_not_ready',
  ],
  [
    'NVIDIA NIM: full',
    500,
    {
      title: 'Internal Server Error',
      detail: 'ResourceExhausted: Worker local total request limit reached (16/16)',
    },
    'later',
    'too_many_requests',
  ],
  [
    'Gemini: the quota of a minute, in the words of a bill',
    429,
    {
      error: {
        ...{
          code: 429,
          message: 'You exceeded your current quota, please check your plan and billing details.',
        },
        details: [
          { reason: 'x' },
          { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '26s' },
        ],
      },
    },
    'later',
    'too_many_requests',
  ],
  [
    'LiteLLM: its owner’s budget',
    400,
    {
      error: { message: 'ExceededBudget: User has exceeded their budget. Spend=11', type: 'budget_exceeded' },
    },
    'owner',
    'backend_misconfigured',
  ],
  [
    'Fireworks: an account that is suspended',
    412,
    { error: { message: 'Account suspended due to unpaid invoice' } },
    'owner',
    'backend_misconfigured',
  ],
  [
    'Hugging Face: a paused endpoint',
    400,
    { error: 'Bad Request: The endpoint is paused, ask a maintainer to restart it' },
    'owner',
    'backend_misconfigured',
  ],
  [
    'mlx: a model that is nowhere',
    404,
    { error: 'Repository Not Found for url: https://x' },
    'owner',
    'backend_misconfigured',
  ],
  [
    'nginx: a body that it does not take',
    413,
    '<html>413 Request Entity Too Large</html>',
    'unable',
    'no_capable_member',
  ],
  ['Express: the same', 413, { message: 'request entity too large' }, 'unable', 'no_capable_member'],
  [
    'Anthropic: the same of its own',
    413,
    { error: { type: 'request_too_large', message: 'Request exceeds the maximum size' } },
    'unable',
    'no_capable_member',
  ],
  [
    'LiteLLM: all deployments rest, in a 400 (BerriAI/litellm, code "429")',
    400,
    {
      error: {
        message: 'No deployments available for selected model',
        type: 'None',
        param: 'None',
        code: '429',
      },
    },
    'later',
    'too_many_requests',
  ],
  [
    'LiteLLM: its key, in a 400',
    400,
    {
      error: {
        message: 'Authentication Error, Invalid proxy server token passed',
        type: 'auth_error',
        code: '400',
      },
    },
    'owner',
    'backend_auth_failed',
  ],
  [
    'new-api: a model that no channel has, in a 503',
    503,
    {
      error: {
        message: 'No available channel for model x under group default',
        type: 'new_api_error',
        code: 'model_not_found',
      },
    },
    'owner',
    'backend_misconfigured',
  ],
  [
    'llama-swap: a model that it has not',
    400,
    'could not find real modelID for x',
    'owner',
    'backend_misconfigured',
  ],
  [
    'Bedrock: a model that wants a profile',
    400,
    { message: 'Invocation of model ID x with on-demand throughput isn’t supported.' },
    'owner',
    'backend_misconfigured',
  ],
  [
    'Bedrock: a model that the account has not',
    400,
    { message: "You don't have access to the model with the specified model ID." },
    'owner',
    'backend_misconfigured',
  ],
  ['LM Studio: broken off by its owner', 400, { error: 'Operation canceled.' }, 'broken', 'backend_error'],
  [
    'LM Studio: a text that is too long',
    400,
    { error: 'The number of tokens to keep from the initial prompt is greater than the context length.' },
    'caller',
    'backend_rejected',
  ],
  [
    'llama.cpp’s router: a model that does not run yet',
    400,
    { error: { code: 400, message: 'model is not running', type: 'invalid_request_error' } },
    'later',
    'backend_not_ready',
  ],
];

describe('a refusal of a gateway', () => {
  for (const [what, status, error, blame, code] of cases)
    it(`is held against who chose what was wrong: ${what}`, () => {
      const body = typeof error === 'string' ? error : JSON.stringify(error);
      expect(faultOfRefusal({ status, body })).to.include({ blame, code });
    });

  it('tells how long to wait wherever gateways put it', () => {
    const asked = (body: object): unknown =>
      faultOfRefusal({ status: 429, body: JSON.stringify(body) }).retryAfterS;
    expect(asked({ error: 'Too many requests', retryAfter: 30 })).to.equal(30);
    expect(asked({ error: { message: 'slow', retry_after_ms: 1_500 } })).to.equal(1.5);
    expect(asked({ error: { message: 'slow', retry_after: '30' } })).to.equal(30);
    expect(asked({ error: { message: 'slow' }, retry_after_seconds: 12 })).to.equal(12);
    expect(asked({ detail: 'Please wait 45 seconds before trying again.' })).to.equal(45);
    expect(asked({ error: { message: 'slow', retry_after: 'soon', retry_after_ms: -1 } })).to.equal(
      undefined,
    );
  });

  it('says nothing of a word that it has not: Python’s None', () => {
    const body = JSON.stringify({ error: { message: 'slow', type: 'None', param: 'None', code: '429' } });
    expect(faultOfRefusal({ status: 429, body })).not.to.have.property('reason');
  });

  it('is waited for as long as it says, by whichever way it says so', () => {
    const asks = (error: unknown, retryAfterS?: number): number | undefined => {
      const body = typeof error === 'string' ? error : JSON.stringify({ error });
      return faultOfRefusal({ status: 429, body, retryAfterS }).retryAfterS;
    };
    const google = { message: 'Busy.', details: [{ retryDelay: '26s' }] };
    expect(asks(google)).to.equal(26);
    expect(asks(google, 3), 'what HTTP says counts').to.equal(3);
    expect(asks({ message: 'Please try again in 7.66s. Visit https://x.' })).to.equal(7.66);
    expect(asks({ message: 'Limit 3 / min. Please try again in 7m12.5s.' })).to.equal(432.5);
    expect(asks({ message: 'Please try again in 820ms.' })).to.equal(0.82);
    expect(asks('No deployments available. Try again in 5 seconds.')).to.equal(5);
    expect(asks('Please retry after 1 hour.')).to.equal(3_600);
    for (const nothing of ['Please try again in a moment.', 'Try again in the morning.', 'try again in', ''])
      expect(asks(nothing), nothing).to.equal(undefined);
  });
});

describe('a parameter that a backend refuses', () => {
  const error = (message: string, param: string | null = null, code: string | null = null): object => ({
    error: { message, type: 'invalid_request_error', param, code },
  });
  /** Because of its model, or of what it is: another may take it. */
  const unable: [number, object][] = [
    // egoist/chatwise-releases#940, CherryHQ/cherry-studio#911
    [400, error("Unsupported parameter: 'temperature' is not supported with this model.", 'temperature')],
    // QwenLM/qwen-code#921
    [400, error("Unsupported value: 'temperature' does not support 0 with this model.", 'temperature')],
    // koosoli/ESPHomeDesigner#379
    [400, error("'max_tokens' is not supported with this model. Use 'max_completion_tokens'.", 'max_tokens')],
    // ChatGPTNextWeb/NextChat#3195, tailcallhq/forgecode#1185
    [
      400,
      error(
        'max_tokens is too large: 8192. This model supports at most 4096 completion tokens.',
        'max_tokens',
      ),
    ],
    // AQBot-Desktop/AQBot#93: its sentence is where its parameter should be
    [
      400,
      error(
        'Param Incorrect',
        'max_tokens is too large: 9. This model supports at most 8 completion tokens.',
      ),
    ],
    // Gitlawb/openclaude#331 (Volcengine)
    [
      400,
      error(
        'The parameter `max_completion_tokens` specified in the request are not valid: integer above maximum value, expected a value <= 12288',
        'max_completion_tokens',
      ),
    ],
    // DeepSeek, Groq, Anthropic, Scaleway (scaleway/docs-content#4858)
    [400, error('Invalid max_tokens value, the valid range of max_tokens is [1, 8192]')],
    [400, error('`max_tokens` must be less than or equal to `8192`', 'max_tokens')],
    [
      400,
      error('max_tokens: 9000 > 8192, which is the maximum allowed number of output tokens for claude-x'),
    ],
    [416, { error: 'max_completion_tokens is limited for this model' }],
    // openai/openai-dotnet#276, Groq, BerriAI/litellm#6610 (xAI), LM Studio
    [400, error("'response_format' of type 'json_schema' is not supported with model version `gpt-4o`.")],
    [400, error('This model does not support response format `json_schema`.')],
    [
      400,
      {
        code: 'Client specified an invalid argument',
        error: 'The response_format parameter is unsupported at the moment.',
      },
    ],
    [400, { error: "'response_format.type' must be 'json_schema' or 'text'" }],
    // Gitlawb/openclaude#739, editor-code-assistant/eca#231 (Mistral)
    [
      422,
      {
        detail: [{ type: 'extra_forbidden', loc: ['body', 'store'], msg: 'Extra inputs are not permitted' }],
      },
    ],
    [
      422,
      {
        message: {
          detail: [{ type: 'extra_forbidden', loc: ['body', 'n'], msg: 'Extra inputs are not permitted' }],
        },
      },
    ],
    // vllm-project/vllm-gaudi#1098, vllm-project/vllm#5299, Gemini
    [400, error("Gaudi doesn't support logprobs. Please remove 'logprobs'/'top_logprobs' from your request")],
    [400, error('Requested sample logprobs of 25, which is greater than max allowed: 20')],
    [400, error('Logprobs is not enabled for models/gemini-2.0-flash')],
    [400, error('Developer instruction is not enabled for models/gemma-3-27b-it')],
    // LiteLLM, OpenRouter, xAI, Groq, Bedrock, Ollama
    [400, error("UnsupportedParamsError: groq does not support parameters: ['logprobs'], for model=x")],
    [404, error('No endpoints found that can handle the requested parameters.')],
    [400, { error: 'Argument not supported on this model: presencePenalty' }],
    [400, error("property 'reasoning_content' is unsupported")],
    [400, { message: 'temperature and top_p cannot both be specified for this model.' }],
    [400, { error: '"llama3" does not support thinking' }],
    [400, error('Tool calling is not supported with this model', 'tools')],
  ];
  for (const [status, body] of unable)
    it(`is asked of another: ${String(status)} ${JSON.stringify(body).slice(0, 120)}`, () => {
      const fault = faultOfRefusal({ status, body: JSON.stringify(body) });
      expect(fault).to.include({ blame: 'unable', code: 'no_capable_member', retryable: true });
      // What we or the owner have set is not the caller's, whatever is said of it.
      const params = [
        'temperature',
        'max_tokens',
        'max_completion_tokens',
        'response_format',
        'store',
        'n',
        'logprobs',
        'tools',
      ];
      if (fault.reason?.param !== undefined)
        expect(faultOfRefusal({ status, body: JSON.stringify(body) }, { params })).to.include({
          blame: 'owner',
        });
    });

  /** Nobody would take it. */
  const callers: object[] = [
    error("Unknown parameter: 'x'", 'x', 'unknown_parameter'),
    error("Invalid 'temperature': decimal above maximum value. Expected a value <= 2.", 'temperature'),
    error("Invalid value: 'robot'. Supported values are: 'system', 'user'.", 'messages[0].role'),
    error('max_tokens must be at least 1, got 0.', 'max_tokens'),
    { error: "'response_format.json_schema.schema' must be an object" }, // bhimrazy/receipt-ocr#20
    { detail: [{ loc: ['body', 'messages'], msg: 'field required', type: 'missing' }] },
    error("An assistant message with 'tool_calls' must be followed by tool messages", 'messages.[3].role'),
  ];
  for (const body of callers)
    it(`is its caller's: ${JSON.stringify(body).slice(0, 120)}`, () => {
      expect(faultOfRefusal({ status: 400, body: JSON.stringify(body) })).to.include({ blame: 'caller' });
    });
});

describe('a guardrail that stands before a backend', () => {
  const guarded = (status: number, message: string) =>
    faultOfRefusal({
      status,
      body: JSON.stringify({ error: { message, type: 'hooks_failed' }, hook_results: {} }),
    });
  it('refuses the caller by Portkey’s status, and is not the caller’s where a budget is used up', () => {
    // Portkey-AI/gateway#1740
    expect(guarded(446, 'The guardrail checks defined in the config failed.')).to.include({
      blame: 'caller',
      status: 446,
    });
    expect(guarded(412, 'The guardrail checks failed.')).to.include({ blame: 'caller' });
    const spent = { status: 'failure', message: 'Portkey Error: Budget limit exceeded' };
    expect(faultOfRefusal({ status: 412, body: JSON.stringify(spent) })).to.include({
      blame: 'owner',
      code: 'backend_misconfigured',
    });
  });
});
