import { appendFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Journal } from '../../worker/mcp/journal.ts';

describe('the journal of calls', () => {
  let folder: string;
  let path: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'journal-'));
    path = join(folder, 'mcp', 'journal');
  });
  after(() => rmSync(folder, { recursive: true }));

  it('knows of each call what came of it, also once its worker is another process', () => {
    const first = Journal.open(path, 1_000);
    first.deliver('ran', 1_000);
    first.deliver('lost', 1_000);
    first.end('ran', { at: 1_001, outcome: '{"result":{"text":"déjà"}}' });
    expect(first.look('ran')).to.deep.equal({ outcome: '{"result":{"text":"déjà"}}' });
    first.close();
    appendFileSync(path, '{"task":"torn","at":');
    const second = Journal.open(path, 2_000);
    expect(second.id).to.equal(first.id);
    expect(second.look('ran')).to.deep.equal({ outcome: '{"result":{"text":"déjà"}}' });
    expect(second.look('lost')).to.equal('delivered');
    expect(second.look('torn')).to.equal(null);
    second.deliver('next', 2_000);
    second.end('next', { at: 2_000, outcome: 'x'.repeat(300_000) });
    expect(second.look('next'), 'too large to be kept').to.equal('delivered');
    second.close();
    const later = Journal.open(path, 2_000 + 25 * 3_600_000);
    expect(later.look('ran'), 'whatever a clock says').to.equal('delivered');
    later.close();
  });

  it('is written anew when it has grown, and then knows the newest outcomes, and of the others that they were delivered', () => {
    const journal = Journal.open(path, 0, { mostBytes: 4_000 });
    for (let n = 0; n < 100; n += 1) {
      expect(journal.deliver(`task-${String(n)}`, n)).to.equal(true);
      journal.end(`task-${String(n)}`, { at: n, outcome: `outcome ${String(n)} ${'x'.repeat(200)}` });
      expect(statSync(path).size).to.be.below(4_000 + 14_000);
    }
    expect(journal.look('task-99')).to.deep.equal({ outcome: `outcome 99 ${'x'.repeat(200)}` });
    expect(journal.look('task-0')).to.equal('delivered');
    const { id } = journal;
    journal.close();
    const second = Journal.open(path, 100, { mostBytes: 4_000 });
    expect(second.id).to.equal(id);
    expect(second.look('task-99')).to.deep.equal({ outcome: `outcome 99 ${'x'.repeat(200)}` });
    expect(second.look('task-50')).to.equal('delivered');
    second.close();
  });

  it('that cannot be written says so: then nothing is given to a server', () => {
    const journal = Journal.open(path, 0);
    journal.close(); // as good as a full disk: no line can be written
    expect(journal.deliver('task', 1)).to.equal(false);
    journal.end('task', { at: 1, outcome: 'x' });
    expect(journal.look('task')).to.equal(null);
  });

  it('that is none is another one: nobody takes its silence for a no', () => {
    const first = Journal.open(path, 0);
    first.close();
    writeFileSync(path, 'garbage');
    const second = Journal.open(path, 0);
    expect(second.id).to.not.equal(first.id);
    second.close();
  });
});
