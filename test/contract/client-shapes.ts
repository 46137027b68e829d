import { expect } from 'chai';
import type { Backend } from '../support/backend.ts';
import type { Door } from './door.ts';
import { called, thinks } from './thinks.ts';

/** A program's request, as its sources and recordings of it have it. */
interface Shape {
  path: string;
  headers: Record<string, string>;
  body: Record<string, unknown>;
  /** What the member is asked, beside what is named in `absent`. */
  chat: Record<string, unknown>;
  /** What is never passed on to a backend that speaks chat alone. */
  absent: string[];
  /** Texts of the answer. */
  says: (string | RegExp)[];
}

const parameters = { type: 'object', properties: { at: { type: 'string' } }, required: ['at'] };
const chatTool = { type: 'function', function: { name: 'look', description: 'Looks.', parameters } };
const picture =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const typed = (type: string, text: string): object => ({ type, text });

const shapes: Record<string, Shape> = {
  // openai/codex: codex-rs/codex-api/src/common.rs (ResponsesApiRequest) and requests/headers.rs: `store` false and
  // `stream` true always, the thread as cache key, an identity of the installation beside.
  'Codex CLI': {
    path: '/v1/responses',
    headers: {
      accept: 'text/event-stream',
      originator: 'codex_cli_rs',
      'user-agent': 'codex_cli_rs/0.98.0 (Debian 12.0.0; x86_64) xterm-256color',
      version: '0.98.0',
      'session-id': '0198c0de-0000-7000-8000-000000000000',
      'thread-id': '0198c0de-0000-7000-8000-000000000000',
      'x-codex-installation-id': '11111111-2222-4333-8444-555555555555',
      'x-codex-beta-features': 'apps',
    },
    body: {
      instructions: 'You are Codex.',
      input: [
        { type: 'message', role: 'developer', content: [typed('input_text', '<permissions>')] },
        { type: 'message', role: 'user', content: [typed('input_text', '<environment_context>')] },
        { type: 'message', role: 'user', content: [typed('input_text', 'look')] },
        { type: 'reasoning', summary: [], content: null, encrypted_content: 'gAAAA' },
        { type: 'function_call', name: 'look', arguments: '{"at":"sea"}', call_id: 'call_0' },
        {
          type: 'function_call_output',
          call_id: 'call_0',
          output: [{ type: 'input_image', image_url: `data:image/png;base64,${picture}` }],
        },
      ],
      tools: [
        { type: 'function', name: 'look', description: 'Looks.', strict: false, parameters },
        {
          type: 'custom',
          name: 'apply_patch',
          description: 'Patches.',
          format: { type: 'grammar', syntax: 'lark', definition: 'start: "x"' },
        },
        { type: 'web_search', external_web_access: false },
      ],
      tool_choice: 'auto',
      parallel_tool_calls: true,
      reasoning: { effort: 'medium', summary: 'auto' },
      store: false,
      stream: true,
      include: ['reasoning.encrypted_content'],
      prompt_cache_key: '0198c0de-0000-7000-8000-000000000000',
      text: { verbosity: 'low' },
      client_metadata: { 'x-codex-installation-id': '11111111-2222-4333-8444-555555555555' },
    },
    chat: { stream: true, tool_choice: 'auto', parallel_tool_calls: true, reasoning_effort: 'medium' },
    absent: ['instructions', 'input', 'store', 'include', 'text', 'client_metadata', 'reasoning'],
    says: [/event: response\.created\n/, /event: response\.completed\n/, JSON.stringify(called.arguments)],
  },
  // starbased-co/ccproxy, examples/cc-api-req.zsh, and recordings of claude-cli 2.1 with its beta marks: `?beta=true`,
  // system in blocks, marks for caches, thinking, a session as `metadata.user_id`, all of it streamed.
  'Claude Code': {
    path: '/v1/messages?beta=true',
    headers: {
      'anthropic-version': '2023-06-01',
      'anthropic-beta':
        'claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,fine-grained-tool-streaming-2025-05-14',
      'anthropic-dangerous-direct-browser-access': 'true',
      'user-agent': 'claude-cli/2.1.12 (external, cli)',
      'x-app': 'cli',
      'x-stainless-helper-method': 'stream',
      'x-stainless-lang': 'js',
      'x-stainless-retry-count': '0',
      'x-stainless-timeout': '600',
    },
    body: {
      max_tokens: 32_000,
      stream: true,
      metadata: { user_id: 'user_19f2_account__session_34832e57' },
      thinking: { type: 'enabled', budget_tokens: 31_999 },
      context_management: { edits: [{ type: 'clear_thinking_20251015', keep: 'all' }] },
      system: [
        { ...typed('text', 'You are Claude Code.'), cache_control: { type: 'ephemeral' } },
        { ...typed('text', 'Be brief.'), cache_control: { type: 'ephemeral' } },
      ],
      tools: [
        {
          name: 'look',
          description: 'Looks.',
          input_schema: parameters,
          cache_control: { type: 'ephemeral' },
        },
      ],
      messages: [
        { role: 'user', content: [typed('text', '<system-reminder>'), typed('text', 'look')] },
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'hm', signature: 'EqQB' },
            { type: 'tool_use', id: 'toolu_0', name: 'look', input: { at: 'sea' } },
            { type: 'tool_use', id: 'toolu_1', name: 'look', input: { at: 'sky' } },
          ],
        },
        {
          role: 'user',
          content: [
            {
              type: 'tool_result',
              tool_use_id: 'toolu_0',
              content: [
                { type: 'image', source: { type: 'base64', media_type: 'image/png', data: picture } },
              ],
            },
            {
              type: 'tool_result',
              tool_use_id: 'toolu_1',
              content: 'blue',
              is_error: false,
              cache_control: { type: 'ephemeral' },
            },
          ],
        },
      ],
    },
    chat: { stream: true, max_tokens: 32_000 },
    absent: ['system', 'thinking', 'context_management', 'metadata'],
    says: [/event: message_start\n/, '"stop_reason":"tool_use"', /event: message_stop\n/],
  },
  // n8n-io/n8n: packages/@n8n/nodes-langchain/nodes/llms/LMChatOpenAi/common.ts, its Responses toggle: what LangChain
  // sends, and the options of the node.
  'n8n, by Responses': {
    path: '/v1/responses',
    headers: { 'user-agent': 'OpenAI/JS 6.9.0', 'x-stainless-lang': 'js' },
    body: {
      input: [
        { type: 'message', role: 'developer', content: 'Be brief.' },
        { type: 'message', role: 'user', content: 'look' },
      ],
      stream: false,
      temperature: 0.7,
      top_logprobs: 0,
      safety_identifier: 'someone',
      service_tier: 'auto',
      prompt_cache_key: 'k',
      metadata: { flow: '7' },
      reasoning: { effort: 'low' },
      text: { verbosity: 'medium', format: { type: 'text' } },
      tools: [{ type: 'function', name: 'look', description: 'Looks.', parameters, strict: null }],
    },
    chat: { temperature: 0.7, reasoning_effort: 'low' },
    absent: ['input', 'text', 'reasoning'],
    says: ['"status":"completed"', '"type":"function_call"'],
  },
  // The same node without the toggle: LangChain's chat.
  n8n: {
    path: '/v1/chat/completions',
    headers: { 'user-agent': 'OpenAI/JS 6.9.0', 'x-stainless-lang': 'js' },
    body: {
      temperature: 0.7,
      stream: true,
      stream_options: { include_usage: true },
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'look' },
      ],
      tools: [chatTool],
    },
    chat: { temperature: 0.7, stream: true },
    absent: [],
    says: ['"finish_reason":"tool_calls"', '"usage":{', 'data: [DONE]'],
  },
  // open-webui/open-webui: backend/open_webui/routers/ollama.py (GenerateChatCompletionForm): content may be null beside
  // calls, pictures as bare base64, options of every kind.
  'Open WebUI, by Ollama': {
    path: '/api/chat',
    headers: { 'user-agent': 'Python/3.11 aiohttp/3.12' },
    body: {
      stream: true,
      keep_alive: '5m',
      options: { temperature: 0.8, num_ctx: 8_192, stop: ['###'] },
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'look', images: [picture] },
        {
          role: 'assistant',
          content: '',
          tool_calls: [{ function: { name: 'look', arguments: { at: 'sea' } } }],
        },
        { role: 'tool', content: 'blue', tool_name: 'look' },
      ],
      tools: [chatTool],
    },
    chat: { stream: true, temperature: 0.8, stop: ['###'] },
    absent: ['options', 'keep_alive'],
    says: ['"tool_calls":[{', /"done":true/],
  },
  // continuedev/continue: packages/openai-adapters/src/apis/openaiResponses.ts (toResponsesParams): nulls where nothing
  // is said, its assistant's turns with ids.
  'Continue, by Responses': {
    path: '/v1/responses',
    headers: { 'user-agent': 'node-fetch/1.0' },
    body: {
      input: [
        { type: 'message', role: 'developer', content: [typed('input_text', 'Be brief.')] },
        { type: 'message', role: 'user', content: [typed('input_text', 'hi')] },
        {
          type: 'message',
          role: 'assistant',
          id: 'msg_0000',
          status: 'completed',
          content: [{ ...typed('output_text', 'hello'), annotations: [] }],
        },
        {
          type: 'message',
          role: 'user',
          content: [
            typed('input_text', 'look'),
            { type: 'input_image', image_url: `data:image/png;base64,${picture}`, detail: 'auto' },
          ],
        },
      ],
      stream: true,
      tool_choice: { type: 'function', name: 'look' },
      tools: [{ type: 'function', name: 'look', description: null, parameters, strict: null }],
      metadata: null,
      max_output_tokens: 4_096,
      parallel_tool_calls: false,
    },
    chat: { stream: true, max_tokens: 4_096, parallel_tool_calls: false },
    absent: ['input', 'max_output_tokens'],
    says: [/event: response\.completed\n/, JSON.stringify(called.arguments)],
  },
};

