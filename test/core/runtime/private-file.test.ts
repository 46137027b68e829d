import {
  chmodSync,
  chownSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { writeContexts } from '../../../cli/who/contexts-file.ts';
import { homeAt } from '../../../core/runtime/files/home.ts';
import { refuseForeign, writePrivately } from '../../../core/runtime/files/private-file.mjs';
import { ensureCredentials } from '../../../start/credentials.ts';
import { rememberServer } from '../../../start/stores/leftover.ts';
import { takeLock } from '../../../core/runtime/files/lock.mjs';
import { onSmallDisk } from '../../support/small-disk.ts';
import { keepSession } from '../../../worker/registration/session-file.ts';

describe('a private file', () => {
  let folder: string;
  let victim: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'mcpctl-home-'));
    victim = join(folder, 'victim');
    writeFileSync(victim, 'as it was');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const home = () => homeAt(folder);
  const writers: Record<string, { path: () => string; write: () => void }> = {
    'the contexts of the command line': {
      path: () => home().cli,
      write: () => writeContexts(home(), { current: null, contexts: {} }),
    },
    'the session of a worker': { path: () => home().session, write: () => keepSession(home().session, 'x') },
    'the credentials of npm start': {
      path: () => home().credentials,
      write: () => void ensureCredentials(home().credentials, 'http://127.0.0.1:1'),
    },
    'the process of a server': {
      path: () => join(folder, 'redis.pid'),
      write: () => rememberServer(join(folder, 'redis.pid'), process.pid),
    },
    'the lock of npm start': {
      path: () => join(folder, 'start.lock'),
      write: () => void takeLock(join(folder, 'start.lock')),
    },
  };
  for (const [what, { path, write }] of Object.entries(writers)) {
    it(`${what}: follows no link that somebody laid under a name that can be foreseen`, () => {
      const links = ['', `.${process.pid}`, `.${process.pid}.tmp`, '.tmp'].map((end) => `${path()}${end}`);
      if (what.startsWith('the lock')) links.shift(); // that one is read, and taken away when nobody holds it
      if (what.startsWith('the credentials')) links.shift(); // what is there is theirs, and is kept
      for (const link of links) symlinkSync(victim, link);
      write();
      expect(readFileSync(victim, 'utf8')).to.equal('as it was');
      expect(statSync(path()).mode & 0o777).to.equal(0o600);
      expect(
        readdirSync(folder).filter((name) => name.endsWith('.tmp') && !links.includes(join(folder, name))),
      ).to.deep.equal([]);
    });
  }

  it('is not written into a folder that everybody may write into', () => {
    chmodSync(folder, 0o777);
    expect(() => writePrivately(join(folder, 'x'), 'text')).to.throw(/chmod o-w/);
  });

  it('leaves what was there, and no part of what it was to be, on a disk that is full', async function () {
    const module = fileURLToPath(new URL('../../../core/runtime/files/private-file.mjs', import.meta.url));
    const path = join(folder, 'key');
    const program = `const { writePrivately } = await import(${JSON.stringify(module)});
      writePrivately(${JSON.stringify(path)}, 'as it was');
      try { writePrivately(${JSON.stringify(path)}, 'x'.repeat(200_000)); } catch (error) { console.log(error.code); }
      console.log((await import('node:fs')).readFileSync(${JSON.stringify(path)}, 'utf8'));`;
    const ended = await onSmallDisk(
      { kib: 64, folder, env: {} },
      process.execPath,
      '--input-type=module',
      '-e',
      program,
    );
    if (typeof ended === 'string') return this.skip();
    expect(ended).to.deep.equal({ code: 0, out: 'ENOSPC\nas it was\n', err: '', left: ['key'] });
  });

  it("is not written into another user's folder, and nothing is read there that is run", function () {
    if (process.getuid?.() !== 0) return this.skip(); // only root can give a folder away
    chownSync(folder, 65_534, 65_534);
    expect(() => writePrivately(join(folder, 'x'), 'text')).to.throw(/another user \(65534/);
    expect(() => refuseForeign(folder)).to.throw(/MCPCTL_HOME/);
  });
});
