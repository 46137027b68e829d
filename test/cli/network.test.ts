import { join } from 'node:path';
import { expect } from 'chai';
import { startCompanyNetwork, type CompanyNetwork } from '../support/company-network.ts';
import type { Proxy } from '../support/proxy.ts';
import { llm, publicLlm } from './fixtures.ts';
import { page, startPeer, type Peer } from './peer.ts';
import { startSession } from './session.ts';

describe('cli: through a company’s network', () => {
  let peer: Peer;
  let network: CompanyNetwork;
  let proxy: Proxy;
  let folder: string;
  let caFile: string;
  before(async () => {
    peer = await startPeer();
    peer.on('GET /api/v1/llms', (response, request) =>
      page([request.url.includes('after') ? publicLlm : llm], request.url.includes('after') ? null : 'x')(
        response,
        request,
      ),
    );
    network = await startCompanyNetwork(peer);
    ({ proxy, folder, caFile } = network);
  });
  after(async () => {
    await network.close();
    await peer.close();
  });

  const run = async (
    env: Record<string, string>,
    ...flags: string[]
  ): Promise<{ code: number; output: string }> => {
    const s = await startSession('https://edge.example', { env });
    const code = await s.run('get', 'llm', '-o', 'name', ...flags);
    await s.close();
    return { code, output: s.out() + s.err() };
  };

  it('finds its server through the proxy, and trusts what it is told to, by flag or environment', async () => {
    const listed = { code: 0, output: 'llm/tiny-chat\nllm/gpt\n' };
    expect(await run({ https_proxy: proxy.url, MCPCTL_CA_FILE: caFile })).to.deep.equal(listed);
    expect(await run({ HTTPS_PROXY: proxy.url }, '--ca-file', caFile)).to.deep.equal(listed);
    expect(proxy.passed).to.include('edge.example:443');
  });

  it('says in a sentence what stands in the way, and what to do', async () => {
    const untrusted = await run({ HTTPS_PROXY: proxy.url });
    expect(untrusted.code).to.equal(1);
    expect(untrusted.output)
      .to.include('is not trusted')
      .and.to.include('MCPCTL_CA_FILE')
      .and.to.include('(server_unreachable)');
    const away = { HTTPS_PROXY: 'http://127.0.0.1:1', MCPCTL_CA_FILE: caFile };
    const nobody = await run(away, '--timeout', '1ms');
    expect(nobody.output).to.include('through the proxy at 127.0.0.1:1').and.to.include('NO_PROXY');
    const bad = await run({ HTTPS_PROXY: 'ada:hunter2@proxy' });
    expect(bad.output).to.include('HTTPS_PROXY must be like').and.to.not.include('hunter2');
    expect((await run({}, '--ca-file', join(folder, 'none'))).output).to.include('cannot be read');
  });
});
