import { expect } from 'chai';
import { StreamJudge, type Judging } from '../../../core/judge/stream.ts';
import { isFault, judgeWhole } from '../../../core/judge/whole.ts';
import { wholeOfEvents } from '../../../core/judge/whole-of-events.ts';
import { eventsIn, readSseTogether } from '../../../core/text/sse.ts';

const chunk = (delta: object, finish_reason: string | null = null): string =>
  JSON.stringify({ id: 'c', model: 'm', choices: [{ index: 0, delta, finish_reason }] });
const hello = chunk({ content: 'hello' });
const there = chunk({ content: ' there' });
const stop = chunk({}, 'stop');
const says = (...events: string[]): string => events.map((data) => `data: ${data}\n\n`).join('');
/** As Gemini writes its errors, and whatever stands before it passes them on (`[{` with Vertex). */
const pretty = JSON.stringify(
  { error: { code: 429, message: 'Quota exceeded for {metric}', status: 'RESOURCE_EXHAUSTED' } },
  null,
  2,
);

async function* packets(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function seen(text: string, size = 4_096, judging: Judging = { operation: 'chat' }) {
  const judge = new StreamJudge(judging);
  const events: string[] = [];
  for await (const sent of readSseTogether(packets(text, size), { bare: true })) {
    const passed = judge.pass(sent);
    events.push(...passed.events);
    if (passed.last !== undefined) return { events, last: passed.last, ended: judge.endOf('closed') };
  }
  return { events, last: undefined, ended: judge.endOf('closed') };
}

describe('an error that is written over several lines', () => {
  const streams: [string, string][] = [
    ['behind what had begun', says(hello) + pretty],
    ['behind what had begun, with its own line', `${says(hello)}\n${pretty}\n\n`],
    ['in a list', `${says(hello)}[${pretty}\n]\n`],
    [
      'with data: before its first line alone (google-gemini behind gateways)',
      `${says(hello)}data: ${pretty}\n\n`,
    ],
    ['in a list, with data: before its first line alone', `${says(hello)}data: [${pretty}\n]\n\n`],
    ['with CRLF', `${says(hello)}${pretty.replaceAll('\n', '\r\n')}\r\n`],
    ['with an event of its own behind it', `${says(hello)}${pretty}\n${says(stop)}`],
  ];
  for (const [what, text] of streams)
    it(`keeps its sentence: ${what}`, async () => {
      for (const size of [1, 7, text.length]) {
        const { events, last } = await seen(text, size);
        expect(events).to.deep.equal([hello]);
        expect(last).to.include({ code: 'too_many_requests' });
        expect(last).to.have.property('message').that.includes('Quota exceeded for {metric}');
      }
      expect(judgeWhole(text, { operation: 'chat' })).to.have.property('code', 'too_many_requests');
    });

  it('is none where the lines say nothing, and a stream goes on behind them', async () => {
    const text = `${says(hello)}[INFO] still here: yes\nfoo: bar\n  "error": 1\n${says(there, stop)}[DONE]\n`;
    const { events, last, ended } = await seen(text);
    expect(events).to.deep.equal([hello, there, stop]);
    expect(last).to.equal('done');
    expect(ended).to.include({ finishReason: 'stop' });
  });

  // mudler/LocalAI#7899; Envoy, gRPC and frameworks behind a stream that had begun
  for (const text of [
    'error: rpc error: code = Unavailable desc = error reading from server: EOF\n\n',
    'upstream connect error or disconnect/reset before headers',
    'Internal Server Error\n',
  ])
    it(`is also a text at the end of all: ${text.trim()}`, async () => {
      const { events, last } = await seen(says(hello) + text);
      expect(events).to.deep.equal([hello]);
      expect(last).to.include({ blame: 'broken', retryable: true });
      expect(last).to.have.property('message').that.includes(text.trim());
      // Behind an end it changes nothing.
      const { last: ended } = await seen(says(hello, stop) + text);
      expect(ended).to.be.oneOf([undefined, 'done']);
    });

  it('is kept to what an error is long', async () => {
    const text = `${says(hello)}{\n${'  "a": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",\n'.repeat(50_000)}  "z": 1\n}\n`;
    const { last } = await seen(text, 65_536);
    expect(last).to.include({ blame: 'broken' });
    expect(eventsIn(text).reduce((sum, { data }) => sum + data.length, 0)).to.be.below(100_000);
  });
});

describe('events that have run together on one line', () => {
  // openai/openai-python#663; `data: ` in the middle: gateways that lose a line feed.
  for (const [what, text] of [
    ['one behind another', says(hello + there, stop, '[DONE]')],
    ['with data: between them', says(`${hello}data: ${there}`, `${stop} data: [DONE]`)],
    ['all of them', says(`${hello} ${there}${stop}[DONE]`)],
    ['with the mark of the end', says(hello, there, `${stop}[DONE]`)],
  ] as const)
    it(`are events all the same: ${what}`, async () => {
      const { events, last, ended } = await seen(text);
      expect(events).to.deep.equal([hello, there, stop]);
      expect(last).to.equal('done');
      expect(ended).to.include({ finishReason: 'stop' });
    });

  it('have failed where one of them is an error', async () => {
    const { events, last } = await seen(says(`${hello}{"error":{"message":"CUDA error"}}`));
    expect(events).to.deep.equal([hello]);
    expect(last).to.have.property('message').that.includes('CUDA error');
  });

  it('are none where one of them is cut off, which would lose a piece of the answer', async () => {
    // anomalyco/opencode#25858
    const { last } = await seen(says(`${hello.slice(0, 40)}data: ${there}`, stop));
    expect(last).to.include({ blame: 'broken' });
  });
});

describe('what comes before there is anything to see', () => {
  const overloaded = '{"error":{"message":"Overloaded","type":"overloaded_error"}}';
  const role = chunk({ role: 'assistant', content: '' });
  const begun: [string, Judging['operation'], string[]][] = [
    ['a role', 'chat', [role]],
    ['a role, and nothing', 'chat', [role, chunk({ content: null, tool_calls: [] })]],
    [
      'Azure’s look at the prompt',
      'chat',
      ['{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}', role],
    ],
    ['an empty text', 'completions', ['{"choices":[{"index":0,"text":""}]}']],
    // anthropics/anthropic-sdk-python#688, byte5ai/omadia#122
    [
      'the head of a message',
      'messages',
      [
        '{"type":"message_start","message":{"content":[]}}',
        '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
        '{"type":"ping"}',
      ],
    ],
    // lsdefine/GenericAgent#753
    [
      'the head of a response',
      'responses',
      [
        '{"type":"response.created","response":{}}',
        '{"type":"response.in_progress","response":{}}',
        '{"type":"response.output_item.added","output_index":0,"item":{"type":"message","content":[]}}',
      ],
    ],
  ];
  for (const [what, operation, events] of begun)
    it(`is not shown of one that fails then, so that another may answer: ${what}`, async () => {
      const { events: shown, last } = await seen(says(...events, overloaded), 4_096, { operation });
      expect(shown).to.deep.equal([]);
      expect(last).to.include({ code: 'backend_not_ready', retryable: true });
    });

  it('is shown with the first that there is to see, in its order', async () => {
    expect((await seen(says(role, hello, stop), 1)).events).to.deep.equal([role, hello, stop]);
  });

  it('is shown of an answer that has nothing in it', async () => {
    const { events, ended } = await seen(says(role, stop));
    expect(events).to.deep.equal([role, stop]);
    expect(ended).to.include({ finishReason: 'stop' });
  });

  for (const [what, event] of [
    ['how far the prompt is read (llama.cpp)', '{"choices":[],"prompt_progress":{"total":9,"processed":3}}'],
    ['what is no text', chunk({ role: 'assistant', reasoning_details: [{ type: 'x' }] })],
    [
      'a call',
      chunk({
        tool_calls: [{ index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '' } }],
      }),
    ],
  ] as const)
    it(`is shown at once where somebody asked to see it: ${what}`, async () => {
      expect((await seen(says(event, overloaded))).events).to.deep.equal([event]);
    });

  it('is kept for no more than a few events', async () => {
    const { events } = await seen(says(...Array.from({ length: 30 }, () => role), overloaded));
    expect(events).to.have.length(30);
  });
});

