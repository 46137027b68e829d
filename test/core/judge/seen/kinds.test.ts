import { expect } from 'chai';
import { faultOfError, faultOfRefusal, type Blame } from '../../../../core/judge/fault.ts';
import { StreamJudge } from '../../../../core/judge/stream.ts';
import { judgeWhole } from '../../../../core/judge/whole.ts';
import { eventsIn } from '../../../../core/text/sse.ts';

/** Whose a fault is; `tooLong` is the caller's, and of a text alone. */
type Verdict = Blame | 'tooLong';

const refusal = (message: string, more: object = {}): object => ({ error: { message, ...more } });

/** By the kind that each is an instance of: where, with which status (0: within an answer of 200), and what was said. */
const kinds: Record<string, [where: string, Verdict, number, object | string][]> = {
  'more of a thing than one backend takes': [
    [
      'OpenAI',
      'unable',
      400,
      refusal(
        "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length 5 instead.",
        { param: 'stop', code: 'array_above_max_length' },
      ),
    ],
    [
      'OpenAI, of tools',
      'unable',
      400,
      refusal("Invalid 'tools': array too long. Expected an array with maximum length 128, but got 150.", {
        param: 'tools',
        code: 'array_above_max_length',
      }),
    ],
    [
      'Bedrock',
      'unable',
      400,
      {
        message:
          'Malformed input request: #/stopSequences: expected maximum item count: 4, found: 5, please reformat your input and try again.',
      },
    ],
    [
      'Gemini',
      'unable',
      400,
      refusal('Unable to submit request because it has 6 stop sequences; the maximum is 5.'),
    ],
    ['DeepSeek', 'unable', 400, refusal('The number of stop sequences must be at most 16.')],
    ['Fireworks', 'unable', 400, refusal('stop: maximum number of stop sequences is 4')],
    ['Upstage', 'unable', 400, refusal('Invalid value for stop. Maximum 4 items.', { param: 'stop' })],
    [
      'Pydantic',
      'unable',
      422,
      {
        detail: [
          {
            type: 'too_long',
            loc: ['body', 'stop'],
            msg: 'List should have at most 4 items after validation, not 6',
          },
        ],
      },
    ],
    ['what is the caller’s stays so', 'caller', 400, refusal('messages must have at least 1 item')],
    [
      'and so does what is of its own making',
      'caller',
      400,
      refusal('n must be 1 when using greedy sampling, got 3.'),
    ],
  ],
  'the affairs of whoever holds the key': [
    [
      'Groq',
      'owner',
      400,
      refusal('The model `x` requires terms acceptance. Please have the org admin accept the terms', {
        code: 'model_terms_required',
      }),
    ],
    ['Hugging Face', 'owner', 400, { error: 'Model requires a Pro subscription; check out hf.co/pricing' }],
    ['Volcengine', 'owner', 404, refusal('Your account 2100 has not activated the model doubao.')],
    [
      'Anthropic',
      'owner',
      400,
      refusal('You have reached your specified API usage limits. You will regain access on 2026-12-01.'),
    ],
    [
      'Anthropic, of a credential',
      'owner',
      400,
      refusal('This credential is only authorized for use with Claude Code.'),
    ],
    ['OpenRouter', 'owner', 404, refusal('No allowed providers are available for the selected model.')],
    ['LiteLLM', 'owner', 400, refusal("You passed in model=x. There is no 'model_name' with this string")],
    [
      'Databricks',
      'owner',
      404,
      { error_code: 'X', message: 'The given endpoint does not exist, please retry' },
    ],
    ['Cohere', 'owner', 404, { message: "model 'command' was removed on September 15, 2025." }],
    [
      'a rate of theirs passes',
      'later',
      429,
      refusal('Your account org max concurrency: 1, please try again after 1 seconds'),
    ],
  ],
  'numbers and names of a vendor’s own, where there is no status': [
    ['MiniMax', 'later', 0, { base_resp: { status_code: 1002, status_msg: 'rate limit' } }],
    ['MiniMax', 'later', 0, { base_resp: { status_code: 1039, status_msg: 'token limit' } }],
    ['MiniMax', 'owner', 0, { base_resp: { status_code: 1004, status_msg: 'login fail' } }],
    ['MiniMax', 'owner', 0, { base_resp: { status_code: 1008, status_msg: 'insufficient balance' } }],
    ['MiniMax', 'caller', 0, { base_resp: { status_code: 1026, status_msg: 'input new_sensitive' } }],
    [
      'MiniMax, of a number that nobody knows',
      'broken',
      0,
      { base_resp: { status_code: 7, status_msg: 'x' } },
    ],
    ['Baidu', 'tooLong', 0, { error_code: 336007, error_msg: 'the max input characters is 20000' }],
    ['Baidu', 'owner', 0, { error_code: 110, error_msg: 'Access token invalid or no longer valid' }],
    ['Baidu', 'later', 0, { error_code: 336100, error_msg: 'try again' }],
    [
      'Tencent',
      'owner',
      0,
      { Response: { Error: { Code: 'AuthFailure.X', Message: 'The SecretId is not found' } } },
    ],
    ['Google', 'later', 0, { error: { status: 'RESOURCE_EXHAUSTED', message: 'Try later.' } }],
    ['Google', 'later', 0, { error: { status: 'UNAVAILABLE', message: 'Sorry.' } }],
    ['Google', 'caller', 0, { error: { status: 'INVALID_ARGUMENT', message: 'contents is empty' } }],
    [
      'Bedrock',
      'later',
      0,
      { __type: 'com.amazon.coral.service#ServiceUnavailableException', message: 'Sorry.' },
    ],
    ['Bedrock', 'owner', 0, { __type: 'AccessDeniedException', Message: 'not authorized to perform' }],
    ['Cerebras', 'later', 0, { message: 'high traffic', type: 'too_many_requests_error' }],
  ],
  'how a backend is spoken to': [
    ['a gateway', 'unable', 415, { detail: 'Unsupported media type' }],
    ['a proxy', 'unable', 431, ''],
    ['a proxy', 'unable', 411, '<html><title>411 Length Required</title>'],
  ],
  'a size, whoever says it': [
    ['API Gateway', 'unable', 413, { message: 'Request Too Long' }],
    ['llama.cpp', 'tooLong', 500, refusal('Input prompt is too big compared to KV size.')],
    [
      'GitHub Models, of the text',
      'tooLong',
      413,
      refusal('Max size: 8000 tokens.', { code: 'tokens_limit_reached' }),
    ],
  ],
  'another path, model or way': [
    [
      'Cloudflare',
      'unable',
      400,
      { success: false, errors: [{ code: 7000, message: 'No route for that URI' }] },
    ],
    ['Copilot', 'unable', 400, 'Bad Request: model is not supported via Responses API.'],
    ['Cerebras', 'unable', 422, { message: 'response_format is incompatible with tools' }],
    ['Novita', 'unable', 400, { message: 'model features structured outputs not support' }],
    [
      'DashScope',
      'unable',
      400,
      refusal('parameter.enable_thinking must be set to false for non-streaming calls'),
    ],
    [
      'DeepSeek',
      'unable',
      400,
      refusal('deepseek-reasoner does not support successive user or assistant messages'),
    ],
    ['Mistral, of an id', 'unable', 400, { message: 'Tool call id was call_abc but must be a-z, A-Z, 0-9' }],
    [
      'Moonshot',
      'unable',
      400,
      refusal('thinking is enabled but reasoning_content is missing in assistant tool call message'),
    ],
    ['LM Studio', 'broken', 400, { error: 'Channel Error' }],
    ['Databricks', 'later', 400, { message: 'The endpoint is currently scaled to zero and is starting.' }],
    ['Triton', 'later', 400, { error: "Request for unknown model: 'x' version 1 is not at ready state" }],
    ['vLLM', 'later', 503, { error: 'engine is sleeping' }],
  ],
};

