import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import type { MessageView, TurnDetail } from '../../core/agent/thread.ts';
import { answers, chats } from '../support/backend.ts';
import { startSystem, until, type System, type WorkerProcess } from '../support/system.ts';

const counting = fileURLToPath(new URL('../mcp/server.mjs', import.meta.url));
const everything = fileURLToPath(
  new URL('../../node_modules/@modelcontextprotocol/server-everything/dist/index.js', import.meta.url),
);

/** A model that calls a tool of each of two servers at once, and then says that it is done. */
describe('SIGKILL while an agent calls the tools of its project', function () {
  this.timeout(90_000);
  let t: System;
  let worker: WorkerProcess;
  let folder: string;
  const counter = (): string => join(folder, 'counter');
  const serve = (home?: string): Promise<WorkerProcess> =>
    t.startWorker([], {
      ...(home !== undefined && { home }),
      mcpServers: [
        { name: 'counting', command: process.execPath, args: [counting, '--counter', counter()] },
        { name: 'everything', command: process.execPath, args: [everything, 'stdio'] },
      ],
    });
  const isServed = (name: string): Promise<unknown> =>
    until(
      async () => (await (await t.call('GET', `/api/v1/servers/${name}`)).json()) as { tools?: string[] },
      ({ tools = [] }) => tools.length > 0,
    );
  const make = async (path: string, body: object): Promise<void> =>
    expect((await t.call('POST', `/api/v1/${path}`, { body })).status).to.equal(201) && undefined;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'agent-tools-'));
    writeFileSync(counter(), '');
    t = await startSystem();
    await t.startWorker([{ name: 'desk', backend: t.backend }]);
    worker = await serve();
    await isServed('counting');
    await isServed('everything');
    await make('projects', {
      name: 'demo',
      servers: [{ server: 'counting' }, { server: 'everything', alias: 'all' }],
    });
    await make('agents', { name: 'helper', llm: 'desk', project: 'demo', serverTools: true });
  });
  after(async () => {
    await t.close();
    rmSync(folder, { recursive: true });
  });

  const ran = (label: string): number =>
    readFileSync(counter(), 'utf8')
      .split('\n')
      .filter((line) => line === label).length;

  interface Turn {
    threadId: string;
    turn: number;
  }
  const turnOf = async ({ threadId, turn }: Turn): Promise<TurnDetail> =>
    (await (await t.call('GET', `/api/v1/threads/${threadId}/turns/${turn}`)).json()) as TurnDetail;
  const messagesOf = async ({ threadId }: Turn): Promise<MessageView[]> =>
    ((await (await t.call('GET', `/api/v1/threads/${threadId}/messages`)).json()) as { items: MessageView[] })
      .items;

  /** A turn of which both servers have the calls, and none of which is answered. */
  async function begin(label: string, given: object): Promise<Turn> {
    const call = (id: string, name: string, args: object): object => ({
      ...{ id, type: 'function' },
      function: { name, arguments: JSON.stringify(args) },
    });
    const calls = [
      call('a', 'counting__count', { label, ...given }),
      call('b', 'all__echo', { message: label }),
    ];
    const message = { role: 'assistant', content: null, tool_calls: calls };
    const choices = [{ index: 0, message, finish_reason: 'tool_calls' }];
    t.backend.reply(answers(200, { object: 'chat.completion', choices }));
    const asked = await until(
      () =>
        t.call('POST', '/api/v1/agents/helper/chat', {
          headers: { prefer: 'respond-async' },
          body: { message: 'Count!' },
        }),
      ({ status }) => status === 202,
      20_000,
    );
    const turn = (await asked.json()) as Turn;
    await until(
      async () => ran(label),
      (count) => count > 0,
      20_000,
    );
    t.backend.reply(chats(['Done.']));
    return turn;
  }
  /** What the model was told of both calls. */
  async function ended(turn: Turn): Promise<string[]> {
    await until(
      () => turnOf(turn),
      ({ endedAt }) => endedAt !== null,
      40_000,
    );
    const kept = await messagesOf(turn);
    const shape = kept.map(({ turnIndex, role, status }) => `${turnIndex} ${role} ${status}`);
    expect(shape).to.have.members([
      '0 user complete',
      '1 assistant complete',
      '2 tool complete',
      '3 tool complete',
      '4 assistant complete',
    ]);
    expect(kept.at(-1)?.content).to.equal('Done.');
    expect((await turnOf(turn)).answers[0]?.serverCalls.map(({ status }) => status)).to.deep.equal([
      'ended',
      'ended',
    ]);
    const results = kept.filter(({ role }) => role === 'tool');
    return ['a', 'b'].map((id) => results.find(({ toolCallId }) => toolCallId === id)?.content ?? '');
  }

  it('of the edge and the scheduler: whoever is there next goes on, and each tool runs once', async () => {
    const turn = await begin('edge', { ms: 1_500 });
    const port = Number(new URL(t.url).port);
    await t.killAll();
    await Promise.all([t.startEdge(port), t.startScheduler()]);
    expect(await ended(turn)).to.deep.equal(['counted', 'Echo: edge']);
    expect(ran('edge')).to.equal(1);
  });

  it('of a server: the model is told, and the other server has answered', async () => {
    const [first, second] = await ended(await begin('child', { die: true }));
    expect(first).to.match(/\((outcome_unknown|mcp_server_down|mcp_server_failed)\)$/);
    expect(second).to.equal('Echo: child');
    expect(ran('child')).to.equal(1);
  });

  it('of the worker of both servers: what became of the call is not known, and it is not run again', async () => {
    const turn = await begin('worker', { ms: 60_000 });
    await until(
      () => messagesOf(turn),
      (kept) => kept.some(({ content }) => content === 'Echo: worker'),
    );
    await worker.kill('SIGKILL');
    worker = await serve(worker.home);
    const [first, second] = await ended(turn);
    expect(first).to.match(/not run again.*\(outcome_unknown\)$/);
    expect(second).to.equal('Echo: worker');
    expect(ran('worker')).to.equal(1);
  });
});