describe('a response', () => {
  const judging: Judging = { operation: 'responses' };
  const created = {
    type: 'response.created',
    sequence_number: 0,
    response: { id: 'r', object: 'response', output: [] },
  };
  const delta = { type: 'response.output_text.delta', sequence_number: 1, output_index: 0, delta: 'hello' };
  const item = {
    type: 'message',
    id: 'm',
    role: 'assistant',
    content: [{ type: 'output_text', text: 'hello' }],
  };
  const itemDone = { type: 'response.output_item.done', sequence_number: 2, output_index: 0, item };
  const of = (...events: object[]): string => says(...events.map((event) => JSON.stringify(event)));
  const completed = (more: object = {}): object => ({
    type: 'response.completed',
    response: { object: 'response', status: 'completed', ...more },
  });
  const ofResponse = (text = '{}') => (JSON.parse(text) as { response?: Record<string, unknown> }).response;

  // Wei-Shaw/sub2api#5009
  for (const more of [
    {},
    { output: [], usage: null },
    { output: [], usage: { input_tokens: 0, total_tokens: 0 } },
  ])
    it(`that is complete, with nothing in it and at no cost, was refused: ${JSON.stringify(more)}`, async () => {
      const { events, last } = await seen(of(created, completed(more)), 4_096, judging);
      expect(events).to.deep.equal([]);
      expect(last).to.include({ code: 'backend_incomplete', retryable: true });
      const whole = judgeWhole(
        JSON.stringify({ output: [], ...(completed(more) as { response: object }).response }),
        judging,
      );
      expect(whole).to.include({ code: 'backend_incomplete', retryable: true });
    });

  it('that says nothing in its last event has what came before (QuantumNous/new-api#4362)', async () => {
    const { events } = await seen(of(created, delta, itemDone, completed({ output: [] })), 4_096, judging);
    expect(ofResponse(events.at(-1))).to.deep.include({ output: [item], status: 'completed' });
    const whole = judgeWhole(of(created, delta, itemDone, completed({ output: [] })), judging);
    expect(isFault(whole) ? whole : JSON.parse(whole.body)).to.deep.include({ output: [item] });
  });

  for (const [what, events, output] of [
    ['with its items', [created, delta, itemDone], [item]],
    [
      'with pieces of its text alone',
      [created, delta, { ...delta, delta: '!' }],
      [
        {
          ...{ type: 'message', id: 'msg_0', role: 'assistant', status: 'completed' },
          content: [{ type: 'output_text', text: 'hello!', annotations: [] }],
        },
      ],
    ],
  ] as const)
    it(`that ends with [DONE] alone is complete, ${what}`, async () => {
      const { last, ended } = await seen(`${of(...events)}data: [DONE]\n\n`, 4_096, judging);
      expect(last).to.equal('done');
      expect(ended).to.include({ finishReason: 'completed' }).and.to.have.property('remark');
      const missing = JSON.parse(ended?.missing.at(-1) ?? '{}') as object;
      expect(missing).to.include({ type: 'response.completed' });
      expect(ofResponse(ended?.missing.at(-1))).to.deep.include({ id: 'r', status: 'completed', output });
    });

  it('that ends with [DONE] in the middle of a call is not', async () => {
    const call = {
      type: 'response.output_item.added',
      output_index: 1,
      item: { type: 'function_call', name: 'f' },
    };
    const { ended } = await seen(`${of(created, delta, call)}data: [DONE]\n\n`, 4_096, judging);
    expect(ended).to.equal(undefined);
    expect((await seen(`${of(created)}data: [DONE]\n\n`, 4_096, judging)).ended).to.equal(undefined);
    expect((await seen(of(created, delta, itemDone), 4_096, judging)).ended).to.equal(undefined);
  });

  it('that is done is complete by the word that clients know', async () => {
    const done = { type: 'response.done', response: { status: 'completed', output: [item] } };
    const { events, last } = await seen(of(created, done), 4_096, judging);
    expect(JSON.parse(events.at(-1) ?? '')).to.include({ type: 'response.completed' });
    expect(last).to.equal('done');
    const failed = { ...done, response: { status: 'failed', error: { message: 'gone' } } };
    expect((await seen(of(created, failed), 4_096, judging)).last).to.include({ code: 'backend_error' });
  });

  it('that is a message has ended so as well', async () => {
    const events = [
      { type: 'message_start', message: { content: [], usage: {} } },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'a' } },
    ];
    const { ended } = await seen(`${of(...events)}data: [DONE]\n\n`, 4_096, { operation: 'messages' });
    expect(ended).to.include({ finishReason: 'end_turn' });
    expect(ended?.missing.map((text) => (JSON.parse(text) as { type: string }).type)).to.deep.equal([
      'content_block_stop',
      'message_delta',
      'message_stop',
    ]);
  });
});

