import { once } from 'node:events';
import { request, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { systemClock } from '../../../core/runtime/clock.ts';
import { createDemoServer } from '../../../start/demo/server.ts';

describe("the demo engine's door", () => {
  let server: Server;
  beforeEach(async () => {
    server = createDemoServer({ engine: () => undefined, clock: systemClock });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(() => server.close());

  const statusOf = async (method: string, headers: Record<string, string | string[]>): Promise<number> => {
    const { port } = server.address() as AddressInfo;
    const sent = request({ host: '127.0.0.1', port, path: '/v1/chat/completions', method, headers });
    sent.end(method === 'POST' ? '{}' : undefined);
    const [res] = (await once(sent, 'response')) as [IncomingMessage];
    res.resume();
    return res.statusCode ?? 0;
  };

  it('answers to names of this machine alone', async () => {
    for (const host of ['localhost', 'LOCALHOST:7000', '127.0.0.1:7000', '[::1]:7000'])
      expect(await statusOf('GET', { host }), host).to.equal(503); // it has no model yet
    for (const host of ['evil.example', 'localhost.evil.example', '10.0.0.1:7000', '127.0.0.1.nip.io'])
      expect(await statusOf('GET', { host }), host).to.equal(421);
  });

  it('takes no body that a page may send without asking', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'text/plain; application/json'])
      expect(await statusOf('POST', { host: 'localhost', 'content-type': type }), type).to.equal(415);
    for (const type of ['application/json', 'application/json; charset=utf-8'])
      expect(await statusOf('POST', { host: 'localhost', 'content-type': type }), type).to.equal(503);
  });
});
