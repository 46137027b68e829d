import { expect } from 'chai';
import { eventsOfWhole } from '../../../core/judge/events-of-whole.ts';
import { StreamJudge, type Judging } from '../../../core/judge/stream.ts';
import { isFault, judgeWhole } from '../../../core/judge/whole.ts';
import type { Operation } from '../../../core/llm.ts';
import { readSseTogether } from '../../../core/text/sse.ts';

const event = (body: object, name?: string): string =>
  `${name === undefined ? '' : `event: ${name}\n`}data: ${JSON.stringify(body)}\n\n`;
const choice = (index: number, delta: object, finish_reason: string | null = null): string =>
  event({ id: 'c', model: 'm', choices: [{ index, delta, finish_reason }] });
const named = ({ type, ...more }: Readonly<Record<string, unknown>>): string =>
  event({ type, ...more }, String(type));

/** A stream of each operation, with what it says by parts: two choices, two blocks, a call in two pieces. */
const streams: Record<
  Exclude<Operation, 'embeddings'>,
  { pieces: string[]; judging: Judging; whole: object }
> = {
  chat: {
    judging: { operation: 'chat', asked: () => 2 },
    pieces: [
      ': hello\n\n',
      choice(0, { role: 'assistant', content: '' }),
      choice(0, { content: 'é€😀', reasoning_content: 'hm' }),
      choice(1, {
        tool_calls: [{ index: 0, id: 't', type: 'function', function: { name: 'f', arguments: '{"a"' } }],
      }),
      choice(0, { content: '!' }),
      choice(0, {}, 'stop'),
      choice(1, { tool_calls: [{ index: 0, function: { arguments: ':1}' } }] }),
      choice(1, {}, 'stop'),
      event({ id: 'c', choices: [], usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 } }),
      'data: [DONE] \n\n',
    ],
    whole: {
      id: 'c',
      model: 'm',
      object: 'chat.completion',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'é€😀!', reasoning_content: 'hm' },
          finish_reason: 'stop',
        },
        {
          index: 1,
          message: {
            tool_calls: [
              { index: 0, id: 't', type: 'function', function: { name: 'f', arguments: '{"a":1}' } },
            ],
          },
          finish_reason: 'tool_calls',
        },
      ],
      usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
    },
  },
  completions: {
    judging: { operation: 'completions', asked: () => 2, least: () => 2 },
    pieces: [
      event({ choices: [{ index: 1, text: 'b' }] }),
      event({
        choices: [
          { index: 0, text: 'a' },
          { index: 1, text: 'c', finish_reason: 'length' },
        ],
      }),
      event({ choices: [{ index: 0, text: '', finish_reason: 'stop' }] }),
    ],
    whole: {
      object: 'text_completion',
      choices: [
        { index: 0, text: 'a', finish_reason: 'stop' },
        { index: 1, text: 'bc', finish_reason: 'length' },
      ],
    },
  },
  messages: {
    judging: { operation: 'messages' },
    pieces: [
      named({ type: 'message_start', message: { type: 'message', content: [], usage: { input_tokens: 3 } } }),
      named({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
      named({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'hé' } }),
      named({ type: 'content_block_stop', index: 0 }),
      named({
        type: 'content_block_start',
        index: 1,
        content_block: { type: 'tool_use', id: 't', input: {} },
      }),
      named({
        type: 'content_block_delta',
        index: 1,
        delta: { type: 'input_json_delta', partial_json: '{"a"' },
      }),
      named({
        type: 'content_block_delta',
        index: 1,
        delta: { type: 'input_json_delta', partial_json: ':1}' },
      }),
      named({ type: 'content_block_stop', index: 1 }),
      named({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 2 } }),
      named({ type: 'message_stop' }),
    ],
    whole: {
      type: 'message',
      content: [
        { type: 'text', text: 'hé' },
        { type: 'tool_use', id: 't', input: { a: 1 } },
      ],
      stop_reason: 'tool_use',
      usage: { input_tokens: 3, output_tokens: 2 },
    },
  },
  responses: {
    judging: { operation: 'responses' },
    pieces: [
      named({ type: 'response.created', response: { object: 'response', output: [] } }),
      named({ type: 'response.output_text.delta', delta: 'error' }),
      named({
        type: 'response.completed',
        response: { object: 'response', status: 'completed', output: [{ type: 'message' }] },
      }),
    ],
    whole: { object: 'response', status: 'completed', output: [{ type: 'message' }] },
  },
};

