import { link, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { refusedKeyRef, type ApiKeyRef } from '../../core/llm.ts';
import { settings } from '../../core/runtime/settings/settings.ts';
import { keyReader } from '../../worker/hosted/keys.ts';

describe('the key of a public llm', () => {
  let folder: string;
  const at = (name: string): string => join(folder, name);
  const failureOf = async (ref: ApiKeyRef, env: Record<string, string> = {}): Promise<string> => {
    try {
      return `read ${String(await keyReader(ref, env)())}`;
    } catch (thrown) {
      expect(thrown).to.have.property('code', 'backend_auth_failed');
      return (thrown as Error).message;
    }
  };
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mcpctl-keys-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('is read from a variable, or from a file that may change', async () => {
    expect(await keyReader(null, {})()).to.equal(undefined);
    expect(await keyReader({ env: 'K' }, { K: ' sk-1\n' })()).to.equal('sk-1');
    await writeFile(at('key'), 'sk-1\n');
    const read = keyReader({ file: at('key') }, {});
    expect(await read()).to.equal('sk-1');
    await writeFile(at('key'), 'sk-2\n'); // in place, of the same length
    expect(await read()).to.equal('sk-2');
    await writeFile(at('next'), 'sk-3\n');
    await rename(at('next'), at('key')); // as secret stores do it
    expect(await read()).to.equal('sk-3');
  });

  it('fails in words that tell neither key nor path', async () => {
    await writeFile(at('two'), 'sk-1\nsk-2\n');
    await writeFile(at('nul'), 'A=1\0B=2');
    await writeFile(at('empty'), '\n');
    await writeFile(at('long'), 'x'.repeat(9_000));
    for (const [name, says] of [
      ['two', 'alone'],
      ['nul', 'alone'],
      ['empty', 'empty'],
      ['absent', 'cannot read'],
      ['.', 'absolute path'],
    ] as const) {
      const failure = await failureOf({ file: `${folder}/${name}` });
      expect(failure, name).to.include(says);
      expect(failure, name)
        .not.to.match(/sk-|A=1/)
        .and.not.include(folder);
    }
    expect(await failureOf({ env: 'NOT_THERE' })).to.include('NOT_THERE');
    expect(await failureOf({ secretRef: { name: 's', key: 'k' } })).to.include('No secret is served here');
  });

  it('is never a setting of mcpctl, whatever the row says', async () => {
    for (const { env } of Object.values(settings)) {
      expect(refusedKeyRef({ env }), env).to.have.property('path', 'env');
      expect(await failureOf({ env }, { [env]: 'value' })).to.include('is a setting of mcpctl');
    }
    for (const env of [
      'PGPASSWORD',
      'REDIS_TLS_URL',
      'DATABASE_URL_2',
      'mcpctl_token',
      'A=B',
      '1A',
      'NODE_OPTIONS',
    ])
      expect(refusedKeyRef({ env }), env).to.have.property('path', 'env');
    for (const env of ['OPENAI_API_KEY', 'K', 'PG', 'MY_MCPCTL_KEY', '_x'])
      expect(refusedKeyRef({ env }), env).to.equal(undefined);
  });

  it('is never in a file of mcpctl itself, by whatever name that is asked for', async () => {
    await writeFile(at('secrets.key'), 'opens-every-secret\n');
    await writeFile(at('key'), 'sk-1');
    await symlink(at('secrets.key'), at('alias'));
    await link(at('secrets.key'), at('second'));
    const ownFiles = [at('absent'), at('secrets.key')];
    for (const name of ['secrets.key', 'alias', 'second']) {
      const read = keyReader({ file: at(name) }, {}, { ownFiles });
      const failure: unknown = await read().catch((thrown: unknown) => thrown);
      expect(failure, name).to.have.property('code', 'backend_auth_failed');
      expect(failure, name).to.have.property('message', 'The file with the key is none.');
    }
    expect(await keyReader({ file: at('key') }, {}, { ownFiles })()).to.equal('sk-1');
  });

  it('is one that the operator lists, where they list any', async () => {
    for (const name of ['key', 'other']) await writeFile(at(name), 'sk-1');
    const env = { A: 'sk-a', B: 'sk-b' };
    const refusal = async (ref: ApiKeyRef, named: readonly string[]): Promise<string> =>
      keyReader(ref, env, { named })().then(
        (key) => `read ${String(key)}`,
        (thrown: unknown) => (thrown instanceof Error ? thrown.message : ''),
      );
    const named = ['A', at('key')];
    expect(await refusal({ env: 'A' }, named)).to.equal('read sk-a');
    expect(await refusal({ file: at('key') }, named)).to.equal('read sk-1');
    expect(await refusal({ env: 'B' }, named)).to.include('MCPCTL_HOSTED_KEYS');
    const refused = await refusal({ file: at('other') }, named);
    expect(refused).to.include('MCPCTL_HOSTED_KEYS').and.not.include(folder);
    expect(await refusal({ file: at('other') }, [`${folder}/`]), 'a folder').to.equal('read sk-1');
    expect(await refusal({ file: at('other') }, [folder]), 'a file of that name').to.include(
      'MCPCTL_HOSTED_KEYS',
    );
    expect(await refusal({ file: at('other') }, [at('oth')])).to.include('MCPCTL_HOSTED_KEYS');
    const schema = settings.hostedKeys.schema();
    expect(schema.parse(' A, /run/secrets/ ')).to.deep.equal(['A', '/run/secrets/']);
    for (const text of ['a key', './key', 'A=1'])
      expect(schema.safeParse(text).success, text).to.equal(false);
  });

  it('is never read from where the system keeps what processes hold', async () => {
    for (const file of [
      '/proc/self/environ',
      '/proc/1/environ',
      '/dev/stdin',
      'key',
      '../key',
      '/a/../proc/x',
      '/a//b',
    ])
      expect(refusedKeyRef({ file }), file).to.have.property('path', 'file');
    expect(refusedKeyRef({ file: '/run/secrets/key' })).to.equal(undefined);
    await symlink('/proc/self/comm', at('link'));
    expect(await failureOf({ file: at('link') })).not.to.include('read ');
  });
});
