import { expect } from 'chai';
import fc from 'fast-check';
import { AlikeNames, toolNaming } from '../../core/translate/alike-names.ts';
import { anthropicId, chatId } from '../../worker/providers/anthropic/ids.ts';
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

  it('is not asked for what it could only answer otherwise than asked', () => {
    const [messages, given] = [[{ role: 'user', content: 'x' }], { maxTokens: 9, streaming: false }];
    for (const more of [{ functions: [{}] }, { modalities: ['audio'] }]) {
      const made = toMessages(JSON.stringify({ messages, ...more }), given);
      expect('fault' in made && made.fault).to.match(
        /^functions: .* before tools|^modalities.0: must be text/,
      );
    }
  });

  it('is told names of tools that it takes, one to one, and what it calls is called as it was', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 90 })), (all) => {
        const first = new AlikeNames(all, toolNaming);
        const names = new AlikeNames([...all, ...all.map((name) => first.sent(name))], toolNaming);
        for (const name of all) {
          expect(names.sent(name)).to.match(/^[a-zA-Z0-9_-]{1,64}$/);
          expect(names.asked(names.sent(name))).to.equal(name);
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
    const head = { created: 1, model: 'm', tools: made.tools };
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

  it('is told nothing of a chat that it would refuse for good: each seen refused', () => {
    const hi = { role: 'user', content: 'Hi' };
    const called = (id: string, json: string | null = '{}', name = 'f') => ({
      role: 'assistant',
      content: null,
      tool_calls: [{ id, type: 'function', function: { name, arguments: json } }],
    });
    const result = (id: string, content: unknown = 'y') => ({ role: 'tool', tool_call_id: id, content });
    const tool = (parameters: object, more: object = {}) => ({
      tools: [{ type: 'function', function: { name: 'f', parameters, ...more } }],
    });
    const picture = (url: string) => ({
      messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }],
    });
    const source = 'messages[0].content[0].source';
    const schema = 'tools[0].input_schema';
    const jpeg = '/9j/4AAQ';
    const seen: [where: string, chat: object, path: string, sent: unknown][] = [
      // BerriAI/litellm#23510: backends that count calls from 0 in each answer.
      [
        'the same id twice',
        { messages: [hi, called('call_0'), result('call_0'), called('call_0'), result('call_0')] },
        'messages[3].content[0].id',
        'call_0_2',
      ],
      [
        '… and its result',
        { messages: [hi, called('call_0'), result('call_0'), called('call_0'), result('call_0')] },
        'messages[4].content[0].tool_use_id',
        'call_0_2',
      ],
      // Kilo-Org/kilocode#5163
      [
        'a call that was broken off',
        { messages: [hi, called('a'), hi] },
        'messages[2].content[0].is_error',
        true,
      ],
      ['… at the end', { messages: [hi, called('a')] }, 'messages[2].content[0].tool_use_id', 'a'],
      // decocms/studio#1803
      [
        'a result whose call was cut off',
        { messages: [result('a'), hi] },
        'messages[0].content[0].type',
        'text',
      ],
      [
        'two results of one call',
        { messages: [hi, called('a'), result('a'), result('a', 'z')] },
        'messages[2].content.length',
        1,
      ],
      // BerriAI/litellm#4689
      ['calls, and no tools any more', { messages: [hi, called('a'), result('a')] }, 'tools[0].name', 'f'],
      [
        '… which are not to be called',
        { messages: [hi, called('a'), result('a')] },
        'tool_choice.type',
        'none',
      ],
      [
        'arguments that are no object',
        { messages: [hi, called('a', '{"x":'), result('a')] },
        'messages[1].content[0].input.INVALID_JSON',
        '{"x":',
      ],
      [
        'arguments of null',
        { messages: [hi, called('a', 'null'), result('a')] },
        'messages[1].content[0].input',
        {},
      ],
      [
        'an assistant that began',
        { messages: [{ role: 'assistant', content: 'Welcome!' }, hi] },
        'messages[0].role',
        'user',
      ],
      [
        'nothing but a system text',
        { messages: [{ role: 'system', content: 'x' }] },
        'messages[0].role',
        'user',
      ],
      [
        'a picture of what a tool saw',
        {
          messages: [
            hi,
            called('a'),
            result('a', [{ type: 'image_url', image_url: { url: `data:image/jpeg;base64,${jpeg}` } }]),
          ],
        },
        'messages[2].content[0].content[0].source.data',
        jpeg,
      ],
      // anthropics/claude-code#79418
      [
        'a property with a sign',
        { messages: [hi], ...tool({ type: 'object', properties: { $top: {} }, required: ['$top'] }) },
        `${schema}.required`,
        ['_top'],
      ],
      // Kilo-Org/kilocode#12246
      [
        'a choice at the top',
        {
          messages: [hi],
          ...tool({
            anyOf: [
              { properties: { a: {}, c: {} }, required: ['a', 'c'] },
              { properties: { b: {}, c: {} }, required: ['b', 'c'] },
            ],
          }),
        },
        schema,
        { type: 'object', properties: { b: {}, c: {}, a: {} }, required: ['c'] },
      ],
      [
        'what is defined elsewhere in it',
        {
          messages: [hi],
          ...tool({ $ref: '#/definitions/A', definitions: { A: { type: 'object', properties: { a: {} } } } }),
        },
        `${schema}.properties`,
        { a: {} },
      ],
      [
        'a type that is none',
        {
          messages: [hi],
          ...tool({ type: 'any', properties: { a: { type: 'any' }, b: { type: ['string', 'null'] } } }),
        },
        `${schema}.properties`,
        { a: {}, b: { type: ['string', 'null'] } },
      ],
      [
        'no type at all',
        { messages: [hi], ...tool({ type: null, properties: [], required: null }) },
        schema,
        { type: 'object', properties: {} },
      ],
      [
        'an older draft',
        {
          messages: [hi],
          ...tool({
            $schema: 'http://json-schema.org/draft-04/schema#',
            properties: { a: { minimum: 0, exclusiveMinimum: true }, b: { items: [{}] } },
          }),
        },
        `${schema}.properties`,
        { a: { exclusiveMinimum: 0 }, b: { prefixItems: [{}] } },
      ],
      [
        'a tool twice',
        { messages: [hi], tools: [...tool({}).tools, ...tool({ title: 'x' }).tools] },
        'tools.length',
        1,
      ],
      [
        'a strict tool of an open object',
        { messages: [hi], ...tool({ properties: { a: { type: 'object' } } }, { strict: true }) },
        `${schema}.properties.a.additionalProperties`,
        false,
      ],
      [
        'a form with bounds',
        {
          messages: [hi],
          response_format: {
            type: 'json_schema',
            json_schema: {
              name: 'n',
              schema: { type: 'object', properties: { a: { type: 'integer', minimum: 1 } } },
            },
          },
        },
        'output_config.format.schema',
        {
          type: 'object',
          properties: { a: { type: 'integer', description: '{minimum: 1}' } },
          additionalProperties: false,
        },
      ],
      // Vali-98/ChatterUI#564
      ['temperature and top_p', { messages: [hi], temperature: 0.3, top_p: 0.9 }, 'top_p', undefined],
      ['… of which one is usual', { messages: [hi], temperature: 1, top_p: 0.9 }, 'temperature', undefined],
      // BerriAI/litellm#10106
      [
        'who asks, by mail',
        { messages: [hi], user: 'ada@example.org' },
        'metadata.user_id',
        'z-AN3kbvlCYB_6-54oJegChYtGDlhrgwWzRMHrgmNX0',
      ],
      ['… by telephone', { messages: [hi], user: '+49 (30) 901820' }, 'metadata.user_id.length', 43],
      ['… at length', { messages: [hi], user: 'x'.repeat(257) }, 'metadata.user_id.length', 43],
      ['… not at all', { messages: [hi], user: ' ' }, 'metadata', undefined],
      // BerriAI/litellm#24900
      [
        'a picture that is another',
        picture(`data:image/png;base64,${jpeg}`),
        source,
        { type: 'base64', media_type: 'image/jpeg', data: jpeg },
      ],
      // anthropics/claude-code#8184
      ['image/jpg', picture('data:image/JPG;base64,AAAA'), `${source}.media_type`, 'image/jpeg'],
      [
        'base64 with line ends, and of URLs',
        picture('data:image/png;base64,AA_-\r\nAA=='),
        `${source}.data`,
        'AA/+AA==',
      ],
      ['data without base64', picture('data:image/svg+xml,%3Csvg/%3E'), `${source}.data`, 'PHN2Zy8+'],
      [
        'a text as a document',
        {
          messages: [
            {
              role: 'user',
              content: [{ type: 'file', file: { file_data: 'data:text/markdown;base64,SGk=' } }],
            },
          ],
        },
        source,
        { type: 'text', media_type: 'text/plain', data: 'Hi' },
      ],
      // anthropics/claude-code#3277
      [
        'half a pair of characters',
        { messages: [{ role: 'user', content: 'cut \ud83d' }] },
        'messages[0].content[0].text',
        'cut \ufffd',
      ],
      ['an effort of another', { messages: [hi], reasoning_effort: 'xhigh' }, 'output_config.effort', 'high'],
      ['more than its model can answer', { messages: [hi], max_tokens: 200_000 }, 'max_tokens', 64_000],
    ];
    for (const [what, chat, path, sent] of seen) {
      const made = toMessages(JSON.stringify(chat), { maxTokens: 9, mostTokens: 64_000, streaming: false });
      const body: unknown = JSON.parse('body' in made ? made.body : expect.fail(`${what}: ${made.fault}`));
      if (sent === undefined) expect(body, what).not.to.have.nested.property(path);
      else expect(body, what).to.have.deep.nested.property(path, sent);
    }
  });

  it('calls tools by the properties that were asked for, whole and streamed, whatever they are called there', () => {
    const parameters = { properties: { $top: { properties: { 'a b': {} } }, _top: {} } };
    const chat = {
      tools: [{ type: 'function', function: { name: 'f', parameters } }],
      messages: [
        { role: 'user', content: 'x' },
        {
          role: 'assistant',
          tool_calls: [{ id: 'a', function: { name: 'f', arguments: '{"$top":{"a b":[1]}}' } }],
        },
        { role: 'tool', tool_call_id: 'a', content: 'y' },
      ],
    };
    const made = toMessages(JSON.stringify(chat), { maxTokens: 9, streaming: false });
    if (!('body' in made)) return expect.fail(made.fault);
    const input = { _top_2: { a_b: [1] } };
    expect(JSON.parse(made.body)).to.have.deep.nested.property('messages[1].content[0].input', input);
    const asked = '{"$top":{"a b":[1]}}';
    const head = { created: 1, model: 'm', tools: made.tools };
    const block = { type: 'tool_use', id: 'b', name: 'f', input };
    const whole = chatCompletion(
      { content: [block], stop_reason: 'tool_use' },
      { ...head, usage: undefined },
    );
    const at = 'choices[0].message.tool_calls[0].function.arguments';
    expect(JSON.parse(whole ?? '')).to.have.nested.property(at, asked);
    const argumentsOf = (events: object[]): string => {
      const chunks = createChunks(head);
      return events
        .flatMap((event) => chunks.of({ index: 0, ...event }))
        .map(
          (chunk) =>
            JSON.parse(chunk) as {
              choices: { delta: { tool_calls: { function: { arguments: string } }[] } }[];
            },
        )
        .map(({ choices }) => choices[0]?.delta.tool_calls[0]?.function.arguments)
        .join('');
    };
    const begin = { type: 'content_block_start', content_block: { ...block, input: {} } };
    const pieces = JSON.stringify(input)
      .match(/.{1,3}/g)
      ?.map((partial_json) => ({ type: 'content_block_delta', delta: { partial_json } }));
    const end = { type: 'content_block_stop' };
    expect(argumentsOf([begin, ...(pieces ?? []), end])).to.equal(asked);
    // All of it at the beginning, as some that speak the protocol do; and what was cut off, as far as it came.
    expect(argumentsOf([{ ...begin, content_block: block }, end])).to.equal(asked);
    expect(argumentsOf([begin, ...(pieces ?? []).slice(0, 2), end])).to.equal('{"_top');
  });
});
