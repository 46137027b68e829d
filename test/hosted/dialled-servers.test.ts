import { monitorEventLoopDelay } from 'node:perf_hooks';
import { expect } from 'chai';
import { asWritten } from '../../core/mcp/pipeline/as-written.ts';
import { ChildFailure, type Answered } from '../../worker/mcp/child.ts';
import { HttpPeer } from '../../worker/mcp/http-peer.ts';
import { introduce } from '../../worker/mcp/told/introduced.ts';
import { guardedDialling } from '../../worker/hosted/addresses.ts';
import { createExchange } from '../../worker/providers/http/wire/exchange.ts';
import { note } from '../support/measured.ts';
import { startMcpServer, type McpServerAt } from '../mcp/http-server.ts';

/** Of seconds, where each of them was parsed at once; a busy machine adds to a turn of a few milliseconds. */
const HELD_MS = 500;
const how = { withinMs: 5_000, signal: new AbortController().signal };

describe('an MCP server that a hosted worker dials', function () {
  this.timeout(20_000);
  const open: McpServerAt[] = [];
  after(() => Promise.all(open.map((server) => server.close())));
  const start = async (...odd: Parameters<typeof startMcpServer>): Promise<McpServerAt> => {
    const server = await startMcpServer(...odd);
    open.push(server);
    return server;
  };
  const changed: string[] = [];
  const ended: string[] = [];
  const peerAt = (url: string, dialling = guardedDialling(['127.0.0.1'])): HttpPeer =>
    new HttpPeer({
      url: new URL(url),
      headers: { authorization: 'Bearer hush-hush' },
      secrets: new Map([['hush-hush', 'search']]),
      exchange: createExchange(dialling, { mostIdle: 0 }),
      onListChanged: () => changed.push('changed'),
      onUpdated: () => undefined,
      onExit: (why) => ended.push(why),
    });
  const failureOf = async (work: Promise<Answered | object>): Promise<ChildFailure> =>
    await work.then(
      () => expect.fail('it was answered'),
      (thrown: unknown) => (thrown instanceof ChildFailure ? thrown : expect.fail(String(thrown))),
    );
  const callOf = (name: string) => ({ name, arguments: {} });

  it('is asked by its protocol: a session, its revision, answers as one body or as events', async () => {
    const server = await start();
    const peer = peerAt(server.url);
    const { info, tools } = await introduce(peer, how);
    expect([info.name, tools.length]).to.deep.equal(['dialled', 5]);
    const progress: unknown[] = [];
    const onProgress = (params: object) => void progress.push((params as { progress: number }).progress);
    expect(await peer.request('tools/call', callOf('steps'), { ...how, onProgress })).to.deep.include({
      result: { content: [{ type: 'text', text: 'done' }] },
    });
    expect([progress, changed]).to.deep.equal([[1, 2], ['changed']]);
    const { from: _from, ...result } = await peer.request('tools/call', callOf('whoami'), how);
    const answer = JSON.stringify(result);
    const talkative = await start((sent, res) => {
      if (sent.method !== 'tools/list') return false;
      const inputSchema = { type: 'object', properties: { key: { type: 'string', default: 'hush-hush' } } };
      const tools = [{ name: 'whoami', description: 'Signs in with hush-hush', inputSchema }];
      res.writeHead(200, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ jsonrpc: '2.0', id: sent.id, result: { tools } }));
      return true;
    });
    const listed = JSON.stringify(await introduce(peerAt(talkative.url), how));
    expect(listed).to.include('[redacted:search]').and.to.not.include('hush-hush');
    expect(peer.blank(answer)).to.include('[redacted:search]').and.to.not.include('hush-hush');
    const last = server.seen.at(-1);
    expect(last).to.include({ 'mcp-session-id': 'one', 'mcp-protocol-version': '2025-06-18' });
    await peer.stop();
    expect((await failureOf(peer.request('ping', {}, how))).sent).to.equal(false);
  });

  it('is asked and answered in numbers as they are written', async () => {
    for (const streamed of [false, true]) {
      const server = await start(({ id, method }, res, body) => {
        if (method !== 'tools/call') return false;
        const text = `{"jsonrpc":"2.0","id":${String(id)},\n"result":{"n":1.0, "heard":\n${body}}}`;
        res.writeHead(200, { 'content-type': streamed ? 'text/event-stream' : 'application/json' });
        res.end(streamed ? `data: ${text.replaceAll('\n', '\ndata: ')}\n\n` : text);
        return true;
      });
      const given = '{"id":1234567890123456789, "n":[1e2]}';
      const params = { name: 'x', arguments: JSON.parse(given) as object };
      const asked = { text: `{"params":{"arguments":${given}}}`, value: { params } };
      const { from, ...result } = await peerAt(server.url).request('tools/call', params, {
        ...how,
        from: asked,
      });
      const heard = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":${given}}}`;
      expect(asWritten(result, from)).to.equal(`{"result":{"n":1.0, "heard": ${heard}}}`);
    }
  });

  it('a call that may have run is said to have been sent, and is sent once', async () => {
    const server = await start();
    const peer = peerAt(server.url);
    await introduce(peer, how);
    const before = server.asked.length;
    const broken = await failureOf(peer.request('tools/call', callOf('breaks'), how));
    expect([broken.code, broken.sent]).to.deep.equal(['gone', true]);
    expect(server.asked.length).to.equal(before + 1);
    expect((await failureOf(peer.request('tools/call', callOf('big'), how))).code).to.equal('too_large');
    const late = await failureOf(peer.request('tools/call', callOf('hangs'), { ...how, withinMs: 50 }));
    expect([late.code, late.sent, peer.open]).to.deep.equal(['timeout', true, 0]);
    await server.close();
    const away = await failureOf(peer.request('tools/call', callOf('whoami'), how));
    expect([away.code, away.sent]).to.deep.equal(['gone', false]);
  });

  it('that asks and asks is answered by few at a time', async () => {
    const held: object[] = [];
    const server = await start((sent, res) => {
      if (sent.method === undefined) return held.push(res) > 0; // an answer, which hears nothing
      if (sent.params?.name !== 'steps') return false;
      const event = (message: object): string =>
        `data: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`;
      const pings = Array.from({ length: 200 }, (_, n) => event({ id: `ping ${String(n)}`, method: 'ping' }));
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.end([...pings, event({ id: sent.id, result: {} })].join(''));
      return true;
    });
    const peer = peerAt(server.url);
    await introduce(peer, how);
    await peer.request('tools/call', callOf('steps'), how);
    for (let n = 0; n < 20; n += 1) await peer.request('tools/call', callOf('whoami'), how);
    expect(held.length).to.be.within(1, 8);
    await peer.stop();
  });

  it('that tells without end what is no answer leaves the others of its worker their turns', async function () {
    const words = 'data: no message at all\n\n'.repeat(200_000);
    const server = await start(({ id, method }, res) => {
      if (method !== 'tools/call') return false;
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.end(`${words}data: ${JSON.stringify({ jsonrpc: '2.0', id, result: {} })}\n\n`);
      return true;
    });
    const peer = peerAt(server.url);
    await introduce(peer, how);
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const answer = await peer.request('tools/call', callOf('steps'), how);
    delay.disable();
    note(this, [delay.max / 1e6]);
    expect(answer).to.deep.include({ result: {} });
    expect(delay.max / 1e6).to.be.below(HELD_MS);
  });

  it('that forgot its session is begun anew, and an odd answer says what it was', async () => {
    let isLost = false;
    const server = await start((_sent, res) => {
      if (isLost) res.writeHead(404).end();
      return isLost;
    });
    const peer = peerAt(server.url);
    await introduce(peer, how);
    isLost = true;
    const lost = await failureOf(peer.request('tools/call', callOf('whoami'), how));
    expect([lost.sent, peer.isGone, ended.at(-1)]).to.deep.equal([false, true, 'forgot its session']);
    for (const [status, why] of [
      [401, 'refused what it was given to sign in with (401)'],
      [302, 'redirect (302), which is not followed'],
      [500, 'in no form that is known (500)'],
    ] as const) {
      const odd = await start((_sent, res) => {
        res.writeHead(status, { location: 'http://169.254.169.254/latest' }).end('no');
        return true;
      });
      expect((await failureOf(introduce(peerAt(odd.url), how))).message).to.include(why);
      expect(odd.asked).to.have.length(1);
    }
  });

  it('is dialled at no address that is not of the public internet, whatever leads there, and told nothing', async () => {
    const server = await start();
    const { port } = new URL(server.url);
    const names: Record<string, string[]> = {
      'inside.test': ['10.0.0.1'],
      'here.test': ['127.0.0.1'],
      // The first answer is a good one; who dials asks anew, and is shown the second.
      'turns.test': ['93.184.215.14', '127.0.0.1'],
    };
    const dialling = guardedDialling([], (hostname, _options, done) => {
      const all = names[hostname] ?? [];
      const [address = '127.0.0.1'] = all.length > 1 ? all.splice(0, 1) : all;
      done(null, [{ address, family: 4 }]);
    });
    for (const host of [
      '127.0.0.1',
      'localhost',
      '169.254.169.254',
      '[::1]',
      '[::ffff:10.0.0.1]',
      '[::ffff:a9fe:a9fe]',
      'inside.test',
      'here.test',
    ]) {
      const refused = await failureOf(introduce(peerAt(`http://${host}:${port}/mcp`, dialling), how));
      expect(refused.message, host).to.match(/^address_refused: /);
      expect(refused.sent, host).to.equal(false);
      expect(refused.message, host).to.not.match(/\d+\.\d+\.\d+/);
    }
    const turning = peerAt(`http://turns.test:${port}/mcp`, dialling);
    const soon = { ...how, withinMs: 100 };
    await failureOf(turning.request('initialize', {}, soon)); // nobody answers there
    expect((await failureOf(turning.request('initialize', {}, how))).message).to.match(/^address_refused: /);
    expect(server.seen).to.deep.equal([]);
  });
});
