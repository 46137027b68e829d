import { connect } from 'node:net';
import { expect } from 'chai';
import { systemClock } from '../../core/runtime/clock.ts';
import { createOpenCounts } from '../../edge/limits/open-counts.ts';
import { edgeFixture, type Answer, type EdgeFixture, publicLlm } from '../support/edge.ts';
import { until } from '../support/system.ts';

const request = { messages: [{ role: 'user', content: 'hi' }] };

describe('back-pressure', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  const another = async (env: Record<string, string>): Promise<void> => {
    t = await edgeFixture(env);
    for (const name of ['gpt', 'other']) {
      await publicLlm(t, name);
    }
  };
  afterEach(() => t.close());
  const submit = (llm: string, token = t.tokens.ada): Promise<Answer> =>
    t.call('POST /api/v1/tasks', { token, body: { llm, request } });
  /** Resolves when ada's requests under way hold so many bytes that no `bytes` more have room. */
  const untilRoom = (bytes: number): Promise<unknown> =>
    until(
      async () => {
        try {
          t.deps.caps.hold({ userId: t.ada.id }, { bytes, streaming: false })();
          return false;
        } catch {
          return true;
        }
      },
      (full) => full,
    );
  const cancel = (answer: Answer): Promise<Answer> =>
    t.call(`DELETE /api/v1/tasks/${(answer.json as { id: string }).id}`);

  it('refuses a user’s task over the cap, says which cap and what to do, and takes others’', async () => {
    await another({ MCPCTL_MAX_USER_TASKS: '3' });
    const first = await submit('gpt');
    for (const llm of ['gpt', 'other']) expect((await submit(llm)).status).to.equal(202);
    const refused = await submit('other');
    expect(refused.status).to.equal(429);
    expect(refused.headers.get('retry-after')).to.equal('5');
    expect(refused.json).to.deep.include({ code: 'too_many_requests' });
    expect((refused.json as { error: string }).error)
      .to.include('You have 3 tasks')
      .and.to.include('MCPCTL_MAX_USER_TASKS')
      .and.to.include('cancel some');
    const later = await t.call('POST /api/v1/llms/gpt/infer', {
      body: request,
      headers: { prefer: 'respond-async' },
    });
    expect(later.status).to.equal(429);
    expect((await submit('gpt', t.tokens.bob)).status).to.equal(202);
    expect(await t.registry.tasks.openOfOwner(t.ada.id, 10)).to.equal(3);
    await cancel(first);
    await until(
      () => submit('gpt'),
      ({ status }) => status === 202,
      10_000,
    );
    expect((await submit('gpt')).status).to.equal(429);
    const { text } = await t.call('GET /metrics', { token: t.tokens.root });
    expect(text).to.match(/mcpctl_refused_total\{cap="user_tasks"\} ([3-9]|\d\d)/);
  });

  it('refuses tasks for a full pool with queue_full, and takes those for another', async () => {
    await another({ MCPCTL_MAX_POOL_TASKS: '2' });
    expect((await submit('gpt')).status).to.equal(202);
    expect((await submit('gpt', t.tokens.bob)).status).to.equal(202);
    const refused = await submit('gpt', t.tokens.bob);
    expect(refused.status).to.equal(429);
    expect(refused.headers.get('retry-after')).to.equal('5');
    expect(refused.json).to.deep.include({ code: 'queue_full' });
    expect((refused.json as { error: string }).error).to.include("The pool 'gpt' has 2 tasks");
    expect((await submit('other')).status).to.equal(202);
  });

  it('lets no burst through a cap', async () => {
    await another({ MCPCTL_MAX_USER_TASKS: '5' });
    const answers = await Promise.all(Array.from({ length: 40 }, () => submit('gpt')));
    expect(answers.filter(({ status }) => status === 202)).to.have.length(5);
    expect(answers.filter(({ status }) => status === 429)).to.have.length(35);
  });

  it('bounds the bytes that rest in tasks: of a user, of a pool and in all, also in a burst, until they end', async () => {
    await another({
      MCPCTL_BODY_LIMIT_BYTES: '100000',
      MCPCTL_MAX_USER_QUEUED_BYTES: '200000',
      MCPCTL_MAX_POOL_QUEUED_BYTES: '300000',
      MCPCTL_MAX_QUEUED_BYTES: '400000',
    });
    const large = (llm: string, token = t.tokens.ada): Promise<Answer> =>
      t.call('POST /api/v1/tasks', {
        token,
        body: { llm, request: { ...request, padding: 'x'.repeat(60_000) } },
      });
    const taken = (answers: readonly Answer[]) => answers.filter(({ status }) => status === 202);
    const burst = await Promise.all(Array.from({ length: 20 }, () => large('gpt')));
    expect(taken(burst)).to.have.length(3);
    const refused = burst.find(({ status }) => status === 429);
    expect(refused?.headers.get('retry-after')).to.equal('5');
    expect(refused?.json).to.deep.include({ code: 'too_many_requests' });
    expect((refused?.json as { error: string }).error)
      .to.include('200000 bytes')
      .and.to.include('MCPCTL_MAX_USER_QUEUED_BYTES')
      .and.to.include('cancel some');
    expect((await submit('gpt')).status).to.equal(202); // a small one costs nobody's memory
    expect(taken([await large('gpt', t.tokens.bob)])).to.have.length(1);
    expect((await large('gpt', t.tokens.bob)).json).to.deep.include({ code: 'queue_full' });
    expect(taken([await large('other', t.tokens.bob)])).to.have.length(1);
    const inAll = await large('other', t.tokens.root);
    expect(taken([inAll])).to.have.length(1);
    expect((await large('other', t.tokens.root)).text).to.include('MCPCTL_MAX_QUEUED_BYTES');
    for (const answer of taken(burst)) await cancel(answer);
    await until(
      () => large('gpt'),
      ({ status }) => status === 202,
      10_000,
    );
  });

  it('counts the bytes of bodies that are on their way, and forgets those whose sender has gone', async () => {
    await another({ MCPCTL_MAX_USER_BYTES: '3000', MCPCTL_BODY_LIMIT_BYTES: '2000' });
    const { hostname, port } = new URL(t.url);
    const head = `POST /api/v1/tasks HTTP/1.1\r\nhost: ${hostname}\r\nauthorization: Bearer ${t.tokens.ada}\r\ncontent-type: application/json\r\n`;
    const slow = connect(Number(port), hostname);
    slow.on('error', () => undefined);
    slow.write(`${head}content-length: 1900\r\n\r\n{`);
    const large = { llm: 'gpt', request: { ...request, padding: 'x'.repeat(1_200) } };
    await untilRoom(1_200);
    const refused = await t.call('POST /api/v1/tasks', { body: large });
    expect(refused.status).to.equal(429);
    expect(refused.headers.get('retry-after')).to.equal('1');
    expect((refused.json as { error: string }).error)
      .to.include('1900 bytes')
      .and.to.include('3000');
    expect((await t.call('POST /api/v1/tasks', { token: t.tokens.bob, body: large })).status).to.equal(202);
    expect((await submit('gpt')).status).to.equal(202);
    slow.destroy();
    await until(
      () => t.call('POST /api/v1/tasks', { body: large }),
      ({ status }) => status === 202,
      2_000,
    );
  });

  it('counts bodies that do not say how long they are', async () => {
    await another({ MCPCTL_MAX_USER_BYTES: '1000', MCPCTL_BODY_LIMIT_BYTES: '1000' });
    const { hostname, port } = new URL(t.url);
    const slow = connect(Number(port), hostname);
    slow.on('error', () => undefined);
    slow.write(
      `POST /api/v1/tasks HTTP/1.1\r\nhost: ${hostname}\r\nauthorization: Bearer ${t.tokens.ada}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n384\r\n${'x'.repeat(900)}\r\n`,
    );
    await untilRoom(200);
    const body = { llm: 'gpt', request: { ...request, padding: 'x'.repeat(100) } };
    expect((await t.call('POST /api/v1/tasks', { body })).status).to.equal(429);
    slow.destroy();
  });
});

