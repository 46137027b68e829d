import { existsSync } from 'node:fs';
import { expect } from 'chai';
import { systemClock } from '../../core/runtime/clock.ts';
import { Journal } from '../../worker/mcp/journal.ts';
import { McpProvider } from '../../worker/mcp/provider.ts';
import type { MemberCall, Reply } from '../../worker/providers/provider.ts';
import type { Supervised } from '../../worker/mcp/supervised.ts';
import { until } from '../support/system.ts';
import { supervise, type Supervision } from './supervise.ts';

describe('a call that a worker gives to its server', function () {
  this.timeout(20_000);
  let servers: Supervision;
  let journal: Journal;
  let server: Supervised;
  before(() => {
    servers = supervise();
    journal = Journal.open(servers.at('journal'), systemClock.now());
    server = servers.open(['--counter', servers.at('counter')], {
      callSeconds: 5,
      env: [{ name: 'TOKEN', valueFrom: { secretRef: { name: 'github', key: 'token' } }, optional: false }],
    });
  });
  after(() => servers.close());

  const ran = (label: string): number => servers.lines('counter').filter((line) => line === label).length;
  const bodyOf = (name: string, given: object = {}, more: object = {}): string =>
    JSON.stringify({
      method: 'tools/call',
      params: { name, arguments: given },
      journal: journal.id,
      ...more,
    });
  const run = async (
    body: string,
    { of = server, ...more }: Partial<MemberCall> & { of?: Supervised } = {},
  ): Promise<Reply[]> => {
    const provider = new McpProvider({ name: 'mcp.fixture', supervised: of, journal, clock: systemClock });
    const call: MemberCall = {
      ...{ operation: 'mcp', body, streaming: false, headers: {}, model: 'mcp', stallMs: 5_000 },
      ...{ signal: new AbortController().signal, taskId: body, deliver: () => Promise.resolve(true) },
      ...more,
    };
    const replies: Reply[] = [];
    for await (const reply of provider.run(call)) replies.push(reply);
    return replies;
  };
  let late: Promise<Reply[]> = Promise.resolve([]);
  const failure = async (...how: Parameters<typeof run>): Promise<{ code: string; message: string }> => {
    const [reply, ...more] = await run(...how);
    if (reply?.kind !== 'failed' || more.length > 0) throw new TypeError(JSON.stringify([reply, ...more]));
    expect(reply.retryable).to.equal(false);
    return { code: reply.code, message: reply.message };
  };

  it('is written down before it runs, and what came of it after: it is not run twice', async () => {
    const taskId = 'once';
    const looks: unknown[] = [];
    const deliver = () => {
      looks.push(journal.look(taskId));
      return Promise.resolve(true);
    };
    const body = bodyOf('count', { label: taskId });
    const [first] = await run(body, { taskId, deliver });
    expect(looks, 'not before the claim was pinned').to.deep.equal([null]);
    const [second] = await run(body, { taskId, deliver });
    expect(second).to.deep.equal(first).and.have.property('kind', 'end');
    expect(looks).to.have.lengthOf(1);
    expect(ran(taskId)).to.equal(1);
  });

  it('that was lost before it was delivered is not given', async () => {
    const replies = await run(bodyOf('count', { label: 'lost' }), { deliver: () => Promise.resolve(false) });
    expect(replies).to.deep.equal([]);
    expect(ran('lost')).to.equal(0);
  });

  it('of which the yes to its pin came late, as it was given meanwhile, is not given again', async () => {
    const body = bodyOf('count', { label: 'late' });
    let agree: (yes: boolean) => void = () => undefined;
    const pinning = new Promise<void>((asked) => {
      const deliver = () => {
        asked();
        return new Promise<boolean>((resolve) => (agree = resolve));
      };
      late = run(body, { deliver });
    });
    await pinning;
    const [again] = await run(body);
    agree(true);
    expect(await late).to.deep.equal([again]);
    expect(again).to.have.property('kind', 'end');
    expect(ran('late')).to.equal(1);
  });

  it('of which the server died in the middle has an outcome that nobody knows, and it is so for good', async () => {
    for (const [name, given] of [
      ['exit', {}],
      ['count', { label: 'slow', ms: 60_000 }],
    ] as const) {
      const body = bodyOf(name, given);
      const calling = failure(body);
      if (name === 'count') {
        await until(
          () => Promise.resolve(ran('slow')),
          (n) => n === 1,
        );
        process.kill(server.pid ?? 0, 'SIGKILL');
      }
      const { code, message } = await calling;
      expect(code).to.equal('outcome_unknown');
      expect(message).to.match(/it is not run again.*(ended with code 3|was ended by SIGKILL)/);
      expect((await failure(body)).code, 'brought again').to.equal('outcome_unknown');
    }
    expect(ran('slow')).to.equal(1);
  });

  it('that took too long, or was too large, says that the tool has run', async () => {
    const impatient = servers.open([], { callSeconds: 0.2 });
    const late = await failure(bodyOf('count', { ms: 60_000 }), { of: impatient });
    expect(late.code).to.equal('outcome_unknown');
    expect(late.message).to.include('did not answer within');
    const large = await failure(bodyOf('big'), { of: servers.open() });
    expect(large).to.deep.equal({
      code: 'result_too_large',
      message: "The MCP server 'fixture' answered with more than 10 MiB; the tool has run.",
    });
  });

  it('that another machine may have run is not run here', async () => {
    const other = bodyOf('count', { label: 'elsewhere' }, { journal: 'of-another-machine' });
    expect((await failure(other)).code).to.equal('outcome_unknown');
    expect(ran('elsewhere')).to.equal(0);
  });

  it('of a server that does not run says why, and can be made again', async () => {
    const broken = servers.open(['--die-in', 'initialize']);
    const { code, message } = await failure(bodyOf('echo'), { of: broken });
    expect(code).to.equal('mcp_server_down');
    expect(message).to.include('cannot reach the database');
    expect(journal.look(bodyOf('echo'))).to.equal(null);
  });

  it('names a tool and nothing else: no command comes from outside', async () => {
    const made = servers.at('made');
    const command = { command: 'touch', args: [made], env: [{ name: 'X', value: 'y' }], cwd: '/' };
    const params = { name: 'echo', arguments: { message: 'only this' }, ...command };
    const [reply] = await run(
      JSON.stringify({ method: 'tools/call', params, journal: journal.id, ...command }),
    );
    expect(reply).to.have.property('kind', 'end');
    expect(JSON.stringify(reply)).to.include('only this');
    expect(existsSync(made)).to.equal(false);
    const other = JSON.stringify({ method: 'initialize', params, journal: journal.id });
    expect((await failure(other)).code).to.equal('invalid_request');
  });

  it('is answered without the secrets that its server has', async () => {
    const [reply] = await run(bodyOf('env'));
    expect(JSON.stringify(reply)).to.include('[redacted:github]').and.not.include('very-secret');
  });

  it('is answered as its server wrote it, but for a secret, however that is written', async () => {
    const answerTo = async (given: string): Promise<unknown> => {
      const params = `{"name":"data","arguments":${given}}`;
      const [reply] = await run(
        `{"method":"tools/call","params":${params},"journal":${JSON.stringify(journal.id)}}`,
      );
      return reply?.kind === 'end' ? reply.body : reply;
    };
    const given = (key: string): string => `{"as":"written","id":1234567890123456789,"key": "${key}"}`;
    expect(await answerTo(given('a\\u002db'))).to.equal(
      `{"result":{"content":[],"structuredContent":${given('a\\u002db')}}}`,
    );
    expect(await answerTo(given('very\\u002dsecret-token'))).to.include('"key":"[redacted:github]"');
  });

  it('is not made where it cannot be written down', async () => {
    journal.close();
    const { code, message } = await failure(bodyOf('count', { label: 'unwritten' }));
    expect(code).to.equal('mcp_server_down');
    expect(message).to.include('cannot write its journal');
    expect(ran('unwritten')).to.equal(0);
  });
});
