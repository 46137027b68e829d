import { expect } from 'chai';
import { asideOf, rightReason, rightStop } from '../../../core/judge/parts/choice.ts';
import { chatEffort } from '../../../core/translate/chat-values.ts';
import { sourceOf } from '../../../worker/providers/anthropic/source.ts';
import { faultOfError, faultOfRefusal, type Blame } from '../../../core/judge/fault.ts';
import { isError } from '../../../core/judge/parts/is-error.ts';

type Case = [what: string, status: number, body: unknown, blame: Blame, code: string];

/** Refusals as they were seen. */
const cases: Case[] = [
  [
    'OpenAI: a parameter',
    400,
    { error: { message: "Unknown parameter: 'x'", param: 'x' } },
    'caller',
    'backend_rejected',
  ],
  [
    'OpenAI: a model that is gone',
    404,
    { error: { message: 'The model `x` does not exist', code: 'model_not_found' } },
    'owner',
    'backend_misconfigured',
  ],
  [
    'OpenAI: no money',
    429,
    { error: { message: 'You exceeded your current quota', code: 'insufficient_quota' } },
    'owner',
    'backend_misconfigured',
  ],
  [
    'OpenAI: not a chat model',
    404,
    {
      error: {
        message: 'This is not a chat model and thus not supported in the v1/chat/completions endpoint.',
        param: 'model',
      },
    },
    'unable',
    'backend_misconfigured',
  ],
  [
    'OpenAI: a response that is not there',
    404,
    { error: { message: "Previous response with id 'r' not found.", param: 'previous_response_id' } },
    'caller',
    'backend_rejected',
  ],
  [
    'vLLM: a model that is gone',
    404,
    { object: 'error', message: 'The model `x` does not exist.', type: 'NotFoundError', code: 404 },
    'owner',
    'backend_misconfigured',
  ],
  [
    'Azure: a deployment that is gone',
    404,
    {
      error: { code: 'DeploymentNotFound', message: 'The API deployment for this resource does not exist.' },
    },
    'owner',
    'backend_misconfigured',
  ],
  [
    'Azure: a filter',
    400,
    { error: { code: 'content_filter', message: 'The response was filtered' } },
    'caller',
    'backend_rejected',
  ],
  [
    'LiteLLM: a model that is gone',
    400,
    { error: { message: 'Invalid model name passed in model=x' } },
    'owner',
    'backend_misconfigured',
  ],
  [
    'Ollama: tools',
    400,
    { error: { message: 'registry.ollama.ai/library/x does not support tools' } },
    'unable',
    'no_capable_member',
  ],
  // What its owner has not switched on is not what its caller did wrong (vllm-project/vllm, ggml-org/llama.cpp, OpenRouter, Groq).
  [
    'vLLM: tools that its owner has not switched on',
    400,
    {
      object: 'error',
      message: '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
      type: 'BadRequestError',
      param: null,
      code: 400,
    },
    'unable',
    'no_capable_member',
  ],
  [
    'llama.cpp: tools without --jinja',
    500,
    { error: { code: 500, message: 'tools param requires --jinja flag', type: 'server_error' } },
    'unable',
    'no_capable_member',
  ],
  [
    'vLLM: no pictures',
    400,
    { message: 'At most 0 image(s) may be provided in one request.' },
    'unable',
    'no_capable_member',
  ],
  [
    'vLLM: no chat template',
    400,
    {
      message:
        'As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat template if the tokenizer does not define one.',
    },
    'unable',
    'backend_misconfigured',
  ],
  [
    'OpenRouter: nobody behind it has tools',
    404,
    { error: { code: 404, message: 'No endpoints found that support tool use.' } },
    'unable',
    'no_capable_member',
  ],
  [
    'Groq: more than its account may in a minute',
    413,
    {
      error: {
        message:
          'Request too large for model `llama-3.1-8b-instant` in organization `o` on tokens per minute (TPM): Limit 6000, Requested 9000',
        type: 'tokens',
        code: 'rate_limit_exceeded',
      },
    },
    'unable',
    'no_capable_member',
  ],
  [
    'Azure: another operation',
    400,
    {
      error: {
        code: 'OperationNotSupported',
        message: 'The chatCompletion operation does not work with the specified model, x.',
      },
    },
    'unable',
    'backend_misconfigured',
  ],
  [
    'Gemini: where it is asked from',
    400,
    {
      error: {
        code: 400,
        message: 'User location is not supported for the API use.',
        status: 'FAILED_PRECONDITION',
      },
    },
    'owner',
    'backend_misconfigured',
  ],
  [
    'OpenAI: an organization that is not verified',
    400,
    { error: { message: 'Your organization must be verified to stream this model.', param: 'stream' } },
    'owner',
    'backend_misconfigured',
  ],
  [
    'Azure: a version of its address',
    400,
    { error: { code: 'BadRequest', message: 'API version 2019-01-01 is not supported' } },
    'owner',
    'backend_misconfigured',
  ],
  [
    'Gemini: a key that has run out',
    400,
    [{ error: { code: 400, message: 'API key expired. Please renew the API key.' } }],
    'owner',
    'backend_auth_failed',
  ],
  [
    'vLLM: a model with a point in its name',
    400,
    { message: 'The model `llama3.2-instruct` does not exist.' },
    'owner',
    'backend_misconfigured',
  ],
  [
    'Anthropic: a model that is gone',
    404,
    { type: 'error', error: { type: 'not_found_error', message: 'model: claude-2.1' } },
    'owner',
    'backend_misconfigured',
  ],
  [
    'LM Studio: none is loaded',
    400,
    { error: { message: "No models loaded. Please load a model, or use the 'lms load' command." } },
    'owner',
    'backend_misconfigured',
  ],
  [
    'Hugging Face: nobody has it',
    400,
    { error: { message: 'The requested model x/y-2.5 is not supported by any provider you have enabled.' } },
    'owner',
    'backend_misconfigured',
  ],
  [
    'a model with a point in its name that is loading',
    500,
    { error: 'Model meta-llama/Llama-3.1-8B is currently loading' },
    'later',
    'backend_not_ready',
  ],
  ['LM Studio: unloaded', 400, { error: 'Model unloaded.' }, 'later', 'backend_not_ready'],
  [
    'LM Studio: crashed',
    400,
    { error: 'The model has crashed without additional information.' },
    'broken',
    'backend_error',
  ],
  [
    'llama.cpp: loading',
    503,
    { error: { code: 503, message: 'Loading model', type: 'unavailable_error' } },
    'later',
    'backend_not_ready',
  ],
  [
    'llama.cpp: no such path',
    404,
    { error: { code: 404, message: 'File Not Found', type: 'not_found_error' } },
    'unable',
    'backend_misconfigured',
  ],
  [
    'LocalAI: too long',
    500,
    { error: { code: 500, message: 'the request exceeds the available context size' } },
    'caller',
    'backend_rejected',
  ],
  [
    'Gemini: a wrong key',
    400,
    [{ error: { code: 400, message: 'API key not valid. Please pass a valid API key.' } }],
    'owner',
    'backend_auth_failed',
  ],
  [
    'Anthropic: no money',
    400,
    { type: 'error', error: { type: 'invalid_request_error', message: 'Your credit balance is too low' } },
    'owner',
    'backend_misconfigured',
  ],
  [
    'Anthropic: overloaded',
    529,
    { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } },
    'later',
    'backend_not_ready',
  ],
  [
    'OpenRouter: moderation',
    403,
    { error: { code: 403, message: 'Your input was flagged', metadata: { reasons: ['x'] } } },
    'caller',
    'backend_rejected',
  ],
  [
    'OpenRouter: no credits',
    402,
    { error: { code: 402, message: 'Insufficient credits' } },
    'owner',
    'backend_misconfigured',
  ],
  [
    'TGI: too long',
    422,
    { error: '`inputs` must have less than 4096 tokens', error_type: 'validation' },
    'caller',
    'backend_rejected',
  ],
  [
    'Mistral: what we added',
    422,
    { detail: [{ loc: ['body', 'stream_options'], msg: 'Extra inputs are not permitted' }] },
    'owner',
    'backend_misconfigured',
  ],
  [
    'an owner’s rule',
    400,
    { error: { message: 'top_k must be positive', param: 'top_k' } },
    'owner',
    'backend_misconfigured',
  ],
  ['nginx', 502, '<html>Bad Gateway</html>', 'broken', 'backend_error'],
  ['nothing but a number', 503, '', 'later', 'backend_not_ready'],
];

