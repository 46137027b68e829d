import { expect } from 'chai';
import fc from 'fast-check';
import { reasonOfBody } from '../../../core/judge/parts/reason.ts';

/** Bodies of errors as they were seen, and what they say. */
const seen: [from: string, body: unknown, says: object][] = [
  [
    'OpenAI',
    { error: { message: 'no', type: 'invalid_request_error', param: 'tools', code: 'x' } },
    { message: 'no', type: 'invalid_request_error', param: 'tools', code: 'x' },
  ],
  [
    'llama.cpp',
    { error: { code: 400, message: 'too long', type: 'exceed_context_size_error' } },
    { message: 'too long', status: 400 },
  ],
  ['Ollama', { error: 'model "x" not found' }, { message: 'model "x" not found' }],
  [
    'vLLM before 0.10',
    { object: 'error', message: 'bad', type: 'BadRequestError', param: null, code: 400 },
    { message: 'bad', status: 400, type: 'BadRequestError' },
  ],
  ['FastAPI', { detail: 'Not Found' }, { message: 'Not Found' }],
  [
    'FastAPI 422',
    { detail: [{ loc: ['body', 'messages', 0, 'role'], msg: 'field required', type: 'missing' }] },
    { message: 'messages.0.role: field required', param: 'messages.0.role' },
  ],
  [
    'Mistral 422',
    {
      object: 'error',
      message: { detail: [{ loc: ['body', 'stream_options'], msg: 'Extra inputs are not permitted' }] },
    },
    { message: 'stream_options: Extra inputs are not permitted' },
  ],
  [
    'Gemini',
    [{ error: { code: 400, message: 'API key not valid.', status: 'INVALID_ARGUMENT' } }],
    { message: 'API key not valid.', status: 400, code: 'INVALID_ARGUMENT' },
  ],
  [
    'OpenRouter',
    {
      error: {
        message: 'Provider returned error',
        code: 400,
        metadata: { raw: '{"error":{"message":"top_k is odd"}}' },
      },
    },
    { message: 'Provider returned error: top_k is odd', status: 400 },
  ],
  [
    'AQBot-Desktop/AQBot#93: a sentence in place of a parameter',
    { error: { message: 'Param Incorrect', param: 'max_tokens is too large: 9.', code: '400' } },
    { message: 'Param Incorrect: max_tokens is too large: 9.', status: 400 },
  ],
  [
    'nashsu/llm_wiki#670: what was said behind it, as text',
    { error: { cause: '{"error":{"message":"top_k is odd"}}', code: 400, message: 'It failed' } },
    { message: 'It failed: top_k is odd', status: 400 },
  ],
  [
    'editor-code-assistant/eca#231 (Mistral)',
    { message: { detail: [{ loc: ['body', 'n'], msg: 'Extra inputs are not permitted' }] }, code: null },
    { message: 'n: Extra inputs are not permitted', param: 'n' },
  ],
  [
    'google-gemini/gemini-cli#15745: an error as the text of another',
    { error: { message: '{\n  "error": {\n    "code": 503,\n    "message": "Busy."\n  }\n}\n', code: 503 } },
    { message: 'Busy.', status: 503 },
  ],
  [
    'Apigee',
    { fault: { faultstring: 'Spike arrest', detail: { errorcode: 'x' } } },
    { message: 'Spike arrest' },
  ],
  ['a gateway in Go', { err: 'llama crashed' }, { message: 'llama crashed' }],
  [
    'Hugging Face',
    { error: 'Model x is currently loading', estimated_time: 20.5 },
    { message: 'Model x is currently loading', retryAfterS: 20.5 },
  ],
  [
    'TGI',
    { error: 'Input validation error', error_type: 'validation' },
    { message: 'Input validation error', type: 'validation' },
  ],
  [
    'Cloudflare',
    { success: false, errors: [{ code: 7009, message: 'Upstream' }, { message: 'again' }] },
    { message: 'Upstream; again' },
  ],
  ['Azure', { statusCode: 401, message: 'Access denied' }, { message: 'Access denied', status: 401 }],
  ['LiteLLM', { error: { message: "{'a': 1}", code: '429' } }, { message: "{'a': 1}", status: 429 }],
  ['a string of JSON', '{"error":{"message":"inner"}}', { message: 'inner' }],
  ['numbers alone', { error: { code: 429 } }, { status: 429 }],
  ['a shape of its own', { oops: [1, { what: 'x' }] }, { message: '{"oops":[1,{"what":"x"}]}' }],
];

describe('the reason of a backend', () => {
  for (const [from, body, says] of seen) {
    it(`is read as ${from} gives it`, () => {
      expect(reasonOfBody(JSON.stringify(body))).to.deep.include(says);
    });
  }

  it('is plain text as it is, and nothing of a page', () => {
    expect(reasonOfBody('upstream connect error\n')).to.deep.equal({ message: 'upstream connect error' });
    for (const none of ['', ' ', '{}', '[]', 'null', undefined]) expect(reasonOfBody(none)).to.deep.equal({});
  });

  it('is a bounded sentence, whatever is sent', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 12 }), fc.string(), (value, text) => {
        for (const body of [JSON.stringify(value), text]) {
          const { message } = reasonOfBody(body);
          expect(message === undefined || (message.length > 0 && message.length <= 2_000)).to.equal(true);
        }
      }),
    );
    const deep = `${'{"error":'.repeat(5_000)}"x"${'}'.repeat(5_000)}`;
    expect(reasonOfBody(deep).message).to.be.a('string');
  });
});
