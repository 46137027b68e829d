import { expect } from 'chai';
import fc from 'fast-check';
import { formOf, type Form } from '../../edge/inference/form/index.ts';

type Json = Record<string, unknown>;
type Operation = 'responses' | 'messages';

const taskId = '0190a5f0-0000-7000-8000-000000000001';
const createdAt = new Date(1_700_000_000_000);

function form(
  operation: Operation,
  {
    resumable = false,
    customTools = [] as string[],
    toolNames = [] as string[],
    stops = [] as string[],
  } = {},
): Form {
  const row = { id: taskId, operation, createdAt, llmName: 'desk', source: 'v1' as const };
  return formOf(
    row,
    { model: 'alias', wantsUsage: false, encoding: 'float', customTools, toolNames, stops },
    resumable,
  );
}

interface Answer {
  reasoning: string;
  text: string;
  calls: { name: string; arguments: string }[];
  finish: string;
}

const usage = {
  prompt_tokens: 9,
  completion_tokens: 4,
  prompt_tokens_details: { cached_tokens: 2 },
  completion_tokens_details: { reasoning_tokens: 1 },
};
const answers: fc.Arbitrary<Answer> = fc.record({
  reasoning: fc.string({ maxLength: 8, unit: 'grapheme' }),
  text: fc.string({ maxLength: 12, unit: 'grapheme' }),
  calls: fc.array(
    fc.record({
      name: fc.constantFrom('look', 'run'),
      arguments: fc
        .dictionary(fc.constantFrom('a', 'b', '}'), fc.oneof(fc.string({ maxLength: 5 }), fc.integer()), {
          maxKeys: 2,
        })
        .map((value) => JSON.stringify(value)),
    }),
    { maxLength: 3 },
  ),
  finish: fc.constantFrom('stop', 'length', 'content_filter'),
});

const whole = ({ reasoning, text, calls, finish }: Answer): string =>
  JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    model: 'tiny',
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: text === '' ? null : text,
          ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
          ...(calls.length > 0
            ? {
                tool_calls: calls.map((called, n) => ({
                  id: `c${String(n)}`,
                  type: 'function',
                  function: called,
                })),
              }
            : {}),
        },
        finish_reason: finish,
      },
    ],
    usage,
  });

/** Texts torn where the cuts say, none of them empty. */
function torn(text: string, cuts: readonly number[]): string[] {
  const at = [0, ...cuts.map((cut) => cut % (text.length + 1)), text.length].sort((a, b) => a - b);
  return at.slice(1).flatMap((end, n) => (end > (at[n] ?? 0) ? [text.slice(at[n], end)] : []));
}

/** The chunks of a stream of that answer; the pieces of its calls mixed as `shuffled` says. */
function chunks(
  { reasoning, text, calls, finish }: Answer,
  cuts: readonly number[],
  mixed: boolean,
): string[] {
  const chunk = (choices: object[], more: object = {}): string =>
    JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', model: 'tiny', choices, ...more });
  const delta = (piece: object): string => chunk([{ index: 0, delta: piece, finish_reason: null }]);
  const called = calls.map((call, index) => {
    const function_ = (more: object): object => ({ tool_calls: [{ index, ...more }] });
    return [
      function_({ id: `c${String(index)}`, type: 'function', function: { name: call.name, arguments: '' } }),
      ...torn(call.arguments, cuts).map((piece) => function_({ function: { arguments: piece } })),
    ];
  });
  const most = Math.max(0, ...called.map((pieces) => pieces.length));
  const inTurn = Array.from({ length: most }, (_, n) => called.flatMap((pieces) => pieces[n] ?? [])).flat();
  return [
    delta({ role: 'assistant', content: '' }),
    ...torn(reasoning, cuts).map((piece) => delta({ reasoning_content: piece })),
    ...torn(text, cuts).map((content) => delta({ content })),
    ...(mixed ? inTurn : called.flat()).map(delta),
    chunk([{ index: 0, delta: {}, finish_reason: finish }]),
    chunk([], { usage }),
  ];
}

function streamed(operation: Operation, given: readonly string[]): Json[] {
  const answer = form(operation);
  const frames = [...given.flatMap((data) => answer.event(data)), ...answer.last(null)];
  return frames.map(({ event, data }) => {
    const json = JSON.parse(data) as Json;
    expect(json['type']).to.equal(event);
    return json;
  });
}

