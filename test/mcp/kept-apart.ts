import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { expect } from 'chai';
import { quantile } from '../../bench/report/stats.ts';
import type { onceIn } from '../support/each-transport.ts';
import { until, type System } from '../support/system.ts';
import { fixture } from './supervise.ts';

const program = createRequire(import.meta.url).resolve(
  '@modelcontextprotocol/server-everything/dist/index.js',
);
/** One that people have, with a secret of its machine. */
export const realServer = {
  ...{ name: 'everything', command: process.execPath, args: [program, 'stdio'] },
  env: [
    { name: 'LOG', value: 'warn' },
    { name: 'TOKEN', valueFrom: { secretRef: { name: 'github', key: 'token' } } },
  ],
};

export function keepSecret(folder: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'github'), JSON.stringify({ token: 'hush-hush-hush' }));
}

interface Apart {
  system: () => System;
  /** A client of that project. */
  connect: (at: string, project?: string) => Promise<Client>;
  /** A message to the project `demo`, which has `desk` without `env` and `big`; another, `noted`, has `notes` as `n`. */
  raw: (message: object) => Promise<Response>;
  /** A file of the machine of `desk` and `notes`; a line of `heard` for each call that `desk` is given, of `noted` for those of `notes`. */
  fileAt: (name: string) => string;
  once: ReturnType<typeof onceIn>;
}

