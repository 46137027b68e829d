import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { readPlainFile } from '../../../core/runtime/files/plain-file.ts';
import { keyReader } from '../../../worker/hosted/keys.ts';
import { parseWorkerConfig, readWorkerConfig } from '../../../worker/sources/config.ts';
import { readCredentials } from '../../../worker/sources/credentials.ts';

describe('a file that a configuration names', () => {
  let folder: string;
  const at = (name: string): string => join(folder, name);
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mcpctl-plain-'));
    execFileSync('mkfifo', [at('fifo')]);
    await writeFile(at('large'), 'x'.repeat(2_000_000));
    await writeFile(at('small'), ' sk-1\n');
    await symlink(at('small'), at('link'));
  });
  after(() => rm(folder, { recursive: true }));

  it('is read, through a link too, when it is one of a sensible size', () => {
    expect(readPlainFile(at('link'))).to.equal(' sk-1\n');
    for (const none of [at('fifo'), '/dev/zero', folder, at('large')])
      expect(() => readPlainFile(none), none).to.throw(/is not a file|is larger than/);
    expect(() => readPlainFile(at('absent'))).to.throw(/ENOENT/);
  });

  it('is waited for by nobody who reads keys, credentials or a configuration', async () => {
    for (const none of ['fifo', 'large']) {
      const hosted = keyReader({ file: at(none) }, {});
      const provider = { name: 'a', type: 'openai', model: 'm', apiKeyFile: at(none) };
      const own = parseWorkerConfig(JSON.stringify({ providers: [provider] }), folder).providers[0]?.readKey;
      for (const read of [hosted, own ?? expect.fail()]) {
        const failure = await read().then(String, (thrown: unknown) => thrown);
        expect(failure).to.have.property('code', 'backend_auth_failed');
      }
      expect((await readCredentials(at(none))).warnings.join()).to.include('cannot be read');
      const config = await readWorkerConfig(at(none), folder).then(String, (thrown: unknown) => thrown);
      expect(config).to.have.property('code', 'invalid_config');
    }
  });
});