/** What programs really send, to a member that speaks chat alone. */
export function clientShapeFacts(door: () => Door): void {
  describe('a request as it is sent by', () => {
    const model = 'chat-for-all';
    let backend: Backend;
    before(async () => {
      backend = await door().publishSpeaking(model, ['chat']);
      backend.reply(thinks);
    });

    for (const [program, { path, headers, body, chat, absent, says }] of Object.entries(shapes)) {
      it(`${program} is answered by a chat`, async () => {
        const answer = await door().system.call('POST', path, { body: { model, ...body }, headers });
        const answered = await answer.text();
        expect(answer.status, answered).to.equal(200);
        for (const words of says)
          if (typeof words === 'string') expect(answered).to.include(words);
          else expect(answered).to.match(words);
        const sent = backend.requests.findLast(({ method }) => method === 'POST');
        expect(sent?.path).to.equal('/v1/chat/completions');
        expect(sent?.json).to.deep.include({ model: 'tiny', ...chat });
        if (absent.length > 0) expect(sent?.json).to.not.have.any.keys(...absent);
        expect(JSON.stringify(sent?.json?.['messages'])).to.include('look');
      });
    }

    it('who would go on from an answer that is kept nowhere is refused with what to do instead', async () => {
      for (const kept of [
        { previous_response_id: 'resp_1' },
        { conversation: 'conv_1' },
        { prompt: { id: 'p' } },
      ]) {
        const body = { model, input: 'hi', ...kept };
        const answer = await door().system.call('POST', '/v1/responses', { body });
        const refusal = (await answer.json()) as { error: { message: string } };
        expect(answer.status, refusal.error.message).to.equal(400);
        expect(refusal.error.message).to.match(/[Ss]end the whole conversation as input/);
      }
    });
  });
}
