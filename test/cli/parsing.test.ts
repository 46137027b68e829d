import { expect } from 'chai';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { makeApi } from '../../cli/commands/api/api.ts';
import { makeChatLlm } from '../../cli/commands/chat-llm/chat-llm.ts';
import { makeCompletion } from '../../cli/commands/completion/completion.ts';
import { makeGetContexts } from '../../cli/commands/config/get-contexts.ts';
import { makeSetContext } from '../../cli/commands/config/set-context.ts';
import { makeDeleteContext, makeUseContext } from '../../cli/commands/config/config.ts';
import { makeConnect } from '../../cli/commands/connect/connect.ts';
import { makeCreateLlm } from '../../cli/commands/create/create-llm.ts';
import { makeDelete } from '../../cli/commands/delete/delete.ts';
import { makeDescribe } from '../../cli/commands/describe/describe.ts';
import { makeGet } from '../../cli/commands/get/get.ts';
import { makeLogin } from '../../cli/commands/login/login.ts';
import { makePoolAllow, makePoolDeny, makePoolOwner } from '../../cli/commands/pool/pool.ts';
import { makeStatus } from '../../cli/commands/status/status.ts';
import { makeTaskCancel, makeTaskLogs, makeTaskWait } from '../../cli/commands/task/task.ts';
import { makeTaskGet } from '../../cli/commands/task/get.ts';
import { makeTaskRetry } from '../../cli/commands/task/retry.ts';
import { makeTaskCount } from '../../cli/commands/task/count.ts';
import { makeTaskList } from '../../cli/commands/task/list.ts';
import { makeTokenCreate } from '../../cli/commands/token/create.ts';
import { makeTokenList } from '../../cli/commands/token/list.ts';
import { makeTokenRevoke } from '../../cli/commands/token/revoke.ts';
import { makeHelp } from '../../cli/commands/help/help.ts';
import { makeVersion } from '../../cli/commands/version/version.ts';
import { makeWhoami } from '../../cli/commands/whoami/whoami.ts';
import type { Context } from '../../cli/who/context.ts';
import { startSession, type Session } from './session.ts';

/** Without --watch. */
const still = { watch: false, interval: 2000 };

type Make<T> = (ctx: Context, run: (options: T) => Promise<void>) => CommandUnknownOpts;