describe('a refusal is one of a kind', () => {
  for (const [kind, all] of Object.entries(kinds))
    for (const [where, verdict, status, body] of all)
      it(`${kind}: ${where}, ${String(status)} ${JSON.stringify(body).slice(0, 60)}`, () => {
        const text = typeof body === 'string' ? body : JSON.stringify(body);
        const fault =
          status === 0 ? faultOfError(body, { body: text }) : faultOfRefusal({ status, body: text });
        expect(fault.tooLong ? 'tooLong' : fault.blame).to.equal(verdict);
      });

  const inTexts: [where: string, Verdict, text: string][] = [
    ['not yet', 'later', 'Model is loading, please wait'],
    ['too many', 'later', '"rate limit exceeded"'],
    ['a wrong key', 'owner', 'Invalid API key'],
    ['nothing that is known', 'broken', 'OK'],
    [
      'a piece of an answer that speaks of it',
      'broken',
      '{"choices":[{"message":{"content":"rate limit exceeded',
    ],
  ];
  for (const [what, verdict, text] of inTexts)
    it(`also where it is a text in place of an answer: ${what}`, () => {
      expect(judgeWhole(text, { operation: 'chat' })).to.include({ blame: verdict });
      const { last } = new StreamJudge({ operation: 'chat' }).pass(eventsIn(`data: ${text}\n\n`));
      expect(last).to.include({ blame: verdict });
    });

  const sentences: [where: string, body: string, says: string][] = [
    [
      'ASP.NET',
      '{"title":"One or more errors","status":400,"errors":{"Messages":["The Messages field is required."]}}',
      'The Messages field',
    ],
    [
      'XML',
      '<?xml version="1.0"?><Error><Code>InvalidArgument</Code><Message>Bad thing</Message></Error>',
      'Bad thing',
    ],
    [
      'Tencent',
      '{"Response":{"Error":{"Code":"X","Message":"The SecretId is not found"},"RequestId":"x"}}',
      'The SecretId',
    ],
  ];
  for (const [where, body, says] of sentences)
    it(`has its sentence found: ${where}`, () => {
      expect(faultOfRefusal({ status: 400, body }))
        .to.have.property('message')
        .that.includes(says);
    });
});
