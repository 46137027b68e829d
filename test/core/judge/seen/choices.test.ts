import { expect } from 'chai';
import { StreamJudge } from '../../../../core/judge/stream.ts';
import { isFault, judgeWhole } from '../../../../core/judge/whole.ts';
import { wholeOfEvents } from '../../../../core/judge/whole-of-events.ts';
import { formOf } from '../../../../edge/inference/form/index.ts';
import { eventsIn } from '../../../../core/text/sse.ts';

const event = (body: object): string => `data: ${JSON.stringify(body)}\n\n`;
const chunk = (delta: unknown, more: object = {}): string =>
  event({ choices: [{ index: 0, delta, finish_reason: null, ...more }] });
const call = (piece: object, at: number | undefined = 0): string =>
  chunk({ tool_calls: [{ ...(at === undefined ? {} : { index: at }), ...piece }] });
const end = (reason: string): string => chunk({}, { finish_reason: reason });
const f = (json: string): object => ({ name: 'f', arguments: json });

interface Message {
  content?: unknown;
  reasoning_content?: unknown;
  tool_calls?: { id?: unknown; index?: number; function: { name: unknown; arguments: unknown } }[];
}

/** What clients make of a stream that was judged: they put ids and names together as they do texts. */
function streamed(stream: string): { message: Message; events: string[] } {
  const judge = new StreamJudge({ operation: 'chat' });
  const { events, last } = judge.pass(eventsIn(stream));
  if (last !== undefined && last !== 'done') throw new TypeError(last.message);
  const { missing } = judge.endOf('closed') ?? expect.fail('it has no end');
  const all = [...events, ...missing];
  const calls = new Map<number, { id: string; function: { name: string; arguments: string } }>();
  for (const text of all) {
    const { choices } = JSON.parse(text) as { choices: { delta?: Message }[] };
    for (const { id, index = 0, function: called } of choices[0]?.delta?.tool_calls ?? []) {
      const sum = calls.get(index) ?? { id: '', function: { name: '', arguments: '' } };
      calls.set(index, {
        id: sum.id + ((id as string | null) ?? ''),
        function: {
          name: sum.function.name + ((called.name as string | null | undefined) ?? ''),
          arguments: sum.function.arguments + ((called.arguments as string | null | undefined) ?? ''),
        },
      });
    }
  }
  const { choices } = JSON.parse(wholeOfEvents('chat', all) ?? '{}') as { choices: { message: Message }[] };
  return { message: { ...choices[0]?.message, tool_calls: [...calls.values()] }, events: all };
}

function whole(message: object, finish = 'stop'): Message {
  const judged = judgeWhole(JSON.stringify({ choices: [{ index: 0, message, finish_reason: finish }] }), {
    operation: 'chat',
  });
  if (isFault(judged)) throw new TypeError(judged.message);
  return (JSON.parse(judged.body) as { choices: [{ message: Message }] }).choices[0].message;
}

const parts = [
  { type: 'thinking', thinking: [{ type: 'text', text: 'hm' }] },
  { type: 'text', text: 'Hello' },
];

describe('calls, as clients put them together', () => {
  const two = [
    ['a', 'f', '{"x":1}'],
    ['b', 'g', '{"y":2}'],
  ];
  const all = ({ tool_calls: calls = [] }: Message) =>
    calls.map(({ id, function: { name, arguments: json } }) => [id, name, json]);
  const one = ([id, name, json]: readonly string[], at?: number) =>
    call({ id, type: 'function', function: { name, arguments: json } }, at);

  it('are two where both have the number 0 (Gemini)', () => {
    const { message } = streamed(
      one(['a', 'f', '{"x":1}'], 0) + one(['b', 'g', '{"y":2}'], 0) + end('tool_calls'),
    );
    expect(all(message)).to.deep.equal(two);
  });

  it('are two where each of these comes in pieces, and a third has the number 1', () => {
    const { message } = streamed(
      one(['a', 'f', '{"x"'], 0) +
        call({ function: { arguments: ':1}' } }) +
        one(['b', 'g', ''], 0) +
        call({ function: { arguments: '{"y":2}' } }) +
        one(['c', 'h', '{}'], 1) +
        end('tool_calls'),
    );
    expect(all(message)).to.deep.equal([...two, ['c', 'h', '{}']]);
  });

  it('are one where each piece has another id, as what came before is not whole', () => {
    const { message } = streamed(one(['a', 'f', '{"x"'], 0) + one(['b', 'f', ':1}'], 0) + end('tool_calls'));
    expect(message.tool_calls?.map(({ function: called }) => called)).to.deep.equal([f('{"x":1}')]);
  });

  it('have one id and one name, where each piece says them again', () => {
    const { message } = streamed(one(['a', 'f', '{"x"'], 0) + one(['a', 'f', ':1}'], 0) + end('tool_calls'));
    expect(all(message)).to.deep.equal([['a', 'f', '{"x":1}']]);
  });

  it('have ids of their own, where two have the same', () => {
    const { message } = streamed(one(['a', 'f', '{}'], 0) + one(['a', 'g', '{}'], 1) + end('tool_calls'));
    const called = { type: 'function', function: f('{}') };
    for (const calls of [
      message.tool_calls,
      whole({ tool_calls: [0, 1].map(() => ({ id: 'a', ...called })) }, 'tool_calls').tool_calls,
    ]) {
      expect(calls?.[0]?.id).to.equal('a');
      expect(calls?.[1]?.id).to.match(/^call_/);
    }
  });

  it('are calls where one stands in place of a list, or its name beside it', () => {
    const flat = { id: 'a', name: 'f', arguments: '{}' };
    const usual = { id: 'a', type: 'function', function: f('{}') };
    for (const calls of [usual, { ...usual, index: 0 }, [flat]]) {
      const { message } = streamed(chunk({ tool_calls: calls }) + end('stop'));
      for (const { tool_calls: list } of [message, whole({ tool_calls: calls })])
        expect(list?.[0]?.function).to.deep.equal(f('{}'));
    }
  });
});

