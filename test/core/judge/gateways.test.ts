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
    'caller',
    'backend_rejected',
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
  for (const [what, status, said, blame, code] of cases)
    it(`is held against who chose what was wrong: ${what}`, () => {
      const body = typeof said === 'string' ? said : JSON.stringify(said);
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
    const asks = (said: unknown, retryAfterS?: number): number | undefined => {
      const body = typeof said === 'string' ? said : JSON.stringify({ error: said });
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
