import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { joinCodeFrom, spacedJoinCode, typedJoinCode } from '../../core/access/join-code.ts';
import { edgeFixture, type Answer, type EdgeFixture } from '../support/edge.ts';
import { secondEdge, type SecondEdge } from '../relay/second-edge.ts';

interface Code {
  code: string;
  expiresAt: string;
  command: string;
  user: string;
  credentialEndsAt: string | null;
}
interface Joined {
  token: string;
  user: string;
  name: string;
  pools: string[];
}

describe('a machine that joins with a code', function () {
  this.timeout(20_000);
  let t: EdgeFixture;
  /** At the same stores. */
  let other: SecondEdge;
  before(async () => {
    t = await edgeFixture();
    other = await secondEdge(t);
  });
  beforeEach(() =>
    t.connection.db.raw('delete from join_codes; delete from device_logins; delete from device_guesses'),
  );
  after(async () => {
    await other.close();
    await t.close();
  });

  const invite = async (body: object = { pools: ['gpu'] }, token = t.tokens.ada): Promise<Code> => {
    const answer = await t.call('POST /api/v1/join-codes', { token, body });
    expect(answer.status, answer.text).to.equal(201);
    return answer.json as Code;
  };
  const outcome = ({ status, json }: Answer): string => `${status} ${(json as { code?: string }).code ?? ''}`;
  const join = async (code: string, machine = 'Ada Desk'): Promise<Answer> =>
    t.call('POST /api/v1/join', { token: null, body: { code, machine } });
  const statusAtOther = async (code: string): Promise<number> =>
    (
      await fetch(`${other.url}/api/v1/join`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ code, machine: 'other' }),
      })
    ).status;
  const joined = async (code: string): Promise<Joined> => {
    const answer = await join(code);
    expect(answer.status, answer.text).to.equal(201);
    return answer.json as Joined;
  };
  const register = async (
    token: string,
    name: string,
    { pool = 'gpu', session = randomUUID() } = {},
  ): Promise<Answer> =>
    t.call('POST /api/v1/llms/_provider-register', {
      token,
      body: {
        ...{ providerSessionId: session, instanceId: session, transports: ['sse'] },
        providers: [{ name, type: 'openai', model: 'm', poolName: pool }],
      },
    });

  it('gets a credential that publishes and serves in its pools, and does nothing else', async () => {
    const { code, command, expiresAt, user, credentialEndsAt } = await invite();
    expect(code).to.match(/^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}$/);
    expect(command).to.equal(`mcplocal join ${t.url} --code ${code}`);
    expect([user, credentialEndsAt]).to.deep.equal(['ada', null]);
    expect(Date.parse(expiresAt) - Date.now()).to.be.within(590_000, 610_000);
    const answer = await join(` ${code.toLowerCase().replaceAll('-', ' ')}`);
    expect(answer.status, answer.text).to.equal(201);
    expect(answer.headers.get('cache-control')).to.equal('no-store');
    const { token, name } = answer.json as Joined;
    expect(answer.json).to.deep.include({ user: 'ada', pools: ['gpu'], expiresAt: null });
    expect(name).to.match(/^ada-desk-[0-9a-f]{8}$/);
    expect(token).to.match(/^mcpw_[\w-]{43}[0-9a-z]{7}$/);
    expect((await register(token, 'mine')).status).to.equal(201);
    expect(outcome(await register(token, 'elsewhere', { pool: 'cpu' }))).to.equal('409 pool_not_yours');
    const refused = [
      'GET /api/v1/tokens',
      'GET /api/v1/tasks',
      'GET /api/v1/users',
      'POST /api/v1/join-codes',
      'POST /api/v1/tokens',
    ];
    const bodies: Record<string, object> = {
      'POST /api/v1/join-codes': { pools: ['gpu'] },
      'POST /api/v1/tokens': { name: 'x' },
    };
    for (const call of refused) {
      const body = bodies[call];
      const { status } = await t.call(call, { token, ...(body && { body }) });
      expect(status, call).to.equal(403);
    }
    const hi = { body: { messages: [{ role: 'user', content: 'hi' }] }, token };
    expect((await t.call('POST /api/v1/llms/mine/infer', hi)).status, 'calls nothing').to.equal(403);
    const kept = JSON.stringify(await t.connection.db('joinCodes').select());
    expect(kept).not.to.include(typedJoinCode(code)).and.not.include(token);
    const audit = JSON.stringify((await t.call('GET /api/v1/audit?limit=20')).json);
    expect(audit).to.include('join-code').and.include(name);
    expect(audit).not.to.include(token).and.not.include(code);
  });

  it('is let in once, whoever comes at the same time by two edges, and told when it was used', async () => {
    const { code } = await invite({ pools: ['gpu'], name: 'once' });
    const both = ['m1', 'm2'].flatMap((m) => [
      join(code, m).then(({ status }) => status),
      statusAtOther(code),
    ]);
    expect((await Promise.all(both)).sort()).to.deep.equal([201, 410, 410, 410]);
    expect(await t.connection.db('tokens').where({ name: 'once' }).select()).to.have.length(1);
    const again = await join(code);
    expect(outcome(again)).to.equal('410 join_code_used');
    expect(again.text).to.match(/used at \d{4}-\d\d-\d\d \d\d:\d\d UTC by '(m\d|other)'/);
  });

  it('is told that a code is over, or none, and from when on', async () => {
    const { code } = await invite();
    await t.connection.db.raw(`update join_codes set expires_at = now() - interval '1 minute'`);
    const late = await join(code);
    expect(outcome(late)).to.equal('410 join_code_expired');
    expect(late.text).to.match(/expired at \d{4}-\d\d-\d\d \d\d:\d\d UTC/);
    expect(outcome(await join('0000-0000-0000'))).to.equal('404 join_code_unknown');
    expect(outcome(await join('nothing'))).to.equal('404 join_code_unknown');
    expect(outcome(await join('x'.repeat(65)))).to.equal('400 invalid_request');
    expect(await t.registry.joinCodes.sweep(), 'for a day it is said').to.equal(0);
    await t.connection.db.raw(`update join_codes set expires_at = now() - interval '25 hours'`);
    expect(await t.registry.joinCodes.sweep()).to.equal(1);
  });

  it('is not let in with a code that was withdrawn; codes are seen and withdrawn by who made them, and admins', async () => {
    type Made = {
      items: { id: string; state: string; usedBy: string | null; pools: string[]; user: string }[];
    };
    const seen = async (token: string): Promise<Made['items']> =>
      ((await t.call('GET /api/v1/join-codes', { token })).json as Made).items;
    const { code } = await invite();
    const [mine] = await seen(t.tokens.ada);
    expect(mine).to.deep.include({ state: 'good', usedBy: null, pools: ['gpu'], user: 'ada' });
    expect(JSON.stringify(mine)).not.to.include(code).and.not.include(typedJoinCode(code));
    expect(await seen(t.tokens.root)).to.have.length(1);
    expect(await seen(t.tokens.bob)).to.have.length(0);
    const withdraw = (token: string, id = mine?.id ?? ''): Promise<Answer> =>
      t.call(`DELETE /api/v1/join-codes/${id}`, { token });
    expect(outcome(await withdraw(t.tokens.bob))).to.equal('404 join_code_unknown');
    for (const id of ['%25', '0'.repeat(12), typedJoinCode(code) ?? ''])
      expect(outcome(await withdraw(t.tokens.ada, id)), id).to.equal('404 join_code_unknown');
    for (let n = 0; n < 2; n++) expect((await withdraw(t.tokens.ada)).status).to.equal(204);
    expect(outcome(await join(code))).to.equal('410 join_code_expired');
    expect((await seen(t.tokens.ada))[0]).to.deep.include({ state: 'over' });

    const second = await invite();
    const { token } = await joined(second.code);
    const [used] = await seen(t.tokens.ada);
    expect(used).to.deep.include({ state: 'used', usedBy: 'Ada Desk' });
    expect(outcome(await withdraw(t.tokens.ada, used?.id))).to.match(/ join_code_used$/);
    expect((await t.call('GET /api/v1/join-codes', { token })).status, 'a worker’s own').to.equal(403);
    expect(outcome(await withdraw(token, used?.id))).to.equal('404 join_code_unknown');
  });

  it('is invited by nobody who makes no tokens, may not publish there, or has twenty codes open', async () => {
    const make = async (body: object): Promise<string> =>
      ((await t.call('POST /api/v1/tokens', { body })).json as { token: string }).token;
    const asked = async (token: string, body: object = { pools: ['gpu'] }): Promise<string> =>
      outcome(await t.call('POST /api/v1/join-codes', { token, body }));
    expect(await asked(await make({ name: 'calls' }))).to.equal('403 forbidden');
    expect(await asked(await make({ name: 'bound', preset: 'full', pools: ['gpu'] }))).to.equal(
      '403 forbidden',
    );
    expect(await asked(t.tokens.ada, { pools: ['gpu'], user: 'bob' }), 'for another').to.equal(
      '403 forbidden',
    );
    expect(await asked(t.tokens.ada, { pools: [] })).to.equal('400 invalid_request');
    expect((await register(t.tokens.bob, 'of-bob', { pool: 'closed' })).status).to.equal(201);
    expect(await asked(t.tokens.ada, { pools: ['closed'] })).to.equal('409 pool_not_yours');
    expect(await asked(t.tokens.root, { pools: ['closed'], user: 'ada' }), 'an admin').to.match(/^201/);
    for (let n = 0; n < 20; n++) await invite();
    expect(await asked(t.tokens.ada)).to.equal('429 quota_exceeded');
  });

  it('is not let in for somebody who was deleted meanwhile, and makes no user of their name', async () => {
    const { code } = await invite({ pools: ['gpu'], user: 'carl' }, t.tokens.root);
    expect((await t.call('DELETE /api/v1/users/carl', { token: t.tokens.root })).status).to.equal(204);
    const users = () => t.connection.db('users').whereLike('name', 'carl%').select();
    const before = await users();
    const answer = await join(code);
    expect(outcome(answer), answer.text).to.equal('410 join_code_expired');
    expect(await users()).to.deep.equal(before);
  });

  it('is not let in by who may not any more, and then the code is not used up', async () => {
    const { id, token } = (
      await t.call('POST /api/v1/tokens', { body: { name: 'inviting', preset: 'manage' } })
    ).json as { id: string; token: string };
    const { code } = await invite({ pools: ['gpu'] }, token);
    const named = await invite({ pools: ['gpu'], name: 'inviting' });
    expect(outcome(await join(named.code)), 'a name that is taken').to.equal('409 name_taken');
    await t.call(`DELETE /api/v1/tokens/${id}`);
    expect(outcome(await join(code))).to.equal('410 join_code_expired');
    expect((await join(named.code)).status).to.equal(201);
  });

  it('leaves: its credential, its session and its rows end, and nothing else of its user', async () => {
    const { token, name } = await joined((await invite()).code);
    expect((await register(token, 'leaving')).status).to.equal(201);
    expect((await register(t.tokens.ada, 'staying')).status).to.equal(201);
    expect((await t.call('POST /api/v1/leave')).status, 'a person').to.equal(403);
    const left = await t.call('POST /api/v1/leave', { token });
    expect(left.json).to.deep.equal({ user: 'ada', name, llms: ['leaving'], kept: [] });
    expect((await t.call('POST /api/v1/leave', { token })).status).to.equal(401);
    expect((await register(token, 'leaving')).status).to.equal(401);
    expect((await t.call('GET /api/v1/llms/leaving')).status).to.equal(404);
    expect((await t.call('GET /api/v1/llms/staying')).status).to.equal(200);
  });

  it('is over with the session that somebody revokes, which a token of a person is not', async () => {
    const revoke = async (session: string): Promise<number> =>
      (await t.call(`DELETE /api/v1/sessions/${session}`)).status;
    const { token } = await joined((await invite()).code);
    const [own, second, ofAda] = [randomUUID(), randomUUID(), randomUUID()];
    await register(token, 'own', { session: own });
    await register(token, 'second', { session: second });
    await register(t.tokens.ada, 'of-ada', { session: ofAda });
    expect(await revoke(own)).to.equal(204);
    expect((await t.call('GET /api/v1/whoami', { token })).status).to.equal(401);
    for (const llm of ['own', 'second'])
      expect((await t.call(`GET /api/v1/llms/${llm}`)).json, llm).to.deep.include({ status: 'inactive' });
    expect(await revoke(ofAda)).to.equal(204);
    expect((await t.call('GET /api/v1/whoami')).status).to.equal(200);
  });

  it('puts out no other machine of its user, whose credential would end with that', async () => {
    const [mine, others] = [await joined((await invite()).code), await joined((await invite()).code)];
    const [own, other] = [randomUUID(), randomUUID()];
    await register(mine.token, 'mine-alone', { session: own });
    await register(others.token, 'others', { session: other });
    const revoke = (session: string): Promise<Answer> =>
      t.call(`DELETE /api/v1/sessions/${session}`, { token: mine.token });
    expect(outcome(await revoke(other))).to.equal('403 forbidden');
    expect((await t.call(`GET /api/v1/sessions/${other}`)).status).to.equal(200);
    expect((await t.call('GET /api/v1/whoami', { token: others.token })).status).to.equal(200);
    expect((await revoke(own)).status).to.equal(204);
    expect((await t.call('GET /api/v1/whoami', { token: mine.token })).status).to.equal(401);
  });

  it('waits, without a code, for who approves the one that it shows', async () => {
    const begun = async (body: object): Promise<{ deviceCode: string; userCode: string }> =>
      (await t.call('POST /api/v1/login/device', { token: null, body })).json as never;
    const decide = async (code: string, answer?: string, token = t.tokens.ada): Promise<Answer> =>
      t.call('POST /api/v1/join-requests', { token, body: { code, ...(answer && { answer }) } });
    const { deviceCode, userCode } = await begun({ machine: 'desk', pools: ['gpu'] });
    const waiting = { machine: 'desk', address: '127.0.0.1', pools: ['gpu'], status: 'waiting' };
    expect((await decide(userCode)).json).to.deep.equal(waiting);
    expect((await decide(userCode, 'approve')).json).to.deep.include({ status: 'approved' });
    const got = await t.call('POST /api/v1/login/device/token', { token: null, body: { deviceCode } });
    expect(got.json).to.deep.include({
      status: 'approved',
      pools: ['gpu'],
      preset: 'publish',
      expiresAt: null,
    });
    const { token } = got.json as Joined;
    expect((await register(token, 'by-device')).status).to.equal(201);
    expect(outcome(await register(token, 'by-device', { pool: 'cpu' }))).to.equal('409 pool_not_yours');
    expect((await t.call('POST /api/v1/leave', { token })).status).to.equal(200);
    const denied = await begun({ machine: 'desk', pools: ['gpu'] });
    expect((await decide(denied.userCode, 'deny')).json).to.deep.include({ status: 'denied' });
    expect(outcome(await decide(denied.userCode))).to.equal('410 device_code_expired');
    const login = await begun({ machine: 'laptop' });
    expect(outcome(await decide(login.userCode, 'approve')), 'a person logs in').to.equal('403 forbidden');
    expect(outcome(await decide('0'))).to.equal('400 invalid_request');
  });

  it('has a code that people may type in any way', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 12, maxLength: 12 }), fc.boolean(), (bytes, lower) => {
        const code = joinCodeFrom(bytes);
        const shown = spacedJoinCode(code);
        expect(typedJoinCode(lower ? shown.toLowerCase() : ` ${shown} `)).to.equal(code);
        expect(typedJoinCode(`${shown}0`)).to.equal(undefined);
      }),
    );
    expect(typedJoinCode('oOiI-lL00-1111')).to.equal('001111001111');
    expect(typedJoinCode('UUUU-UUUU-UUUU')).to.equal(undefined);
  });
});
