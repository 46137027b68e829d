import { expect } from 'chai';
import fc from 'fast-check';
import type { How } from '../../../core/judge/ending.ts';
import { eventsOfWhole } from '../../../core/judge/events-of-whole.ts';
import { StreamJudge, type Judging } from '../../../core/judge/stream.ts';
import { isFault, judgeWhole } from '../../../core/judge/whole.ts';
import type { Operation } from '../../../core/llm.ts';
import { eventsIn, readSseTogether } from '../../../core/text/sse.ts';

/** What an event is to the end of its answer; `choice` of those that have several. */
interface Frame {
  text: string;
  is: 'begin' | 'part' | 'end' | 'usage' | 'done';
  choice: number;
}
interface Stream {
  judging: Judging;
  frames: Frame[];
  /** How many choices were asked for, and how many there must be. */
  asked: number;
  least: number;
}

const frame = (is: Frame['is'], body: object | string, choice = 0): Frame => {
  const type = typeof body === 'object' && 'type' in body ? `event: ${String(body.type)}\n` : '';
  return { is, choice, text: `${type}data: ${typeof body === 'string' ? body : JSON.stringify(body)}\n\n` };
};
const done = frame('done', '[DONE]');
const piece = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 }).map((content) => ({ content })),
  fc.constantFrom('hm', '😀').map((reasoning_content) => ({ reasoning_content })),
  fc
    .constantFrom('{"a"', '1}')
    .map((args) => ({ tool_calls: [{ index: 0, function: { arguments: args } }] })),
);
const reasons = fc.constantFrom('stop', 'length', 'tool_calls', 'end_turn', 'eos', 'content_filter');
const cost = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };

/** The frames of each choice in their order, those of several mixed by `turns`. */
function mixed(choices: readonly (readonly Frame[])[], turns: readonly number[]): Frame[] {
  const left = choices.map((frames) => [...frames]).filter((frames) => frames.length > 0);
  const all: Frame[] = [];
  for (let n = 0; left.length > 0; n++) {
    const at = (turns[n % turns.length] ?? 0) % left.length;
    all.push(...(left[at]?.splice(0, 1) ?? []));
    if (left[at]?.length === 0) left.splice(at, 1);
  }
  return all;
}

const turns = fc.array(fc.nat(7), { minLength: 1, maxLength: 12 });
const choice = fc.record({ pieces: fc.array(piece, { maxLength: 3 }), reason: reasons });
const choices = fc.array(choice, { minLength: 1, maxLength: 4 });
const ending = fc.record({ usage: fc.boolean(), done: fc.boolean() });
const last = (ends: { usage: boolean; done: boolean }): Frame[] => [
  ...(ends.usage ? [frame('usage', { choices: [], usage: cost })] : []),
  ...(ends.done ? [done] : []),
];

const chats: fc.Arbitrary<Stream> = fc
  .record({ choices, turns, ending, fewer: fc.nat(1) })
  .map(({ choices: all, turns: order, ending: ends, fewer }) => {
    const asked = all.length + fewer;
    const each = all.map(({ pieces, reason }, index) => {
      const of = (is: Frame['is'], delta: object, finish_reason: string | null): Frame =>
        frame(is, { id: 'c', choices: [{ index, delta, finish_reason }] }, index);
      const parts = pieces.map((delta) => of('part', delta, null));
      return [of('begin', { role: 'assistant', content: '' }, null), ...parts, of('end', {}, reason)];
    });
    const judging = { operation: 'chat' as const, asked: () => asked };
    return { judging, frames: [...mixed(each, order), ...last(ends)], asked, least: 1 };
  });

const completions: fc.Arbitrary<Stream> = fc
  .record({ choices, turns, ending })
  .map(({ choices: all, turns: order, ending: ends }) => {
    const asked = all.length;
    const each = all.map(({ pieces, reason }, index) => {
      const of = (is: Frame['is'], choice: object): Frame =>
        frame(is, { choices: [{ index, ...choice }] }, index);
      return [...pieces.map(() => of('part', { text: 'é' })), of('end', { text: '', finish_reason: reason })];
    });
    const judging = { operation: 'completions' as const, asked: () => asked, least: () => asked };
    return { judging, frames: [...mixed(each, order), ...last(ends)], asked, least: asked };
  });

