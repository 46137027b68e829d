import { expect } from 'chai';
import { layAnew } from '../../core/flow/requeue.ts';
import { flowOf } from '../../edge/deps.ts';
import type { MessageView, ThreadView, TurnView } from '../../core/agent/thread.ts';
import type { TaskRow } from '../../core/task/task.ts';
import { secondEdge } from '../relay/second-edge.ts';
import { edgeFixture, publicLlm, type Answer, type Call, type EdgeFixture } from '../support/edge.ts';
import { loseRedis } from '../support/lose-redis.ts';
import { speakFor, texts, type Speaker } from '../support/speaker.ts';
import { nextText, sseData, sseFrames, type SseFrame } from '../support/sse.ts';
import { until } from '../support/system.ts';

const later = { prefer: 'respond-async' };
const waits = { prefer: 'wait=20' };
const tools = [{ type: 'function', function: { name: 'look' } }];

describe('what a thread is saying now', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture({ MCPCTL_KEEPALIVE_MS: '50', MCPCTL_ADMISSION_MS: '50' });
    await publicLlm(t, 'gpt');
    await ask('POST /agents', { token: t.tokens.root, body: { name: 'reviewer', llm: 'gpt' } });
  });
  after(() => t.close());

  async function ask(what: string, options: Call = {}): Promise<Answer> {
    const answer = await t.call(what.replace(' ', ' /api/v1'), options);
    expect(answer.status, `${what} ${answer.text}`).to.be.within(200, 204);
    return answer;
  }
  const rowOf = async ({ taskId }: Pick<TurnView, 'taskId'>): Promise<TaskRow> =>
    (await t.registry.tasks.byId(taskId ?? '')) ?? expect.fail('no task');
  const turnOf = async ({ threadId, turn }: TurnView): Promise<TurnView> =>
    (await ask(`GET /threads/${threadId}/turns/${turn}`)).json as TurnView;
  /** A turn that is streamed, and that nobody waits for. */
  const begin = async (body: object): Promise<TurnView> =>
    (await ask('POST /agents/reviewer/chat', { body: { ...body, stream: true }, headers: later }))
      .json as TurnView;
  const answers = async (threadId: string): Promise<string[]> =>
    ((await ask(`GET /threads/${threadId}/messages`)).json as { items: MessageView[] }).items
      .filter(({ role }) => role === 'assistant')
      .map(({ status, content }) => `${status}: ${content}`);
  async function open(
    path: string,
    { url = t.url, headers = {}, ...init }: RequestInit & { url?: string } = {},
  ): Promise<Response> {
    const own = { authorization: `Bearer ${t.tokens.ada}`, 'content-type': 'application/json' };
    return await fetch(`${url}/api/v1${path}`, { ...init, headers: { ...own, ...headers } });
  }
  async function next(frames: AsyncGenerator<SseFrame, void, undefined>, text: string): Promise<SseFrame> {
    for (let item = await frames.next(); item.done !== true; item = await frames.next())
      if (item.value.data.includes(text)) return item.value;
    return expect.fail(`nothing says ${text}`);
  }
  const callTool = async (speaker: Speaker, id: string): Promise<void> => {
    const call = { index: 0, id, type: 'function', function: { name: 'look', arguments: '{}' } };
    await speaker.say({ tool_calls: [call] });
    await speaker.end({ kind: 'completed', status: 200, finishReason: 'tool_calls' });
  };

  it('is read from another terminal, at another edge, through all rounds, and gone on with after any event', async () => {
    const other = await secondEdge(t);
    try {
      const turn = await begin({ message: 'look!', tools });
      const { threadId } = turn;
      const speaker = await speakFor(t, await rowOf(turn));
      await speaker.say(...texts('Let me see.'));
      const here = sseFrames(await open(`/threads/${threadId}/stream`));
      const there = sseFrames(await open(`/threads/${threadId}/stream`, { url: other.url }));
      const first = await next(there, 'Let me see.');
      expect(first.data).to.include(`"threadId":"${threadId}","turn":1`);
      expect((await next(here, 'Let me see.')).id).to.equal(first.id);
      await here.return();
      await callTool(speaker, 'c1');
      await next(there, '"c1"');
      await until(
        () => turnOf(turn),
        ({ status }) => status === 'waiting',
      );
      const results = [{ tool_call_id: 'c1', content: '7' }];
      await ask(`POST /threads/${threadId}/turns/1/tool-results?stream=true`, {
        body: results,
        headers: later,
      });
      const second = await until(
        () => turnOf(turn),
        ({ taskId }) => taskId !== turn.taskId,
      );
      const round = await speakFor(t, await rowOf(second));
      await round.say(...texts('It is 7.'));
      const ofSecond = await next(there, 'It is 7.');
      expect(ofSecond.data).to.include('"round":2');
      // From an event of the first round on, and from one of the second.
      const again = sseFrames(await open(`/threads/${threadId}/stream?after=${first.id}`));
      await next(again, '"c1"');
      expect((await next(again, 'It is 7.')).id).to.equal(ofSecond.id);
      await round.say(...texts(' Done.'));
      const on = sseFrames(
        await open(`/threads/${threadId}/stream`, { headers: { 'last-event-id': ofSecond.id ?? '' } }),
      );
      await round.end();
      for (const reader of [there, again, on]) {
        const rest: string[] = [];
        for await (const { data } of reader) rest.push(data);
        expect(rest.join('\n')).to.include(' Done.').and.not.include('It is 7.');
        expect(rest.at(-1)).to.equal('[DONE]');
      }
      expect(await answers(threadId)).to.deep.equal(['complete: Let me see.', 'complete: It is 7. Done.']);
      // Nothing is open: there is nothing to read, unless one comes back to what it has read.
      expect((await open(`/threads/${threadId}/stream`)).status).to.equal(204);
      const late = await open(`/threads/${threadId}/stream?after=${ofSecond.id}`);
      expect(await late.text())
        .to.include(' Done.')
        .and.match(/data: \[DONE\]\n\n$/);
      expect((await open(`/threads/${threadId}/stream?after=1.9.1-1`)).status).to.equal(400);
    } finally {
      await other.close();
    }
  });

  it('says where a turn stands that waits in line, and how it ends that is never asked', async () => {
    const first = await begin({ message: 'one?' });
    const { threadId } = first;
    const body = JSON.stringify({ message: 'two?', stream: true });
    const waiting = await open(`/threads/${threadId}/turns`, { method: 'POST', body, headers: waits });
    expect(waiting.status).to.equal(200);
    const chunks = sseData(waiting);
    const { value: word = '' } = await chunks.next();
    expect(JSON.parse(String(word))).to.deep.include({ mcpctl: { state: 'queued', position: 1 } });
    const comments = await open(`/threads/${threadId}/turns`, {
      ...{ method: 'POST', body },
      headers: { ...waits, 'x-mcpctl-keepalive': 'comment' },
    });
    const bytes = (comments.body as ReadableStream<Uint8Array>)[Symbol.asyncIterator]();
    const piece = async (): Promise<string | null> => {
      const item = await bytes.next();
      return item.done === true ? null : Buffer.from(item.value).toString();
    };
    expect(await piece()).to.equal(': queued 2\n\n');
    await ask(`DELETE /threads/${threadId}/turns/3`);
    let rest = '';
    for (let more = await piece(); more !== null; more = await piece()) rest += more;
    expect(rest.split('\n\n').at(-2)).to.include('task_cancelled');
    // What was opened for the wait is gone on with.
    const speaker = await speakFor(t, await rowOf(first));
    await speaker.end();
    await ask(`GET /tasks/${first.taskId ?? ''}?wait=10`);
    const second = await until(
      () => turnOf({ ...first, turn: 2 }),
      ({ taskId }) => taskId !== null,
    );
    const of = await speakFor(t, await rowOf(second));
    await of.say(...texts('Two.'));
    expect(await nextText(chunks)).to.equal('Two.');
    await of.end();
    expect(await nextText(chunks)).to.equal(undefined);
  });

  it('stays what was shown of it though its caller has left and Redis has lost it', async () => {
    const accepted = new Promise<string>((resolve) => {
      const off = t.bus.on('task.accepted', ({ taskId }) => {
        off();
        resolve(taskId);
      });
    });
    const left = new AbortController();
    const body = JSON.stringify({ message: 'lost?', stream: true });
    const asked = open('/agents/reviewer/chat', {
      ...{ method: 'POST', body, headers: waits },
      signal: left.signal,
    });
    const row = await rowOf({ taskId: await accepted });
    const speaker = await speakFor(t, row);
    await speaker.say(...texts('One'));
    const answer = await asked;
    const threadId = answer.headers.get('x-mcpctl-thread-id') ?? '';
    expect(await nextText(sseData(answer))).to.equal('One');
    left.abort();
    const gone = new Promise<void>((resolve) => {
      const off = t.bus.on('inference.finished', ({ taskId }) => {
        if (taskId !== row.id) return;
        off();
        resolve();
      });
    });
    await gone;
    await loseRedis(t);
    const { redis, keys } = t.deps.queue;
    await redis.set(keys.epoch, '1');
    await layAnew(flowOf(t.deps), row, null);
    await (await speakFor(t, row)).say(...texts('Other'));
    const { status, errorCode } = await until(
      () => rowOf({ taskId: row.id }),
      ({ completedAt }) => completedAt !== null,
    );
    expect([status, errorCode]).to.deep.equal(['error', 'worker_lost']);
    expect(await answers(threadId)).to.deep.equal(['error: One']);
    // One that nobody was shown anything of is answered anew.
    const unseen = await begin({ message: 'and this?' });
    const before = await rowOf(unseen);
    await (await speakFor(t, before)).say(...texts('nobody heard'));
    await loseRedis(t);
    await redis.set(keys.epoch, '1');
    await layAnew(flowOf(t.deps), before, null);
    const anew = await speakFor(t, before);
    await anew.say(...texts('Heard.'));
    const heard = sseData(await open(`/threads/${unseen.threadId}/stream`));
    expect(await nextText(heard)).to.equal('Heard.');
    await anew.end();
    expect(await nextText(heard)).to.equal(undefined);
    expect(await answers(unseen.threadId)).to.deep.equal(['complete: Heard.']);
  });

  it('is never another’s to read', async () => {
    const { threadId } = await begin({ message: 'private' });
    for (const token of [t.tokens.bob, t.tokens.root])
      expect((await t.call(`GET /api/v1/threads/${threadId}/stream`, { token })).status).to.equal(404);
    const { openTurn } = (await ask(`GET /threads/${threadId}`)).json as ThreadView;
    expect(openTurn?.n).to.equal(1);
  });
});
