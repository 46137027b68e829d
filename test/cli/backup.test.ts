import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { newIdentity } from '../../core/runtime/backup/age.ts';
import { backupCalls, fill } from '../backup/installation.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { programOf } from '../support/program.ts';
import { onSmallDisk } from '../support/small-disk.ts';
import { newKey } from '../support/keyring.ts';
import { startSession, type Session } from './session.ts';

describe('cli: backup, verify and restore, with real edges', function () {
  this.timeout(30_000);
  let here: EdgeFixture;
  let there: EdgeFixture;
  const sessions: Session[] = [];
  const at = backupCalls(() => here);
  const to = backupCalls(() => there);
  before(async () => {
    here = await edgeFixture();
    there = await edgeFixture({ MCPCTL_SECRETS_KEY: newKey() });
    await fill(at, here.tokens.ada);
  });
  after(async () => {
    for (const session of sessions) await session.close();
    await Promise.all([here.close(), there.close()]);
  });
  const run = async (edge: EdgeFixture, ...args: string[]): Promise<Session & { code: number }> => {
    const s = await startSession(null, { env: { MCPCTL_SERVER: edge.url, MCPCTL_TOKEN: edge.tokens.root } });
    sessions.push(s);
    return { ...s, code: await s.run(...args) };
  };

  it('moves all of it to an installation with other keys, encrypted for who has the identity', async () => {
    const [{ home }, { identity, recipient }] = [await run(here, 'version', '--client'), await newIdentity()];
    const [file, key] = [join(home, 'all.age'), join(home, 'key.txt')];
    await writeFile(key, `# a key\n${identity}\n`);
    const made = await run(here, 'backup', file, '--to', recipient, '--secrets', 'portable');
    expect(made.code, made.err()).to.equal(0);
    expect(made.out()).to.include('1 secret');
    const bytes = await readFile(file);
    expect(bytes.includes('sk-canary') || bytes.includes('openai')).to.equal(false);

    const verified = await run(there, 'backup', 'verify', file, '-i', key, '--plan');
    expect(verified.code, verified.err()).to.equal(0);
    expect(verified.out()).to.include('is whole').and.to.include('secret/openai would be created');
    await writeFile(join(home, 'pass'), 'correct horse\n');
    const phrased = ['--passphrase-file', join(home, 'pass')];
    const other = join(home, 'phrased.age');
    expect((await run(here, 'backup', '-o', other, ...phrased)).code).to.equal(0);
    const opened = await run(here, 'backup', 'verify', other, ...phrased);
    expect([opened.code, opened.out().includes('is whole')], opened.err()).to.deep.equal([0, true]);
    const restored = await run(there, 'restore', file, '-i', key);
    expect(restored.code, restored.err()).to.equal(0);
    expect(restored.out()).to.include('secret/openai created');
    expect(restored.err()).to.match(
      /Users that are made \(\d+\) are disabled: "mcpctl edit user NAME" enables one/,
    );
    expect((await to.api('POST /secrets/openai/reveal', {})).text).to.include('sk-canary-0123456789');
    await to.made('PATCH /projects/review', { description: 'Another.' });
    expect((await run(there, 'restore', file, '-i', key)).code, 'clashes').to.equal(1);
    expect((await run(there, 'restore', file, '-i', key, '--on-conflict', 'skip')).code, 'skips').to.equal(3);
  });

  it('leaves nothing of a file that the disk has no room for, and says so', async function () {
    const { home } = await run(here, 'version', '--client');
    const folder = join(home, 'small');
    await mkdir(folder);
    await at.made('POST /prompts', {
      name: 'long',
      content: randomBytes(60_000).toString('hex').slice(0, 99_000),
    });
    const path = join(folder, 'all.gz');
    const ended = await onSmallDisk(
      {
        kib: 16,
        folder,
        env: { MCPCTL_HOME: home, MCPCTL_SERVER: here.url, MCPCTL_TOKEN: here.tokens.root },
      },
      ...[process.execPath, programOf('cli'), 'backup', '-o', path, '--secrets', 'none'],
    );
    if (typeof ended === 'string') return this.skip();
    expect([ended.code, ended.left], ended.err).to.deep.equal([2, []]);
    expect(ended.err).to.include('The disk is full').and.to.include(path);
  });

  it('says what it needs, and leaves nothing where it fails', async () => {
    const open = await run(here, 'backup', '-o', 'x');
    expect([open.code, open.err()]).to.satisfy(
      ([code, text]: [number, string]) => code === 2 && text.includes('--to age1'),
    );
    const two = await run(here, 'backup', 'x', '-o', 'y', '--secrets', 'none');
    expect([two.code, two.err()]).to.deep.equal([
      2,
      'Error: Name one file: as the argument, or with -o. (usage)\n',
    ]);
    const [first] = sessions;
    const home = first?.home ?? '';
    const path = join(home, 'nobody', 'x');
    const refused = await run(here, 'backup', '-o', path, '--secrets', 'none');
    expect([refused.code, refused.err().includes('cannot be written')]).to.deep.equal([2, true]);
    const full = await run(here, 'backup', '-o', '/dev/full/x', '--secrets', 'none');
    expect(full.code).to.equal(2);
    const plain = join(home, 'plain.gz');
    expect((await run(here, 'backup', '-o', plain, '--secrets', 'none')).code).to.equal(0);
    const before = await readFile(plain);
    const again = await run(here, 'backup', plain, '--secrets', 'none');
    expect([again.code, again.err()]).to.deep.equal([
      2,
      `Error: ${plain} is there already. Write over it? Nobody can be asked here: say --yes. (usage)\n`,
    ]);
    expect((await readFile(plain)).equals(before), 'it stays').to.equal(true);
    expect((await run(here, 'backup', plain, '--secrets', 'none', '--yes')).code).to.equal(0);
    expect((await readFile(plain)).equals(before)).to.equal(false);
    expect((await run(there, 'restore', plain, '--only', 'project', '--dry-run')).code).to.equal(1);
    const nobody = await run(there, 'restore', plain, '--name', 'nobody', '--name', 'no-one');
    expect([nobody.code, nobody.out()]).to.deep.equal([1, '']);
    expect(nobody.err()).to.include(`'nobody'`).and.to.include(`'no-one'`);
    await promisify(execFile)('mkfifo', [join(home, 'pipe')]);
    for (const none of [join(home, 'pipe'), '/dev/null', home]) {
      const instead = await run(here, 'backup', '-o', none, '--secrets', 'none');
      expect([instead.code, instead.err()]).to.deep.equal([
        2,
        `Error: ${none} is not a file, and no backup takes its place; name another with -o. (usage)\n`,
      ]);
      expect((await run(there, 'restore', none)).err()).to.include(
        'is not a file; write the backup into one',
      );
    }
    expect((await readdir(home)).filter((name) => name.endsWith('.part'))).to.deep.equal([]);
  });
});