const blocks = fc.array(fc.record({ tool: fc.boolean(), deltas: fc.nat(2) }), { maxLength: 3 });
const messages: fc.Arbitrary<Stream> = fc.record({ blocks, turns }).map(({ blocks: all, turns: order }) => {
  const each = all.map(({ tool, deltas }, index) => {
    const block = tool ? { type: 'tool_use', id: 't', input: {} } : { type: 'text', text: '' };
    const delta = tool
      ? { type: 'input_json_delta', partial_json: '{"a":1}' }
      : { type: 'text_delta', text: 'é' };
    return [
      frame('part', { type: 'content_block_start', index, content_block: block }),
      ...Array.from({ length: tool ? Math.min(1, deltas) : deltas }, () =>
        frame('part', { type: 'content_block_delta', index, delta }),
      ),
      frame('part', { type: 'content_block_stop', index }),
    ];
  });
  const usage = { output_tokens: 2 };
  const frames = [
    frame('begin', { type: 'message_start', message: { type: 'message', content: [], usage } }),
    ...mixed(each, order),
    frame('end', { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage }),
    frame('done', { type: 'message_stop' }),
  ];
  return { judging: { operation: 'messages' as const }, frames, asked: 1, least: 1 };
});

const responses: fc.Arbitrary<Stream> = fc
  .record({ parts: fc.nat(4), status: fc.constantFrom('completed', 'incomplete') })
  .map(({ parts, status }) => {
    const response = (status: string): object => ({
      object: 'response',
      status,
      output: [],
      usage: status === 'in_progress' ? null : { input_tokens: 1, output_tokens: parts },
    });
    const frames = [
      frame('begin', { type: 'response.created', response: response('in_progress') }),
      ...Array.from({ length: parts }, (_, n) =>
        frame('part', { type: 'response.output_text.delta', output_index: n, delta: 'é' }),
      ),
      frame('end', { type: `response.${status}`, response: response(status) }),
    ];
    return { judging: { operation: 'responses' as const }, frames, asked: 1, least: 1 };
  });

const streams = { chat: chats, completions, messages, responses } satisfies Partial<
  Record<Operation, fc.Arbitrary<Stream>>
>;

