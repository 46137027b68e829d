import { expect } from 'chai';
import fc from 'fast-check';
import { aliasSchema, nameSchema, poolKeyOf, textSchema } from '../../core/names.ts';

const ok = (schema: { safeParse(value: unknown): { success: boolean } }, value: unknown): boolean =>
  schema.safeParse(value).success;

describe('names', () => {
  it('are 1 to 63 lower-case characters that a URL, a key and a shell bear', () => {
    for (const good of ['a', '0', 'qwen2.5-coder', 'a_b', 'x'.repeat(63)])
      expect(ok(nameSchema, good), good).to.equal(true);
    for (const bad of [
      '',
      '-a',
      'a-',
      '.a',
      'A',
      'a b',
      'a/b',
      'ä',
      'a\n',
      'x'.repeat(64),
      '_provider',
      1,
      null,
    ]) {
      expect(ok(nameSchema, bad), String(bad)).to.equal(false);
    }
  });

  it('have aliases that may look like model ids', () => {
    for (const good of ['Qwen/Qwen2.5:30b', 'gpt-4o', 'a'])
      expect(ok(aliasSchema, good), good).to.equal(true);
    for (const bad of ['', '/a', 'a b', 'a\u0000', 'x'.repeat(129)])
      expect(ok(aliasSchema, bad), bad).to.equal(false);
  });

  it('never let through what Postgres, a log line or a terminal cannot hold', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
        if (!ok(textSchema(1_000), text)) return;
        expect(text.isWellFormed()).to.equal(true);
        expect(text).not.to.match(/[\u0000-\u001f\u007f]/);
      }),
    );
    for (const bad of ['\ud800', 'a\udc00', '\u0000', 'a\nb', '\u001b[2J', '\u007f']) {
      expect(ok(textSchema(10), bad)).to.equal(false);
    }
  });

  it('make the pool key: the pool name, or the own name', () => {
    expect(poolKeyOf({ name: 'a' })).to.equal('a');
    expect(poolKeyOf({ name: 'a', poolName: null })).to.equal('a');
    expect(poolKeyOf({ name: 'a', poolName: 'p' })).to.equal('p');
  });
});