describe('counting what is open', () => {
  const quiet = { debug: () => undefined } as never;
  /** A clock that a test holds still, and a database that counts how often it was asked. */
  function fixture(open: number) {
    const state = { open, now: 0, asked: 0, fails: false };
    const counts = createOpenCounts({
      count: async (_key, most) => {
        state.asked += 1;
        if (state.fails) throw new TypeError('away');
        return Math.min(state.open, most);
      },
      clock: { ...systemClock, elapsed: () => state.now },
      log: quiet,
    });
    const limit = { key: 'k', most: 100, refusal: () => new TypeError('full') };
    const tried = (insert: Promise<unknown> = Promise.resolve()): Promise<boolean> =>
      counts
        .within(limit, () => insert)
        .then(
          () => true,
          () => false,
        );
    const letIn = (times: number): Promise<boolean[]> =>
      Promise.all(Array.from({ length: times }, () => tried()));
    return { state, letIn, tried, counts, limit };
  }

  it('asks once for many calls, and again behind a call a second later', async () => {
    const { state, letIn } = fixture(10);
    expect(await letIn(50)).to.deep.equal(Array(50).fill(true));
    state.now = 900;
    await letIn(10);
    expect(state.asked).to.equal(1);
    state.now = 1_100;
    state.open = 70;
    expect(await letIn(10)).to.deep.equal(Array(10).fill(true));
    expect(state.asked).to.equal(2);
  });

  it('asks again before it says no, so that tasks that have ended do not count', async () => {
    const { state, letIn } = fixture(0);
    for (let n = 0; n < 1_000; n++) {
      state.now += 3;
      expect(await letIn(1)).to.deep.equal([true]); // each ends at once
    }
    expect(state.asked).to.be.lessThan(20);
  });

  it('goes on counting those whose rows are still on their way, though it has asked again', async () => {
    const { state, letIn, tried } = fixture(90);
    let arrive = (): void => undefined;
    const slow = new Promise<void>((resolve) => (arrive = resolve));
    const slowly = Array.from({ length: 10 }, () => tried(slow));
    for (let n = 0; n < 5; n++) {
      state.now += 1_000;
      expect(await letIn(1)).to.deep.equal([false]);
    }
    state.open = 99; // one of them has ended since
    arrive();
    expect(await Promise.all(slowly)).to.not.include(false);
    state.now += 1_000;
    expect(await letIn(2)).to.deep.equal([true, false]);
  });

  it('does not count what could not be inserted', async () => {
    const { letIn, tried } = fixture(99);
    expect(await tried(Promise.reject(new TypeError('away')))).to.equal(false);
    expect(await letIn(2)).to.deep.equal([true, false]);
  });

  it('says yes from the last count while Postgres is away', async () => {
    const { state, letIn } = fixture(10);
    await letIn(1);
    state.fails = true;
    state.now = 5_000;
    expect(await letIn(2)).to.deep.equal([true, true]);
  });

  it('keeps to the ten thousand keys used last', async () => {
    const { state, counts, limit } = fixture(0);
    const count = (n: number): Promise<void> =>
      counts.within({ ...limit, key: `k${n}` }, () => Promise.resolve());
    for (let n = 0; n < 10_001; n++) await count(n);
    await count(10_000);
    expect(state.asked).to.equal(10_001);
    await count(0);
    expect(state.asked).to.equal(10_002);
  });
});