describe('an answer that a gateway has wrapped', () => {
  const whole = {
    choices: [{ index: 0, message: { role: 'assistant', content: 'a' }, finish_reason: 'stop' }],
  };
  for (const [what, body] of [
    ['with success', { code: 0, message: 'success', data: whole }],
    ['with a status', { code: 200, msg: 'OK', data: whole }],
    ['as Cloudflare does', { result: whole, success: true, errors: [], messages: [] }],
  ] as const) {
    it(`is what it holds: ${what}`, () => {
      expect(judgeWhole(JSON.stringify(body), { operation: 'chat' })).to.deep.include({
        body: JSON.stringify(whole),
        finishReason: 'stop',
      });
    });
    it(`is what it holds, in each event: ${what}`, async () => {
      const key = 'data' in body ? 'data' : 'result';
      const wrap = (event: string): string => JSON.stringify({ ...body, [key]: JSON.parse(event) as object });
      const { events, ended } = await seen(says(wrap(hello), wrap(stop)));
      expect(events).to.deep.equal([hello, stop]);
      expect(ended).to.include({ finishReason: 'stop' });
    });
  }

  it('is none where there is nothing in it, and no error that is called a success', () => {
    for (const body of [
      { code: 0, message: 'success' },
      { code: 0, message: 'success', data: {} },
      { code: 200, msg: '' },
    ])
      expect(judgeWhole(JSON.stringify(body), { operation: 'chat' }))
        .to.include({ blame: 'broken' })
        .and.to.have.property('message')
        .that.equals('The backend answered without choices.');
    expect(judgeWhole('{"code":500,"msg":"success is not ours","data":null}', { operation: 'chat' }))
      .to.have.property('message')
      .that.includes('success is not ours');
  });
});