/** A Messages stream put together as its clients do. */
function messageOf(events: readonly Json[]): Json {
  expect(events[0]?.['type']).to.equal('message_start');
  expect(events.at(-1)?.['type']).to.equal('message_stop');
  const message = events[0]?.['message'] as Json & { content: Json[] };
  let open: number | null = null;
  let input = '';
  for (const event of events.slice(1, -1)) {
    const at = event['index'] as number;
    const delta = (event['delta'] ?? {}) as Record<string, string>;
    switch (event['type']) {
      case 'content_block_start':
        expect([open, at]).to.deep.equal([null, message.content.length]);
        message.content.push({ ...(event['content_block'] as Json) });
        [open, input] = [at, ''];
        break;
      case 'content_block_delta': {
        expect(at).to.equal(open);
        const block = message.content[at] as Json;
        input += delta['partial_json'] ?? '';
        if ('text' in delta) block['text'] = String(block['text']) + (delta['text'] ?? '');
        if ('thinking' in delta) block['thinking'] = String(block['thinking']) + (delta['thinking'] ?? '');
        break;
      }
      case 'content_block_stop': {
        expect(at).to.equal(open);
        const block = message.content[at] as Json;
        if (block['type'] === 'tool_use') block['input'] = JSON.parse(input) as unknown;
        open = null;
        break;
      }
      case 'message_delta':
        expect(open).to.equal(null);
        Object.assign(message, delta, { usage: event['usage'] });
        break;
      default:
        expect.fail(String(event['type']));
    }
  }
  return message;
}

/** A Responses stream put together as its clients do, from its deltas; what `done` says must be the same. */
function responseOf(events: readonly Json[]): Json {
  expect(events.map((event) => event['sequence_number'])).to.deep.equal(events.map((_, n) => n));
  expect(events.slice(0, 2).map((event) => event['type'])).to.deep.equal([
    'response.created',
    'response.in_progress',
  ]);
  const output: Json[] = [];
  const texts = new Map<number, string>();
  for (const event of events.slice(2, -1)) {
    const at = event['output_index'] as number;
    const type = String(event['type']);
    if (type === 'response.output_item.added') {
      expect(at).to.equal(output.length);
      output.push(event['item'] as Json);
    } else if (type.endsWith('.delta')) texts.set(at, (texts.get(at) ?? '') + String(event['delta']));
    else if (type === 'response.output_item.done') {
      const item = event['item'] as Json & { content?: Json[] };
      const text = item['arguments'] ?? item.content?.[0]?.['text'];
      expect(text).to.equal(texts.get(at));
      expect(item['id']).to.equal(output[at]?.['id']);
      output[at] = item;
    }
  }
  const last = events.at(-1) as Json & { response: Json };
  expect(last['type']).to.equal(`response.${String(last.response['status'])}`);
  expect(last.response['output']).to.deep.equal(output);
  return last.response;
}

const cuts = fc.array(fc.nat({ max: 40 }), { maxLength: 6 });

