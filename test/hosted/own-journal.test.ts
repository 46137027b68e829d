import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { ownJournal } from '../../worker/hosted/own-journal.ts';

describe('the journal of a hosted worker', () => {
  const root = mkdtempSync(join(tmpdir(), 'journals-'));
  after(() => rmSync(root, { recursive: true }));

  it('is nobody else’s while its worker lives, and the next one’s when that has ended or was killed', () => {
    const first = ownJournal(root, Date.now());
    const second = ownJournal(root, Date.now());
    expect(second.journal.id).to.not.equal(first.journal.id);
    first.release();
    const third = ownJournal(root, Date.now());
    expect(third.journal.id).to.equal(first.journal.id);
    third.release();
    second.release();
    // One that was killed has left its lock; its number may be another process's by now.
    const [host = ''] = readdirSync(join(root, 'hosted'));
    const ended = Number(execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }));
    for (const pid of [ended, process.ppid]) {
      const lock = join(root, 'hosted', host, 'journal-1.lock');
      writeFileSync(lock, JSON.stringify({ pid, began: 'at another time' }));
      const next = ownJournal(root, Date.now());
      expect(next.journal.id).to.equal(first.journal.id);
      next.release();
    }
  });

  it('is left to be taken again where it could not be opened', () => {
    const [host = ''] = readdirSync(join(root, 'hosted'));
    const path = join(root, 'hosted', host, 'journal-1');
    renameSync(path, `${path}-aside`);
    mkdirSync(path);
    for (let n = 0; n < 20; n += 1) expect(() => ownJournal(root, Date.now())).to.throw(/EISDIR/);
    rmSync(path, { recursive: true });
    renameSync(`${path}-aside`, path);
    ownJournal(root, Date.now()).release();
  });
});
