import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { rawWorker } from '../../support/raw-worker.ts';
import type { Answer as Answered, EdgeFixture } from '../../support/edge.ts';

type Answer = (request: { method: string; params: Record<string, unknown> }) => object | Promise<object>;

/** A worker with one MCP server, and an llm, which answer as a test says. */
export interface ScriptedWorker {
  /** What the server was asked, in order: the method, and the name or URI. */
  asked: string[];
  server: Answer;
  /** What the llm says; null: nothing, for as long as the test goes on. */
  llm: (messages: { role: string; content: string }[]) => string | null;
  close(): void;
}

interface Scripted {
  server: string;
  llm: string;
  resources?: string[];
  /** Both: they would be waked. */
  sleeps?: boolean;
}

export async function scriptedWorker(
  t: EdgeFixture,
  { server, llm, resources = [], sleeps = false }: Scripted,
): Promise<ScriptedWorker> {
  const worker = rawWorker(t.url, t.tokens.root);
  const initialStatus = sleeps ? 'hibernating' : 'active';
  const kinds = [{ name: `mcp.${server}`, type: 'mcp', model: 'mcp', maxConcurrency: 16 }, { name: llm }];
  await worker.register(kinds.map((kind) => ({ ...kind, initialStatus })));
  const stream = await worker.open();
  const tools = ['echo', 'write'].map((name) => ({ name, inputSchema: { type: 'object' } }));
  const has = { tools, resources: resources.map((uri) => ({ uri, name: 'a file' })) };
  const about = { server, journal: randomUUID(), info: { name: server, version: '1' } };
  await worker.post('tools', { providerSessionId: worker.session, ...about, ...has });
  const self: ScriptedWorker = {
    asked: [],
    server: () => ({ result: { content: [{ type: 'text', text: 'done' }] } }),
    llm: () => null,
    close: () => stream.close(),
  };
  const answer = async (body: string, operation: string): Promise<string | null> => {
    const request = JSON.parse(body) as { method: string; params: Record<string, unknown> };
    if (operation === 'mcp') {
      self.asked.push(`${request.method} ${String(request.params['name'] ?? request.params['uri'])}`);
      return JSON.stringify(await self.server(request));
    }
    const { messages } = JSON.parse(body) as { messages: { role: string; content: string }[] };
    const content = self.llm(messages);
    const message = { role: 'assistant', content };
    const choices = [{ index: 0, message, finish_reason: 'stop' }];
    return content === null ? null : JSON.stringify({ id: 'c', object: 'chat.completion', choices });
  };
  void (async () => {
    for (;;) {
      const { taskId, claimId, request, operation } = await stream.frame('infer');
      const body = await answer(request, operation);
      if (body === null) continue;
      const sent = worker.answer(taskId, { 'x-mcpctl-claim': claimId });
      await sent.line({ end: { status: 200, body } });
      sent.end();
    }
  })().catch(() => undefined); // its stream was closed
  return self;
}

/** What tests of projects with its server `desk` ask as root; each must do. */
export function projectCalls(t: () => EdgeFixture) {
  const api = async (what: string, body?: object): Promise<Answered> => {
    const answer = await t().call(what, { token: t().tokens.root, body });
    expect(answer.status, answer.text).to.be.below(300);
    return answer;
  };
  const project = (name: string, more: object): Promise<Answered> =>
    api('POST /api/v1/projects', { name, servers: [{ server: 'desk' }], ...more });
  const prompt = (of: string, name: string, more: object): Promise<Answered> =>
    api('POST /api/v1/prompts', { name, project: of, ...more });
  return { api, project, prompt };
}
