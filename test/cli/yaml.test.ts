import { execFile } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { readDocuments } from '../../cli/yaml.ts';
import { startSession, type Session } from './session.ts';

const CANARY = 'sk-canary-0123456789';
const fine = `resource: secret\nname: a\ndata:\n  K: ${CANARY}\n`;

/** Each would be read as something else than it looks like, or cost much; none is. */
const traps: Readonly<Record<string, string>> = {
  'an alias bomb': `${fine}a: &a [x, x, x, x, x, x, x, x, x]\n${'bcdefgh'
    .split('')
    .map(
      (to, at) =>
        `${to}: &${to} [${Array(9)
          .fill(`*${'abcdefg'[at] ?? ''}`)
          .join()}]\n`,
    )
    .join('')}`,
  'a megabyte of brackets': `${fine}x: ${'['.repeat(1_000_000)}`,
  'a key twice': `${fine}name: b\n`,
  'another version': `%YAML 1.1\n---\n${fine}`,
  'a tag directive': `%TAG ! tag:x,2000:\n---\n${fine}`,
  'a tag': `${fine}x: !!js/function 'function () {}'\n`,
  'a tag of text': `${fine}x: !!binary ${CANARY}\n`,
  'a merge key': `base: &b { y: 1 }\n${fine}<<: *b\n`,
  'a prototype': `${fine}__proto__: { polluted: true }\n`,
  'a NUL': `${fine}x: "a\u0000b"\n`,
  'a lone surrogate': `${fine}x: "a\ud800b"\n`,
  'too many documents': Array(3_000).fill(fine).join('---\n'),
  'too long a text': `${fine}x: ${'y'.repeat(5 * 1_048_576)}\n`,
  'too long a number': `${fine}x: 12345678901234567890\n`,
  'a number that is none': `${fine}x: .inf\n`,
  'a list for a key': `${fine}? [${CANARY}]\n: 1\n`,
  'no end': `${fine}x: [${CANARY}\n`,
  'a list of words': `- ${CANARY}\n`,
  'deeper than anything': `${fine}x: ${'{ y: '.repeat(100)}1${' }'.repeat(100)}\n`,
};

describe('cli: YAML is read strictly, and never repeated', () => {
  let s: Session;
  beforeEach(async () => (s = await startSession('http://127.0.0.1:1')));
  afterEach(() => s.close());

  for (const [what, text] of Object.entries(traps))
    it(`${what}: one line that says where, in time, and nothing of the file`, async () => {
      const path = join(s.home, 'trap.yaml');
      // As bytes: a lone surrogate has none in UTF-8, and is what a decoder makes of it.
      await writeFile(path, text, what === 'a lone surrogate' ? 'utf16le' : 'utf8');
      const from = performance.now();
      const warned: unknown[] = [];
      const warn = (warning: Error): number => warned.push(warning.message);
      process.on('warning', warn);
      if (what === 'a lone surrogate') expect(() => readDocuments(text, 'trap')).to.throw(/Line 5/);
      expect(await s.run('apply', '-f', path), s.err()).to.equal(2);
      expect(performance.now() - from).to.be.below(text.length > 2_000_000 ? 5_000 : 2_000);
      expect(s.err().trimEnd().split('\n'), s.err()).to.have.length(1);
      expect(s.err()).to.include(path).and.not.to.include('canary').and.not.to.include('yyy');
      if (!/bomb|brackets|documents|long a text|surrogate/.test(what)) expect(s.err()).to.match(/Line \d+: /);
      // What the library warns of it says on the process's own stderr, a turn later.
      await new Promise(setImmediate);
      process.off('warning', warn);
      expect(warned).to.deep.equal([]);
    });

  it('the fault of a later document, by its line in the file', async () => {
    const path = join(s.home, 'many.yaml');
    await writeFile(path, `${fine}---\n${fine}---\n${fine}name: b\n`);
    expect(await s.run('apply', '-f', path)).to.equal(2);
    expect(s.err()).to.include(`${path}: Line 15: `).and.not.to.include('canary');
  });

  it('letters of another encoding: they are not sent as others', async () => {
    const path = join(s.home, 'latin.yaml');
    await writeFile(path, Buffer.from('resource: project\nname: a\ndescription: caf\u00e9\n', 'latin1'));
    expect(await s.run('apply', '-f', path)).to.equal(2);
    expect(s.err()).to.include(`${path} is no text in UTF-8`);
  });

  it('takes one, many, a list and items, in YAML and JSON; what looks like a word is one', () => {
    const one = { resource: 'project', name: 'no', description: 'yes' };
    const forms = [
      'resource: project\nname: no\ndescription: yes\n',
      '---\n# nothing\n---\nresource: project\nname: no\ndescription: yes\n',
      '- { resource: project, name: no, description: yes }\n',
      'items:\n  - resource: project\n    name: no\n    description: yes\n',
      JSON.stringify(one),
      JSON.stringify([one], null, 2),
      JSON.stringify({ items: [one], next: null }),
    ];
    for (const text of forms)
      expect(
        readDocuments(text).map(({ fields }) => fields),
        text,
      ).to.deep.equal([one]);
    const [listed] = readDocuments('items:\n  - resource: project\n    name: no\n');
    expect([listed?.lineOf([]), listed?.lineOf(['name'])]).to.deep.equal([2, 3]);
    const [aliased] = readDocuments('resource: x\na: &a { y: 1 }\nb: *a\n');
    expect(aliased?.fields).to.deep.include({ b: { y: 1 } });
  });
});

describe('cli: what folders hold is read or refused, and none of it passed over', () => {
  let s: Session;
  beforeEach(async () => {
    s = await startSession(null);
    await mkdir(join(s.home, 'infra', 'more'), { recursive: true });
    await writeFile(join(s.home, 'infra', 'more', 'a.yaml'), 'resource: project\nname: a\n');
  });
  afterEach(() => s.close());
  const at = (...path: string[]): string => join(s.home, 'infra', ...path);
  const apply = (...args: string[]): Promise<number> => s.run('apply', '--dry-run=client', ...args);

  it('links to files and folders, also one that leads back', async () => {
    await symlink(at('more', 'a.yaml'), at('b.yaml'));
    await symlink(s.home, at('more', 'round'));
    await symlink('nowhere', at('notes'));
    expect(await apply('-R', '-f', at()), s.err()).to.equal(0);
    expect(s.out().split('\n')).to.deep.equal([
      `project in ${at('b.yaml')}:1 can be read`,
      `project in ${at('more', 'a.yaml')}:1 can be read`,
      '',
    ]);
  });

  it('a pipe among files, and a link to nothing', async () => {
    await promisify(execFile)('mkfifo', [at('pipe.yaml')]);
    expect(await apply('-f', at())).to.equal(2);
    expect(s.err()).to.include(`${at('pipe.yaml')} is no file; name it by itself with -f.`);
    await symlink('nowhere', at('a.yaml'));
    expect(await apply('-f', at())).to.equal(2);
    expect(s.err()).to.include(`${at('a.yaml')} cannot be read`);
  });

  it('a pipe that is named is waited for, until Ctrl-C', async () => {
    await promisify(execFile)('mkfifo', [at('pipe.yaml')]);
    const applied = apply('-f', at('pipe.yaml'));
    s.interrupts.fire();
    expect(await applied).to.equal(2);
    expect(s.err()).to.equal('Cancelled.\n');
    const passphrase = ['--passphrase-file', at('pipe.yaml')];
    expect(await s.run('restore', at('more', 'a.yaml'), ...passphrase)).to.equal(2);
    expect(s.err()).to.equal('Cancelled.\nCancelled.\n');
  });
});
