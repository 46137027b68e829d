import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { createEdgeClient } from '../../worker/edge-client.ts';
import { openNetwork, type NetworkOptions } from '../../core/runtime/network/network.ts';
import { startCompanyNetwork, type CompanyNetwork } from '../support/company-network.ts';
import type { Proxy } from '../support/proxy.ts';
import { startTlsFront } from '../support/tls-front.ts';
import { scriptedEdge, type ScriptedEdge } from './scripted-edge.ts';

describe('the way to the edge through a company’s network', () => {
  let edge: ScriptedEdge;
  let network: CompanyNetwork;
  let proxy: Proxy;
  let folder: string;
  let caFile: string;

  before(async () => {
    edge = await scriptedEdge();
    network = await startCompanyNetwork(edge);
    ({ proxy, folder, caFile } = network);
  });
  after(async () => {
    await network.close();
    await edge.close();
  });

  const call = (mcpdUrl: string, options: NetworkOptions) => {
    const client = createEdgeClient({ mcpdUrl, token: 'secret', network: openNetwork(options) });
    return client.post('_provider-heartbeat', {}).then(
      ({ status }) => status,
      (thrown: unknown) => (thrown as Error).message,
    );
  };

  it('leads through HTTPS_PROXY, with the CA file trusted beside the usual ones', async () => {
    expect(await call('https://edge.example', { httpsProxy: proxy.url, caFile })).to.equal(200);
    expect(proxy.passed).to.include('edge.example:443');
  });

  it('leads through HTTP_PROXY to an edge without TLS', async () => {
    expect(await call('http://plain.example', { httpProxy: proxy.url })).to.equal(200);
    expect(proxy.passed).to.include('plain.example:80');
  });

  it('does not trust an unknown certificate, and says which setting mends that', async () => {
    const answer = await call('https://edge.example', { httpsProxy: proxy.url });
    expect(answer)
      .to.match(/certificate .* not trusted/)
      .and.include('MCPCTL_CA_FILE');
  });

  it('trusts what NODE_EXTRA_CA_CERTS names beside the CA file', async () => {
    const other = join(folder, 'other.pem');
    const another = await startTlsFront('other.example', edge);
    await another.close();
    await writeFile(other, another.certificate);
    const options = { httpsProxy: proxy.url, caFile: other, nodeCaFile: caFile };
    expect(await call('https://edge.example', options)).to.equal(200);
  });

  it('goes past the proxy to what NO_PROXY names', async () => {
    const before = proxy.passed.length + proxy.refused.length;
    expect(await call(edge.url, { httpProxy: proxy.url, noProxy: 'localhost, 127.0.0.1' })).to.equal(200);
    expect(proxy.passed.length + proxy.refused.length).to.equal(before);
  });

  it('says what to do about a proxy that refuses, and one that is not there', async () => {
    expect(await call('https://elsewhere.example', { httpsProxy: proxy.url }))
      .to.match(/The proxy at .* answered HTTP 403/)
      .and.include('NO_PROXY');
    const answer = await call('https://edge.example', { httpsProxy: 'http://ada:hunter2@127.0.0.1:9' });
    expect(answer)
      .to.match(/through the proxy at 127\.0\.0\.1:9/)
      .and.include('HTTPS_PROXY');
    expect(answer).not.to.include('hunter2');
    expect(answer).not.to.include('ada');
  });

  it('sends the proxy’s user and password, and says so when they are missing', async () => {
    const asking = await askingProxy();
    const answer = await call('https://edge.example', { httpsProxy: asking.url });
    expect(answer)
      .to.match(/wants a user and a password/)
      .and.include('HTTPS_PROXY');
    await call('https://edge.example', { httpsProxy: asking.url.replace('//', '//ada:p%40ss@') });
    expect(asking.heard()).to.equal(`Basic ${Buffer.from('ada:p@ss').toString('base64')}`);
    await asking.close();
  });

  it('refuses settings that cannot be used, without repeating a password', () => {
    expect(() => openNetwork({ httpsProxy: 'ada:hunter2@proxy' }))
      .to.throw(/HTTPS_PROXY must be like/)
      .with.property('message')
      .that.does.not.include('hunter2');
    expect(() => openNetwork({ caFile: join(folder, 'missing.pem') })).to.throw(
      /MCPCTL_CA_FILE cannot be read/,
    );
  });
});

/** A proxy that lets nobody through who does not say who they are. */
async function askingProxy() {
  let heard: string | undefined;
  const server = createServer();
  server.on('connect', (req, socket) => {
    heard = req.headers['proxy-authorization'] ?? heard;
    const status = heard === undefined ? '407 Proxy Authentication Required' : '502 Bad Gateway';
    socket.end(`HTTP/1.1 ${status}\r\ncontent-length: 0\r\n\r\n`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${String(port)}`,
    heard: () => heard,
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