/** Whether each choice has begun calls and said all of them: such an answer is whole where its body ends as it should. */
function callsAreWhole(frames: readonly Frame[], begun: ReadonlySet<number>): boolean {
  const textOf = (index: number): string =>
    frames
      .filter(({ choice, is }) => choice === index && is === 'part')
      .flatMap(({ text }) => [...text.matchAll(/"arguments":("(?:[^"\\]|\\.)*")/g)])
      .map(([, json = '""']) => JSON.parse(json) as string)
      .join('');
  return begun.size > 0 && [...begun].every((index) => /^\{[^{}]*\}$/.test(textOf(index)));
}

/** What it should come to. No choice here ends without a reason, so the reasons that were seen decide, or whole calls. */
function isComplete({ asked, least }: Stream, frames: readonly Frame[], how: How): boolean {
  const of = (...kinds: Frame['is'][]): Set<number> =>
    new Set(frames.filter(({ is }) => kinds.includes(is)).map(({ choice: index }) => index));
  const [begun, ended] = [of('begin', 'part', 'end'), of('end')];
  if (ended.size === 0 && how === 'closed' && begun.size >= least && callsAreWhole(frames, begun))
    return true;
  if (ended.size < begun.size || ended.size < least) return false;
  const saidSo = how === 'closed' || frames.some(({ is }) => is === 'done');
  return saidSo || ended.size >= asked;
}

async function* packets(bytes: Uint8Array, size: number, how: How): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  if (how === 'broken') await Promise.reject(new RangeError('broken'));
}

/** What a caller gets of a text that comes in packets of so many bytes, and what it came to. */
async function seen(judging: Judging, text: string, { size, how }: { size: number; how: How }) {
  const judge = new StreamJudge(judging);
  const events: string[] = [];
  const bytes = Buffer.from(text);
  try {
    for await (const sent of readSseTogether(packets(bytes, size, how))) {
      const passed = judge.pass(sent);
      events.push(...passed.events);
      if (passed.last === 'done') break;
      if (passed.last !== undefined) return { events, fault: passed.last.code };
    }
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown;
  }
  // A call that has no id is given one, each time another.
  const ids = /call_[0-9a-f-]{36}/g;
  const same = events.map((event) => event.replace(ids, 'call'));
  return { events: same, progress: judge.progress, ended: judge.endOf(how) };
}

const textOf = (frames: readonly Frame[]): string => frames.map(({ text }) => text).join('');
const hows = ['closed', 'broken'] as const;

for (const [operation, stream] of Object.entries(streams))
  describe(`any stream of ${operation}`, () => {
    it('comes to the same, however its bytes are torn, and in whatever order its choices speak', async () => {
      const size = fc.integer({ min: 1, max: 40 });
      await fc.assert(
        fc.asyncProperty(
          stream,
          fc.record({ size, how: fc.constantFrom(...hows), eol: fc.constantFrom('\n', '\r\n') }),
          async (s, { size: n, how, eol }) => {
            const text = textOf(s.frames).replaceAll('\n', eol);
            const expected = await seen(s.judging, text, { size: text.length * 4, how });
            for (const torn of [1, n])
              expect(await seen(s.judging, text, { size: torn, how })).to.deep.equal(expected);
          },
        ),
        { numRuns: 60 },
      );
    });

    it('is complete when each choice that has begun has its end, and at no event before', async () => {
      await fc.assert(
        fc.asyncProperty(stream, async (s) => {
          for (let cut = 0; cut <= s.frames.length; cut++) {
            const frames = s.frames.slice(0, cut);
            for (const how of hows) {
              const { ended } = await seen(s.judging, textOf(frames), { size: 4_096, how });
              expect(ended !== undefined, `${how} after ${String(cut)}`).to.equal(isComplete(s, frames, how));
            }
          }
        }),
        { numRuns: 60 },
      );
    });

    it('is cut off at any byte as at the event before', async () => {
      await fc.assert(
        fc.asyncProperty(stream, fc.double({ min: 0, max: 1, noNaN: true }), async (s, part) => {
          const bytes = Buffer.from(textOf(s.frames));
          const cut = Math.floor(part * bytes.length);
          let [whole, length] = [0, 0];
          for (const { text } of s.frames) {
            length += Buffer.byteLength(text);
            if (length > cut) break;
            whole += 1;
          }
          const judge = new StreamJudge(s.judging);
          try {
            for await (const sent of readSseTogether(packets(bytes.subarray(0, cut), 64, 'broken')))
              if (judge.pass(sent).last !== undefined) break;
          } catch (thrown) {
            if (!(thrown instanceof RangeError)) throw thrown;
          }
          const frames = s.frames.slice(0, whole);
          expect(judge.endOf('broken') !== undefined).to.equal(isComplete(s, frames, 'broken'));
        }),
        { numRuns: 100 },
      );
    });

    it('is judged in whatever order its events come, and whole only when each choice that has begun has ended', () => {
      const shuffled = stream.chain(({ frames, judging }) =>
        fc
          .shuffledSubarray(frames, { minLength: frames.length, maxLength: frames.length })
          .map((order) => ({ order, judging })),
      );
      fc.assert(
        fc.property(shuffled, ({ order, judging }) => {
          const judge = new StreamJudge(judging);
          const passed = judge.pass(eventsIn(textOf(order)));
          const until = order.slice(0, order.findIndex(({ is }) => is === 'done') + 1 || order.length);
          if (passed.last !== undefined && passed.last !== 'done') return;
          if (judge.endOf('closed') === undefined || operation === 'messages' || operation === 'responses')
            return;
          const of = (kind: Frame['is']): Set<number> =>
            new Set(until.filter(({ is }) => is === kind).map(({ choice: index }) => index));
          // One that gives no reasons at all has ended with `[DONE]`.
          if (of('end').size > 0) for (const index of of('part')) expect([...of('end')]).to.include(index);
        }),
      );
    });

    it('is not lost by what comes after its end, nor made another by what is said twice', async () => {
      const after = fc.constantFrom(
        'data: {"error":{"message":"late","code":500}}\n\n',
        'event: error\ndata: gone\n\n',
        'data: no JSON\n\n',
        'data: [DONE]\n\n',
        ': a comment\n\n',
        'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}\n\n',
      );
      await fc.assert(
        fc.asyncProperty(stream, fc.array(after, { maxLength: 3 }), fc.nat(), async (s, more, pick) => {
          // An end, or the usage, is said again, at once or later.
          const again = s.frames.flatMap(({ is }, at) => (is === 'end' || is === 'usage' ? [at] : []));
          const from = again[pick % again.length] ?? 0;
          const to = from + 1 + (pick % (s.frames.length - from));
          const twice = s.frames.toSpliced(to, 0, ...s.frames.slice(from, from + 1));
          const at = { size: 4_096, how: 'closed' as const };
          const plain = await seen(s.judging, textOf(s.frames), at);
          const twiceSeen = await seen(s.judging, textOf(twice) + more.join(''), at);
          if (s.asked > new Set(s.frames.map(({ choice: index }) => index)).size && more.length > 0) return;
          expect(plain.ended).to.not.equal(undefined);
          expect(twiceSeen.ended?.finishReason).to.equal(plain.ended?.finishReason);
          const whole = judgeWhole(textOf(twice) + more.join(''), s.judging);
          expect(isFault(whole) ? whole.message : whole.finishReason).to.equal(plain.ended?.finishReason);
          // Whoever reads the last reason reads the right one.
          expect(twiceSeen.events.filter(reasonsIn).every((event) => plain.events.includes(event))).to.equal(
            true,
          );
        }),
        { numRuns: 100 },
      );
    });
  });

const reasonsIn = (event: string): boolean => /"(finish|stop)_reason":"/.test(event);

describe('a stream of anything at all', () => {
  const keys = [
    'type',
    'choices',
    'index',
    'delta',
    'message',
    'finish_reason',
    'error',
    'usage',
    'content',
    'content_block',
    'tool_calls',
    'response',
    'data',
    'stop_reason',
    'toString',
    'valueOf',
    '__proto__',
    'constructor',
  ];
  const words = [
    'stop',
    'message_start',
    'content_block_start',
    'content_block_delta',
    'message_delta',
    'message_stop',
    'response.completed',
    'tool_use',
    'null',
    '',
  ];
  const leaf = fc.oneof(
    fc.constantFrom(...words),
    fc.constantFrom(null, true, 0, 1, -1, 0.5, 4_294_967_294, 1e300),
  );
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      leaf,
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...keys), tie('value'), { maxKeys: 5 }),
    ),
  }));
  const text = fc.array(
    value.map((one) => `data: ${JSON.stringify(one)}\n\n`),
    { maxLength: 6 },
  );
  const operation = fc.constantFrom<Operation>('chat', 'completions', 'messages', 'responses', 'embeddings');

  it('is judged, never thrown at', async () => {
    await fc.assert(
      fc.asyncProperty(operation, text, async (of, events) => {
        await seen({ operation: of }, events.join(''), { size: 4_096, how: 'closed' });
        for (const body of [events.join(''), events[0]?.slice('data: '.length) ?? '']) {
          const judged = judgeWhole(body, { operation: of });
          if (!isFault(judged)) eventsOfWhole(of, judged.body);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('is nested more deeply than can be followed', () => {
    const deep = `${'{"error":['.repeat(50_000)}1${']}'.repeat(50_000)}`;
    const judged = judgeWhole(`{"error":${deep}}`, { operation: 'chat' });
    expect(isFault(judged)).to.equal(true);
    const chunk = `data: {"choices":[{"index":0,"delta":{"content":"a","more":${deep}},"finish_reason":"stop"}]}\n\n`;
    judgeWhole(chunk.repeat(2), { operation: 'chat' });
  });

  it('is whole, and nested more deeply than can be taken apart', () => {
    const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
    const body = `{"choices":[{"index":0,"message":{"content":"a","x":${deep}},"finish_reason":"stop"}]}`;
    expect(() => eventsOfWhole('chat', body)).not.to.throw();
  });

  it('has a type that cannot be made a text', () => {
    const odd = { toString: 1, valueOf: 1 };
    for (const of of ['messages', 'responses'] as const) {
      const judge = new StreamJudge({ operation: of });
      judge.pass([{ data: JSON.stringify({ type: odd, delta: {}, index: odd }) }]);
      expect(judge.progress).to.equal('nothing');
    }
  });

  it('is put together at once, whatever number a block has', () => {
    const start = '{"type":"message_start","message":{"content":[],"usage":{}}}';
    const block =
      '{"type":"content_block_start","index":4294967294,"content_block":{"type":"text","text":"a"}}';
    const end = '{"type":"message_delta","delta":{"stop_reason":"end_turn"}}';
    const stream = [start, block, end].map((data) => `data: ${data}\n\n`).join('');
    const judged = judgeWhole(stream, { operation: 'messages' });
    expect(isFault(judged) ? judged : JSON.parse(judged.body)).to.have.deep.property('content', [
      { type: 'text', text: 'a' },
    ]);
  });

  it('leaves what every object has as it is', () => {
    const chunk = '{"choices":[{"index":0,"delta":{"__proto__":{"admin":true},"content":"a"}}]}';
    const end = '{"choices":[{"index":0,"delta":{"__proto__":{"admin":true}},"finish_reason":"stop"}]}';
    judgeWhole([chunk, end].map((data) => `data: ${data}\n\n`).join(''), { operation: 'chat' });
    expect({}).to.not.have.property('admin');
  });

  it('has more choices than are followed, of which one has not ended', () => {
    const judge = new StreamJudge({ operation: 'chat', asked: () => 5_000 });
    const of = (index: number, finish_reason: string | null) => ({
      data: JSON.stringify({ choices: [{ index, delta: { content: 'a' }, finish_reason }] }),
    });
    judge.pass([of(0, null)]);
    judge.pass(Array.from({ length: 4_999 }, (_, n) => of(n + 1, 'stop')));
    expect(judge.progress).to.equal('begun');
    expect(judge.endOf('closed')).to.equal(undefined);
  });
});
