import { expect } from 'chai';
import fc from 'fast-check';
import { aliasSchema, modelSchema, nameSchema, poolKeyOf, textSchema } from '../../core/names.ts';

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
        expect(text).not.to.match(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
      }),
    );
    const turned = ['\u009b2J', '\u202etxt', 'a\u2066b', '\u200f', 'a\u2028b'];
    for (const bad of ['\ud800', 'a\udc00', '\u0000', 'a\nb', '\u001b[2J', '\u007f', ...turned]) {
      expect(ok(textSchema(10), bad)).to.equal(false);
    }
    expect(ok(textSchema(20), 'می\u200cخواهم 👩\u200d🔧')).to.equal(true);
  });

  it('of models hold nothing that cannot be seen', () => {
    for (const bad of ['gpt\u200b', '\ufeffgpt', 'g\u00adpt', 'gpt\u200d', 'gpt\u{e0061}'])
      expect(ok(modelSchema, bad)).to.equal(false);
    expect(ok(modelSchema, 'Qwen/模型 3 (int4)')).to.equal(true);
  });

  it('make the pool key: the pool name, or the own name', () => {
    expect(poolKeyOf({ name: 'a' })).to.equal('a');
    expect(poolKeyOf({ name: 'a', poolName: null })).to.equal('a');
    expect(poolKeyOf({ name: 'a', poolName: 'p' })).to.equal('p');
  });
});
