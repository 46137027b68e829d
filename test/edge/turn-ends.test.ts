import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import type { MessageView, ThreadView, TurnView } from '../../core/agent/thread.ts';
import { createSettleDuty } from '../../scheduler/duties/settle.ts';
import { secondEdge } from '../relay/second-edge.ts';
import { edgeFixture, publicLlm, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';
import { speakFor, texts } from '../support/speaker.ts';
import { until } from '../support/system.ts';
import { dutyDeps } from '../support/tasks.ts';

const later = { prefer: 'respond-async' };
/** `MCPCTL_ROUNDS=1000` for the numbers of a long run. */
const ROUNDS = Number(process.env['MCPCTL_ROUNDS'] ?? 25);

describe('the end of a turn', function () {
  this.timeout(Math.max(30_000, ROUNDS * 500));
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    await publicLlm(t, 'gpt');
    const agent = { name: 'reviewer', llm: 'gpt' };
    expect((await t.call('POST /api/v1/agents', { token: t.tokens.root, body: agent })).status).to.equal(201);
  });
  after(() => t.close());

  const ok = async (what: string, options: Call = {}): Promise<Answer> => {
    const [method = '', path = ''] = what.split(' ');
    const answer = await t.call(`${method} /api/v1${path}`, options);
    expect(answer.status, `${what} ${answer.text}`).to.be.within(200, 204);
    return answer;
  };
  const begin = async (body: object): Promise<TurnView> =>
    (await ok('POST /agents/reviewer/chat', { headers: later, body })).json as TurnView;
  const rowOf = async ({ taskId }: TurnView) =>
    (await t.registry.tasks.byId(taskId ?? '')) ?? expect.fail('no task');
  const messages = async (id: string): Promise<MessageView[]> =>
    ((await ok(`GET /threads/${id}/messages`)).json as { items: MessageView[] }).items;

  it('is its task’s, whichever of a cancel, the edge and the duty comes first', async () => {
    const duty = createSettleDuty(dutyDeps(t));
    const ends = { completed: 0, cancelled: 0 };
    for (let round = 0; round < ROUNDS; round++) {
      const turn = await begin({ message: 'x' });
      const row = await rowOf(turn);
      const speaker = await speakFor(t, row);
      await speaker.say(...texts('shown'));
      const cancel = (): Promise<unknown> => ok(`DELETE /threads/${turn.threadId}/turns/1`);
      const end = (): Promise<unknown> => speaker.end().catch(() => undefined); // its claim is gone where the cancel was first
      const settle = (): Promise<unknown> => duty.run(new AbortController().signal);
      const all = [cancel, end, settle];
      await Promise.all([...all.slice(round % 3), ...all.slice(0, round % 3)].map((each) => each()));
      const task = await until(
        () => rowOf(turn),
        ({ status }) => status === 'completed' || status === 'cancelled',
      );
      const [, answer] = await messages(turn.threadId);
      const { openTurn } = (await ok(`GET /threads/${turn.threadId}`)).json as ThreadView;
      const asTold = task.status === 'completed' ? 'complete' : 'cancelled';
      expect(answer?.status, `round ${round}`).to.equal(asTold);
      expect(openTurn, `round ${round}`).to.equal(null);
      ends[task.status as 'completed' | 'cancelled']++;
      // Once more, of one that has ended, changes nothing.
      const again = (await ok(`DELETE /threads/${turn.threadId}/turns/1`)).json as TurnView;
      expect(again.status).to.equal(task.status);
    }
    expect(ends.completed + ends.cancelled).to.equal(ROUNDS);
  });

  it('is one, and one turn, of twenty equal calls at once at two edges, in a thread that is there and in a new one', async () => {
    const other = await secondEdge(t);
    try {
      const { threadId } = await begin({ message: 'begin' });
      await ok(`DELETE /threads/${threadId}/turns/1`);
      for (const there of [null, threadId]) {
        const key = randomUUID();
        const body = { message: 'once?', ...(there !== null && { threadId: there }) };
        const send = async (n: number): Promise<TurnView> => {
          const answer = await fetch(`${n % 2 === 0 ? t.url : other.url}/api/v1/agents/reviewer/chat`, {
            method: 'POST',
            headers: {
              ...{ authorization: `Bearer ${t.tokens.ada}`, 'content-type': 'application/json' },
              ...{ ...later, 'idempotency-key': key },
            },
            body: JSON.stringify(body),
          });
          expect(answer.status, await answer.clone().text()).to.equal(202);
          return (await answer.json()) as TurnView;
        };
        const turns = await Promise.all(Array.from({ length: 20 }, (_, n) => send(n)));
        expect(new Set(turns.map((turn) => `${turn.threadId} ${turn.turn}`)).size).to.equal(1);
        const [turn] = turns;
        const kept = await messages(turn?.threadId ?? '');
        expect(kept.filter(({ content }) => content === 'once?')).to.have.length(1);
        const differs = await t.call('POST /api/v1/agents/reviewer/chat', {
          ...{ headers: { ...later, 'idempotency-key': key } },
          body: { ...body, message: 'twice?' },
        });
        expect(differs.status).to.equal(422);
        await ok(`DELETE /threads/${turn?.threadId}/turns/${turn?.turn}`);
      }
    } finally {
      await other.close();
    }
  });

  it('of thinking alone at the limit is an empty answer with what was thought, and the next turn is asked without it', async () => {
    const { threadId, ...turn } = await begin({ message: 'think' });
    const row = await rowOf({ threadId, ...turn });
    const message = { content: '', reasoning_content: 'Hm, long.' };
    const body = JSON.stringify({ choices: [{ message, finish_reason: 'length' }] });
    await (await speakFor(t, row)).end({ kind: 'completed', status: 200, body, finishReason: 'length' });
    await ok(`GET /tasks/${row.id}?wait=10`);
    const [, answer] = await messages(threadId);
    expect(answer).to.include({
      content: '',
      reasoning: 'Hm, long.',
      finishReason: 'length',
      status: 'complete',
    });
    const next = await rowOf(await begin({ message: 'and?', threadId }));
    const { requestBody } = await t.registry.tasks.bodies(next.id);
    expect((JSON.parse(requestBody ?? '') as { messages: unknown }).messages).to.deep.equal([
      { role: 'user', content: 'and?' },
    ]);
  });

  it('keeps what a text may be, and refuses what it may not, before anything is kept', async () => {
    const odd = '{{agent.name}} {{x}}\n\tünï 🧵 ${x}';
    const red = '\u001b[31mred\u001b[0m';
    const made = await ok('POST /prompts', { body: { name: 'odd', content: odd } });
    expect(made.json).to.include({ content: odd });
    const agent = { name: 'odd', llm: 'gpt', systemPrompt: `${odd}${'x'.repeat(90_000)}` };
    await ok('POST /agents', { body: agent });
    const shown = (await ok('POST /agents/odd/compose', { body: { message: `${odd}${red}` } })).json as {
      body: string;
    };
    const { messages: sent } = JSON.parse(shown.body) as { messages: { content: string }[] };
    expect(sent.map(({ content }) => content)).to.deep.equal([agent.systemPrompt, `${odd}${red}`]);
    for (const [what, body] of [
      ['POST /prompts', { name: 'nul', content: 'a\u0000b' }],
      ['POST /prompts', { name: 'red', content: red }],
      ['POST /prompts', { name: 'half', content: 'a\ud800b' }],
      ['POST /prompts', { name: 'long', content: 'x'.repeat(100_001) }],
      ['POST /agents', { name: 'nul', llm: 'gpt', systemPrompt: 'a\u0000b' }],
    ] as const) {
      const [method, path] = what.split(' ');
      const refused = await t.call(`${method} /api/v1${path}`, { body });
      expect(refused.status, `${what} ${JSON.stringify(body).slice(0, 60)} ${refused.text}`).to.equal(400);
    }
    // What a person says is theirs: what no database keeps is not there, and nothing fails of it.
    const turn = await begin({ message: 'a\u0000b \ud800 c' });
    await ok(`GET /threads/${turn.threadId}/messages`);
    await ok(`GET /threads/${turn.threadId}/export`);
  });
});
