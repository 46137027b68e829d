import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import type { MessageView, TurnDetail, TurnView } from '../../core/agent/thread.ts';
import type { TurnRow } from '../../core/registry/threads/rows.ts';
import { announceAll } from '../../core/queue/live/presence.ts';
import type { TaskRow } from '../../core/task/task.ts';
import { publicLlm, type Answer, type Call, type EdgeFixture } from './edge.ts';
import { speakFor, type Speaker } from './speaker.ts';
import { until } from './system.ts';

export const later = { prefer: 'respond-async' };
export const waits = { prefer: 'wait=20' };
type Calling = [id: string, name: string, args?: string];
export const calling = (...calls: Calling[]) => ({
  content: null,
  tool_calls: calls.map(([id, name, text = '{}']) => ({
    ...{ id, type: 'function' },
    function: { name, arguments: text },
  })),
});
export const whole = (body: object) =>
  ({ kind: 'completed', status: 200, body: JSON.stringify(body) }) as const;
/** A whole answer of a model. */
export const choice = (message: object, finish_reason = 'stop') =>
  whole({ choices: [{ message, finish_reason }] });
export const text = (words: string): object => ({ result: { content: [{ type: 'text', text: words }] } });

/** A streamed answer that says something and then calls. */
export async function streamCalls(speaker: Speaker, words: string, ...calls: Calling[]): Promise<void> {
  const { tool_calls } = calling(...calls);
  await speaker.say(
    { content: words },
    { tool_calls: tool_calls.map((call, index) => ({ index, ...call })) },
  );
  await speaker.finish('tool_calls');
  await speaker.end({ kind: 'completed', status: 200, finishReason: 'tool_calls' });
}

/** Turns of an agent `worker` with the tools of its project, and servers `one` and `two`, for which a test speaks. */
export function servedTurns(edge: () => EdgeFixture) {
  /** A server of ada's that nobody runs here: a test speaks for its calls. */
  async function serve(name: string): Promise<void> {
    const providers = [{ name: `mcp.${name}`, type: 'mcp', model: 'mcp' }];
    const worker = { instanceId: randomUUID(), workerVersion: '1', transports: ['redis'], providers };
    const { json } = await ok('POST /api/v1/llms/_provider-register', { body: worker });
    const { providerSessionId } = json as { providerSessionId: string };
    const tools = ['add', 'secret'].map((tool) => ({ name: tool, inputSchema: { type: 'object' } }));
    const info = { name, version: '1' };
    const report = { providerSessionId, server: name, journal: randomUUID(), info, tools };
    await ok('POST /api/v1/llms/_provider-tools', { body: report });
  }
  /** Before each test: one that has said nothing for ten seconds is down. */
  async function announceServers(): Promise<void> {
    const rows = await edge()
      .connection.db('llms')
      .whereLike('poolKey', 'mcp.%')
      .select<{ id: string; poolKey: string; providerSessionId: string }[]>(
        'id',
        'poolKey',
        'providerSessionId',
      );
    const state = { boot: 'b', slots: 32, running: 0, state: 'serving' } as const;
    const announced = rows.map(({ id: llmId, poolKey, providerSessionId: sessionId }) => ({
      ...{ poolKey, llmId, announcement: { ...state, sessionId } },
    }));
    await announceAll({ ...edge().deps.queue, leaseMs: 90_000 }, announced);
  }
  const ok = async (what: string, options: Call = {}): Promise<Answer> => {
    const answer = await edge().call(what, options);
    expect(answer.status, `${what} ${answer.text}`).to.be.within(200, 204);
    return answer;
  };
  const turnOf = async ({ threadId, turn }: TurnView): Promise<TurnDetail> =>
    (await edge().call(`GET /api/v1/threads/${threadId}/turns/${turn}`)).json as TurnDetail;
  const messagesOf = async ({ threadId }: TurnView): Promise<MessageView[]> =>
    ((await edge().call(`GET /api/v1/threads/${threadId}/messages`)).json as { items: MessageView[] }).items;
  const speak = async (taskId: string | null): Promise<Speaker> =>
    speakFor(edge(), (await edge().registry.tasks.byId(taskId ?? '')) ?? expect.fail('no task'));
  async function answered(turn: Pick<TurnView, 'taskId'>, message: object): Promise<void> {
    await (await speak(turn.taskId)).end(whole({ choices: [{ message }] }));
    await edge().call(`GET /api/v1/tasks/${turn.taskId ?? ''}?wait=10`);
  }
  const begin = async (more: object = {}, options: Call = {}): Promise<TurnView> => {
    const body = { message: 'sum?', ...more };
    return (await ok('POST /api/v1/agents/worker/chat', { headers: later, ...options, body }))
      .json as TurnView;
  };
  const requestOf = async (taskId: string | null) =>
    JSON.parse((await edge().registry.tasks.bodies(taskId ?? '')).requestBody ?? '{}') as {
      tools?: { function: { name: string } }[];
      messages: Record<string, unknown>[];
    };
  const toolsIn = async (turn: TurnView): Promise<string[]> =>
    ((await requestOf(turn.taskId)).tools ?? []).map(({ function: { name } }) => name);
  /** Tasks of calls of a server, the newest first. */
  const callsOf = (server: string): Promise<Pick<TaskRow, 'id' | 'status'>[]> =>
    edge()
      .connection.db('tasks')
      .where({ poolName: `mcp.${server}` })
      .orderBy('createdAt', 'desc')
      .select('id', 'status');
  const called = async (server: string, before = 0): Promise<string> =>
    (
      await until(
        () => callsOf(server),
        (rows) => rows.length > before,
      )
    )[0]?.id ?? '';
  /** By the registry: of a turn that passes nobody else is told. */
  const nextRound = (turn: TurnView): Promise<TurnRow> =>
    until(
      () => edge().registry.threads.turn(turn.threadId, turn.turn),
      ({ status, taskId }) => status === 'running' && taskId !== turn.taskId,
    );
  /** A turn that somebody waits for. */
  async function waitedFor(
    ask: () => Promise<Answer>,
  ): Promise<{ asking: Promise<Answer>; turn: TurnView & { taskId: string } }> {
    const before = new Set(
      (await edge().connection.db('chatTurns').select<{ id: string }[]>('id')).map(({ id }) => id),
    );
    const asking = ask();
    const turns = await until(
      () =>
        edge()
          .connection.db('chatTurns')
          .select<{ id: string; threadId: string; n: number; taskId: string }[]>(
            'id',
            'threadId',
            'n',
            'taskId',
          ),
      (rows) => rows.some(({ id }) => !before.has(id)),
    );
    const { threadId = '', n = 0, taskId = '' } = turns.find(({ id }) => !before.has(id)) ?? {};
    const turn = { threadId, turn: n } as TurnView;
    return { asking, turn: { ...(await turnOf(turn)), ...turn, taskId } };
  }
  async function setUp(): Promise<void> {
    await publicLlm(edge(), 'gpt');
    for (const name of ['one', 'two']) await serve(name);
    const servers = [{ server: 'one', tools: { deny: ['secret*'] } }, { server: 'two' }];
    await ok('POST /api/v1/projects', { body: { name: 'demo', servers } });
    const agent = { name: 'worker', llm: 'gpt', project: 'demo', serverTools: true };
    await ok('POST /api/v1/agents', { body: agent });
  }
  return {
    setUp,
    announceServers,
    ok,
    turnOf,
    messagesOf,
    speak,
    answered,
    begin,
    requestOf,
    toolsIn,
    callsOf,
    called,
    nextRound,
    waitedFor,
  };
}
