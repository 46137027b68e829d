import { execFileSync, spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { mkdtemp, open, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { readNamed } from '../../../core/runtime/files/named-file.ts';
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

  describe('what a person names in a command', () => {
    const read = (name: string, how: object = {}): Promise<string> =>
      readNamed(name, { most: 1024, ...how }).then(String, (thrown: unknown) =>
        thrown instanceof Error ? thrown.message : 'nothing',
      );

    it('is read of a pipe too, whoever comes first, to its end', async () => {
      const first = read(at('fifo'));
      const late = spawn('sh', ['-c', 'exec >"$0"; printf one; read _; printf " two"', at('fifo')]);
      // It has opened the pipe, written, and waits: there is more to come.
      late.stdin.end('\n');
      expect(await first).to.equal('one two');
      expect(await read('/dev/null')).to.equal('');
    });

    it('is given up where nobody writes, it has no end, or is no file, each with a sentence', async () => {
      expect(await read(at('fifo'), { beginsWithinMs: 30 })).to.match(/nobody has written to it for 0 s/);
      const holds = await open(at('fifo'), constants.O_RDWR);
      try {
        expect(await read(at('fifo'), { endsWithinMs: 30 })).to.match(/has not ended within 0 s/);
        const leaves = new AbortController();
        const left = read(at('fifo'), { signal: leaves.signal });
        leaves.abort(new Error('left'));
        expect(await left).to.equal('left');
      } finally {
        await holds.close();
      }
      expect(await read('/dev/zero')).to.equal('There is more than 1 KiB in /dev/zero.');
      expect(await read(at('large'))).to.include('There is more than 1 KiB in ');
      expect(await read(folder)).to.equal(`${folder} is a folder, and not a file.`);
      expect(await read(at('absent'))).to.include('ENOENT');
    });
  });
});