async function* packets(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** What a caller gets of these bytes, and what they come to when the connection ends then and there. */
async function seen(judging: Judging, bytes: Uint8Array, size: number) {
  const judge = new StreamJudge(judging);
  const events: string[] = [];
  for await (const sent of readSseTogether(packets(bytes, size))) {
    const passed = judge.pass(sent);
    events.push(...passed.events);
    if (passed.last !== undefined) break;
  }
  return { events, progress: judge.progress, broken: judge.endOf('broken'), closed: judge.endOf('closed') };
}

describe('a stream that is torn', () => {
  for (const [operation, { pieces, judging, whole }] of Object.entries(streams)) {
    const bytes = Buffer.from(pieces.join(''));

    it(`is the same answer, wherever its packets end: ${operation}`, async () => {
      const { broken: _, ...expected } = await seen(judging, bytes, bytes.length);
      expect(expected.closed).to.not.equal(undefined);
      for (const size of [1, 2, 3, 7, 64]) {
        const { broken, ...torn } = await seen(judging, bytes, size);
        expect(torn).to.deep.equal(expected);
        expect(broken).to.deep.equal(torn.closed);
      }
    });

    it(`is complete from its last end on, and at no byte before: ${operation}`, async () => {
      // The event with which the last of what has begun comes to its end.
      const last = operation === 'messages' || operation === 'chat' ? -2 : -1;
      const end = pieces.slice(0, operation === 'chat' ? -2 : last === -1 ? undefined : -1).join('');
      const endAt = Buffer.byteLength(end);
      for (let cut = 0; cut <= bytes.length; cut++) {
        const { broken } = await seen(judging, bytes.subarray(0, cut), 1_000);
        // A last event without its blank line counts.
        if (cut < endAt - 2) expect(broken, `at ${cut} of ${endAt}`).to.equal(undefined);
        if (cut >= endAt) expect(broken, `at ${cut} of ${endAt}`).to.not.equal(undefined);
      }
    });

    it(`is put together for who asked for all of it at once, and a whole one taken apart: ${operation}`, () => {
      const judged = judgeWhole(pieces.join(''), judging);
      if (isFault(judged)) expect.fail(judged.message);
      expect(JSON.parse(judged.body)).to.deep.equal(whole);
      const apart = (eventsOfWhole(judging.operation, judged.body) ?? []).map((data) => `data: ${data}\n\n`);
      const again = judgeWhole(apart.join(''), judging);
      if (isFault(again)) expect.fail(again.message);
      expect(JSON.parse(again.body)).to.deep.include(whole);
      expect(again.finishReason).to.equal(judged.finishReason);
      // Without its end it is none.
      const half = judgeWhole(pieces.slice(0, Math.ceil(pieces.length / 2)).join(''), judging);
      expect(half).to.include({ code: 'backend_incomplete' });
    });
  }

  it('has failed where its last event says so, which its caller is shown', () => {
    const error = { code: 'rate_limit_exceeded', message: 'slow' };
    const judge = new StreamJudge({ operation: 'responses' });
    const failed = { type: 'response.failed', response: { object: 'response', status: 'failed', error } };
    const { events, last } = judge.pass([
      { data: '{"type":"response.created","response":{}}' },
      { data: '{"type":"response.output_text.delta","delta":"a"}' },
      { data: JSON.stringify(failed) },
    ]);
    expect(events).to.have.length(3);
    expect(last).to.include({ code: 'too_many_requests', retryable: true });
    expect(judge.endOf('closed')).to.equal(undefined);
  });

  it('closes the blocks of a message that its backend left open', async () => {
    const { pieces, judging } = streams.messages;
    const open = pieces.filter((_, n) => n !== 7 && n !== 9).join('');
    const { broken } = await seen(judging, Buffer.from(open), 50);
    expect(broken?.missing).to.deep.equal([
      '{"type":"content_block_stop","index":1}',
      '{"type":"message_stop"}',
    ]);
  });
});

describe('a stream whose events run together', () => {
  const hello = JSON.stringify({ choices: [{ index: 0, delta: { content: 'hello' } }] }, null, 0);
  const stop = JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
  const says = (...lines: string[]): string => lines.map((line) => `data: ${line}`).join('\n');
  for (const [what, text] of [
    ['without the blank lines between them', `${says(hello, stop, '[DONE]')}\n`],
    ['some with and some without', `${says(hello, hello)}\n\n${says(stop)}\n\n${says('[DONE]')}\n\n`],
    [
      'with data: before what has it already',
      `data: ${says(hello)}\n\ndata:${says(stop)}\n\ndata: ${says('[done]')}\n\n`,
    ],
    ['with null where it has nothing to say', `${says('null')}\n\n${says(hello)}\n\n${says(stop)}\n\n`],
    [
      'one that is written over several lines',
      `${says(...JSON.stringify(JSON.parse(hello), null, 1).split('\n'))}\n\n${says(stop)}\n\n`,
    ],
  ] as const)
    it(`is a stream all the same: ${what}`, async () => {
      for (const size of [1, 7, text.length]) {
        const { events, closed } = await seen({ operation: 'chat' }, Buffer.from(text), size);
        expect(closed).to.include({ finishReason: 'stop' });
        expect(events[0]).to.include('hello');
      }
    });

  it('has failed all the same where one of them is an error, or none', async () => {
    for (const last of ['{"error":{"message":"CUDA error"}}', 'upstream reset']) {
      const judge = new StreamJudge({ operation: 'chat' });
      const { last: end } = judge.pass([{ data: `${hello}\n${last}` }]);
      expect(end).to.have.property('blame', 'broken');
    }
  });
});

describe('what an answer is, by what it says', () => {
  const judged = (operation: Operation, body: object | string, least = 1) =>
    judgeWhole(typeof body === 'string' ? body : JSON.stringify(body), { operation, least: () => least });
  const text = (content: string, more: object = {}) => ({
    choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop', ...more }],
  });

  const faults: [string, Operation, object | string, string, string, number?][] = [
    [
      'an error in a choice',
      'chat',
      text('', { error: { code: 502, message: 'gone' } }),
      'backend_error',
      'gone',
    ],
    ['a text in place of JSON', 'chat', 'upstream connect error', 'backend_error', 'upstream connect error'],
    ['a sentence by another name', 'chat', { code: 7, msg: 'busy', data: null }, 'backend_error', 'busy'],
    ['data that is null', 'chat', { message: 'no', data: null }, 'backend_error', 'no'],
    ['an event of an error', 'chat', 'event: x\ndata: {"error":"gone"}\n\n', 'backend_error', 'gone'],
    [
      'a response that says it failed',
      'responses',
      {
        object: 'response',
        status: 'failed',
        output: [],
        error: { code: 'rate_limit_exceeded', message: 'slow' },
      },
      'too_many_requests',
      'slow',
    ],
    [
      'a text without its choice',
      'completions',
      { choices: [{ index: 0, text: 'a' }] },
      'backend_incomplete',
      '',
      2,
    ],
    [
      'a row without its vector',
      'embeddings',
      { data: [{ embedding: [1] }, {}] },
      'backend_incomplete',
      '',
      2,
    ],
    [
      'two vectors of one text',
      'embeddings',
      {
        data: [
          { index: 0, embedding: [1] },
          { index: 1, embedding: [1] },
          { index: 1, embedding: [2] },
        ],
      },
      'backend_incomplete',
      '',
      3,
    ],
    [
      'an error beside its choices (MiniMax)',
      'chat',
      { base_resp: { status_code: 1002, status_msg: 'rate limit' }, choices: null },
      'too_many_requests',
      'rate limit',
    ],
    ['errors that are no list', 'chat', { errors: { message: 'gone' } }, 'backend_error', 'gone'],
    ['a number alone (FastChat)', 'chat', { text: 'NETWORK ERROR', error_code: 50001 }, 'backend_error', ''],
    [
      'a response that is not there yet',
      'responses',
      { object: 'response', status: 'in_progress', output: [] },
      'backend_incomplete',
      '',
    ],
    [
      'a response that is complete and has failed',
      'responses',
      { object: 'response', status: 'completed', output: [], error: { message: 'gone' } },
      'backend_error',
      'gone',
    ],
    ['a vector of nothing', 'embeddings', { data: [{ embedding: [null, null] }] }, 'backend_incomplete', ''],
  ];
  for (const [what, operation, body, code, message, least] of faults)
    it(`a failure: ${what}`, () => {
      const fault = judged(operation, body, least);
      expect(fault).to.include({ code });
      expect(fault).to.have.property('message').that.includes(message);
    });

  const fine: [string, Operation, object][] = [
    ['that speaks of errors', 'chat', text('{"error":{"message":"x","code":500}}')],
    [
      'with an error of nothing (one-api)',
      'chat',
      { ...text('a'), error: { message: '', type: '', code: null } },
    ],
    ['with a message beside it', 'chat', { ...text('a'), message: 'ok', detail: 'x', success: true }],
    ['with fewer choices than were asked for', 'chat', text('a')],
    ['of nothing', 'messages', { type: 'message', content: [], stop_reason: 'end_turn' }],
    [
      'of no output that has cost something',
      'responses',
      { object: 'response', status: 'completed', output: [], usage: { input_tokens: 3, output_tokens: 0 } },
    ],
    [
      'that says it went well (MiniMax)',
      'chat',
      { ...text('a'), base_resp: { status_code: 0, status_msg: '' } },
    ],
    [
      'with rows that are all called the first',
      'embeddings',
      {
        data: [
          { index: 0, embedding: [1] },
          { index: 0, embedding: [2] },
        ],
      },
    ],
    ['as base64', 'embeddings', { data: [{ embedding: 'AAAA' }] }],
    ['that says null in words', 'chat', text('a', { finish_reason: 'null' })],
  ];
  for (const [what, operation, body] of fine)
    it(`an answer: ${what}`, () => {
      expect(judged(operation, body)).to.have.property('body');
    });

  it('a stream, one event a line, by whatever name it is sent', () => {
    const lines = [
      { choices: [{ index: 0, delta: { content: 'a' } }] },
      { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] },
    ];
    const body = lines.map((line) => JSON.stringify(line)).join('\n');
    expect(judged('chat', body)).to.have.property('body').that.includes('"content":"a"');
  });

  describe('has ended as its strongest mark says', () => {
    it('a block of a call that is cut off', async () => {
      const { pieces, judging } = streams.messages;
      const { events } = await seen(judging, Buffer.from(pieces.filter((_, n) => n !== 6).join('')), 99);
      expect(events.at(-2)).to.include('"stop_reason":"max_tokens"');
    });

    it('a response that is complete by its event, and failed by what it says', async () => {
      const response = {
        object: 'response',
        status: 'failed',
        output: [],
        error: { code: 'server_error', message: 'gone' },
      };
      const judge = new StreamJudge({ operation: 'responses' });
      const { events, last } = judge.pass([
        { data: JSON.stringify({ type: 'response.completed', response }) },
      ]);
      expect(events).to.deep.equal([]);
      expect(last)
        .to.include({ code: 'backend_error' })
        .and.to.have.property('message')
        .that.includes('gone');
    });
  });

  it('each block ends, though its message says that it has stopped; and why it has is said', async () => {
    const { pieces, judging } = streams.messages;
    const open = pieces.filter((_, n) => n !== 7 && n !== 8).join('');
    const { events } = await seen(judging, Buffer.from(open), 50);
    expect(events.slice(-3)).to.deep.equal([
      '{"type":"content_block_stop","index":1}',
      '{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":0}}',
      '{"type":"message_stop"}',
    ]);
  });
});
