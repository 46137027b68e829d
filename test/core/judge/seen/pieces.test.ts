import { expect } from 'chai';
import fc from 'fast-check';
import { StreamJudge } from '../../../../core/judge/stream.ts';
import { isFault, judgeWhole } from '../../../../core/judge/whole.ts';
import type { Ended, How } from '../../../../core/judge/ending.ts';
import { wholeOfEvents } from '../../../../core/judge/whole-of-events.ts';
import { eventsIn } from '../../../../core/text/sse.ts';

type Json = Record<string, unknown>;
const frame = (event: unknown): string => `data: ${JSON.stringify(event)}\n\n`;
const chunk = (delta: unknown, finish: unknown = null, more: object = {}): string =>
  frame({ id: 'c', choices: [{ index: 0, delta, finish_reason: finish, ...more }] });
const call = (...calls: object[]): string => chunk({ tool_calls: calls });
const hello = chunk({ content: 'Hello' });
const stop = chunk({}, 'stop');

function judged(text: string, how: How = 'closed', asked = 1) {
  const judge = new StreamJudge({ operation: 'chat', asked: () => asked });
  const { events, last } = judge.pass(eventsIn(text));
  const fault = last === undefined || last === 'done' ? undefined : last;
  const ended: Ended | undefined = fault ? undefined : judge.endOf(how);
  return { events: [...events, ...(ended?.missing ?? [])], fault, ended };
}
const callsOf = (events: readonly string[]): Json[] => {
  const whole = JSON.parse(wholeOfEvents('chat', events) ?? '{}') as { choices: { message: Json }[] };
  return (whole.choices[0]?.message['tool_calls'] ?? []) as Json[];
};

describe('the end of a stream that was seen', () => {
  it('is there where its calls are whole, though nobody says so (earendil-works/pi#6226, NVIDIA NIM)', () => {
    const sent = call({ index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '{"a":' } });
    const rest = call({ index: 0, function: { arguments: '1}' } });
    const { ended, events } = judged(sent + rest);
    expect(ended).to.include({ finishReason: 'tool_calls' });
    expect(events.at(-1)).to.include('"finish_reason":"tool_calls"');
    expect(judged(sent + rest, 'broken').ended).to.equal(undefined);
    expect(judged(sent).ended).to.equal(undefined);
    const second = call({ index: 1, id: 'b', type: 'function', function: { name: 'g', arguments: '' } });
    expect(judged(sent + rest + second).ended, 'one that was only named').to.equal(undefined);
    expect(judged(hello).ended, 'of a text nobody can tell (earendil-works/pi#8460)').to.equal(undefined);
  });

  const elsewhere: [seen: string, text: string, reason: string][] = [
    ['an object (SGLang’s own way)', chunk({}, { type: 'length', length: 2 }), 'length'],
    [
      'an object, of calls',
      call({ index: 0, id: 'a', function: { name: 'f', arguments: '{}' } }) + chunk({}, { type: 'stop' }),
      'tool_calls',
    ],
    ['finishReason (jakobdylanc/llmcord#84)', chunk({}, null, { finishReason: 'MAX_TOKENS' }), 'length'],
    ['within the delta', frame({ choices: [{ index: 0, delta: { finish_reason: 'stop' } }] }), 'stop'],
    ['Anthropic’s word', frame({ choices: [{ index: 0, delta: {}, stop_reason: 'end_turn' }] }), 'stop'],
  ];
  for (const [seen, text, reason] of elsewhere)
    it(`has its reason, and says it where clients look: ${seen}`, () => {
      for (const how of ['closed', 'broken', 'silent', 'done'] as const) {
        const { ended, events } = judged(hello + text, how);
        expect(ended, how).to.include({ finishReason: reason });
        const last = JSON.parse(events.at(-1) ?? '{}') as { choices: Json[] };
        expect(last.choices[0]?.['finish_reason'], how).to.equal(reason);
      }
    });

  it('is none where vLLM says at what text it stopped', () => {
    expect(judged(hello + chunk({}, null, { stop_reason: '</s>' })).ended).to.equal(undefined);
    expect(judged(hello + chunk({}, null, { stop_reason: 128_009 })).ended).to.equal(undefined);
  });

  it('says of a whole answer too what an object says', () => {
    const message = { content: 'Hello' };
    const choices = [{ index: 0, message, finish_reason: { type: 'length' } }];
    const whole = judgeWhole(JSON.stringify({ choices }), { operation: 'chat' });
    if (isFault(whole)) return expect.fail(whole.message);
    expect(whole.finishReason).to.equal('length');
    expect(whole.body).to.include('"finish_reason":"length"');
  });

  it('is an error’s where a field of that name stands in it (ggml-org/llama.cpp#16109)', () => {
    const error = { code: 400, message: 'the request exceeds the available context size' };
    for (const sent of ['', hello])
      expect(judged(`${sent}error: ${JSON.stringify(error)}\n\ndata: [DONE]\n\n`).fault).to.include({
        tooLong: true,
        message: error.message,
      });
  });
});

