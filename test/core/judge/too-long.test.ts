import { expect } from 'chai';
import { faultOfRefusal } from '../../../core/judge/fault.ts';

describe('a refusal of a backend', () => {
  // Each backend has a sentence of its own for a text that has no room.
  const tooLong: [string, number, object][] = [
    [
      'vLLM',
      400,
      { message: 'The decoder prompt (length 9001) is longer than the maximum model length of 4096.' },
    ],
    [
      'vLLM, of the room for an answer',
      400,
      {
        object: 'error',
        message:
          "'max_tokens' or 'max_completion_tokens' is too large: 50000. This model's maximum context length is 4096 tokens and your request has 20 input tokens (50000 > 4096 - 20).",
        type: 'BadRequestError',
        param: null,
        code: 400,
      },
    ],
    [
      'TGI',
      422,
      { error: 'Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 9' },
    ],
    ['TEI', 413, { error: 'Input validation error: `inputs` must have less than 512 tokens. Given: 600' }],
    [
      'SGLang',
      400,
      { message: "The input (5000 tokens) is longer than the model's context length (4096 tokens)." },
    ],
    [
      'GitHub Models',
      413,
      { error: { code: 'tokens_limit_reached', message: 'Request body too large for gpt-4o' } },
    ],
    [
      'Anthropic',
      400,
      { error: { message: 'input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000' } },
    ],
    [
      'Gemini',
      400,
      [
        {
          error: {
            message:
              'The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).',
          },
        },
      ],
    ],
    ['Bedrock', 400, { message: 'Input is too long for requested model.' }],
    ['Groq', 400, { error: { message: 'Please reduce the length of the messages or completion.' } }],
    [
      'LM Studio',
      400,
      {
        error:
          'Trying to keep the first 5000 tokens when context overflows. However, the model is loaded with context length of only 4096 tokens',
      },
    ],
    [
      'llama.cpp',
      500,
      { error: { message: 'input is too large to process. increase the physical batch size' } },
    ],
    ['Ollama', 400, { error: 'the input length exceeds the context length' }],
    [
      'xAI',
      400,
      { error: "This model's maximum prompt length is 131072 but the request contains 537812 tokens." },
    ],
  ];
  for (const [name, status, body] of tooLong)
    it(`is a text that is too long for this member: ${name}`, () => {
      const fault = faultOfRefusal({ status, body: JSON.stringify(body) });
      expect(fault).to.include({ blame: 'caller', code: 'backend_rejected', tooLong: true });
    });
});
