import { expect } from 'chai';
import { isReady } from '../../core/agent/history.ts';
import type { ThreadView, TurnView } from '../../core/agent/thread.ts';
import { edgeFixture, publicLlm, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';
import { speakFor } from '../support/speaker.ts';

const later = { prefer: 'respond-async' };
const MESSAGES = 3_000;
/** Tokens that the one member takes: of the thread some 150 messages. */
const ROOM = 4_000;

/** `MCPCTL_ROUNDS=200`: as many turns, and a window of 4,096 tokens. */
const [TURNS, WINDOW] = process.env['MCPCTL_ROUNDS'] === '200' ? [200, 4_096] : [48, 1_024];
/** As a tokenizer counts: words and signs, and what stands around a message. */
const tokensIn = (content: string): number => 4 + (content.match(/\w{1,5}|[^\w\s]/g) ?? []).length;

const parsed = (text: string): object => JSON.parse(text) as object;

interface Plan {
  'Node Type': string;
  'Actual Rows'?: number;
  'Actual Loops'?: number;
  'Rows Removed by Filter'?: number;
  Plans?: Plan[];
}

/** Rows that the scans of a plan have come by. */
function rowsOf({ 'Node Type': node, Plans: parts = [], ...plan }: Plan): number {
  const own = (plan['Actual Rows'] ?? 0) + (plan['Rows Removed by Filter'] ?? 0);
  const rows = node.includes('Scan') && node !== 'CTE Scan' ? own * (plan['Actual Loops'] ?? 1) : 0;
  return parts.reduce((sum, part) => sum + rowsOf(part), rows);
}

describe('a long thread', function () {
  this.timeout(60_000);
  let t: EdgeFixture;
  let threadId: string;
  before(async () => {
    t = await edgeFixture();
    await publicLlm(t, 'gpt');
    const llm = { name: 'small', type: 'openai', model: 'm', url: 'http://backend.test/v1' };
    await ask('POST /llms', {
      token: t.tokens.root,
      body: { ...llm, capabilities: { contextLength: ROOM } },
    });
    await ask('POST /agents', { token: t.tokens.root, body: { name: 'reviewer', llm: 'gpt' } });
    await ask('POST /agents', { token: t.tokens.root, body: { name: 'short', llm: 'small' } });
    threadId = await imported('short');
    // There are others: Postgres plans for the thread of one among many.
    for (let n = 0; n < 6; n++) await ask(`POST /threads/${threadId}/fork`);
    await t.connection.db.raw('analyze chat_turns, chat_messages, chat_threads');
  });
  after(() => t.close());

  async function ask(what: string, options: Call = {}): Promise<Answer> {
    const answer = await t.call(what.replace(' ', ' /api/v1'), options);
    expect(answer.status, `${what} ${answer.text}`).to.be.within(200, 204);
    return answer;
  }
  async function imported(agent: string): Promise<string> {
    const messages = Array.from({ length: MESSAGES }, (_, n) => ({
      role: n % 2 === 0 ? 'user' : 'assistant',
      content: `what was said as number ${n}`,
    }));
    return ((await ask(`POST /agents/${agent}/threads`, { body: { messages } })).json as ThreadView).id;
  }
  const say = async (message: string, agent = 'short', id = threadId): Promise<TurnView> =>
    (await ask(`POST /agents/${agent}/chat`, { body: { message, threadId: id }, headers: later }))
      .json as TurnView;
  const begun = async (agent: string): Promise<string> =>
    ((await ask(`POST /agents/${agent}/threads`, { body: {} })).json as ThreadView).id;
  /** An agent whose one llm, or whose pool's, takes so many tokens. */
  async function taking(
    name: string,
    contextLength: number,
    { poolName = `${name}-pool`, ...agent }: { poolName?: string; [field: string]: unknown } = {},
  ): Promise<void> {
    const llm = { name: `${name}-llm`, type: 'openai', model: 'm', url: 'http://backend.test/v1', poolName };
    await ask('POST /llms', { token: t.tokens.root, body: { ...llm, capabilities: { contextLength } } });
    await ask('POST /agents', { token: t.tokens.root, body: { name, llm: llm.name, ...agent } });
  }
  const answered = async ({ taskId }: TurnView, content: string, promptTokens = 0): Promise<void> => {
    const row = (await t.registry.tasks.byId(taskId ?? '')) ?? expect.fail('no task');
    const speaker = await speakFor(t, row);
    const body = JSON.stringify({ choices: [{ message: { content }, finish_reason: 'stop' }] });
    const usage = { promptTokens, completionTokens: 1, totalTokens: promptTokens + 1 };
    const measured = promptTokens > 0 && { usage };
    await speaker.end({ kind: 'completed', status: 200, body, finishReason: 'stop', ...measured });
    await ask(`GET /tasks/${row.id}?wait=10`);
  };
  const requestOf = async ({ taskId }: TurnView): Promise<string[]> => {
    const { requestBody } = await t.registry.tasks.bodies(taskId ?? '');
    const { messages } = JSON.parse(requestBody ?? '') as { messages: { content: string }[] };
    return messages.map(({ content }) => content);
  };
  /** How many rows of turns and messages the statements of this come by that read some. */
  async function readBy(work: () => Promise<unknown>): Promise<number> {
    const { db } = t.connection;
    const asked: { sql: string; bindings: readonly unknown[] }[] = [];
    const note = ({ sql, bindings }: (typeof asked)[number]): void => void asked.push({ sql, bindings });
    db.on('query', note);
    await work();
    db.off('query', note);
    let rows = 0;
    for (const { sql, bindings } of asked) {
      if (!/chat_(turns|messages)/.test(sql) || !/^\s*(select|with)/.test(sql)) continue;
      const text = `explain (analyze, format json) ${sql.replace(/\$\d+/g, '?')}`;
      const answer = await db.raw<{ rows: Record<string, [{ Plan: Plan }]>[] }>(text, bindings as never);
      rows += rowsOf(answer.rows[0]?.['QUERY PLAN']?.[0]?.Plan ?? expect.fail('no plan'));
    }
    return rows;
  }

  it('is read from its end and no further than its members have room; what it weighs is not summed anew', async () => {
    let turn: TurnView | undefined;
    // The first weighs what was imported.
    await answered(await say('first?'), 'First.');
    expect(await readBy(async () => (turn = await say('and now?'))), 'rows read').to.be.below(MESSAGES / 4);
    if (!turn) return expect.fail('no turn');
    const asked = await requestOf(turn);
    expect(asked.slice(-3)).to.deep.equal(['first?', 'First.', 'and now?']);
    const [oldest = ''] = asked;
    const at = Number(/\d+/.exec(oldest)?.[0]);
    expect(at % 2, 'it begins with a question').to.equal(0);
    expect(asked.slice(0, -3)).to.deep.equal(
      Array.from({ length: MESSAGES - at }, (_, n) => `what was said as number ${at + n}`),
    );
    await answered(turn, 'Now.');
    // Turns that end between two looks stay where they are: the beginning of what is sent is the same.
    const next = await say('and then?');
    expect((await requestOf(next))[0]).to.equal(oldest);
    await answered(next, 'Then.');
  });

  it('is read in the order of its turns, each of them whole, whatever was said between a question and its answer', async () => {
    const id = (
      (await ask(`POST /threads/${threadId}/fork`, { body: { atTurn: MESSAGES / 2 } })).json as ThreadView
    ).id;
    // Each second question was asked before the answer to the one before it: 0 2 1 3.
    const places = `update chat_messages set turn_index = -1 - case turn_index % 4 when 1 then turn_index + 1 when 2 then turn_index - 1
      else turn_index end where thread_id = ?`;
    await t.connection.db.raw(places, [id]);
    await t.connection.db.raw(`update chat_messages set turn_index = -1 - turn_index where thread_id = ?`, [
      id,
    ]);
    const reading = { threadId: id, from: 1, to: MESSAGES / 2 + 1, end: MESSAGES };
    for (const room of [null, 1, 3_000, 9_999, 40_000, 100_000, 10_000_000]) {
      const { messages, isAll } = await t.registry.threads.history({ ...reading, room });
      const oldest = MESSAGES - messages.length;
      const expected = Array.from({ length: messages.length }, (_, at) => ({
        n: (oldest + at - ((oldest + at) % 2)) / 2 + 1,
        ...{ role: at % 2 === 0 ? 'user' : 'assistant', content: `what was said as number ${oldest + at}` },
      }));
      const read = messages.map((message) => ({
        n: message.n,
        ...(isReady(message) && parsed(message.text)),
      }));
      expect(read, `${room}`).to.deep.equal(expected);
      expect(isAll, `${room}`).to.equal(oldest === 0);
      const bytes = messages.reduce((sum, message) => sum + (isReady(message) ? message.contentBytes : 0), 0);
      if (!isAll) expect(bytes + 28 * (messages.length / 2)).to.be.greaterThan(room ?? 0);
    }
  });

  it('is sent in the bytes that its messages were written in', async () => {
    const odd = Array.from({ length: 32 }, (_, code) => String.fromCharCode(code || 127)).join('');
    const contents = [
      `${odd}"\\/<>&'`,
      '\u2028\u2029\ufeff\ud83d\ude00\u00e9',
      '',
      'a\r\n"b"',
      '{"role":"tool"}',
      'x',
      'y',
      'z:1[{',
    ];
    const called = [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{"n": 1.0}' } }];
    const conversation = [
      ...contents.map((content, n) => ({ role: n % 2 === 0 ? 'user' : 'assistant', content })),
      { role: 'user', content: [{ type: 'text', text: 'p' }] },
      { role: 'assistant', content: 'calls', tool_calls: called },
      { role: 'tool', tool_call_id: 'c', content: '1' },
      { role: 'assistant', content: 'done' },
    ];
    const answer = await ask('POST /agents/reviewer/threads', { body: { messages: conversation } });
    const turn = await say('now?', 'reviewer', (answer.json as ThreadView).id);
    const { requestBody } = await t.registry.tasks.bodies(turn.taskId ?? '');
    const messages = [...conversation, { role: 'user', content: 'now?' }].map((message) =>
      // As Postgres writes lists.
      JSON.stringify(message).replace('[{"type":"text","text":"p"}]', '[{"text": "p", "type": "text"}]'),
    );
    expect(requestBody).to.equal(`{"model":"reviewer","messages":[${messages.join(',')}]}`);
  });

  it('is listed, and looked at, without a look at what was said in it', async () => {
    expect(await readBy(() => ask('GET /threads?agent=short'))).to.be.below(60);
    expect(await readBy(() => ask(`GET /threads/${threadId}`))).to.be.below(40);
    expect(await readBy(() => ask(`GET /threads/${threadId}/messages?last=100`))).to.be.below(300 + 40);
  });

  it('is sent whole to members that do not say how much they take, in the order of its turns', async () => {
    const whole = await imported('reviewer');
    let turn: TurnView | undefined;
    // Each message once, and its turn, though Postgres knows nothing yet of what was just imported.
    const read = await readBy(async () => (turn = await say('all of it?', 'reviewer', whole)));
    expect(read, 'rows read').to.be.below(4 * MESSAGES);
    if (!turn) return expect.fail('no turn');
    expect(await requestOf(turn)).to.deep.equal([
      ...Array.from({ length: MESSAGES }, (_, n) => `what was said as number ${n}`),
      'all of it?',
    ]);
    await answered(turn, 'All.');
    const bytes = `select sum(bytes)::int as bytes from chat_messages where thread_id = ?`;
    for (let n = 0; n < 2; n++) {
      const { rows } = await t.connection.db.raw<{ rows: { bytes: number }[] }>(bytes, [whole]);
      expect((await ask(`GET /threads/${whole}`)).json).to.include({ bytes: rows[0]?.bytes });
      await answered(await say(`more ${n}?`, 'reviewer', whole), `More ${n}.`);
    }
  });

  it('is never composed without an answer that comes while it is read', async () => {
    const first = await say('one?', 'reviewer', await begun('reviewer'));
    const { threads } = t.deps.registry;
    // As at an edge that has read the thread, and is slow then.
    const accept = threads.accept.bind(threads);
    let isHeld = true;
    threads.accept = async (turn) => {
      if (isHeld) {
        isHeld = false;
        await answered(first, 'One.');
      }
      return await accept(turn);
    };
    try {
      const second = await say('two?', 'reviewer', first.threadId);
      expect(second.status).to.equal('running');
      expect(await requestOf(second)).to.deep.equal(['one?', 'One.', 'two?']);
    } finally {
      threads.accept = accept;
    }
  });

  it(`leaves out whole turns, the oldest, in steps: of ${TURNS} none is too long for a backend that takes ${WINDOW} tokens`, async () => {
    const defaultParams = { max_tokens: WINDOW / 8 };
    await taking('window', WINDOW, { systemPrompt: 'You review.', defaultParams });
    const id = await begun('window');
    const firsts: number[] = [];
    for (let n = 0; n < TURNS; n++) {
      const words = n % 3 === 0 ? 'x := f(y); ' : 'some words ';
      const turn = await say(`q${n} ${words.repeat(6)}`, 'window', id);
      const [system, ...others] = await requestOf(turn);
      const promptTokens = [system ?? '', ...others].reduce((sum, content) => sum + tokensIn(content), 0);
      expect(promptTokens + defaultParams.max_tokens, `turn ${n}`).to.be.at.most(WINDOW);
      const first = n + 1 - Math.ceil(others.length / 2);
      const before = Array.from({ length: n - first }, (_, at) => [
        `q${first + at}`,
        `a${first + at}`,
      ]).flat();
      expect([system, ...others.map((content) => content.split(' ')[0])]).to.deep.equal([
        ...['You review.', ...before, `q${n}`],
      ]);
      firsts.push(first);
      await answered(turn, `a${n} ${'and so on '.repeat(5)}`, promptTokens);
    }
    expect(firsts.at(-1)).to.be.greaterThan(TURNS / 4);
    // Its beginning is the same for many turns, or a backend reads all of it anew each time: at 4,096 tokens for twenty.
    expect(new Set(firsts).size).to.be.at.most(Math.ceil(TURNS / (WINDOW / 205)));
    expect((await ask(`GET /threads/${id}`)).json, 'in the thread everything stays').to.include({
      messages: 2 * TURNS,
    });
  });

  it('is told as far as the roomiest member takes it, and less of it once that one has left', async () => {
    await taking('tight', 1_000, { poolName: 'rooms' });
    await taking('roomy', 32_000, { poolName: 'rooms' });
    const id = await begun('roomy');
    const sent = async (n: number): Promise<number> => {
      const turn = await say(`q${n} ${'x'.repeat(400)}`, 'roomy', id);
      await answered(turn, 'y'.repeat(400));
      return (await requestOf(turn)).length;
    };
    for (const n of [0, 1, 2, 3, 4]) expect(await sent(n)).to.equal(2 * n + 1);
    await ask('PATCH /agents/roomy', { token: t.tokens.root, body: { llm: 'tight-llm' } });
    await ask('DELETE /llms/roomy-llm', { token: t.tokens.root });
    expect(await sent(5)).to.be.below(7);
  });
});
