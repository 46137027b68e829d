import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { readCredentials } from '../../worker/sources/credentials.ts';

const good = { mcpdUrl: 'http://127.0.0.1:3100', token: 'tok-secret' };

describe("the worker's credentials and session files", () => {
  let home: string;
  let path: string;
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'mcpctl-home-'));
    path = join(home, 'file');
  });
  afterEach(() => rm(home, { recursive: true }));

  it('reads credentials that only their owner can read', async () => {
    await writeFile(path, JSON.stringify({ ...good, token: ' tok-secret\n' }), { mode: 0o600 });
    expect(await readCredentials(path)).to.deep.equal({ credentials: good, warnings: [] });
  });

  it('says that a token goes over plain http, but to this machine', async () => {
    for (const [mcpdUrl, warned] of [
      ['http://edge.test:3100', true],
      ['http://10.0.0.7:3100', true],
      ['https://edge.test', false],
      ['http://localhost:3100', false],
      ['http://[::1]:3100', false],
    ] as const) {
      await writeFile(path, JSON.stringify({ ...good, mcpdUrl }), { mode: 0o600 });
      const { warnings } = await readCredentials(path);
      expect([mcpdUrl, warnings.join().includes('plain http')]).to.deep.equal([mcpdUrl, warned]);
    }
  });

  it('warns when others can read them, and uses them all the same', async () => {
    await writeFile(path, JSON.stringify(good), { mode: 0o644 });
    const { credentials, warnings } = await readCredentials(path);
    expect(credentials).to.deep.equal(good);
    expect(warnings.join()).to.contain('chmod 600');
  });

  it('warns instead of failing when there are none, or they are broken', async () => {
    const missing = await readCredentials(path);
    expect(missing.credentials).to.equal(undefined);
    expect(missing.warnings.join()).to.contain('mcpctl login');
    for (const text of ['{"token":"tok-secret"', '[]', JSON.stringify({ ...good, mcpdUrl: 'nowhere' })]) {
      await writeFile(path, text, { mode: 0o600 });
      const { credentials, warnings } = await readCredentials(path);
      expect(credentials).to.equal(undefined);
      expect(warnings.join()).to.contain('nothing is published').and.not.to.contain('tok-secret');
    }
    expect((await readCredentials(home)).warnings.join()).to.contain('cannot be read');
  });
});
