import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startProxy, type Proxy } from './proxy.ts';
import { startTlsFront } from './tls-front.ts';

/** An edge as a company's network has it: `https://edge.example` and `http://plain.example`, only through a proxy. */
export interface CompanyNetwork {
  proxy: Proxy;
  /** Trusts the certificate of `edge.example`. */
  caFile: string;
  /** For more files of a test. */
  folder: string;
  close(): Promise<void>;
}

export async function startCompanyNetwork(edge: { url: string }): Promise<CompanyNetwork> {
  const front = await startTlsFront('edge.example', edge);
  const host = '127.0.0.1';
  const proxy = await startProxy({
    'edge.example:443': { host, port: front.port },
    'plain.example:80': { host, port: Number(new URL(edge.url).port) },
  });
  const folder = await mkdtemp(join(tmpdir(), 'mcpctl-network-'));
  const caFile = join(folder, 'ca.pem');
  await writeFile(caFile, front.certificate);
  return {
    proxy,
    caFile,
    folder,
    async close() {
      await proxy.close();
      await front.close();
      await rm(folder, { recursive: true });
    },
  };
}
