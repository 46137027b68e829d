import { expect } from 'chai';
import { faultOfRefusal, type Blame } from '../../../core/judge/fault.ts';

/** Whose a fault is; `tooLong` is the caller's, and of a text alone. */
type Verdict = Blame | 'tooLong';

const errorOf = (message: string, more: object = {}): object => ({ error: { message, ...more } });

describe('a refusal that was seen', () => {
  const refusals: [seen: string, Verdict, number, object | string][] = [
    [
      'ggml-org/llama.cpp#19774',
      'tooLong',
      500,
      errorOf('Context size has been exceeded.', { type: 'server_error' }),
    ],
    ['ggml-org/llama.cpp#15780', 'tooLong', 500, errorOf('the request exceeds the available context size.')],
    [
      'fedora-copr/logdetective-website#193 (llama-cpp-python)',
      'tooLong',
      500,
      errorOf('Requested tokens (2285) exceed context window of 2048'),
    ],
    [
      'SGLang',
      'tooLong',
      400,
      errorOf("The input (40000 tokens) is longer than the model's context length (32768 tokens)."),
    ],
    ['SGLang', 'later', 503, errorOf('The request queue is full.', { type: 'SERVICE_UNAVAILABLE' })],
    ['mudler/LocalAI#1617', 'unable', 500, errorOf('endpoint disabled for this model by API configuration')],
    [
      'mudler/LocalAI#4900',
      'broken',
      500,
      errorOf('failed to load model with internal loader: backend not found'),
    ],
    ['NousResearch/hermes-agent#102044', 'broken', 500, 'model name=LFM2.5-2.6B failed to load'],
    [
      'canonical/inference-snaps#234',
      'later',
      503,
      { message: 'Loading model', type: 'unavailable_error', code: 503 },
    ],
    [
      'ollama/ollama#14093',
      'broken',
      500,
      errorOf('model runner has unexpectedly stopped, this may be due to resource limitations'),
    ],
    [
      'ollama/ollama#7668',
      'broken',
      500,
      { error: 'an unknown error was encountered while running the model' },
    ],
    [
      'QuantumNous/new-api#7399',
      'later',
      500,
      errorOf('Our servers are currently overloaded. Please try again later.', {
        code: 'server_is_overloaded',
      }),
    ],
    ['QuantumNous/new-api#5113 (Cloudflare)', 'broken', 524, 'error code: 524'],
    [
      'open-webui/computer#293 (OpenRouter)',
      'later',
      429,
      errorOf('Provider returned error', {
        code: 429,
        metadata: { raw: 'x is temporarily rate-limited upstream.' },
      }),
    ],
    ['Xinference', 'owner', 400, { detail: 'Model not found in the model list, uid: qwen' }],
    [
      'Xinference',
      'unable',
      500,
      { detail: "[address=0.0.0.0:41000] Model model_format='x' is not for chat." },
    ],
    [
      'Xinference',
      'unable',
      400,
      { detail: 'Only gorilla-openfunctions-v1, chatglm3 support tool messages' },
    ],
    [
      'KoboldCpp',
      'later',
      503,
      { detail: { msg: 'Server is busy; please try again later.', type: 'service_unavailable' } },
    ],
    [
      'LMDeploy',
      'unable',
      400,
      { message: 'Please launch the api_server with --tool-call-parser if you want to use tool.' },
    ],
    [
      'TabbyAPI',
      'unable',
      422,
      errorOf('Chat completions are disabled because a prompt template is not set.'),
    ],
    ['TabbyAPI', 'tooLong', 400, errorOf('Prompt length 9000 is greater than max_seq_len 8192')],
    ['TabbyAPI', 'owner', 400, { detail: 'No models are currently loaded.' }],
    [
      'TGI',
      'tooLong',
      422,
      { error: 'Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096.' },
    ],
    ['TGI', 'broken', 424, { error: 'Request failed during generation: Server error: CUDA out of memory' }],
    [
      'Together',
      'owner',
      404,
      errorOf('Unable to access model meta-llama/x.', { code: 'model_not_available' }),
    ],
    [
      'Together',
      'later',
      503,
      errorOf('The server is overloaded or not ready yet.', { type: 'service_unavailable' }),
    ],
    ['DeepSeek', 'owner', 402, errorOf('Insufficient Balance')],
    [
      'Mistral',
      'later',
      429,
      { object: 'error', message: 'Service tier capacity exceeded for this model.', code: '3505' },
    ],
    [
      'Mistral',
      'tooLong',
      400,
      { message: 'Prompt contains 40000 tokens, too large for model with 32768 maximum context length' },
    ],
    [
      'Mistral',
      'caller',
      400,
      { message: 'Expected last role User or Tool but got assistant', code: '3230' },
    ],
    [
      'Azure',
      'later',
      429,
      errorOf('Requests have exceeded token rate limit. Please retry after 26 seconds.', { code: '429' }),
    ],
    ['Azure', 'owner', 401, errorOf('Access denied due to invalid subscription key or wrong API endpoint.')],
    [
      'Azure',
      'caller',
      400,
      errorOf('The response was filtered due to the prompt.', { code: 'content_filter', param: 'prompt' }),
    ],
    ['Bedrock', 'tooLong', 400, { message: 'Input tokens exceeds the configured limit of 131072 tokens' }],
    ['Bedrock', 'tooLong', 400, { message: 'Input is too long for requested model.' }],
    ['Bedrock', 'owner', 400, { message: 'The provided model identifier is invalid.' }],
    ['Groq', 'later', 498, errorOf('Flex tier capacity exceeded', { code: 'capacity_exceeded' })],
    [
      'Groq',
      'caller',
      400,
      errorOf("Failed to call a function. See 'failed_generation'.", { code: 'tool_use_failed' }),
    ],
    ['Groq', 'owner', 400, errorOf('The model `x` has been decommissioned and is no longer supported.')],
    [
      'Gemini',
      'tooLong',
      400,
      [errorOf('The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).')],
    ],
    ['Gemini', 'owner', 400, [errorOf('Please pass a valid API key.')]],
    [
      'google-gemini/gemini-cli#15745',
      'later',
      503,
      errorOf('{\n  "error": {\n    "code": 503,\n    "message": "The model is overloaded."\n  }\n}\n'),
    ],
    [
      'Anthropic',
      'tooLong',
      400,
      errorOf('input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000'),
    ],
    [
      'Cloudflare',
      'later',
      429,
      { errors: [{ message: 'Capacity temporarily exceeded, please try again.', code: 3040 }] },
    ],
    [
      'Cloudflare',
      'caller',
      400,
      { errors: [{ message: 'AiError: Bad input: oneOf at / not met', code: 5006 }], success: false },
    ],
    [
      'Hugging Face',
      'owner',
      402,
      { error: 'You have exceeded your monthly included credits for Inference Providers.' },
    ],
    // Of one text, and no news of the member.
    ['ollama/ollama#9639', 'unable', 500, 'failed to encode response: json: unsupported value: NaN'],
    [
      'hang-in/seCall#5 (Ollama)',
      'unable',
      500,
      { error: 'failed to encode response: json: unsupported value: NaN' },
    ],
    ['Ollama', 'unable', 500, errorOf('failed to encode response: json: unsupported value: +Inf')],
    [
      'sgl-project/sglang#5984, vllm#19661',
      'unable',
      500,
      errorOf('Out of range float values are not JSON compliant: nan', { type: 'InternalServerError' }),
    ],
    [
      'TGI',
      'unable',
      424,
      {
        error:
          'Request failed during generation: Server error: probability tensor contains either `inf`, `nan` or element < 0',
        error_type: 'generation',
      },
    ],
    ['SGLang', 'unable', 500, errorOf('Detected errors during sampling! NaN in the logits.')],
    ['Ollama', 'unable', 500, errorOf('sample: logits sum to NaN, check model output')],
    [
      'ggml-org/llama.cpp#13178',
      'unable',
      500,
      errorOf(
        'Cannot subscript null at row 23, column 40:\n    {%- set tool_start_length = tool_start|length %}',
        {
          code: 500,
          type: 'server_error',
        },
      ),
    ],
    [
      'eclipse-theia/theia#17104 (llama.cpp)',
      'unable',
      500,
      errorOf(
        '\n------------\nWhile executing CallExpression at line 189, column 32 in source:\n...== 0) %}↵  {{- raise_exception(\nError: Jinja Exception: After the optional system message, conversation roles must alternate user and assistant roles except for tool calls and results.',
      ),
    ],
    [
      'diegosouzapw/OmniRoute#4982 (llama.cpp)',
      'unable',
      400,
      errorOf(
        'Unable to generate parser for this template. Automatic parser generation failed: No user query',
      ),
    ],
    [
      'lmstudio-bug-tracker#1586',
      'unable',
      400,
      { error: 'Error rendering prompt with jinja template: "No user query found in messages.".' },
    ],
    [
      'ggml-org/llama.cpp#21600',
      'unable',
      400,
      errorOf('Failed to initialize samplers: Unexpected empty grammar stack after accepting piece: <think>'),
    ],
    ['vLLM', 'unable', 400, errorOf('Conversation roles must alternate user/assistant/user/assistant/...')],
    ['TGI', 'unable', 422, { error: 'Template error: undefined value', error_type: 'template_error' }],
    [
      'Ollama',
      'unable',
      500,
      errorOf('template: :12:24: executing "" at <index .ToolCalls 0>: error calling index'),
    ],
    [
      'ggml-org/llama.cpp#20532',
      'unable',
      500,
      errorOf('Failed to parse input at pos 312: <|channel|>commentary to=functions.x', {
        type: 'server_error',
      }),
    ],
    [
      'ollama/ollama#12884',
      'unable',
      500,
      errorOf(
        `error parsing tool call: raw='{"input":"x"}]', err=invalid character ']' after top-level value`,
      ),
    ],
    [
      'vllm-project/vllm#51977',
      'unable',
      500,
      errorOf('unexpected tokens remaining in message header: Some("to=functions.web-browsing")', {
        type: 'Internal Server Error',
      }),
    ],
    [
      'openai/harmony#60',
      'unable',
      500,
      errorOf('Unexpected token 12606 while expecting start token 200006'),
    ],
    ['vLLM', 'unable', 500, errorOf('cannot identify image file <_io.BytesIO object at 0x7f2c5c0>')],
    ['Ollama', 'unable', 500, errorOf('failed to process inputs: image: unknown format')],
    ['llama.cpp', 'unable', 500, errorOf('failed to load image or audio file', { code: 500 })],
    ['LMDeploy', 'unable', 500, { detail: 'Incorrect padding' }],
    [
      'llama.cpp',
      'unable',
      500,
      errorOf('[json.exception.type_error.316] invalid UTF-8 byte at index 4: 0x80', {
        type: 'server_error',
      }),
    ],
    ['vLLM', 'unable', 500, errorOf('Failed to convert the grammar from GBNF to Lark', { code: 500 })],
    // And what is news of it.
    ['Ollama', 'broken', 500, errorOf('llama runner process has terminated: exit status 2')],
    ['Ollama', 'broken', 500, errorOf('error loading model /root/.ollama/models/blobs/sha256-6e9f')],
    ['vLLM', 'broken', 500, errorOf('CUDA error: an illegal memory access was encountered')],
    [
      'vLLM',
      'broken',
      500,
      errorOf('EngineCore encountered an issue. See stack trace (above) for the root cause.'),
    ],
    [
      'a gateway',
      'broken',
      500,
      errorOf('failed to fetch url http://10.0.0.4:8000/v1/embeddings: ECONNREFUSED'),
    ],
    [
      'Azure',
      'broken',
      500,
      errorOf('The server had an error while processing your request. Sorry about that!'),
    ],
    ['a caller’s', 'caller', 400, errorOf('Invalid image: cannot identify image file')],
  ];
  for (const [seen, verdict, status, given] of refusals)
    it(`is held against who it is of: ${seen}, ${String(status)} ${JSON.stringify(given).slice(0, 90)}`, () => {
      const body = typeof given === 'string' ? given : JSON.stringify(given);
      const { blame, tooLong } = faultOfRefusal({ status, body });
      expect(tooLong ? 'tooLong' : blame).to.equal(verdict);
    });
});