describe('cli: what a command line means', () => {
  let session: Session;
  beforeEach(async () => (session = await startSession(null)));
  afterEach(() => session.close());

  /** The options that `run` would get, undefined ones left out; or the code of the refusal. */
  async function parsed<T>(make: Make<T>, line: readonly string[]): Promise<unknown> {
    let got: unknown;
    const command = make(session.context, async (options) => {
      got = JSON.parse(JSON.stringify(options));
    });
    command.exitOverride().configureOutput({ writeErr: () => undefined });
    try {
      await command.parseAsync(line, { from: 'user' });
      return got;
    } catch (thrown) {
      return (thrown as { code?: string }).code;
    }
  }

  it('get takes a type, names and filters', async () => {
    expect(await parsed(makeGet, ['llm', 'a', 'b', '-o', 'json'])).to.deep.equal({
      ...{ timeout: 120_000, withContents: false },
      args: ['llm', 'a', 'b'],
      output: 'json',
      headers: true,
      limit: 50,
      filters: {},
      ...still,
    });
    expect(
      await parsed(makeGet, ['tasks', '--status', 'running', '--pool', 'p', '--limit', '5', '--no-headers']),
    ).to.deep.equal({
      ...{ timeout: 120_000, withContents: false },
      args: ['tasks'],
      output: 'table',
      headers: false,
      limit: 5,
      ...still,
      filters: { status: 'running', pool: 'p' },
    });
    expect(await parsed(makeGet, [])).to.equal('commander.missingArgument');
    expect(await parsed(makeGet, ['llm', '-o', 'xml'])).to.equal('commander.invalidArgument');
    expect(await parsed(makeGet, ['task', '--limit', '0'])).to.equal('commander.invalidArgument');
  });

  it('describe and delete take type and names, or type/name', async () => {
    expect(await parsed(makeDescribe, ['llm', 'a'])).to.deep.equal({
      args: ['llm', 'a'],
      effective: false,
      output: 'text',
    });
    expect(await parsed(makeDescribe, ['task/1', '-o', 'yaml'])).to.deep.equal({
      args: ['task/1'],
      effective: false,
      output: 'yaml',
    });
    const none = { files: [], recursive: false, ignoreNotFound: false, dryRun: false, timeout: 120_000 };
    expect(await parsed(makeDelete, ['llm/a', 'llm/b', '-y'])).to.deep.equal({
      ...{ args: ['llm/a', 'llm/b'], yes: true, force: false },
      ...none,
    });
    expect(await parsed(makeDelete, ['llm', 'a', '--force'])).to.deep.equal({
      ...{ args: ['llm', 'a'], yes: false, force: true },
      ...none,
    });
  });

  it('get and task list take an order, fields to be as said, and a watch', async () => {
    const look = ['-l', 'kind=public', '--sort-by', 'model', '-w', '--interval', '5s'];
    const meant = { selector: 'kind=public', sortBy: 'model', watch: true, interval: 5000 };
    expect(await parsed(makeGet, ['llm', ...look])).to.deep.include(meant);
    expect(await parsed(makeTaskList, look)).to.deep.include(meant);
    expect(await parsed(makeTaskGet, ['1', '--watch'])).to.deep.include({ watch: true, interval: 2000 });
    expect(await parsed(makeTokenList, look.slice(0, 4))).to.deep.include({ sortBy: 'model' });
    expect(await parsed(makeGet, ['llm', '--interval', 'often'])).to.equal('commander.invalidArgument');
  });

  it('create llm needs type, model and url, and takes the rest', async () => {
    const needed = ['qwen', '--type', 'openai', '--model', 'm:1', '--url', 'http://h/v1'];
    const base = { name: 'qwen', type: 'openai', model: 'm:1', url: 'http://h/v1', output: 'table' };
    expect(await parsed(makeCreateLlm, needed)).to.deep.equal(base);
    const more = ['--pool-name', 'p', '--tier', 'fast', '--api-key-env', 'KEY', '--max-concurrency', '3'];
    const rest = ['--description', 'd', '--alias', 'a', '--alias', 'b'];
    expect(await parsed(makeCreateLlm, [...needed, ...more, ...rest])).to.deep.equal({
      ...base,
      poolName: 'p',
      tier: 'fast',
      apiKeyEnv: 'KEY',
      maxConcurrency: 3,
      description: 'd',
      alias: ['a', 'b'],
    });
    expect(await parsed(makeCreateLlm, needed.slice(0, 5))).to.equal('commander.missingMandatoryOptionValue');
    expect(await parsed(makeCreateLlm, [...needed, '--api-key-env', 'K', '--api-key-file', '/k'])).to.equal(
      'commander.conflictingOption',
    );
  });

  it('chat-llm takes a message and how to answer it', async () => {
    const base = { name: 'm', stream: true, async: false };
    expect(await parsed(makeChatLlm, ['m'])).to.deep.equal(base);
    const line = ['m', '--message', 'hi', '--system', 's', '--temperature', '0.5', '--max-tokens', '9'];
    expect(await parsed(makeChatLlm, [...line, '--no-stream', '--async', '--pin', 'x'])).to.deep.equal({
      name: 'm',
      message: 'hi',
      system: 's',
      temperature: 0.5,
      maxTokens: 9,
      stream: false,
      async: true,
      pin: 'x',
    });
    expect(await parsed(makeChatLlm, ['m', '--temperature', 'hot'])).to.equal('commander.invalidArgument');
    expect(await parsed(makeChatLlm, ['m', '--temperature', ''])).to.equal('commander.invalidArgument');
    expect(await parsed(makeChatLlm, ['m', '--max-tokens', '1.5'])).to.equal('commander.invalidArgument');
  });

  it('task list, get, cancel and wait', async () => {
    expect(await parsed(makeTaskList, ['--llm', 'm', '--id-prefix', '01', '-o', 'name'])).to.deep.equal({
      filters: { llm: 'm', idPrefix: '01' },
      limit: 50,
      output: 'name',
      headers: true,
      ...still,
    });
    const counted = { filters: { llm: 'm' }, output: 'json', headers: true };
    expect(await parsed(makeTaskCount, ['--llm', 'm', '-o', 'json'])).to.deep.equal(counted);
    expect(await parsed(makeTaskGet, ['1', '2'])).to.deep.equal({
      ids: ['1', '2'],
      output: 'table',
      headers: true,
      ...still,
    });
    expect(await parsed(makeTaskCancel, ['1'])).to.deep.equal({ ids: ['1'] });
    expect(await parsed(makeTaskCancel, [])).to.equal('commander.missingArgument');
    expect(await parsed(makeTaskWait, ['1'])).to.deep.equal({ ids: ['1'], timeoutMs: 600_000 });
    for (const [text, ms] of Object.entries({ '90': 90_000, '250ms': 250, '2m': 120_000, '1h': 3_600_000 }))
      expect(await parsed(makeTaskWait, ['1', '--timeout', text])).to.deep.include({ timeoutMs: ms });
    for (const bad of ['0', 'soon', '-1s', '25h', ''])
      expect(await parsed(makeTaskWait, ['1', '--timeout', bad])).to.equal('commander.invalidArgument');
  });

  it('task logs and retry', async () => {
    expect(await parsed(makeTaskLogs, ['1'])).to.deep.equal({ id: '1', follow: false });
    expect(await parsed(makeTaskLogs, ['-f', '1'])).to.deep.equal({ id: '1', follow: true });
    expect(await parsed(makeTaskLogs, ['1', '2'])).to.equal('commander.excessArguments');
    expect(await parsed(makeTaskRetry, ['1', '2'])).to.deep.equal({ ids: ['1', '2'] });
    expect(await parsed(makeTaskRetry, [])).to.equal('commander.missingArgument');
  });

  it('config, whoami, completion and help', async () => {
    expect(await parsed(makeGetContexts, ['a', '-o', 'name'])).to.deep.equal({
      names: ['a'],
      output: 'name',
      headers: true,
    });
    for (const make of [makeUseContext, makeSetContext, makeDeleteContext]) {
      expect(await parsed(make, ['work'])).to.deep.equal({ name: 'work' });
      expect(await parsed(make, [])).to.equal('commander.missingArgument');
    }
    expect(await parsed(makeWhoami, ['-o', 'yaml'])).to.deep.equal({ output: 'yaml' });
    expect(await parsed(makeCompletion, ['fish'])).to.deep.equal({ shell: 'fish' });
    expect(await parsed(makeCompletion, ['tcsh'])).to.equal('commander.invalidArgument');
    expect(await parsed((_ctx, run) => makeHelp(run), ['task', 'wait'])).to.deep.equal({
      words: ['task', 'wait'],
    });
  });

  it('api takes a method, a path, a body and headers', async () => {
    expect(await parsed(makeApi, ['GET', '/x'])).to.deep.equal({ method: 'GET', path: '/x', headers: [] });
    const line = ['POST', '/x', '-d', '{}', '-H', 'a: b', '--header', 'c: d'];
    expect(await parsed(makeApi, line)).to.deep.equal({
      method: 'POST',
      path: '/x',
      data: '{}',
      headers: ['a: b', 'c: d'],
    });
    expect(await parsed(makeApi, ['GET'])).to.equal('commander.missingArgument');
  });

  it('token create, list and revoke; pool allow, deny and owner', async () => {
    const line = ['ci', '--user', 'bob', '--binding', 'user', '--pool', 'a', '--pool', 'b'];
    expect(await parsed(makeTokenCreate, [...line, '--expires-in-days', '7'])).to.deep.equal({
      name: 'ci',
      user: 'bob',
      binding: ['user'],
      pool: ['a', 'b'],
      expiresInDays: 7,
      output: 'text',
    });
    expect(await parsed(makeTokenCreate, ['ci', '--preset', 'publish', '--expires', '2w'])).to.deep.equal({
      name: 'ci',
      preset: 'publish',
      expires: 14,
      output: 'text',
    });
    for (const bad of [
      ['--preset', 'root'],
      ['--expires', '1h'],
    ])
      expect(await parsed(makeTokenCreate, ['ci', ...bad])).to.equal('commander.invalidArgument');
    expect(await parsed(makeTokenList, ['-o', 'wide'])).to.deep.equal({ output: 'wide', headers: true });
    expect(await parsed(makeTokenRevoke, ['a', 'b'])).to.deep.equal({ tokens: ['a', 'b'] });
    expect(await parsed(makePoolAllow, ['p', 'bob'])).to.deep.equal({ key: 'p', user: 'bob' });
    expect(await parsed(makePoolAllow, ['p'])).to.equal('commander.missingArgument');
    expect(await parsed(makePoolDeny, ['p', 'bob'])).to.deep.equal({ key: 'p', user: 'bob' });
    expect(await parsed(makePoolOwner, ['p', 'bob'])).to.deep.equal({ key: 'p', user: 'bob' });
    expect(await parsed(makePoolOwner, ['p'])).to.equal('commander.missingArgument');
  });

  it('connect takes a client and an llm', async () => {
    expect(await parsed(makeConnect, ['openai'])).to.deep.equal({ client: 'openai', withToken: false });
    expect(await parsed(makeConnect, ['codex', 'm', '--with-token'])).to.deep.equal({
      client: 'codex',
      llm: 'm',
      withToken: true,
    });
    expect(await parsed(makeConnect, [])).to.equal('commander.missingArgument');
  });

  it('login, status and version', async () => {
    expect(await parsed(makeLogin, [])).to.deep.equal({ withToken: false, web: false });
    expect(await parsed(makeLogin, ['--with-token'])).to.deep.equal({ withToken: true, web: false });
    expect(await parsed(makeStatus, ['-o', 'json'])).to.deep.equal({ output: 'json', system: false });
    expect(await parsed(makeVersion, ['--client'])).to.deep.equal({ client: true, output: 'text' });
    expect(await parsed(makeVersion, ['--clint'])).to.equal('commander.unknownOption');
  });
});
