import { expect } from 'chai';
import type { ThreadView, TurnView } from '../../core/agent/thread.ts';
import { edgeFixture, publicLlm, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';
import { speakFor } from '../support/speaker.ts';

const later = { prefer: 'respond-async' };
const MESSAGES = 3_000;
/** Tokens that the one member takes: of the thread some 150 messages. */
const ROOM = 4_000;

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
  const answered = async ({ taskId }: TurnView, content: string): Promise<void> => {
    const row = (await t.registry.tasks.byId(taskId ?? '')) ?? expect.fail('no task');
    const speaker = await speakFor(t, row);
    const body = JSON.stringify({ choices: [{ message: { content }, finish_reason: 'stop' }] });
    await speaker.end({ kind: 'completed', status: 200, body, finishReason: 'stop' });
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
    const first = await say('one?', 'reviewer', await empty());
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
  const empty = async (): Promise<string> =>
    ((await ask('POST /agents/reviewer/threads', { body: {} })).json as ThreadView).id;
});