describe('an error of a backend', () => {
  const chosen = { params: ['top_k', 'stream_options'] };
  for (const [what, status, error, blame, code] of cases) {
    const body = typeof error === 'string' ? error : JSON.stringify(error);
    it(`is held against who chose what was wrong: ${what}`, () => {
      const fault = faultOfRefusal({ status, body }, chosen);
      expect(fault).to.include({ blame, code, retryable: blame !== 'caller' });
      if (blame === 'caller') expect(fault.status).to.be.within(400, 499);
    });

    // With a number in it or a type that has one, it means the same within an answer that began with 200.
    const named = JSON.stringify(error).includes(`${status}`) || /"type":"(invalid|overloaded)/.test(body);
    if (typeof error !== 'object' || !named) continue;
    it(`means the same within an answer: ${what}`, () => {
      expect(faultOfError(error, { body, chosen })).to.include({ blame, code });
    });
  }

  it('is none of JavaScript’s own words, whatever a backend calls it', () => {
    for (const word of ['constructor', '__proto__', 'toString', 'valueOf']) {
      const fault = faultOfError({ error: { message: 'no', type: word, code: word } }, { body: '{}' });
      expect(fault).to.include({ blame: 'broken', code: 'backend_error' });
      expect(fault).to.not.have.property('status');
      expect([rightReason(word, {}), rightStop(word, {}), chatEffort(word)]).to.deep.equal([
        word,
        word,
        word,
      ]);
      expect(asideOf({ stop_reason: word })).to.equal(undefined);
      expect(sourceOf(`data:${word};base64,AAAA`)).to.include({ media_type: word.toLowerCase() });
    }
  });

  it('says its sentence, to the caller as it is, to others with what failed', () => {
    const body = JSON.stringify({ error: { message: 'too many tools' } });
    expect(faultOfRefusal({ status: 400, body }).message).to.equal('too many tools');
    expect(faultOfRefusal({ status: 500, body }).message).to.equal(
      'The backend answered with status 500: too many tools',
    );
    expect(faultOfRefusal({ status: 401, body }).message).not.to.contain('tools');
  });

  it('is known by what it says, not by its envelope', () => {
    const errors: [object, name?: string][] = [
      [{ error: { message: 'x' } }],
      [{ error: 'x' }],
      [{ object: 'error', message: 'x' }],
      [{ type: 'error' }],
      [{ detail: 'x' }],
      [{ detail: [{ msg: 'x' }] }],
      [{ message: 'x', code: 400 }],
      [{ errors: [{ message: 'x' }] }],
      [{ success: false }],
      [{ text: 'x' }, 'error'],
      [{ id: 'gen-1', object: 'chat.completion.chunk', choices: [], error: { message: 'x' } }],
    ];
    for (const [event, name] of errors)
      expect(isError({ ...event }, name), JSON.stringify(event)).to.equal(true);
    const none = [
      { choices: [], error: null },
      { object: 'response', error: { message: 'x' }, output: [] },
      { type: 'message_start', message: { content: [] } },
      { type: 'response.failed', response: { error: { message: 'x' } } },
      { choices: [{ delta: {} }], message: 'x' },
      { choices: [], error: {} },
      {},
    ];
    for (const event of none) expect(isError(event), JSON.stringify(event)).to.equal(false);
  });
});
