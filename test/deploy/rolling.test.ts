import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import OpenAI from 'openai';
import { chats, startBackend, type Backend } from '../support/backend.ts';
import { startBalancer, type Balancer } from '../support/balancer.ts';
import type { TestProcess } from '../support/process.ts';
import { startSystem, until, type EdgeProcess, type System, type WorkerProcess } from '../support/system.ts';

const words = ['one', ' two', ' three', ' four'];
const answer = words.join('');
const messages = [{ role: 'user' as const, content: 'hi' }];

type Task = { id: string; status: string; response?: OpenAI.ChatCompletion };

/** What three kinds of callers got so far: whole answers, streams, and tasks that were waited for. */
interface Got {
  whole: number;
  stream: number;
  task: number;
}

describe('a rolling restart of everything, one process after the other, under load', function () {
  this.timeout(180_000);
  let t: System;
  let backend: Backend;
  let balancer: Balancer<EdgeProcess>;
  /** One takes its tasks from Redis, the other through an edge. */
  const workers: WorkerProcess[] = [];
  const schedulers: TestProcess[] = [];
  const over = new AbortController();
  const got: Got = { whole: 0, stream: 0, task: 0 };
  const failures: string[] = [];
  let load: Promise<void>[] = [];

  before(async () => {
    t = await startSystem({ MCPCTL_SHUTDOWN_GRACE_MS: '8000' });
    backend = await startBackend();
    backend.reply(chats(words, { intervalMs: 60 }));
    balancer = await startBalancer([t.edge, await t.startEdge()]);
    const [standby, ...started] = await Promise.all([
      t.startScheduler({ standby: true }),
      startWorker('redis'),
      startWorker('sse'),
    ]);
    schedulers.push(t.scheduler, standby);
    workers.push(...started);
  });
  after(async () => {
    over.abort();
    await Promise.all(load);
    await t.close();
    await Promise.all([balancer.close(), backend.close()]);
  });

  const startWorker = (transport: 'redis' | 'sse'): Promise<WorkerProcess> =>
    t.startWorker([{ name: `desk-${transport}`, poolName: 'desk', maxConcurrency: 8, backend }], {
      transport,
      url: balancer.url,
    });

  /** As people call: their SDK, as it comes, at the balancer. */
  const callers = (): { [K in keyof Got]: () => Promise<string> } => {
    const client = new OpenAI({ apiKey: t.token, baseURL: `${balancer.url}/v1` });
    const body = { model: 'desk', messages };
    return {
      whole: async () => (await client.chat.completions.create(body)).choices[0]?.message.content ?? '',
      async stream() {
        let text = '';
        for await (const chunk of await client.chat.completions.create({ ...body, stream: true }))
          text += chunk.choices[0]?.delta.content ?? '';
        return text;
      },
      async task() {
        // The same key: a retry of a call that was cut gets the task that it made.
        const headers = { 'idempotency-key': randomUUID() };
        const order = { llm: 'desk', request: { messages } };
        const { id } = await client.post<Task>(`${balancer.url}/api/v1/tasks`, { headers, body: order });
        for (;;) {
          const task = await client.get<Task>(`${balancer.url}/api/v1/tasks/${id}?wait=30`);
          if (task.response) return task.response.choices[0]?.message.content ?? '';
          if (task.status === 'error' || task.status === 'cancelled') return JSON.stringify(task);
        }
      },
    };
  };
  const keepCalling = async (kind: keyof Got): Promise<void> => {
    const call = callers()[kind];
    while (!over.signal.aborted) {
      const outcome = await call().catch((thrown: unknown) => String(thrown));
      got[kind] += 1;
      if (outcome !== answer) failures.push(`${kind}: ${outcome}`);
    }
  };
  /** Every kind of caller has got some more answers. */
  const someMore = async (): Promise<void> => {
    const before = { ...got };
    await until(
      async () => Object.keys(got).map((kind) => got[kind as keyof Got] - before[kind as keyof Got]),
      (more) => Math.min(...more) >= 2,
      60_000,
    );
  };

  it('fails no call of a client that tries again, and every process leaves with 0', async () => {
    load = (['whole', 'whole', 'stream', 'stream', 'task', 'task'] as const).map(keepCalling);
    // As platforms do it: the new ones are there before the old ones leave, and these leave one by one.
    const [edges] = await Promise.all([
      Promise.all([t.startEdge(), t.startEdge()]),
      t.startScheduler({ standby: true }),
      someMore(),
    ]);
    for (const old of [...balancer.targets]) {
      balancer.add(edges.pop() ?? expect.fail());
      expect(await old.kill('SIGTERM'), 'an edge').to.equal(0);
      balancer.remove(old);
      await someMore();
    }
    for (const old of schedulers) {
      expect(await old.kill('SIGTERM'), 'a scheduler').to.equal(0);
      await someMore();
    }
    for (const [n, old] of workers.entries()) {
      expect(await old.kill('SIGTERM'), 'a worker').to.equal(0);
      await someMore(); // the other serves alone
      if (n === 0) await startWorker('redis');
    }
    over.abort();
    await Promise.all(load);
    expect(failures).to.deep.equal([]);
    expect(await t.openTasks()).to.equal(0);
  });
});
