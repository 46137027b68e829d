import { request } from 'node:http';
import { expect } from 'chai';
import { pino } from 'pino';
import { openNetwork } from '../../core/runtime/network/network.ts';
import { createLoopback } from '../../worker/bridge/loopback.ts';
import { createProjectEndpoint } from '../../worker/bridge/project-endpoint.ts';
import { until } from '../support/system.ts';
import { json, scriptedEdge, type ScriptedEdge } from './scripted-edge.ts';

describe('the loopback URL of a worker', () => {
  let edge: ScriptedEdge;
  let loopback: ReturnType<typeof createLoopback>;
  const network = openNetwork({}, { reuse: true });
  let left = 0;
  before(async () => {
    edge = await scriptedEdge((heard, res) => {
      if (heard.message?.method !== 'hang')
        return json(res, { ok: true }, { 'mcp-session-id': 's1', 'x-secret': 'y' });
      res.once('close', () => (left += 1));
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write('data: 1\n\n');
    });
    const endpoint = createProjectEndpoint({ mcpdUrl: edge.url, token: 'mcpctl_secret', network });
    loopback = createLoopback({ port: 0, endpoint, log: pino({ level: 'silent' }) });
    await loopback.start?.();
  });
  after(async () => {
    await loopback.stop();
    await edge.close();
    await network.dispatcher.destroy();
  });
  const call = (path: string, headers: Record<string, string> = {}, body: object = { method: 'ping' }) =>
    new Promise<{ status: number; headers: Record<string, unknown>; text: string }>((resolve, reject) => {
      const port = loopback.port();
      const req = request({ host: '127.0.0.1', port, path, method: 'POST', headers }, (res) => {
        let text = '';
        res.on('data', (piece: Buffer) => (text += piece.toString()));
        res.on('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, text }));
      });
      req.on('error', reject);
      req.end(JSON.stringify(body));
    });

  it('goes on to the edge with this home’s token, and with none of the caller’s own', async () => {
    const answer = await call('/mcp/projects/demo', {
      ...{
        authorization: 'Bearer theirs',
        cookie: 'x=y',
        'mcp-session-id': 's0',
        accept: 'application/json',
      },
    });
    expect(answer).to.deep.include({ status: 200 });
    expect(JSON.parse(answer.text)).to.deep.equal({ ok: true });
    expect(answer.headers).to.include({ 'mcp-session-id': 's1' }).and.not.have.property('x-secret');
    const { headers, path } = edge.heard.at(-1) ?? { headers: {} };
    expect(path).to.equal('/mcp/projects/demo');
    expect(headers).to.include({ authorization: 'Bearer mcpctl_secret', 'mcp-session-id': 's0' });
    expect(headers).to.not.have.property('cookie');
  });

  it('gives a page of elsewhere nothing, and has no other path', async () => {
    const before = edge.heard.length;
    expect((await call('/mcp/projects/demo', { origin: 'http://evil.example' })).status).to.equal(403);
    expect((await call('/mcp/projects/demo', { origin: 'null' })).status).to.equal(403);
    expect((await call('/mcp/projects/demo', { host: 'evil.example:3210' })).status).to.equal(403);
    for (const path of ['/', '/api/v1/llms', '/mcp/projects/../../api/v1/tokens', '/mcp/projects/a%2fb'])
      expect((await call(path)).status, path).to.equal(404);
    expect(edge.heard).to.have.lengthOf(before);
    expect((await call('/mcp/projects/demo', { origin: 'http://localhost:5173' })).status).to.equal(200);
  });

  it('closes the edge’s stream when its client has gone', async () => {
    const req = request({
      host: '127.0.0.1',
      port: loopback.port(),
      path: '/mcp/projects/demo',
      method: 'POST',
    });
    req.on('error', () => undefined);
    req.on('response', (res) => res.once('data', () => req.destroy()));
    req.end(JSON.stringify({ method: 'hang' }));
    await until(
      () => Promise.resolve(left),
      (n) => n === 1,
    );
  });
});
