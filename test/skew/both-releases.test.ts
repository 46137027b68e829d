import { expect } from 'chai';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBackend, chats, type Backend } from '../support/backend.ts';
import { olderRelease, type OlderRelease } from '../support/older-release.ts';
import { startProcess, type TestProcess } from '../support/process.ts';
import { programOf, type Program } from '../support/program.ts';
import { sandbox, type Sandbox } from '../support/sandbox.ts';
import { until } from '../support/system.ts';
import { createRegistry, type Registry } from '../../core/registry/registry.ts';

const token = 'mcpctl_skew-0123456789-0123456789-0123';
const words = ['a', 'b', 'c', 'd', 'e', 'f'];
const request = { messages: [{ role: 'user', content: 'hi' }] };
const ROUNDS = Number(process.env['MCPCTL_ROUNDS'] ?? 2);
const IS_LONG = ROUNDS > 2;

const idsIn = (text: string): string[] => [...text.matchAll(/^id: ?(\S+)/gm)].map(([, id = '']) => id);
const saidIn = (text: string): string =>
  [...text.matchAll(/"content":"(\w)"/g)].map(([, word = '']) => word).join('');

/** What it is told to be, and where: the release before from its sources, this one as it is built. */
type Age = 'older' | 'newer';
interface Started {
  args: string[];
  env: Record<string, string>;
}
interface Edge {
  age: Age;
  url: string;
  process: TestProcess;
}

/**
 * A rolling upgrade in the order of docs/deploy.md: what the release before has set up and runs, then this one's release
 * step, then one of each process of this one beside it. `MCPCTL_ROUNDS` makes it longer (`npm run skew`).
 */