describe('what stands beside choices', () => {
  it('goes on though it calls itself a sign of life, where it says something (a gateway’s cost)', async () => {
    const ping = JSON.stringify({ type: 'ping', cost: '0.00012' });
    const bare = JSON.stringify({ type: 'ping', timestamp: 1 });
    const { events } = await seen(says(hello, bare, ping, stop, '[DONE]'));
    expect(events.map((event) => (JSON.parse(event) as { cost?: string }).cost)).to.deep.equal([
      undefined,
      '0.00012',
      undefined,
    ]);
  });

  it('is kept where a stream is put together: last values, and all parts of one', () => {
    const head = { id: 'c', model: 'm', citations: null, service_tier: 'auto', x_groq: { id: 'r' } };
    const events = [
      { ...head, choices: [{ index: 0, delta: { content: 'a' }, finish_reason: 'stop' }] },
      { id: 'other', choices: [], citations: ['https://x'], service_tier: 'flex', timings: { n: 1 } },
      {
        id: 'c',
        choices: [],
        x_groq: { usage: { total_tokens: 1 } },
        citations: null,
        usage: { total_tokens: 1 },
      },
    ];
    const whole: unknown = JSON.parse(
      wholeOfEvents(
        'chat',
        events.map((event) => JSON.stringify(event)),
      ) ?? '',
    );
    expect(whole).to.deep.include({
      id: 'c',
      citations: ['https://x'],
      service_tier: 'flex',
      timings: { n: 1 },
      x_groq: { id: 'r', usage: { total_tokens: 1 } },
      usage: { total_tokens: 1 },
    });
    const message = [
      { type: 'message_start', message: { id: 'm', content: [], usage: { input_tokens: 1 } } },
      {
        type: 'message_delta',
        delta: { stop_reason: 'end_turn' },
        usage: { output_tokens: 2 },
        context_management: { applied_edits: [] },
      },
    ];
    expect(
      JSON.parse(
        wholeOfEvents(
          'messages',
          message.map((event) => JSON.stringify(event)),
        ) ?? '',
      ),
    ).to.deep.include({
      context_management: { applied_edits: [] },
      usage: { input_tokens: 1, output_tokens: 2 },
    });
  });
});

describe('a whole choice', () => {
  const judged = (choice: object) =>
    judgeWhole(JSON.stringify({ id: 'c', choices: [choice] }), { operation: 'chat' });
  const choiceIn = (answer: ReturnType<typeof judged>): unknown =>
    isFault(answer) ? answer : (JSON.parse(answer.body) as { choices: unknown[] }).choices[0];

  for (const finish_reason of ['content_filter', 'length'])
    it(`without a message has an empty one where it says why: ${finish_reason}`, () => {
      const message = { role: 'assistant', content: '' };
      for (const choice of [
        { index: 0, message: null, finish_reason },
        { index: 0, finish_reason },
      ])
        expect(choiceIn(judged(choice))).to.deep.equal({ index: 0, finish_reason, message });
    });

  it('without a message is no answer where it does not', () => {
    for (const choice of [
      { index: 0, message: null, finish_reason: 'stop' },
      { index: 0, message: null },
      {},
    ])
      expect(judged(choice)).to.include({ code: 'backend_incomplete', retryable: true });
    expect(judgeWhole('{"choices":[null]}', { operation: 'chat' })).to.include({
      code: 'backend_incomplete',
    });
  });

  it('that is a chunk is put together', () => {
    expect(
      choiceIn(judged({ index: 0, delta: { role: 'assistant', content: 'a' }, finish_reason: 'stop' })),
    ).to.deep.equal({
      index: 0,
      message: { role: 'assistant', content: 'a' },
      finish_reason: 'stop',
    });
  });
});
