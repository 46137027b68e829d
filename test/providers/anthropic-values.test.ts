import { expect } from 'chai';
import fc from 'fast-check';
import { anthropicId, chatId, ToolNames } from '../../worker/providers/anthropic/ids.ts';
import { chatCompletion } from '../../worker/providers/anthropic/to-chat.ts';
import { createChunks } from '../../worker/providers/anthropic/to-chunks.ts';
import { toMessages } from '../../worker/providers/anthropic/to-messages.ts';

/** What Anthropic refuses for its value, and others take. */
describe('a chat for Anthropic', () => {
  it('is told ids that it takes, one to one, and nothing blank', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (id) => {
        for (const one of [id, anthropicId(id)]) {
          expect(anthropicId(one)).to.match(/^[a-zA-Z0-9_-]+$/);
          expect(chatId(anthropicId(one))).to.equal(one);
        }
      }),
    );
    const calls = [{ id: 'functions.Bash:0', function: { name: 'Bash', arguments: '{}' } }];
    const messages = [
      { role: 'user', content: 'x' },
      { role: 'assistant', content: ' ', tool_calls: calls },
      { role: 'tool', tool_call_id: 'functions.Bash:0', content: 'y' },
    ];
    const made = toMessages(JSON.stringify({ messages, stop: ['\n', 'END'] }), {
      maxTokens: 9,
      streaming: false,
    });
    const body = 'body' in made ? made.body : expect.fail(made.fault);
    expect(body.split(anthropicId('functions.Bash:0'))).to.have.length(3);
    expect(body).not.to.contain('functions.Bash:0');
    expect(body).to.contain('"stop_sequences":["END"]').and.not.contain('"text":" "');
  });

  it('is told names of tools that it takes, one to one, and what it calls is called as it was', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 90 })), (all) => {
        const first = new ToolNames(all);
        const names = new ToolNames([...all, ...all.map((name) => first.anthropic(name))]);
        for (const name of all) {
          expect(names.anthropic(name)).to.match(/^[a-zA-Z0-9_-]{1,64}$/);
          expect(names.chat(names.anthropic(name))).to.equal(name);
        }
      }),
    );
    const tool = (name: string) => ({ type: 'function', function: { name, parameters: {} } });
    const tools = ['files.read', 'files/read', 'files_read', 'x'.repeat(70)].map(tool);
    const called = [{ id: 'a', function: { name: 'files.read', arguments: '{}' } }];
    const messages = [
      { role: 'user', content: 'x' },
      { role: 'assistant', tool_calls: called },
      { role: 'tool', tool_call_id: 'a', content: 'y' },
    ];
    const choice = { type: 'function', function: { name: 'files/read' } };
    const made = toMessages(JSON.stringify({ tools, messages, tool_choice: choice }), {
      maxTokens: 9,
      streaming: false,
    });
    if (!('body' in made)) return expect.fail(made.fault);
    const sent = JSON.parse(made.body) as Record<string, unknown>;
    expect(sent['tools']).to.have.nested.property('[0].name', 'files_read_2');
    expect(sent['tools']).to.have.nested.property('[1].name', 'files_read_3');
    expect(sent['tools']).to.have.nested.property('[2].name', 'files_read');
    expect(sent['tools']).to.have.nested.property('[3].name', 'x'.repeat(64));
    expect(sent).to.have.nested.property('messages[1].content[0].name', 'files_read_2');
    expect(sent).to.have.nested.property('tool_choice.name', 'files_read_3');
    const block = { type: 'tool_use', id: 'b', name: 'files_read_3', input: {} };
    const head = { created: 1, model: 'm', names: made.names };
    const whole = chatCompletion(
      { content: [block], stop_reason: 'tool_use' },
      { ...head, usage: undefined },
    );
    expect(JSON.parse(whole ?? '')).to.have.nested.property(
      'choices[0].message.tool_calls[0].function.name',
      'files/read',
    );
    const [chunk = ''] = createChunks(head).of({
      type: 'content_block_start',
      index: 0,
      content_block: block,
    });
    expect(JSON.parse(chunk)).to.have.nested.property(
      'choices[0].delta.tool_calls[0].function.name',
      'files/read',
    );
  });

  it('is told values that it takes, where those of a chat would be refused', () => {
    const made = toMessages(
      JSON.stringify({
        tools: [{ type: 'function', function: { name: 'f', parameters: {} } }],
        messages: [
          {
            role: 'user',
            content: [{ type: 'image_url', image_url: { url: 'data:image/png;charset=utf-8;base64,AAAA' } }],
          },
          { role: 'assistant', tool_calls: [{ id: 'a', function: { name: 'f', arguments: '' } }] },
          { role: 'user', content: 'And?' },
          { role: 'tool', tool_call_id: 'a', content: 'y' },
          { role: 'assistant', content: 'So \n' },
        ],
      }),
      { maxTokens: 9, streaming: false },
    );
    const body = JSON.parse('body' in made ? made.body : expect.fail(made.fault)) as Record<string, unknown>;
    expect(body['tools']).to.deep.equal([{ name: 'f', input_schema: { type: 'object' } }]);
    expect(body).to.have.deep.nested.property('messages[0].content[0].source', {
      ...{ type: 'base64', media_type: 'image/png', data: 'AAAA' },
    });
    expect(body).to.have.nested.property('messages[2].content[0].type', 'tool_result');
    expect(body).to.have.nested.property('messages[3].content[0].text', 'So');
  });
});
