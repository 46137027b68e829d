import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { fillTemplate, templateSchema, type Template } from '../../core/mcp/hosted/template.ts';
import { readTemplates } from '../../core/runtime/files/template-files.ts';
import { registryFixture, type RegistryFixture } from '../support/registry.ts';

const template = (name: string, more: object = {}): Template =>
  templateSchema.parse({
    ...{ name, version: '1.0.0', title: name, description: 'Of a test', transport: 'stdio' },
    ...{ package: '@here/files', packageVersion: '1.2.3', integrity: `sha512-${'A'.repeat(86)}==` },
    ...{ program: 'files', reaches: [], docs: 'https://docs.test' },
    healthCheck: { everySeconds: 30, withinSeconds: 10 },
    ...more,
  });

describe('templates of MCP servers', function () {
  this.timeout(20_000);

  it('of the release can all be read, and name one version to the byte', async () => {
    const { files, faults } = readTemplates();
    expect(faults).to.deep.equal([]);
    expect(files.map(({ template: { name } }) => name)).to.include.members([
      ...['everything', 'filesystem', 'memory', 'sequential-thinking', 'time', 'calc'],
    ]);
  });

  describe('params', () => {
    const params = [
      { name: 'folder', description: 'a path', pattern: '(?:/(?!\\.{1,2}(?:/|$))[^/]{1,255}){1,32}' },
      { name: 'port', description: 'digits', pattern: '\\d+', required: false },
      { name: 'level', description: 'a word', pattern: '[a-z]+', default: 'warn' },
    ];
    const args = ['--root', '${folder}', ['--port', '${port}'], '${level}'];
    const filled = (given: Record<string, string>) => fillTemplate(template('t', { params, args }), given);

    it('a value is one argument as it is, or is refused', () => {
      const shell = fc.constantFrom(
        '; rm -rf ~',
        '$(id)',
        '--flag',
        '/../..',
        '`x`',
        '" \'',
        '*',
        '\n',
        ' ',
        '/a',
      );
      const values = fc.oneof(
        fc.string(),
        fc.array(shell).map((parts) => `/${parts.join('')}`),
        shell,
      );
      fc.assert(
        fc.property(values, (folder) => {
          const made = filled({ folder });
          if ('faults' in made) {
            expect(made.faults.map(({ path }) => path)).to.deep.equal(['params.folder']);
            for (const { message } of made.faults) expect(message).to.not.include('rm -rf');
            return;
          }
          expect(made.args).to.deep.equal(['--root', folder, 'warn']);
          expect(folder).to.match(/^\/[^\n]*$/);
          expect(folder.split('/')).to.not.include('..');
        }),
      );
    });

    it('those that nobody gave take what is beside them away, and unknown ones are named', () => {
      expect(filled({ folder: '/a', port: '7', level: 'info' })).to.deep.include({
        args: ['--root', '/a', '--port', '7', 'info'],
      });
      for (const folder of ['x; rm -rf ~', '--flag', '../..', '/a/../b', '', '/', '/a\u0000'])
        expect(filled({ folder }), folder).to.have.property('faults');
      expect(filled({})).to.deep.equal({
        faults: [{ path: 'params.folder', message: 'is required: a path' }],
      });
      expect(filled({ folder: '/a', prot: '1' })).to.deep.equal({
        faults: [{ path: 'params.prot', message: 'is not known; there are: folder, port, level' }],
      });
      expect(filled({ folder: '/a', __proto__: 'x', constructor: 'y' })).to.have.property('faults');
    });

    it('stand for whole arguments, and for params that there are', () => {
      const faulty = [
        { params, args: ['--root=${folder}'] },
        { params, args: ['${other}'] },
        { params: [{ name: 'a', description: 'x', pattern: '(' }] },
      ];
      for (const more of faulty) expect(() => template('t', more)).to.throw();
    });
  });

  it('a file that cannot be read is named, and the others are there', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'templates-'));
    try {
      writeFileSync(join(folder, 'good.yaml'), JSON.stringify(template('good')));
      writeFileSync(join(folder, 'bad.yaml'), 'name: [');
      writeFileSync(join(folder, 'else.yaml'), JSON.stringify(template('good')));
      writeFileSync(
        join(folder, 'loose.yaml'),
        JSON.stringify({ ...template('loose'), packageVersion: '^1.0.0' }),
      );
      const { files, faults } = readTemplates(folder);
      expect(files.map((file) => file.template.name)).to.deep.equal(['good']);
      expect(faults.map(({ path }) => path)).to.deep.equal(['bad.yaml', 'else.yaml', 'loose.yaml']);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  describe('in the registry', () => {
    let t: RegistryFixture;
    before(async () => (t = await registryFixture()));
    after(() => t.close());

    it('are what the release has: what is as it was is not written, what is gone is retired', async () => {
      const { templates } = t.registry;
      const [one, two] = [
        { template: template('one'), sha256: 'a' },
        { template: template('two'), sha256: 'b' },
      ];
      expect(await templates.seed([one, two])).to.deep.equal(['one', 'two']);
      const at = (await templates.byName('one'))?.updatedAt;
      expect(await Promise.all([templates.seed([one, two]), templates.seed([two, one])])).to.deep.equal([
        [],
        [],
      ]);
      expect((await templates.byName('one'))?.updatedAt).to.equal(at);
      const newer = { template: template('one', { version: '1.1.0' }), sha256: 'c' };
      expect(await templates.seed([newer], ['two']), 'one that cannot be read stays').to.deep.equal(['one']);
      expect(await templates.seed([newer])).to.deep.equal(['two']);
      const all = await templates.list({ after: undefined, limit: 10 });
      expect(all.map(({ name, version, status }) => [name, version, status])).to.deep.equal([
        ['one', '1.1.0', 'active'],
        ['two', '1.0.0', 'retired'],
      ]);
      expect(await templates.seed([one, two])).to.deep.equal(['one', 'two']);
      expect((await templates.byName('two'))?.status).to.equal('active');
      expect(await templates.seed([]), 'a release without any takes none away').to.deep.equal([]);
    });
  });
});