describe('what a choice says', () => {
  it('is a text where it comes as parts, and so is what it thinks (Mistral)', () => {
    for (const message of [
      whole({ role: 'assistant', content: parts }),
      streamed(chunk({ content: parts.slice(0, 1) }) + chunk({ content: parts.slice(1) }) + end('stop'))
        .message,
    ])
      expect(message).to.include({ content: 'Hello', reasoning_content: 'hm' });
  });

  it('stays parts where one of them is neither', () => {
    const content = [...parts, { type: 'image_url', image_url: { url: 'x' } }];
    expect(whole({ content }).content).to.deep.equal(content);
  });

  it('is where clients look, also where a chunk has it in a message, or as completions have it', () => {
    for (const choice of [
      { message: { content: 'Hello' } },
      { text: 'Hello' },
      { delta: null, text: 'Hello' },
    ]) {
      const { message } = streamed(event({ choices: [{ index: 0, ...choice }] }) + end('stop'));
      expect(message.content, JSON.stringify(choice)).to.equal('Hello');
    }
  });

  it('is told apart where two choices have one number', () => {
    const choices = ['a', 'b'].map((content) => ({ index: 0, message: { content }, finish_reason: 'stop' }));
    const judged = judgeWhole(JSON.stringify({ choices }), { operation: 'chat', asked: () => 2 });
    expect(judged).to.have.property('body').that.includes('"index":1');
  });
});

describe('what an answer cost', () => {
  const costs: [where: string, usage: object[], tokens: [number, number]][] = [
    ['in parts of a token', [{ prompt_tokens: 3, completion_tokens: 4.5 }], [3, 5]],
    ['in the words of an SDK', [{ promptTokens: 3, completionTokens: 4 }], [3, 4]],
    ['as Cohere says it', [{ tokens: { input_tokens: 3, output_tokens: 4 } }], [3, 4]],
    [
      'where it is counted before, and its last chunk says 0 of all',
      [
        { prompt_tokens: 3, completion_tokens: 4 },
        { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 },
      ],
      [3, 4],
    ],
  ];
  for (const [where, usages, [promptTokens, completionTokens]] of costs)
    it(`is known: ${where}`, () => {
      const judge = new StreamJudge({ operation: 'chat' });
      judge.pass(
        eventsIn(
          chunk({ content: 'Hello' }) +
            end('stop') +
            usages.map((usage) => event({ choices: [], usage })).join(''),
        ),
      );
      expect(judge.endOf('closed')?.usage).to.include({ promptTokens, completionTokens });
    });
});

describe('a chat in the words of Messages', () => {
  const asMessages = (body: object): string =>
    formOf(
      {
        id: '0190a5f0-0000-7000-8000-000000000001',
        operation: 'messages',
        createdAt: new Date(0),
        llmName: 'desk',
        source: 'v1',
      },
      { model: 'm', wantsUsage: false, encoding: 'float', customTools: [], toolNames: [], stops: [] },
      false,
    ).whole(JSON.stringify(body));
  const chat = (message: object, more: object = {}): string =>
    asMessages({ choices: [{ index: 0, message, finish_reason: 'stop' }], ...more });

  it('has the call of the form before tools', () => {
    expect(chat({ function_call: f('{"a":1}') })).to.include('"name":"f","input":{"a":1}');
  });

  it('has what was thought, by whatever name', () => {
    for (const thought of [
      { thinking: 'hm' },
      { reasoning: { content: 'hm' } },
      { reasoning_details: [{ type: 'reasoning.text', text: 'hm' }] },
    ])
      expect(chat({ content: 'Hello', ...thought })).to.include('"thinking":"hm"');
  });

  it('has what it cost, where that is counted in texts', () => {
    const usage = { prompt_tokens: '3', completion_tokens: '4' };
    expect(chat({ content: 'Hello' }, { usage }))
      .to.include('"input_tokens":3')
      .and.to.include('"output_tokens":4');
  });
});
