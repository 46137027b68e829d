import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { expect } from 'chai';
import { createProgram } from '../../cli/program/program.ts';
import { ownCatalogue } from '../../core/resources/catalogue.ts';
import { llm, members, pool, publicLlm, task, taskId, token, whoami } from './fixtures.ts';
import { answers, delta, fails, page, startPeer, streams, type Peer } from './peer.ts';
import { programDeps, startSession, type SessionOptions } from './session.ts';

/**
 * What people see, word for word, against files that are committed: test/cli/golden/*.txt. After a change that is
 * meant, `UPDATE_GOLDEN=1 npm test -- test/cli/golden.test.ts` writes them anew; read the difference.
 */
const folder = join(import.meta.dirname, 'golden');

const topics = ['environment', 'exit-codes'];

interface Line {
  args: string[];
  /** Typed as this; `args` in a row when not said. */
  shown?: string;
  options?: SessionOptions;
}

describe('cli: word for word', () => {
  let peer: Peer;
  before(async () => {
    peer = await startPeer();
    const running = { ...task, id: taskId.replace('f1', 'f2'), status: 'running', claimedLlm: 'tiny-chat' };
    const failed = { code: 'backend_error', message: 'The backend broke off.' };
    peer.on('GET /api/v1/llms', page([llm, publicLlm]));
    peer.on('GET /api/v1/llms/tiny-chat', answers(200, llm));
    peer.on('GET /api/v1/llms/tiny-chat/members', answers(200, members));
    peer.on('GET /api/v1/pools', page([pool]));
    peer.on('GET /api/v1/pools/tiny-chat', answers(200, pool));
    peer.on('GET /api/v1/tasks', page([running, { ...task, status: 'error', error: failed }]));
    peer.on(`GET /api/v1/tasks/${taskId}`, answers(200, { ...task, status: 'error', error: failed }));
    peer.on('GET /api/v1/tokens', page([token]));
    peer.on('GET /api/v1/whoami', answers(200, whoami));
    peer.on('POST /api/v1/llms/tiny-chat/infer', streams([delta({ content: 'Hello.' }, 'stop'), '[DONE]']));
    for (const at of ['llms/tiny-caht', 'llms/gpt/members', 'llms/gtp', 'llms/gtp/members'])
      peer.on(`GET /api/v1/${at}`, fails(404, 'llm_not_found', 'There is no llm of that name.'));
    peer.on('DELETE /api/v1/llms/gpt', fails(409, 'llm_published', 'A virtual llm belongs to its worker.'));
  });
  after(() => peer.close());

  /** What a terminal would show of it: `2>` marks stderr, the last line the exit code where it is not 0. */
  async function transcript({ args, shown, options = {} }: Line): Promise<string> {
    const s = await startSession(peer.url, options);
    const code = await s.run(...args);
    const same = (text: string): string =>
      text.replaceAll(peer.url, 'http://127.0.0.1:3100').replaceAll(s.home, '$MCPCTL_HOME');
    const err = same(s.err()).replace(/^(?=.)/gm, '2> ');
    await s.close();
    const left = code === 0 ? '' : `(exit code ${code})\n`;
    return `$ mcpctl ${shown ?? args.join(' ')}\n${same(s.out())}${err}${left}`;
  }

  async function compare(name: string, lines: readonly Line[]): Promise<void> {
    const parts: string[] = [];
    for (const line of lines) parts.push(await transcript(line));
    const text = parts.join('\n');
    const file = join(folder, `${name}.txt`);
    if (process.env['UPDATE_GOLDEN']) await writeFile(file, text);
    expect(text).to.equal(await readFile(file, 'utf8'));
  }

  it('help of every command, on a terminal of 80 columns', async () => {
    const s = await startSession(null);
    const deps = programDeps(s);
    const names = (command: CommandUnknownOpts, path: string[]): string[][] => [
      path,
      ...command.commands
        .filter((child) => !child.name().startsWith('__'))
        .flatMap((child) => names(child, [...path, child.name()])),
    ];
    await s.close();
    const all = names(createProgram(deps, ownCatalogue()), []);
    expect(all.length).to.be.greaterThan(30);
    const options = { columns: 80 };
    for (const path of all.filter(([name = '']) => !topics.includes(name)))
      expect(await transcript({ args: [...path, '--help'] })).to.match(/\nExamples:\n {2}\S/);
    await compare('help', [
      { args: [], shown: '' },
      ...all.map((path) => ({ args: [...path, '--help'], options })),
    ]);
  });

  it('every format of what is listed and shown', async () => {
    const types = ['llm', 'pool', 'task'];
    const formats = ['table', 'wide', 'json', 'yaml', 'name'];
    await compare('output', [
      ...types.flatMap((type) => formats.map((format) => ({ args: ['get', type, '-o', format] }))),
      { args: ['get', 'llm/tiny-chat', '-o', 'json'] },
      { args: ['get', 'llm', '--no-headers', '-l', 'kind=public'] },
      { args: ['get', 'llm', '--sort-by', 'model', '-o', 'name'] },
      { args: ['describe', 'llm', 'tiny-chat'] },
      { args: ['describe', 'pool', 'tiny-chat'] },
      { args: ['describe', 'task', taskId] },
      { args: ['token', 'list', '-o', 'wide'] },
      { args: ['whoami'] },
      { args: ['whoami', '-o', 'json'] },
      { args: ['version'] },
      { args: ['api', 'GET', '/api/v1/whoami'] },
    ]);
  });

  it('tables on terminals that are too narrow for them', async () => {
    const on = (columns: number): SessionOptions => ({ columns, tty: { stdout: true } });
    await compare(
      'narrow',
      [120, 80, 40, 10].flatMap((columns) =>
        ['llm', 'pool'].map((type) => ({
          args: ['get', type],
          shown: `get ${type}   (${columns} columns)`,
          options: on(columns),
        })),
      ),
    );
  });

  it('what is said to who mistyped, is nobody here, or asked for what is not', async () => {
    const nobody = { env: { MCPCTL_SERVER: '', MCPCTL_TOKEN: '' } };
    const tty: SessionOptions['tty'] = { stdin: true, stderr: true };
    await compare('mistakes', [
      { args: ['gte', 'llm'] },
      { args: ['task', 'lst'] },
      { args: ['get', 'llm', '--outptu', 'json'] },
      { args: ['get', 'llm', '-o', 'jsn'] },
      { args: ['get', 'lmm'] },
      { args: ['get'] },
      { args: ['completion'] },
      { args: ['chat-llm'] },
      { args: ['task'] },
      { args: ['help', 'enviroment'] },
      { args: ['get', 'llm', 'tiny-caht'] },
      { args: ['describe', 'llm', 'gtp'] },
      { args: ['get', 'llm', '-l', 'knid=public'] },
      { args: ['get', 'llm', '-l', 'public'] },
      { args: ['get', 'llm', '--sort-by', 'nmae'] },
      { args: ['get', 'pool', '--status', 'active'] },
      { args: ['connect', 'opnai'] },
      { args: ['completion', 'powershell'] },
      { args: ['delete', 'llm', 'gpt'] },
      { args: ['delete', 'llm', 'gpt', '--no-input'], options: { tty } },
      { args: ['delete', 'llm', 'gpt', '--yes'] },
      { args: ['chat-llm', 'tiny-chat', '--no-input'], options: { tty } },
      { args: ['api', 'FETCH', '/x'] },
      { args: ['api', 'GET', 'api/v1/llms'] },
      { args: ['api', 'GET', '/x', '-H', 'authorization: Bearer x'] },
      { args: ['api', 'GET', '/nothing'] },
      { args: ['config', 'use-context', 'work'] },
      { args: ['config', 'current-context'] },
      { args: ['config', 'set-context', 'work'] },
      { args: ['logout'] },
      { args: ['get', 'llm', '--context', 'work'] },
      { args: ['get', 'llm'], shown: 'get llm   (nothing is known here)', options: nobody },
      { args: ['get', 'llm', '--server', 'http://127.0.0.1:1', '--timeout', '1ms'] },
    ]);
  });
});