/** What servers are kept from: calls of what is filtered, the machine that runs them, what others put in their place, and each other. */
export function keptApart({ system, connect, raw, fileAt, once }: Apart): void {
  it('where what is filtered, or is not there, is an unknown tool', async () => {
    const heard = (): string[] => readFileSync(fileAt('heard'), 'utf8').split('\n').slice(0, -1);
    const before = heard();
    const names = [
      'desk__env',
      'desk__big',
      'env',
      'big',
      'DESK__echo',
      'other__echo',
      'desk__a.b/c',
      'echo',
    ];
    const otherCase = ['desk__ENV', 'desk__Env', 'Desk__env', 'DESK__ENV'];
    const lookAlikes = ['desk__\u0435nv', 'desk__\uff45nv', 'desk__e\u200bnv', 'desk__env '];
    for (const name of [...names, ...otherCase, ...lookAlikes]) {
      const answer = await raw({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name } });
      expect(await answer.json(), name).to.deep.equal({
        jsonrpc: '2.0',
        id: 1,
        error: { code: -32602, message: `Unknown tool: ${name}` },
      });
    }
    await raw({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'desk__wrong' } });
    expect(heard(), 'its server was asked for nothing else').to.deep.equal([...before, 'wrong']);
  });

  once(
    'whose server renames what is called: what runs ends, what waits is told so, and nothing else runs',
    async () => {
      const client = await connect(system().url, 'noted');
      const heard = (): string[] => readFileSync(fileAt('noted'), 'utf8').split('\n').slice(0, -1);
      const before = heard();
      const noted = (name: string, given: object) =>
        client.callTool({ name: `n__${name}`, arguments: { ...given } });
      const renames = [{ from: 'echo', to: 'said' }, { from: 'hold', to: 'kept' }, {}, {}];
      const running = renames.map((given) => noted('hold', { until: fileAt('go'), ...given }));
      const openCalls = (many: number) =>
        until(
          () => system().openTasks('mcp.notes'),
          (n) => n === many,
        );
      await openCalls(running.length);
      const waiting = noted('echo', { message: 'who hears it?' }).catch((thrown: unknown) => thrown);
      await openCalls(running.length + 1);
      writeFileSync(fileAt('go'), '');
      for (const answer of await Promise.all(running))
        expect(answer.content).to.deep.equal([{ type: 'text', text: 'held' }]);
      expect(await waiting).to.deep.include({
        code: -32602,
        message: 'MCP error -32602: Unknown tool: echo',
      });
      await until(
        async () => (await client.listTools()).tools.map(({ name }) => name),
        (names) => names.includes('n__said') && !names.includes('n__echo') && names.includes('n__kept'),
      );
      const gone = await noted('echo', {}).catch((thrown: unknown) => thrown);
      expect(gone).to.deep.include({ code: -32602, message: 'MCP error -32602: Unknown tool: n__echo' });
      const { content } = await noted('said', { message: 'I do' });
      expect(content).to.deep.equal([{ type: 'text', text: 'I do' }]);
      const asked = ['hold', 'hold', 'hold', 'hold', 'echo', 'said'];
      expect(heard()).to.deep.equal([...before, ...asked]);
      const listed = await system().call('GET', `/api/v1/tasks?pool=mcp.notes&limit=${String(asked.length)}`);
      const { items } = (await listed.json()) as { items: { id: string }[] };
      const tasks = await Promise.all(
        items.map(async ({ id }) => await (await system().call('GET', `/api/v1/tasks/${id}`)).text()),
      );
      const calledIn = (task: string) => /"params":\{"name":"(\w+)"/.exec(task)?.[1];
      expect(tasks.map(calledIn).reverse(), 'what tasks say was asked for').to.deep.equal(asked);
    },
  );

  once(
    'whose real servers see of their machine where programs and homes are, and what is declared',
    async () => {
      const servers = [{ server: 'everything' }];
      await until(
        async () => (await system().call('GET', '/api/v1/servers/everything')).status,
        (status) => status === 200,
      );
      expect(
        (await system().call('POST', '/api/v1/projects', { body: { name: 'real', servers } })).status,
      ).to.equal(201);
      const client = await connect(system().url, 'real');
      const { content } = (await client.callTool({ name: 'everything__get-env', arguments: {} })) as {
        content: { text: string }[];
      };
      const text = content[0]?.text ?? '';
      const given = JSON.parse(text) as Record<string, string>;
      const ours = Object.keys(given).filter(
        (name) => !/^(PATH|HOME|TMPDIR|LANG|LC_\w+|TZ|USER)$/.test(name),
      );
      expect(ours).to.have.members(['LOG', 'TOKEN']);
      expect([given['LOG'], given['TOKEN']]).to.deep.equal(['warn', '[redacted:github]']);
      for (const word of ['REDIS_URL', 'MCPCTL_', system().token, 'hush', 'none-of-theirs'])
        expect(text).not.to.include(word);
    },
  );

  it('whose servers are run as their own machine says, whatever the registry has in their row', async () => {
    const [marker, evil] = [fileAt('marker'), fileAt('evil.mjs')];
    writeFileSync(evil, `import fs from 'node:fs'; fs.writeFileSync(${JSON.stringify(marker)}, '');`);
    const { db } = system().sandbox.connection;
    const source = JSON.stringify({ command: process.execPath, args: [evil], cwd: dirname(evil) });
    const env = JSON.stringify([{ name: 'NODE_OPTIONS', value: `--import=${evil}` }]);
    const [{ id = '' } = {}] = await db('servers')
      .where({ name: 'desk' })
      .update({ source, env })
      .returning<{ id?: string }[]>('id');
    await db('server_runs').insert({ serverId: id, runs: source });
    const client = await connect(system().url);
    const answered = () => client.callTool({ name: 'desk__echo', arguments: { message: 'as ever' } });
    const asEver = { content: [{ type: 'text', text: 'as ever' }] };
    expect(await answered()).to.deep.equal(asEver);
    const restarted = await system().call('POST', '/api/v1/servers/desk/restart');
    expect(restarted.status, await restarted.text()).to.equal(200);
    expect(await answered()).to.deep.equal(asEver);
    expect(existsSync(marker)).to.equal(false);
    await db('server_runs').where({ serverId: id }).delete();
    await db('servers').where({ id }).update({ source: null, env: '[]' });
  });

  once('of which a server that is down and one that hangs in its start hold up no other', async function () {
    const healed = fileAt('healed');
    writeFileSync(healed, '');
    const server = (name: string, ...how: string[]) => ({
      ...{ name, command: process.execPath, args: [fixture, '--healed', healed, ...how], startSeconds: 120 },
    });
    const others = await system().startWorker([], {
      mcpServers: [
        server('third'),
        server('down', '--die-in', 'initialize'),
        server('hangs', '--hang', 'initialize'),
      ],
    });
    const names = ['down', 'hangs', 'third'];
    for (const name of names)
      await until(
        async () => (await system().call('GET', `/api/v1/servers/${name}`)).status,
        (status) => status === 200,
      );
    for (const [name, servers] of [
      ['alone', ['third']],
      ['three', names],
    ] as const) {
      const body = { name, servers: servers.map((one) => ({ server: one })) };
      expect((await system().call('POST', '/api/v1/projects', { body })).status).to.equal(201);
    }
    const leaving = new AbortController();
    const ask = (project: string, method: string, params: object = {}): Promise<Response> =>
      system().call('POST', `/mcp/projects/${project}`, {
        body: { jsonrpc: '2.0', id: 1, method, params },
        signal: leaving.signal,
      });
    const tool = async (name: string, project = 'three') =>
      await (await ask(project, 'tools/call', { name, arguments: { message: 'x' } })).text();
    rmSync(healed);
    for (const name of ['down__exit', 'hangs__exit']) expect(await tool(name)).to.include('outcome_unknown');
    await until(
      () => tool('down__echo'),
      (text) => text.includes('mcp_server_down'),
    );
    const waiting = Array.from({ length: 4 }, () => tool('hangs__echo').catch(() => 'left'));
    const hanging = () => system().openTasks('mcp.hangs');
    await until(hanging, (n) => n === 4);
    const took: Record<'alone' | 'three', { call: number[]; list: number[] }> = {
      alone: { call: [], list: [] },
      three: { call: [], list: [] },
    };
    for (let n = 0; n < 20; n += 1)
      for (const project of ['alone', 'three'] as const) {
        const from = performance.now();
        const listed = await (await ask(project, 'tools/list')).text();
        const between = performance.now();
        expect(await tool('third__echo', project)).to.include('"text":"x"');
        took[project].list.push(between - from);
        took[project].call.push(performance.now() - between);
        for (const name of project === 'three' ? names : ['third'])
          expect(listed).to.include(`"${name}__echo"`);
      }
    expect(await hanging(), 'it hangs still').to.equal(4);
    leaving.abort();
    expect(new Set(await Promise.all(waiting))).to.deep.equal(new Set(['left']));
    await others.kill('SIGKILL');
    const shown: string[] = [];
    for (const what of ['list', 'call'] as const) {
      const [alone, three] = [took.alone[what], took.three[what]];
      expect(quantile(three, 0.5), what).to.be.below(2 * quantile(alone, 0.5) + 20);
      const both = [three, alone].map((ms) => quantile(ms, 0.95).toFixed(1));
      shown.push(`${what} p95 ${both.join(' ms beside ')}`);
    }
    if (this.test) this.test.title += ` (${shown.join(', ')})`;
  });
}
