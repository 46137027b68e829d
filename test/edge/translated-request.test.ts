import { expect } from 'chai';
import fc from 'fast-check';
import { Untranslatable } from '../../core/translate/parts.ts';
import { chatBodyOf } from '../../core/translate/member-body.ts';

const chatOf = (operation: 'responses' | 'messages', body: object): Record<string, unknown> =>
  chatBodyOf(operation, JSON.stringify(body));

describe('a request of another protocol as chat', () => {
  it('has values that chat takes, where those of other protocols are wider: each seen refused', () => {
    const long = `mcp__ymir-privileged__get_failed_pipeline_jobs_from_merge_request`; // packit/ai-workflows#619
    const id = 'fc_0f0e50a1476a6c35006912c58dc9f8819192c25864eb16f07f'; // agno-agi/agno#5382
    const user = `user_${'a'.repeat(64)}_account__session_0190a5f0-0000-7000-8000-000000000001`; // Claude Code's
    const messages = chatOf('messages', {
      max_tokens: 9,
      metadata: { user_id: user },
      output_config: { effort: 'max' },
      tools: [
        { name: long, input_schema: { type: 'object' } },
        { name: long.slice(0, 64), input_schema: { type: 'object' } },
      ],
      tool_choice: { type: 'tool', name: long },
      messages: [
        { role: 'user', content: 'x' },
        { role: 'assistant', content: [{ type: 'tool_use', id, name: long, input: {} }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: id, content: 'y' }] },
      ],
    });
    const responses = chatOf('responses', {
      user,
      reasoning: { effort: 'xhigh' },
      tools: [
        { type: 'function', name: long, parameters: { type: 'object' } },
        { type: 'custom', name: long.slice(0, 64) },
      ],
      tool_choice: { type: 'function', name: long },
      input: [
        { role: 'user', content: 'x' },
        { type: 'function_call', call_id: id, name: long, arguments: '{}' },
        { type: 'function_call_output', call_id: id, output: 'y' },
      ],
    });
    const name = `${long.slice(0, 62)}_2`;
    for (const chat of [messages, responses]) {
      expect(chat).to.have.nested.property('tools[0].function.name', name);
      expect(chat).to.have.nested.property('tools[1].function.name', long.slice(0, 64));
      expect(chat).to.have.deep.nested.property('tools[0].function.parameters', {
        type: 'object',
        properties: {},
      });
      expect(chat).to.have.nested.property('tool_choice.function.name', name);
      expect(chat).to.have.nested.property('messages[1].tool_calls[0].function.name', name);
      const called = chat['messages'] as { tool_calls?: { id: string }[]; tool_call_id?: string }[];
      expect(called[2]?.tool_call_id).to.equal(called[1]?.tool_calls?.[0]?.id);
      expect(called[2]?.tool_call_id).to.have.lengthOf.at.most(40);
      expect(chat['user']).to.have.lengthOf.at.most(64);
      expect(chat['reasoning_effort']).to.equal('high');
    }
  });

  it('is what Codex CLI sends: instructions, developer texts, tools of all kinds, a turn with a call', () => {
    // Shape: openai/codex codex-rs/core/src/client_common.rs and client.rs (ResponsesApiRequest).
    const chat = chatOf('responses', {
      model: 'desk',
      instructions: 'You are Codex.',
      input: [
        { type: 'message', role: 'developer', content: [{ type: 'input_text', text: '<permissions>' }] },
        { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'list files' }] },
        { type: 'reasoning', summary: [], encrypted_content: 'xyz' },
        { type: 'function_call', call_id: 'c1', name: 'shell', arguments: '{"command":["ls"]}' },
        { type: 'function_call_output', call_id: 'c1', output: 'a.txt' },
        { type: 'custom_tool_call', call_id: 'c2', name: 'apply_patch', input: '*** Begin Patch' },
        { type: 'custom_tool_call_output', call_id: 'c2', output: 'done' },
      ],
      tools: [
        {
          type: 'function',
          name: 'shell',
          description: 'Runs',
          strict: false,
          parameters: { type: 'object' },
        },
        {
          type: 'custom',
          name: 'apply_patch',
          description: 'Patches',
          format: { type: 'grammar', syntax: 'lark', definition: 'start: x' },
        },
        { type: 'local_shell' },
        { type: 'web_search', external_web_access: false },
      ],
      tool_choice: 'auto',
      parallel_tool_calls: false,
      reasoning: { effort: 'medium', summary: 'auto' },
      store: false,
      stream: true,
      include: ['reasoning.encrypted_content'],
      prompt_cache_key: 'k',
      text: { verbosity: 'low' },
    });
    expect(chat['messages']).to.deep.equal([
      { role: 'system', content: 'You are Codex.\n\n<permissions>' },
      { role: 'user', content: 'list files' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [
          { id: 'c1', type: 'function', function: { name: 'shell', arguments: '{"command":["ls"]}' } },
        ],
      },
      { role: 'tool', tool_call_id: 'c1', content: 'a.txt' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [
          {
            id: 'c2',
            type: 'function',
            function: { name: 'apply_patch', arguments: '{"input":"*** Begin Patch"}' },
          },
        ],
      },
      { role: 'tool', tool_call_id: 'c2', content: 'done' },
    ]);
    const names = (chat['tools'] as { function: { name: string } }[]).map((tool) => tool.function.name);
    expect(names).to.deep.equal(['shell', 'apply_patch']);
    expect(chat).to.include({ stream: true, reasoning_effort: 'medium', parallel_tool_calls: false });
    expect(chat).to.not.have.any.keys(
      'store',
      'include',
      'prompt_cache_key',
      'text',
      'input',
      'instructions',
    );
  });

  it('is what Claude Code sends: system blocks, thinking, tools, results with pictures, marks for caches', () => {
    // Shape: as recorded of Claude Code 2 in musistudio/claude-code-router and BerriAI/litellm's experimental pass-through tests.
    const cached = { cache_control: { type: 'ephemeral' } };
    const chat = chatOf('messages', {
      model: 'desk',
      max_tokens: 32_000,
      stream: true,
      system: [
        { type: 'text', text: 'You are Claude Code.', ...cached },
        { type: 'text', text: 'Be brief.', ...cached },
      ],
      metadata: { user_id: 'user_1' },
      thinking: { type: 'enabled', budget_tokens: 31_999 },
      tools: [
        { name: 'Read', description: 'Reads', input_schema: { type: 'object', properties: {} } },
        { type: 'web_search_20250305', name: 'web_search', max_uses: 8 },
      ],
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: '<system-reminder>' },
            { type: 'text', text: 'look', ...cached },
          ],
        },
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'hm', signature: 's' },
            { type: 'text', text: 'I look.' },
            { type: 'tool_use', id: 'toolu_1', name: 'Read', input: { path: 'a.png' } },
          ],
        },
        {
          role: 'user',
          content: [
            {
              type: 'tool_result',
              tool_use_id: 'toolu_1',
              content: [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } }],
            },
            { type: 'text', text: 'go on' },
          ],
        },
      ],
    });
    expect(chat['messages']).to.deep.equal([
      { role: 'system', content: 'You are Claude Code.\nBe brief.' },
      { role: 'user', content: '<system-reminder>\nlook' },
      {
        role: 'assistant',
        content: 'I look.',
        tool_calls: [
          { id: 'toolu_1', type: 'function', function: { name: 'Read', arguments: '{"path":"a.png"}' } },
        ],
      },
      { role: 'tool', tool_call_id: 'toolu_1', content: '' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Of the result of toolu_1:' },
          { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
          { type: 'text', text: 'go on' },
        ],
      },
    ]);
    expect(chat['tools']).to.have.length(1);
    expect(chat).to.include({ max_tokens: 32_000, user: 'user_1', stream: true });
    expect(chat).to.not.have.any.keys('thinking', 'metadata', 'system');
  });

  it('keeps the format that an answer must have, and which tool must be called', () => {
    const schema = { type: 'object' };
    const format = { type: 'json_schema', name: 'x', schema, strict: true };
    const tools = [{ type: 'function', name: 'f', parameters: schema }];
    const tool_choice = { type: 'function', name: 'f' };
    const responses = chatOf('responses', { input: 'hi', text: { format }, tools, tool_choice });
    expect(responses['response_format']).to.deep.equal({
      type: 'json_schema',
      json_schema: { name: 'x', schema, strict: true },
    });
    expect(responses['tool_choice']).to.deep.equal({ type: 'function', function: { name: 'f' } });
    const messages = [{ role: 'user', content: 'hi' }];
    const config = { output_config: { format: { type: 'json_schema', schema } } };
    const choice = { tools: [{ name: 'f', input_schema: schema }], tool_choice: { type: 'any' } };
    const of = chatOf('messages', { messages, ...config, ...choice });
    expect(of['response_format']).to.have.nested.property('json_schema.schema').that.deep.equals(schema);
    expect(of['tool_choice']).to.equal('required');
  });

  it('keeps what chat has words for as well: sound, and as much of a picture as there is', () => {
    const sound = { type: 'input_audio', input_audio: { data: 'AA==', format: 'wav' } };
    const picture = { type: 'input_image', image_url: 'https://x/y.png', detail: 'original' };
    expect(
      chatOf('responses', { input: [{ role: 'user', content: [sound, picture] }] })['messages'],
    ).to.deep.equal([
      {
        role: 'user',
        content: [sound, { type: 'image_url', image_url: { url: 'https://x/y.png', detail: 'high' } }],
      },
    ]);
  });

  it('is refused, naming the place, where chat has no words for what matters', () => {
    const refusals: [() => unknown, string][] = [
      [() => chatOf('responses', { input: [{ type: 'item_reference', id: 'x' }] }), 'input.0'],
      [
        () =>
          chatOf('responses', {
            input: [{ role: 'user', content: [{ type: 'input_image', file_id: 'f' }] }],
          }),
        'input.0.content.0',
      ],
      [() => chatOf('messages', { messages: [{ role: 'robot', content: '' }] }), 'messages.0.role'],
    ];
    for (const [translate, path] of refusals)
      expect(translate).to.throw(Untranslatable).with.property('path', path);
  });

  it('throws nothing else, whatever the body is', () => {
    const any = fc.json({ maxDepth: 4 });
    const item = fc.record(
      {
        type: fc.constantFrom(
          'message',
          'function_call',
          'function_call_output',
          'text',
          'tool_use',
          'tool_result',
          'image',
        ),
        role: fc.constantFrom('user', 'assistant', 'system', 'developer'),
        content: fc.jsonValue({ maxDepth: 3 }),
        call_id: fc.jsonValue({ maxDepth: 1 }),
        source: fc.jsonValue({ maxDepth: 1 }),
        output: fc.jsonValue({ maxDepth: 2 }),
      },
      { requiredKeys: [] },
    );
    const likely = fc
      .record({
        input: fc.array(item),
        messages: fc.array(item),
        tools: fc.jsonValue(),
        text: fc.jsonValue(),
      })
      .map((body) => JSON.stringify(body));
    fc.assert(
      fc.property(
        fc.constantFrom('responses', 'messages' as const),
        fc.oneof(any, likely),
        (operation, text) => {
          try {
            expect(chatBodyOf(operation, text)['messages']).to.be.an('array');
          } catch (thrown) {
            expect(thrown).to.be.instanceOf(Untranslatable);
          }
        },
      ),
    );
  });
});