describe('a chat answer in another protocol', () => {
  for (const [operation, together] of [
    ['messages', messageOf],
    ['responses', responseOf],
  ] as const)
    it(`adds up, as a stream of ${operation}, to the whole answer, however it is torn and mixed`, () => {
      fc.assert(
        fc.property(answers, cuts, fc.boolean(), (answer, at, mixed) => {
          const put = together(streamed(operation, chunks(answer, at, mixed)));
          expect(put).to.deep.equal(JSON.parse(form(operation).whole(whole(answer))));
        }),
      );
    });

  it('lets what a member says in the protocol itself pass', () => {
    const own = JSON.stringify({ type: 'message_start', message: { id: 'm', model: 'x', choices: 1 } });
    expect(form('messages').event(own)[0]?.data).to.include('"id":"m","model":"alias"');
    const text = JSON.stringify({ type: 'response.output_text.delta', delta: '{"choices":[]}' });
    expect(form('responses').event(text)[0]?.data).to.include('"delta":"{\\"choices\\":[]}"');
  });

  it('gives the keep-alives of the protocol, and goes on with their numbers', () => {
    const answer = form('responses');
    expect(answer.keepAlive({ state: 'queued' })?.event).to.equal('response.created');
    const [first] = answer.event(
      chunks({ reasoning: '', text: 'a', calls: [], finish: 'stop' }, [], false)[0] ?? '',
    );
    expect(JSON.parse(first?.data ?? '')).to.include({ type: 'response.in_progress', sequence_number: 1 });
  });

  it('calls tools by the names that were asked for, whatever they are called in chat', () => {
    const long = 'x'.repeat(70);
    const toolNames = [long, 'x'.repeat(64)];
    for (const operation of ['responses', 'messages'] as const) {
      const answer = form(operation, { toolNames });
      const call = { id: 'c', type: 'function', function: { name: `${'x'.repeat(62)}_2`, arguments: '{}' } };
      const delta = { role: 'assistant', tool_calls: [{ index: 0, ...call }] };
      const chunk = { choices: [{ index: 0, delta, finish_reason: 'tool_calls' }] };
      const frames = [...answer.event(JSON.stringify(chunk)), ...answer.last(null)];
      expect(frames.map(({ data }) => data).join('\n')).to.contain(`"name":"${long}"`);
      const message = { role: 'assistant', content: null, tool_calls: [call] };
      const whole = { choices: [{ index: 0, message, finish_reason: 'tool_calls' }] };
      expect(form(operation, { toolNames }).whole(JSON.stringify(whole))).to.contain(`"name":"${long}"`);
    }
  });

  it('gives what tools that take plain text were given as that text', () => {
    const answer = form('responses', { customTools: ['run'] });
    const calls = [{ name: 'run', arguments: JSON.stringify({ input: '*** Begin' }) }];
    const body = JSON.parse(
      answer.whole(whole({ reasoning: '', text: '', calls, finish: 'tool_calls' })),
    ) as Json;
    expect((body['output'] as Json[])[0]).to.deep.include({
      type: 'custom_tool_call',
      call_id: 'c0',
      name: 'run',
      input: '*** Begin',
    });
  });

  it('is shown as chat to who may begin anywhere in it', () => {
    const [chunk = ''] = chunks({ reasoning: '', text: 'a', calls: [], finish: 'stop' }, [], false);
    const frames = form('responses', { resumable: true }).event(chunk);
    expect(frames).to.have.length(1);
    expect(frames[0]?.data).to.include('chat.completion.chunk');
  });

  it('takes a reason that every object has for one that nobody knows', () => {
    for (const finish of ['constructor', 'toString', '__proto__']) {
      const completion = whole({ reasoning: '', text: 'a', calls: [], finish });
      expect(JSON.parse(form('messages').whole(completion)), finish).to.include({ stop_reason: 'end_turn' });
      expect(JSON.parse(form('responses').whole(completion)), finish).to.include({ status: 'completed' });
    }
  });

  it('says that a tool was called where the backend says only stop', () => {
    const calls = [{ name: 'look', arguments: '{}' }];
    const body = JSON.parse(
      form('messages').whole(whole({ reasoning: '', text: '', calls, finish: 'stop' })),
    ) as Json;
    expect(body['stop_reason']).to.equal('tool_use');
  });

  describe('says which of the caller’s sequences ended it', () => {
    // vLLM's `stop_reason`, SGLang's `matched_stop`; of a token of its own a backend says the number.
    const bodies = { stop_reason: '\n\n', matched_stop: '\n\n' };
    for (const [key, stop] of Object.entries(bodies))
      it(key, () => {
        const choice = { index: 0, message: { content: 'a' }, finish_reason: 'stop', [key]: stop };
        const body = JSON.parse(
          form('messages', { stops: [stop] }).whole(JSON.stringify({ choices: [choice] })),
        ) as Json;
        expect(body).to.include({ stop_reason: 'stop_sequence', stop_sequence: stop });
      });

    it('and none where it was not one of them', () => {
      for (const stopReason of ['eos', 128_009, null]) {
        const choice = {
          index: 0,
          message: { content: 'a' },
          finish_reason: 'stop',
          stop_reason: stopReason,
        };
        const body = JSON.parse(
          form('messages', { stops: ['x'] }).whole(JSON.stringify({ choices: [choice] })),
        ) as Json;
        expect(body).to.include({ stop_reason: 'end_turn', stop_sequence: null });
      }
    });
  });

  describe('counts what a cache gave and what was thought, wherever a backend says it', () => {
    const usages: Record<string, Json> = {
      'OpenAI, vLLM': {
        prompt_tokens_details: { cached_tokens: 3 },
        completion_tokens_details: { reasoning_tokens: 2 },
      },
      DeepSeek: { prompt_cache_hit_tokens: 3, completion_tokens_details: { reasoning_tokens: 2 } },
      Moonshot: { cached_tokens: 3, reasoning_tokens: 2 },
    };
    for (const [name, more] of Object.entries(usages))
      it(name, () => {
        const body = JSON.stringify({
          choices: [{ index: 0, message: { content: 'a' }, finish_reason: 'stop' }],
          usage: { prompt_tokens: 9, completion_tokens: 4, ...more },
        });
        expect((JSON.parse(form('responses').whole(body)) as Json)['usage']).to.deep.include({
          input_tokens: 9,
          input_tokens_details: { cached_tokens: 3 },
          output_tokens_details: { reasoning_tokens: 2 },
        });
        expect((JSON.parse(form('messages').whole(body)) as Json)['usage']).to.include({
          input_tokens: 6,
          cache_read_input_tokens: 3,
        });
      });
  });
});
