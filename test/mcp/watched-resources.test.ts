import { expect } from 'chai';
import { pino } from 'pino';
import type { Answered, Peer } from '../../worker/mcp/child.ts';
import type { Supervised } from '../../worker/mcp/supervised.ts';
import type { EdgeClient } from '../../worker/edge-client.ts';
import { ToldTools } from '../../worker/mcp/told/told-tools.ts';
import { WatchedResources } from '../../worker/mcp/told/watched-resources.ts';
import { until } from '../support/system.ts';
import { supervise, why, type Supervision } from './supervise.ts';

const anybody = (): AbortSignal => new AbortController().signal;

describe('resources of a server that somebody hears of', function () {
  this.timeout(20_000);
  let servers: Supervision;
  let now = 1_000_000;
  const clock = { now: () => now, elapsed: () => now, random: () => 0 };
  before(() => void (servers = supervise()));
  after(() => servers.close());

  /** Edges of which the test says who wants to hear; what they are told is kept. */
  function edges(wanted: readonly string[]) {
    const at = { wanted, heard: [] as string[][], isAway: false };
    servers.tellResources = (updated) => {
      if (!at.isAway) at.heard.push([...updated]);
      return Promise.resolve(at.isAway ? null : at.wanted);
    };
    return at;
  }
  const ask = async (server: Supervised, method: string, params: object): Promise<Answered> =>
    await server.call(await server.ready(anybody()), { method, params, signal: anybody() });
  const subscribe = (server: Supervised, uri: string) => ask(server, 'resources/subscribe', { uri });
  const touch = (server: Supervised, uri: string) =>
    ask(server, 'tools/call', { name: 'touch', arguments: { uri } });
  const toldOf = (heard: string[][], isEnough: (uris: string[]) => boolean) =>
    until(() => Promise.resolve(heard.flat()), isEnough);

  it('are told of as often as there is something new, as the one that was asked for', async () => {
    const at = edges(['note:///a', 'note:///dir']);
    const server = servers.open(['--notes'], {}, clock);
    for (const uri of at.wanted) expect(await subscribe(server, uri)).to.deep.include({ result: {} });
    await toldOf(at.heard, (uris) => uris.length === 0 || uris.length === 2);
    at.heard.length = 0;
    await touch(server, 'note:///a');
    await toldOf(at.heard, (uris) => uris.includes('note:///a'));
    await touch(server, 'note:///dir/part');
    await toldOf(at.heard, (uris) => uris.includes('note:///dir'));
    expect(new Set(at.heard.flat())).to.deep.equal(new Set(['note:///a', 'note:///dir']));
  });

  it('are asked for again where its process is another, and whoever hears is told once', async () => {
    const at = edges(['note:///a']);
    const counter = servers.at('again');
    const server = servers.open(['--notes', '--counter', counter], {}, clock);
    await subscribe(server, 'note:///a');
    expect(await why(ask(server, 'tools/call', { name: 'exit' }))).to.include('ended with code 3');
    now += 10_000;
    at.heard.length = 0;
    await server.ready(anybody());
    await toldOf(at.heard, (uris) => uris.includes('note:///a'));
    const asked = servers.lines('again').filter((line) => line === 'resources/subscribe note:///a');
    expect(asked.length).to.be.at.least(2);
  });

  it('are given up when nobody wants to hear, and until then it does not sleep', async () => {
    const at = edges(['note:///a']);
    const counter = servers.at('given up');
    const server = servers.open(['--notes', '--counter', counter], { idleMinutes: 1 }, clock);
    await subscribe(server, 'note:///a');
    const child = await server.ready(anybody());
    now += 10 * 60_000;
    server.lookAfter();
    expect(server.state).to.equal('ready');
    at.wanted = [];
    now += 10 * 60_000;
    server.lookAfter();
    await until(
      () => Promise.resolve(servers.lines('given up')),
      (lines) => lines.includes('resources/unsubscribe note:///a'),
    );
    await until(
      () => Promise.resolve(child.open),
      (open) => open === 0,
    );
    now += 10 * 60_000;
    server.lookAfter();
    expect(server.state).to.equal('asleep');
  });

  it('are asked for again where nobody was known to hear for a moment only', async () => {
    const at = edges(['note:///a']);
    const counter = servers.at('lost');
    const server = servers.open(['--notes', '--counter', counter], { idleMinutes: 1 }, clock);
    await subscribe(server, 'note:///a');
    const asks = (lines: string[], what: string): number =>
      lines.filter((line) => line === `resources/${what} note:///a`).length;
    const look = async (what: string, times: number): Promise<unknown> => {
      now += 61_000;
      server.lookAfter();
      return await until(
        () => Promise.resolve(servers.lines('lost')),
        (lines) => asks(lines, what) === times,
      );
    };
    at.wanted = []; // as of a Redis that is empty
    await look('unsubscribe', 1);
    at.wanted = ['note:///a'];
    at.heard.length = 0;
    await look('subscribe', 2);
    await toldOf(at.heard, (uris) => uris.includes('note:///a'));
  });

  it('are not given up by a look that had begun before somebody asked for them again', async () => {
    const asked: string[] = [];
    const answers: (() => void)[] = [];
    const peer = {
      tells: true,
      request(method: string) {
        asked.push(method);
        return new Promise<Answered>((resolve) => answers.push(() => resolve({ result: {} })));
      },
    } as unknown as Peer;
    const looks: ((wanted: string[]) => void)[] = [];
    const over = new AbortController();
    const resources = new WatchedResources({
      ...{ server: 's', clock, over: over.signal, log: pino({ level: 'silent' }) },
      say: () => new Promise((resolve) => looks.push(resolve)),
    });
    const looked = (times: number) =>
      until(
        () => Promise.resolve(looks.length),
        (count) => count === times,
      );
    const ask = () => {
      const how = { uri: 'note:///a', withinMs: 10_000, signal: over.signal };
      return resources.subscribe(peer, how);
    };
    const answerAll = (): void => answers.splice(0).forEach((answer) => answer());
    resources.begun(peer, { resources: { subscribe: true } });
    looks[0]?.([]);
    const first = ask();
    answerAll();
    await first;
    now += 61_000;
    resources.lookAfter();
    await looked(2);
    const second = ask();
    looks[1]?.([]);
    await new Promise(setImmediate);
    answerAll();
    await second;
    expect(asked).to.deep.equal(['resources/subscribe', 'resources/subscribe']);
    over.abort();
  });

  it('are none of a server that tells of none, nor more than may be', async () => {
    edges([]);
    const silent = servers.open([], {}, clock);
    expect(await subscribe(silent, 'note:///a')).to.have.nested.property('error.code', -32601);
    const at = edges(Array.from({ length: 256 }, (_, n) => `note:///${String(n)}`));
    const server = servers.open(['--notes'], {}, clock);
    await Promise.all(at.wanted.map((uri) => subscribe(server, uri)));
    expect(await subscribe(server, 'note:///one-more'))
      .to.have.nested.property('error.message')
      .that.includes('256');
  });

  it('are wanted still, whatever an edge says but that it knows of none', async () => {
    const servers = { opened: [], report: () => null, ordered: () => Promise.resolve(null) } as never;
    let answer: { status: number; json: unknown } = { status: 200, json: { wanted: ['note:///a'] } };
    const edge = { post: () => Promise.resolve(answer) } as unknown as EdgeClient;
    const tools = new ToldTools({ servers, edge, clock, log: pino({ level: 'silent' }) });
    expect(await tools.resources('desk', []), 'it is registered nowhere').to.equal(null);
    tools.registered('a session');
    expect(await tools.resources('desk', [])).to.deep.equal(['note:///a']);
    const asOf = async (status: number, json: unknown) => {
      answer = { status, json };
      return await tools.resources('desk', ['note:///a']);
    };
    for (const [status, code] of [
      [401, 'unauthenticated'],
      [403, 'forbidden'],
      [404, 'session_not_found'],
      [413, 'body_too_large'],
      [429, 'too_many_requests'],
      [503, 'unavailable'],
    ] as const)
      expect(await asOf(status, { code }), code).to.equal(null);
    expect(await asOf(404, undefined), 'of something before it').to.equal(null);
    expect(await asOf(404, { code: 'route_not_found' }), 'an edge of before').to.deep.equal([]);
    tools.stop();
  });
});
