import { expect } from 'chai';
import { pause } from '../../core/runtime/clock.ts';
import { reportedServer } from '../mcp/reported.ts';
import { hello } from '../mcp/streamed.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';

/** So long who has begun a request is believed to be there still. */
const BELIEVED_MS = 1_050;
/** Resolves when a method was called so often. */
function heardOf<K extends string>(
  on: Record<K, (...given: never[]) => unknown>,
  name: K,
  times: number,
): Promise<void> {
  const method = on[name];
  let left = times;
  return new Promise((resolve) => {
    on[name] = (...given) => {
      left -= 1;
      if (left === 0) resolve();
      return method.apply(on, given);
    };
  });
}

describe('a token that is revoked', () => {
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());
  const make = async (name: string): Promise<{ id: string; token: string }> =>
    (await t.call('POST /api/v1/tokens', { body: { name, preset: 'full' } })).json as never;

  it('is asked for again by who waits for a body or a turn, so that nothing is done with what was revoked meanwhile', async () => {
    const { id, token } = await make('slow');
    await t.call('POST /api/v1/projects', { body: { name: 'core' } });
    const { caps, gates } = t.deps;
    const leave = await Promise.all([1, 2].map(() => gates.writes.enter(t.ada.id)));
    const begun = heardOf(caps, 'enter', 2);
    const waits = heardOf(gates.writes, 'enter', 1);
    let goOn: () => void = () => undefined;
    const revoked = new Promise<void>((resolve) => (goOn = resolve));
    const body = new ReadableStream<Uint8Array>({
      async start(controller) {
        controller.enqueue(Buffer.from('{"name":"la'));
        await revoked;
        controller.enqueue(Buffer.from('te"}'));
        controller.close();
      },
    });
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const late = fetch(`${t.url}/api/v1/projects`, { method: 'POST', headers, body, duplex: 'half' });
    const change = t.call('PATCH /api/v1/projects/core', { token, body: { description: 'mine' } });
    await Promise.all([begun, waits]);
    // Nobody who waits in a crowd of the same user keeps a token from being revoked.
    expect((await t.call(`DELETE /api/v1/tokens/${id}`)).status).to.equal(204);
    await pause(BELIEVED_MS);
    goOn();
    for (const one of leave) one();
    expect((await late).status).to.equal(401);
    expect((await change).status).to.equal(401);
    expect((await t.call('GET /api/v1/projects/late')).status).to.equal(404);
    expect((await t.call('GET /api/v1/projects/core')).json).to.have.property('description', '');
  });

  it('is asked for again by who waits to subscribe to a resource', async () => {
    const desk = await reportedServer(t, 'desk', t.ada);
    await desk.report({ resources: [{ uri: 'note:///a', name: 'a note' }] });
    await t.call('POST /api/v1/projects', { body: { name: 'noted', servers: [{ server: 'desk' }] } });
    const { id, token } = await make('subscriber');
    const rpc = (method: string, params: object, headers = {}) =>
      t.call('POST /mcp/projects/noted', {
        ...{ token, headers },
        body: { jsonrpc: '2.0', id: 1, method, params },
      });
    const begun = await rpc('initialize', hello);
    const { mcpCalls } = t.deps.gates;
    const leave = await Promise.all(Array.from({ length: 32 }, () => mcpCalls.enter(id)));
    const waits = heardOf(mcpCalls, 'enter', 1);
    const session = { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' };
    const subscribing = rpc('resources/subscribe', { uri: 'note:///a' }, session);
    await waits;
    expect((await t.call(`DELETE /api/v1/tokens/${id}`)).status).to.equal(204);
    await pause(BELIEVED_MS);
    for (const one of leave) one();
    expect((await subscribing).status).to.equal(401);
    const { heard } = t.deps.queue.keys.pool('mcp.desk');
    expect(await t.deps.queue.redis.exists(heard), 'nothing of it is kept').to.equal(0);
  });

  it('is revoked with another of the same user, however fast whoever has stolen it asks', async () => {
    const left = new AbortController();
    const slowed = await edgeFixture({ MCPCTL_MAX_USER_REQUEST_RATE: '2', MCPCTL_MAX_USER_REQUESTS: '40' });
    try {
      const made = await slowed.call('POST /api/v1/tokens', { body: { name: 'stolen', preset: 'full' } });
      const { id, token } = made.json as { id: string; token: string };
      await slowed.call('GET /api/v1/whoami', { token: slowed.tokens.bob }); // or nobody is held up
      const begun = heardOf(slowed.deps.caps, 'enter', 50);
      const crowd = Array.from({ length: 50 }, () =>
        slowed.call('GET /api/v1/whoami', { token, signal: left.signal }).catch(() => null),
      );
      await begun;
      expect((await slowed.call('GET /api/v1/whoami')).status, 'she is in one crowd with them').to.equal(429);
      expect((await slowed.call(`DELETE /api/v1/tokens/${id}`)).status).to.equal(204);
      left.abort();
      await Promise.all(crowd);
    } finally {
      await slowed.close();
    }
  });
});
