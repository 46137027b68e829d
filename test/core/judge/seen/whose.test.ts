import { expect } from 'chai';
import { faultOfError, faultOfRefusal, type Blame } from '../../../../core/judge/fault.ts';
import type { ErrorCode } from '../../../../core/errors.ts';

/** Whose a fault is; `tooLong` is the caller's, and of a text alone. */
type Verdict = Blame | 'tooLong' | `${Blame} ${ErrorCode}`;

const refusal = (message: string, more: object = {}): object => ({ error: { message, ...more } });

/** What was seen of a refusal: with which status (0: within an answer of 200) it said what. */
const seen: [where: string, Verdict, number, object | string][] = [
  // Of one text, whatever status it has.
  [
    'microsoft/debug-gym#128 (a Python server), half a pair of characters',
    'unable no_capable_member',
    500,
    refusal("'utf-8' codec can't encode characters in position 18675-18676: surrogates not allowed"),
  ],
  // Longer than the model's context, in everybody's words.
  [
    'lmstudio-ai/lmstudio-bug-tracker#1251, in a stream',
    'tooLong',
    0,
    {
      error:
        'Reached context length of 4096 tokens with model (arch: qwen3vlmoe) that does not currently support mid-generation context overflow. Try reloading with a larger context length or shortening the prompt/chat.',
    },
  ],
  [
    'sgl-project/sglang#4048',
    'tooLong',
    400,
    {
      object: 'error',
      message:
        'Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens). Use a shorter input or enable --allow-auto-truncate.',
    },
  ],
  [
    'QwenLM/qwen-code#98 (DashScope)',
    'tooLong',
    400,
    refusal('<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 204800]', {
      code: 'invalid_parameter_error',
    }),
  ],
  [
    'Moonshot',
    'tooLong',
    400,
    refusal('Invalid request: Your request exceeded model token limit: 8192', {
      type: 'invalid_request_error',
    }),
  ],
  ['Zhipu', 'tooLong', 400, refusal('Prompt 超长', { code: '1261' })],
  [
    'Volcengine',
    'tooLong',
    400,
    refusal('Input length 40000 exceeds the maximum length 32768. Request id: 02', {
      code: 'InvalidParameter',
    }),
  ],
  [
    'Cloudflare',
    'tooLong',
    400,
    {
      errors: [
        {
          message:
            'AiError: The estimated number of input and maximum output tokens (9000) exceeded this model context window limit (7968).',
          code: 5021,
        },
      ],
      success: false,
    },
  ],
  [
    'watsonx',
    'tooLong',
    400,
    {
      errors: [
        {
          code: 'invalid_input_argument',
          message:
            "Invalid input argument for Model 'x': the number of input tokens 5000 cannot exceed the total tokens limit 4096 for this model",
        },
      ],
    },
  ],
  ['Ollama', 'tooLong', 400, { error: 'prompt too long; exceeded max context length by 120 tokens' }],
  [
    'TensorRT-LLM',
    'tooLong',
    400,
    {
      message: 'The sum of prompt length (9000), query length (0) should not exceed max_num_tokens (8192)',
    },
  ],
  [
    'LMDeploy, in a stream',
    'tooLong',
    0,
    { object: 'error', message: 'x: input_length 9000 + max_tokens 512 > session_len 8192', code: 400 },
  ],
  [
    'mistral.rs',
    'tooLong',
    500,
    { message: 'Prompt sequence length is greater than 4096, perhaps consider using `truncate_sequence`?' },
  ],
  ['Baidu, in a 200', 'tooLong', 0, { error_code: 336103, error_msg: 'Prompt tokens too long' }],
  [
    'Databricks: so many a minute pass',
    'later too_many_requests',
    429,
    {
      error_code: 'REQUEST_LIMIT_EXCEEDED',
      message: 'REQUEST_LIMIT_EXCEEDED: You have exceeded the input token limit per minute',
    },
  ],
  // Something else is at the address.
  [
    'Go: plain HTTP at a port for HTTPS',
    'owner backend_misconfigured',
    400,
    'Client sent an HTTP request to an HTTPS server.\n',
  ],
  [
    'nginx: the same',
    'owner backend_misconfigured',
    400,
    '<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>\r\n<body></body></html>',
  ],
  [
    'IIS',
    'owner backend_misconfigured',
    400,
    '<!DOCTYPE HTML><HTML><HEAD><TITLE>Bad Request</TITLE></HEAD><BODY><h2>Bad Request - Invalid Hostname</h2></BODY>',
  ],
  ['a misdirected request', 'owner backend_misconfigured', 421, ''],
  ['a redirect to HTTPS', 'owner backend_misconfigured', 308, ''],
  [
    'ngrok',
    'owner backend_misconfigured',
    404,
    'The endpoint x.ngrok-free.app is offline.\r\n\r\nERR_NGROK_3200',
  ],
  [
    'Kong',
    'owner backend_misconfigured',
    404,
    { message: 'no Route matched with those values', request_id: 'x' },
  ],
  [
    'Portkey: without a provider',
    'owner backend_misconfigured',
    400,
    { status: 'failure', message: 'Either x-portkey-config or x-portkey-provider header is required' },
  ],
  // The model, the account, the key.
  [
    'FastChat',
    'owner backend_misconfigured',
    400,
    { object: 'error', message: 'Only vicuna-7b-v1.5 allowed now, your model gpt-4', code: 40301 },
  ],
  [
    'Alishahryar1/free-claude-code#956 (NVIDIA NIM)',
    'owner backend_misconfigured',
    404,
    { status: 404, title: 'Not Found', detail: "Function 'a1': Not found for account 'b'" },
  ],
  ['Zhipu', 'owner backend_misconfigured', 400, refusal('模型不存在，请检查模型代码。', { code: '1211' })],
  ['Zhipu: no money', 'owner backend_misconfigured', 429, refusal('您的账户已欠费，请充值后重试。')],
  [
    'DashScope: no money',
    'owner backend_misconfigured',
    400,
    refusal('Access denied, please make sure your account is in good standing.', { code: 'Arrearage' }),
  ],
  [
    'SiliconFlow: no money is no wrong key',
    'owner backend_misconfigured',
    403,
    { code: 30001, message: 'Sorry, your account balance is insufficient', data: null },
  ],
  [
    'Azure’s API management: no quota is no wrong key',
    'owner backend_misconfigured',
    403,
    { statusCode: 403, message: 'Out of call volume quota. Quota will be replenished in 10:55:35.' },
  ],
  [
    'Groq',
    'owner backend_misconfigured',
    400,
    refusal('Organization has been restricted. Please reach out to support.', {
      code: 'organization_restricted',
    }),
  ],
  [
    'OpenRouter: its owner’s privacy settings',
    'owner backend_misconfigured',
    404,
    refusal('No endpoints found matching your data policy (Free model publication).', { code: 404 }),
  ],
  [
    'LiteLLM',
    'owner backend_auth_failed',
    400,
    refusal('Authentication Error, Invalid proxy server token passed. Received API Key = sk-...1', {
      type: 'token_not_found_in_db',
      param: 'key',
      code: '401',
    }),
  ],
  // Not yet.
  ['janhq/jan#4686 (cortex)', 'later backend_not_ready', 400, { message: 'Engine is not loaded yet' }],
  [
    'Alishahryar1/free-claude-code#1012 (NVIDIA NIM)',
    'later backend_not_ready',
    400,
    { status: 400, title: 'Bad Request', detail: "Function id 'a1': DEGRADED function cannot be invoked" },
  ],
  [
    'sgl-project/sglang#28175, in a stream',
    'later backend_not_ready',
    0,
    refusal('The request queue is full.', { type: 'AbortError', code: null }),
  ],
  ['RunPod', 'later backend_not_ready', 400, { error: 'no workers available' }],
  [
    'GitHub: a 403 that is no wrong key',
    'later too_many_requests',
    403,
    refusal('You have exceeded a secondary rate limit. Please wait a few minutes before you try again.'),
  ],
  // What others may take.
  [
    'vLLM: fewer pictures than were sent',
    'unable no_capable_member',
    400,
    refusal('At most 1 image(s) may be provided in one prompt.', { type: 'BadRequestError', code: 400 }),
  ],
  ['vLLM: sound', 'unable no_capable_member', 400, refusal('Unknown part type: input_audio')],
  [
    'Perplexity',
    'unable no_capable_member',
    400,
    refusal(
      'After the (optional) system message(s), user or tool message(s) should alternate with assistant message(s).',
    ),
  ],
  [
    'axum (TGI, TEI, mistral.rs): 2 MB',
    'unable no_capable_member',
    413,
    'Failed to buffer the request body: length limit exceeded',
  ],
  ['actix', 'unable no_capable_member', 413, 'A payload reached size limit.'],
  [
    'actix, of JSON',
    'unable no_capable_member',
    413,
    'JSON payload (3000000 bytes) is larger than allowed (limit: 2097152 bytes).',
  ],
];

describe('whose a refusal is', () => {
  for (const [where, verdict, status, answer] of seen)
    it(`${where}, ${String(status)} ${JSON.stringify(answer).slice(0, 70)}`, () => {
      const body = typeof answer === 'string' ? answer : JSON.stringify(answer);
      const fault = status === 0 ? faultOfError(answer, { body }) : faultOfRefusal({ status, body });
      const { blame, code, tooLong } = fault;
      const short = tooLong ? 'tooLong' : blame;
      expect(verdict.includes(' ') ? `${short} ${code}` : short).to.equal(verdict);
    });

  it('is told with what a page is headed with', () => {
    const page = (title: string): string => `<html><head><title>\n ${title}</title></head><h1>${title}</h1>`;
    const sentence = (status: number, title: string): string =>
      faultOfRefusal({ status, body: page(title) }).message;
    expect(sentence(502, '502 Bad Gateway')).to.equal('The backend answered with status 502: Bad Gateway');
    expect(sentence(500, 'Error 500: Web server is down')).to.include('500: Web server is down');
    expect(faultOfRefusal({ status: 502, body: `<html>${'<a>'.repeat(1e5)}` }).message).to.equal(
      'The backend answered with status 502.',
    );
  });
});
