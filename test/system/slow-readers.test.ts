import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { expect } from 'chai';
import type { TaskView } from '../../core/task/task.ts';
import { chats } from '../support/backend.ts';
import { sseFrames } from '../support/sse.ts';
import { startSystem, until, type EdgeProcess, type System } from '../support/system.ts';

const words = Array.from({ length: 1_100 }, (_, n) => `${String(n)}:${'x'.repeat(20_000)}`);
const READERS = 60;
const MB = 1_000_000;

/** Issue: a slow reader costs at most 1 MB in the edge, and one that takes nothing is dropped. */
describe('readers of a 22 MB answer who take nothing', function () {
  this.timeout(120_000);
  let t: System;
  let patient: EdgeProcess;
  let brisk: EdgeProcess;
  const sockets = new Set<Socket>();

  before(async () => {
    t = await startSystem();
    await t.startWorker([{ name: 'desk', maxConcurrency: 2, backend: t.backend }]);
    // A small heap: garbage goes soon, so that what is left is what the readers cost.
    const env = { MCPCTL_STALLED_READER_MS: '600000', NODE_OPTIONS: '--max-old-space-size=96' };
    patient = await t.startEdge(0, env);
    brisk = await t.startEdge(0, { MCPCTL_STALLED_READER_MS: '1000' });
  });
  after(async () => {
    for (const socket of sockets) socket.destroy();
    await t.close();
  });

  const chat = { stream: true, messages: [{ role: 'user', content: 'go' }] };
  async function submit(): Promise<string> {
    const answer = await t.call('POST', '/api/v1/tasks', { body: { llm: 'desk', request: chat } });
    return ((await answer.json()) as TaskView).id;
  }
  /** Sends a request, takes the head of its answer, and then nothing more. */
  function stalled(edge: EdgeProcess, [method, path]: [string, string], body?: object): Promise<string> {
    const { hostname, port, host } = new URL(edge.url);
    const text = body === undefined ? '' : JSON.stringify(body);
    const socket = connect(Number(port), hostname);
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    const kind = body === undefined ? '' : 'content-type: application/json\r\n';
    socket.write(
      `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${t.token}\r\n${kind}` +
        `content-length: ${String(text.length)}\r\n\r\n${text}`,
    );
    return new Promise((resolve, reject) => {
      socket.once('close', () => reject(new TypeError('the connection was closed before its head came')));
      socket.once('readable', () => resolve(String(socket.read(1))));
    });
  }
  const idOf = async (status: TaskView['status']): Promise<string> => {
    const items = await until(
      async () =>
        ((await (await t.call('GET', `/api/v1/tasks?status=${status}`)).json()) as { items: TaskView[] })
          .items,
      (tasks) => tasks.length > 0,
    );
    return items[0]?.id ?? '';
  };
  const ended = (id: string): Promise<TaskView> =>
    until(
      () => t.task(id),
      ({ status }) => status === 'completed' || status === 'error' || status === 'cancelled',
      60_000,
    );
  const rssOf = (edge: EdgeProcess): number => {
    const status = readFileSync(`/proc/${String(edge.child.pid)}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1_024;
  };
  /** Until it has done next to nothing for a while: whatever it was about to read and to hold, it has. */
  async function atRest(edge: EdgeProcess): Promise<void> {
    let since = -Infinity;
    let looks = 0;
    await until(
      () => {
        const [user, system] = readFileSync(`/proc/${String(edge.child.pid)}/stat`, 'utf8')
          .split(' ')
          .slice(13, 15);
        const ticks = Number(user) + Number(system);
        // What it does each second, whoever calls, takes it a hundredth of one at most.
        const isQuiet = ticks - since <= 3;
        looks = isQuiet ? looks + 1 : 0;
        if (!isQuiet) since = ticks;
        return Promise.resolve(looks);
      },
      (times) => times >= 20,
      60_000,
    );
  }

  it('cost the edge less than 1 MB each, and one who reads on later has missed nothing', async function () {
    if (process.platform !== 'linux') this.skip();
    t.backend.once(chats(words.slice(0, 300)));
    const warm = await t.call('GET', `/api/v1/tasks/${await submit()}/stream`, { at: patient });
    for await (const { data } of sseFrames(warm)) if (data === '[DONE]') break;
    const before = rssOf(patient);

    t.backend.once(chats(words, { paced: true }));
    const id = await submit();
    const path = `/api/v1/tasks/${id}/stream`;
    const late = await t.call('GET', path, { at: patient });
    await Promise.all(Array.from({ length: READERS }, () => stalled(patient, ['GET', path])));
    t.backend.release(words.length);
    expect(await ended(id)).to.include({ status: 'completed' });
    await atRest(patient);
    expect((rssOf(patient) - before) / MB).to.be.lessThan(READERS);
    const got: string[] = [];
    for await (const { id: event, data } of sseFrames(late)) {
      if (event === undefined) continue;
      const { choices } = JSON.parse(data) as { choices: { delta: { content?: string | null } }[] };
      const text = choices[0]?.delta.content;
      if (text) got.push(text);
    }
    expect(got.length).to.equal(words.length);
    expect(got.every((word, n) => word === words[n])).to.equal(true);
  });

  it('are dropped in time, and count as callers who left: the task is cancelled, down to the backend', async () => {
    t.backend.once(chats([...words, 'never'], { paced: true }));
    await stalled(brisk, ['POST', '/api/v1/llms/desk/infer'], chat);
    t.backend.release(words.length);
    const id = await idOf('running');
    await t.backend.next('closed', 20_000);
    expect(await ended(id)).to.include({ status: 'cancelled' });
  });
});