describe('an event beside the answer', () => {
  it('that only says its sender lives is none', () => {
    const signs = [
      'event: ping\ndata: {"type":"ping"}\n\n',
      'event: ping\ndata: 1785000000\n\n',
      'data: ping\n\n',
      'event: keepalive\ndata: still here\n\n',
      'data: {"type":"heartbeat"}\n\n',
    ];
    const { events, ended } = judged(signs.join('') + hello + signs.join('') + stop);
    expect(events).to.have.length(2);
    expect(ended).to.include({ finishReason: 'stop' });
  });

  it('keeps what it says, as a chunk that clients can take', () => {
    const { events } = judged(
      hello +
        frame({ citations: ['x'] }) +
        stop +
        frame({ choices: null, usage: { prompt_tokens: '3', completion_tokens: 2 } }),
    );
    const parsed = events.map((event) => JSON.parse(event) as Json);
    for (const event of parsed) expect(event['choices']).to.be.an('array');
    expect(parsed[1]).to.deep.include({ citations: ['x'] });
    expect(parsed[3]).to.have.property('usage');
  });

  it('counts, also in texts', () => {
    const usage = { prompt_tokens: '3', completion_tokens: 2 };
    expect(judged(hello + stop + frame({ choices: [], usage })).ended?.usage).to.deep.equal({
      promptTokens: 3,
      completionTokens: 2,
      totalTokens: 5,
    });
  });
});

describe('the pieces of calls', () => {
  it('that have no id get one, those that have keep theirs (anomalyco/opencode#25925; sgl-project/sglang#7048)', () => {
    const sent = [
      call({ index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }),
      call({ index: 1, id: null, type: 'function', function: { name: 'g', arguments: '' } }),
      call({ index: 1, id: null, function: { arguments: '{"b":2}' } }),
      call({ index: 2, function: { name: 'h', arguments: '{}' } }),
    ];
    const { events } = judged(sent.join('') + chunk({}, 'tool_calls'));
    const calls = callsOf(events);
    expect(calls.map(({ id }) => id)).to.have.property('0', 'a');
    for (const { id, type } of calls) expect([typeof id, type]).to.deep.equal(['string', 'function']);
    expect(new Set(calls.map(({ id }) => id))).to.have.property('size', 3);
    expect(events[0], 'what is right stays as it is').to.equal(eventsIn(sent[0] ?? '')[0]?.data);
  });

  it('whose arguments are an object are a text', () => {
    const { events } = judged(
      call({ index: 0, id: 'a', function: { name: 'f', arguments: { a: 1 } } }) + stop,
    );
    expect(callsOf(events)[0]?.['function']).to.deep.equal({ name: 'f', arguments: '{"a":1}' });
  });

  it('whose arguments are an object keep its numbers as they are written', () => {
    const sent = call({ index: 0, id: 'a', function: { name: 'f', arguments: { n: 0 } } });
    const { events } = judged(sent.replace('"n":0', '"n":12345678901234567890') + stop);
    expect(callsOf(events)[0]?.['function']).to.deep.include({ arguments: '{"n":12345678901234567890}' });
  });

  it('come to the calls that they are of, whatever of id, number and type is left out', () => {
    const someCall = fc.record({
      name: fc.constantFrom('f', 'g'),
      json: fc.json().map((json) => JSON.stringify({ json })),
      cuts: fc.array(fc.nat(60), { maxLength: 3 }),
    });
    const leaving = fc.record({
      id: fc.constantFrom('all', 'none', 'null', 'empty'),
      index: fc.boolean(),
      type: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(someCall, { minLength: 1, maxLength: 4 }), leaving, (calls, leaves) => {
        const sent = calls.flatMap(({ name, json, cuts }, index) => {
          const at = [0, ...cuts.filter((cut) => cut < json.length).sort((a, b) => a - b), json.length];
          return at.slice(1).map((end, n) => {
            const own = leaves.id === 'all' ? (n === 0 ? { id: `id${String(index)}` } : {}) : {};
            const lacking = leaves.id === 'null' ? { id: null } : leaves.id === 'empty' ? { id: '' } : {};
            const named = n === 0 ? { name } : {};
            return call({
              ...(leaves.index ? { index } : {}),
              ...own,
              ...lacking,
              ...(leaves.type && n === 0 ? { type: 'function' } : {}),
              function: { ...named, arguments: json.slice(at[n], end) },
            });
          });
        });
        const { events, ended } = judged(sent.join('') + chunk({}, 'tool_calls'));
        expect(ended).to.include({ finishReason: 'tool_calls' });
        const made = callsOf(events);
        expect(made.map((one) => one['function'])).to.deep.equal(
          calls.map(({ name, json }) => ({ name, arguments: json })),
        );
        expect(new Set(made.map(({ id }) => id)).size).to.equal(calls.length);
      }),
    );
  });
});