describe('the release before and this one, over one Redis and one Postgres,', function () {
  this.timeout(120_000);
  let older: OlderRelease;
  let box: Sandbox;
  let backend: Backend;
  let registry: Registry;
  const processes: TestProcess[] = [];
  const homes: string[] = [];
  const edges: Edge[] = [];

  const start = (age: Age, program: Program, { args = [], env = {} }: Partial<Started> = {}): TestProcess => {
    const url = new URL(box.databaseUrl);
    // Its own name, so that tests beside this one do not see an older process in theirs.
    url.searchParams.set('application_name', `skew-${age}`);
    const started = startProcess(
      age === 'older' ? join(older.folder, program, 'main.ts') : programOf(program),
      {
        args,
        env: {
          ...(age === 'older' ? older.env : {}),
          DATABASE_URL: url.href,
          REDIS_URL: box.redisUrl,
          MCPCTL_REDIS_NAMESPACE: box.namespace,
          MCPCTL_PG_SCHEMA: box.schema,
          MCPCTL_BOOTSTRAP_TOKEN: token,
          MCPCTL_HOST: '127.0.0.1',
          ...env,
        },
      },
    );
    processes.push(started);
    return started;
  };
  const release = async (age: Age): Promise<void> => {
    expect(await start(age, 'scheduler', { args: ['release'] }).exited, `${age} release`).to.equal(0);
  };
  const startEdge = async (age: Age, at = '0'): Promise<Edge> => {
    const edge = start(age, 'edge', { env: { PORT: at } });
    const { port } = await edge.next(({ msg }) => msg === 'the edge listens');
    return { age, url: `http://127.0.0.1:${String(port)}`, process: edge };
  };
  /** The older ones take their tasks over Redis, where its edge lets them. */
  const startWorker = async (age: Age, { age: at, url }: Edge): Promise<void> => {
    const home = await mkdtemp(join(tmpdir(), 'mcpctl-skew-'));
    homes.push(home);
    const offer = { type: 'openai', model: 'tiny', publish: true, url: backend.url, maxConcurrency: 4 };
    const providers = [{ ...offer, name: `${age}-at-${at}`, poolName: 'desk' }];
    // The release before passes over what it does not know.
    const agents = [{ name: `agent-of-${age}-at-${at}`, llm: `${age}-at-${at}`, systemPrompt: 'You skew.' }];
    await writeFile(join(home, 'config.json'), JSON.stringify({ providers, agents }));
    await writeFile(join(home, 'credentials'), JSON.stringify({ mcpdUrl: url, token }), { mode: 0o600 });
    const way: Record<string, string> = age === 'older' ? {} : { REDIS_URL: '', MCPCTL_HEARTBEAT_MS: '2000' };
    await start(age, 'worker', { args: ['run'], env: { MCPCTL_HOME: home, ...way } }).event('service.ready');
  };

  before(async function () {
    const olderHere = await olderRelease();
    // A shallow clone has no sources of it: what it wrote is in test/skew/written.test.ts.
    if (!olderHere) return this.skip();
    older = olderHere;
    box = await sandbox({ migrates: false });
    registry = createRegistry(box.connection);
    backend = await startBackend();
    backend.reply(chats(words, { intervalMs: 10 }));
    await release('older');
    const standing = [startEdge('older'), start('older', 'scheduler').event('service.ready')] as const;
    edges.push((await Promise.all(standing))[0]);
    await release('newer');
    const added = [startEdge('newer'), start('newer', 'scheduler').event('service.ready')] as const;
    edges.push((await Promise.all(added))[0]);
    const [one, two] = edges as [Edge, Edge];
    const crossed = [startWorker('older', two), startWorker('newer', one)];
    const own = [startWorker('newer', two), ...(IS_LONG ? [startWorker('older', one)] : [])];
    await Promise.all([...crossed, ...own]);
  });
  after(async () => {
    await Promise.all(processes.map((one) => one.kill('SIGKILL')));
    await backend?.close();
    await box?.close();
    await older?.remove();
    await Promise.all(homes.map((home) => rm(home, { recursive: true, force: true })));
  });

  const ask = (at: Edge, path: string, body?: object): Promise<Response> =>
    fetch(at.url + path, {
      method: body ? 'POST' : 'GET',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
  const isWhole = (text: string): boolean => saidIn(text) === words.join('') && text.includes('[DONE]');

  /** Streamed at one edge, and gone on with at the other from its second event. */
  async function streamed(at: Edge, other: Edge): Promise<void> {
    const answer = await ask(at, '/api/v1/llms/desk/infer', { ...request, stream: true });
    const text = await answer.text();
    expect([answer.status, isWhole(text)], `${at.age} edge: ${text}`).to.deep.equal([200, true]);
    const [, second = ''] = idsIn(text);
    const id = answer.headers.get('x-mcpctl-task-id') ?? '';
    const resumed = await ask(other, `/api/v1/tasks/${id}/stream?after=${second}`);
    const rest = await resumed.text();
    expect(resumed.status, `${other.age} edge, after ${second}: ${rest}`).to.equal(200);
    expect(saidIn(rest)).to.satisfy((text: string) => text !== '' && words.join('').endsWith(text));
    expect(rest).to.contain('[DONE]');
  }
  async function whole(at: Edge): Promise<void> {
    const answer = await ask(at, '/api/v1/llms/desk/infer', request);
    expect([answer.status, await answer.text()], `${at.age} edge`).to.satisfy(
      ([status, text]: [number, string]) => status === 200 && text.includes(words.join('')),
    );
  }
  async function later(at: Edge): Promise<void> {
    const answer = await ask(at, '/api/v1/tasks', { llm: 'desk', request });
    expect(answer.status, `${at.age} edge`).to.equal(202);
    const { id } = (await answer.json()) as { id: string };
    await until(
      () => registry.tasks.byId(id),
      (row) => row?.status === 'completed',
    );
  }

  it('answer all that is asked of either, and go on with each other’s streams', async () => {
    const [one, two] = edges as [Edge, Edge];
    for (let round = 0; round < ROUNDS; round += 1) {
      await Promise.all(
        [
          [one, two],
          [two, one],
        ].flatMap(([at = one, other = one]) => [
          streamed(at, other),
          streamed(at, other),
          whole(at),
          later(at),
        ]),
      );
    }
    expect(await registry.tasks.openOlderThan(0, { after: null, limit: 100 })).to.deep.equal([]);
    // The two release steps have ended, and nothing else.
    expect(processes.filter(({ child }) => child.exitCode !== null)).to.have.length(2);
  });

  it('have agents that workers of this one publish, and threads with them, whoever ends their turns', async () => {
    const [one, two] = edges as [Edge, Edge];
    const agent = 'agent-of-newer-at-newer';
    const made = await ask(two, `/api/v1/agents/${agent}`);
    expect(await made.json()).to.include({ kind: 'virtual', status: 'active', llm: 'newer-at-newer' });
    // Where they are not known nobody fails for them: the llm of that worker is served all the same.
    expect((await ask(two, '/api/v1/agents/agent-of-newer-at-older')).status).to.equal(404);
    expect((await ask(one, '/api/v1/llms/newer-at-older/infer', request)).status).to.equal(200);
    expect((await ask(one, '/v1/chat/completions', { ...request, model: agent })).status).to.equal(404);
    const turns = await Promise.all(
      Array.from({ length: 6 }, async (_, n) => {
        const later = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
        const answer = await fetch(`${two.url}/api/v1/agents/${agent}/chat`, {
          method: 'POST',
          headers: n % 2 === 0 ? later : { ...later, prefer: 'respond-async' },
          body: JSON.stringify({ message: `m${n}` }),
        });
        expect(answer.status, await answer.clone().text()).to.be.oneOf([200, 202]);
        return (await answer.json()) as { threadId: string };
      }),
    );
    for (const [n, { threadId }] of turns.entries()) {
      const page = await until(
        async () =>
          (await (await ask(two, `/api/v1/threads/${threadId}/messages`)).json()) as {
            items: { status: string; content: string; isWhole: boolean }[];
          },
        ({ items }) => items[1]?.status !== 'pending',
      );
      const [, answered] = page.items;
      expect(answered?.status).to.equal('complete');
      // Where nobody waited a scheduler of before may have ended it: it knows no threads, and the thread says that it has not all.
      const isThere = answered?.content === words.join('') || (n % 2 === 1 && answered?.isWhole === false);
      expect(isThere, JSON.stringify(answered)).to.equal(true);
    }

    // The older edge is replaced at its address: what its worker publishes besides is there without a hand.
    await one.process.kill('SIGKILL');
    edges[0] = await startEdge('newer', new URL(one.url).port);
    const there = await until(
      () => ask(two, '/api/v1/agents/agent-of-newer-at-older'),
      ({ status }) => status === 200,
      60_000,
    );
    expect(await there.json()).to.include({ kind: 'virtual', status: 'active' });
  });
});
