import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import type { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ResourceUpdatedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { expect } from 'chai';
import { until, type System } from '../support/system.ts';
import { eventsIn, listenTo, type StreamEvent } from './streamed.ts';

interface Hearing {
  system: () => System;
  /** The URL of another edge, where there is one. */
  elsewhere: () => string | undefined;
  /** A client of the project `noted`, which has the server of `--notes` as `n`. */
  connect: (at: string) => Promise<Client>;
}

/** How clients hear of resources that change. */
export function hearOfResources({ system, elsewhere, connect }: Hearing): void {
  it('tells who has subscribed to a resource that it is another now, at whatever edge, and nobody else', async () => {
    const t = system();
    const [here, there] = [t.url, elsewhere() ?? t.url];
    const heard: Record<string, string[]> = { ada: [], bob: [] };
    const hearing = async (name: string, at: string): Promise<Client> => {
      const client = await connect(at);
      client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => {
        heard[name]?.push(params.uri);
      });
      return client;
    };
    const hears = (name: string, isEnough: (uris: string[]) => boolean): Promise<string[]> =>
      until(() => Promise.resolve(heard[name] ?? []), isEnough);
    const [ada, bob] = [await hearing('ada', here), await hearing('bob', there)];
    expect(ada.getServerCapabilities()?.resources?.subscribe).to.equal(true);
    // What one has asked for at an edge is told by the edge that has their stream.
    const session = (ada.transport as StreamableHTTPClientTransport).sessionId ?? '';
    const asked = await fetch(`${there}/mcp/projects/noted`, {
      method: 'POST',
      headers: {
        ...{ authorization: `Bearer ${t.token}`, 'content-type': 'application/json' },
        'mcp-session-id': session,
      },
      body: JSON.stringify({
        ...{ jsonrpc: '2.0', id: 'elsewhere', method: 'resources/subscribe' },
        params: { uri: 'note:///a' },
      }),
    });
    expect(await asked.json()).to.have.property('result');
    await bob.subscribeResource({ uri: 'note:///b' });
    const touch = (uri: string) => ada.callTool({ name: 'n__touch', arguments: { uri } });
    await touch('note:///a');
    await hears('ada', (uris) => uris.includes('note:///a'));
    await touch('note:///b');
    await hears('bob', (uris) => uris.includes('note:///b'));
    expect([new Set(heard['ada']), new Set(heard['bob'])]).to.deep.equal([
      new Set(['note:///a']),
      new Set(['note:///b']),
    ]);
    await ada.subscribeResource({ uri: 'note:///b' });
    await ada.unsubscribeResource({ uri: 'note:///a' });
    heard['ada'] = [];
    await touch('note:///a');
    await touch('note:///b');
    expect(await hears('ada', (uris) => uris.length > 0)).to.deep.equal(['note:///b']);
    const refused = async (uri: string): Promise<string> =>
      await ada.subscribeResource({ uri }).then(
        () => 'subscribed',
        (thrown: unknown) => String(thrown),
      );
    expect(await refused('note:///nobody-has-it')).to.include('Resource not found');
  });

  it('tells it in the newer era too, and again when the server was begun anew', async () => {
    const t = system();
    const leaving = new AbortController();
    const stream = await listenTo(`${elsewhere() ?? t.url}/mcp/projects/noted`, {
      headers: { authorization: `Bearer ${t.token}` },
      signal: leaving.signal,
      notifications: { resourceSubscriptions: ['note:///a', 'note:///nobody-has-it'] },
    });
    const client = await connect(t.url);
    let touched = false;
    const isUpdate = ({ data }: StreamEvent): boolean => data?.method === 'notifications/resources/updated';
    const events = await eventsIn(
      stream,
      (all) => {
        if (all.length > 0 && !touched) {
          touched = true;
          void client.callTool({ name: 'n__exit', arguments: {} }).catch(() => undefined);
        }
        return all.some(isUpdate);
      },
      leaving,
    );
    expect(events[0]?.data?.params).to.deep.include({
      notifications: { resourceSubscriptions: ['note:///a'] },
    });
    expect(events.find(isUpdate)?.data?.params).to.deep.equal({
      uri: 'note:///a',
      _meta: { 'io.modelcontextprotocol/subscriptionId': 1 },
    });
  });

  it('whose process is shown and begun anew from afar', async () => {
    const t = system();
    const client = await connect(t.url);
    await client.callTool({ name: 'n__stderr', arguments: {} });
    const ask = async (method: 'GET' | 'POST', what: string) => {
      const answer = await t.call(method, `/api/v1/servers/notes/${what}`);
      expect(answer.status, await answer.clone().text()).to.equal(200);
      return (await answer.json()) as { state: string; printed: string; at: string };
    };
    await until(
      () => ask('GET', 'logs'),
      ({ state, printed }) => state === 'ready' && printed.includes('token is undefined'),
    );
    const pid = async (): Promise<unknown> =>
      JSON.stringify(await client.callTool({ name: 'n__pid', arguments: {} }));
    const before = await pid();
    const shown = await ask('GET', 'logs?after=start');
    const next = ask('GET', `logs?after=${shown.at}`);
    await client.callTool({ name: 'n__stderr', arguments: {} });
    expect((await next).printed, 'what came behind it alone').to.equal('token is undefined\n');
    // Who follows hears of the next process when it is there, not when they ask again.
    const anew = ask('GET', `logs?after=${(await next).at}`);
    expect(await ask('POST', 'restart')).to.deep.equal({
      ...{ server: 'notes', state: 'ready', reason: null, printed: '', at: null, isMissed: false },
    });
    expect((await anew).state).to.be.oneOf(['starting', 'ready']);
    expect((await anew).printed).to.equal('');
    expect(await pid()).to.not.equal(before);
  });
}
