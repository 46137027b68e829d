import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Validator } from '@seriousme/openapi-schema-validator';
import { expect } from 'chai';
import { parse, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { McpctlError } from '../../core/errors.ts';
import type { EventMap } from '../../core/task/events.ts';
import type { Hooks } from '../../core/registry/resources/hooks.ts';
import { catalogueEntrySchema } from '../../core/resources/catalogue.ts';
import { stored } from '../../core/resources/index.ts';
import { startSession, type Session, type SessionOptions } from '../cli/session.ts';
import { edgeFixture, type Answer, type EdgeFixture } from '../support/edge.ts';
import { until } from '../support/system.ts';
import { gadget, up } from './gadget.ts';

const objectSchema = z.record(z.string(), z.unknown());
const listSchema = z.object({ items: z.array(objectSchema), next: z.string().nullable() });

describe('a resource that is a definition and a migration', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  const events: EventMap['registry.written'][] = [];
  const steps: string[] = [];
  const hooks: Hooks = {
    async admit(_trx, { row, asked }) {
      if (asked?.['size'] === 9) throw new McpctlError('invalid_request', 'Nine is too large here.');
      return row ? { uses: Number(row.values['uses']) + 1 } : {};
    },
    async after(_trx, { before, row }) {
      steps.push(`${before ? 'was' : 'none'} ${row ? 'is' : 'none'}`);
    },
  };
  const sessions: Session[] = [];
  before(async () => {
    const overlays = { gadget: async (rows: readonly unknown[]) => rows.map(() => ({ light: 'on' })) };
    t = await edgeFixture({}, {}, { definitions: [...stored, gadget], overlays, hooks: { gadget: hooks } });
    await up(t.connection.db);
    t.bus.on('registry.written', (event) => events.push(event));
  });
  afterEach(async () => {
    for (const session of sessions.splice(0)) await session.close();
    await t.connection.db('gadgets').delete();
  });
  after(() => t.close());

  const api = (what: string, body?: unknown, more: object = {}): Promise<Answer> =>
    t.call(what.replace(' ', ' /api/v1'), { ...(body === undefined ? {} : { body }), ...more });
  const cli = async (options: SessionOptions = {}, token = t.tokens.ada): Promise<Session> => {
    const env = { MCPCTL_SERVER: t.url, MCPCTL_TOKEN: token, ...options.env };
    const session = await startSession(null, { ...options, env });
    sessions.push(session);
    return session;
  };
  /** What a command prints. */
  const printed = async (args: string[], options?: SessionOptions): Promise<string> => {
    const session = await cli(options);
    expect(await session.run(...args), session.err()).to.equal(0);
    return session.out();
  };
  const make = async (name: string, more: object = {}): Promise<Answer> => {
    const made = await api('POST /gadgets', { name, ...more });
    expect(made.status, made.text).to.equal(201);
    return made;
  };

  it('is made, shown, listed, changed, replaced and deleted over HTTP', async () => {
    const made = await make('lamp', { tags: ['b', 'a'], pin: 'hush' });
    expect(made.headers.get('etag')).to.equal('"1"');
    expect(made.headers.get('location')).to.equal('/api/v1/gadgets/lamp');
    expect(made.json).to.include({ name: 'lamp', size: 3, owner: 'ada', revision: 1, uses: 0, light: 'on' });
    expect(made.text).to.not.include('hush');
    expect(gadget.schemas.view.keyof().options).to.not.include('pin');
    const stale = await api('PATCH /gadgets/lamp', { size: 4 }, { headers: { 'if-match': '"7"' } });
    expect(stale.status).to.equal(412);
    const changed = await api('PATCH /gadgets/lamp', { size: 4 }, { headers: { 'if-match': '"1"' } });
    expect(changed.json).to.include({ size: 4, revision: 2, uses: 1 });
    const same = await api('PATCH /gadgets/lamp', { size: 4 });
    expect(same.json).to.include({ revision: 2 });
    const whole = await api('PUT /gadgets/lamp', {});
    expect(whole.json).to.deep.include({ size: 3, tags: [] });
    const [row] = await t.connection.db('gadgets').select<{ pin: string }[]>('pin');
    expect(row?.pin).to.equal('hush'); // a secret that is absent is kept
    expect((await api('PUT /gadgets/desk', { size: 1 })).status).to.equal(201);
    const page = listSchema.parse((await api('GET /gadgets?limit=1')).json);
    const next = listSchema.parse((await api(`GET /gadgets?limit=1&after=${page.next ?? ''}`)).json);
    expect([...page.items, ...next.items].map(({ name }) => name)).to.deep.equal(['desk', 'lamp']);
    expect(next.next).to.equal(null);
    const missing = await api('GET /gadgets/lamb');
    expect(missing.text).to.include("There is no gadget named 'lamb'. Did you mean lamp?");
    const unknown = await api('POST /gadgets', { name: 'x', sise: 1 });
    expect(unknown.text).to.include('did you mean size?');
    expect((await api('DELETE /gadgets/lamp')).status).to.equal(204);
    expect((await api('GET /gadgets/lamp')).status).to.equal(404);
  });

  it('asks its rights, its hooks and its references, and tells of each write', async () => {
    events.length = steps.length = 0;
    await make('lamp');
    const bob = { token: t.tokens.bob };
    expect((await api('GET /gadgets/lamp', undefined, bob)).status).to.equal(200);
    expect((await api('PATCH /gadgets/lamp', { size: 1 }, bob)).status).to.equal(403);
    const refused = await api('PATCH /gadgets/lamp', { size: 9 });
    expect(refused.text).to.include('Nine is too large here.');
    await api('POST /projects', { name: 'shop' });
    const foreign = await api('POST /gadgets', { name: 'x', project: 'shop' }, bob);
    expect(foreign.text).to.include("there is no project named 'shop'");
    await api('PATCH /gadgets/lamp', { project: 'shop', pin: 'hush' });
    const kept = await api('DELETE /projects/shop');
    expect([kept.status, z.object({ code: z.string() }).parse(kept.json).code]).to.deep.equal([
      409,
      'in_use',
    ]);
    const own = listSchema.parse((await api('GET /gadgets?project=shop')).json);
    expect(own.items).to.have.length(1);
    await api('DELETE /gadgets/lamp');
    await api('DELETE /projects/shop');
    expect(steps).to.deep.equal(['none is', 'was is', 'was none']);
    const gadgets = events.filter(({ resource }) => resource === 'gadget');
    expect(gadgets.map(({ verb, name, outcome, changed }) => [verb, name, outcome, changed])).to.deep.equal([
      ['create', 'lamp', 'ok', ['name']],
      ['edit', 'lamp', 'forbidden', undefined],
      ['edit', 'lamp', 'invalid_request', undefined],
      ['create', 'x', 'invalid_request', undefined],
      ['edit', 'lamp', 'ok', ['pin', 'project']],
      ['delete', 'lamp', 'ok', undefined],
    ]);
    expect(JSON.stringify(events)).to.not.include('hush');
  });

  it('is in the OpenAPI document and in the catalogue', async () => {
    const document = objectSchema.parse((await t.call('GET /openapi.json')).json);
    const { valid, errors } = await new Validator().validate(document);
    expect(errors ?? []).to.deep.equal([]);
    expect(valid).to.equal(true);
    const paths = objectSchema.parse(document['paths']);
    expect(Object.keys(objectSchema.parse(paths['/gadgets/{name}']))).to.deep.equal([
      'get',
      'put',
      'patch',
      'delete',
    ]);
    const { items } = listSchema.parse((await api('GET /resources')).json);
    const entry = items.find(({ word }) => word === 'gadget');
    expect(entry).to.deep.include({ plural: 'gadgets', short: ['gd'], key: 'name' });
    expect(entry?.['columns']).to.deep.include({ label: 'TAGS', path: 'tags', as: 'list' });
  });

  it('is told beside llms, pools and tokens, and each path of theirs leads into what their calls answer', async () => {
    const document = objectSchema.parse((await t.call('GET /openapi.json')).json);
    const at = (from: unknown, ...names: string[]): unknown =>
      names.reduce<unknown>((inside, name) => objectSchema.safeParse(inside).data?.[name], from);
    /** Whether a schema has such a member, in each item of a list, in any of what it may be. */
    const has = (schema: unknown, [name, ...rest]: string[]): boolean => {
      const ref = at(schema, '$ref');
      if (typeof ref === 'string')
        return has(at(document, ...ref.split('/').slice(1)), [name ?? '', ...rest]);
      const any = [at(schema, 'anyOf'), at(schema, 'oneOf')].flatMap((of): unknown[] =>
        Array.isArray(of) ? of : [],
      );
      if (any.some((one) => has(one, [name ?? '', ...rest]))) return true;
      if (at(schema, 'type') === 'array') return has(at(schema, 'items'), [name ?? '', ...rest]);
      const member = at(schema, 'properties', name ?? '');
      return member !== undefined && (rest.length === 0 || has(member, rest));
    };
    const { items } = listSchema.parse((await api('GET /resources')).json);
    const told = items.map((item) => catalogueEntrySchema.parse(item));
    expect(told.map(({ word }) => word)).to.include.members(['llm', 'pool', 'token', 'gadget']);
    for (const { word, plural, key, calls, columns, describe } of told) {
      const [list, one] = [`/${plural}`, `/${plural}/{${word === 'pool' ? 'key' : key}}`].map((path) =>
        at(document, 'paths', path, 'get', 'responses', '200', 'content', 'application/json', 'schema'),
      );
      const item = at(list, 'properties', 'items');
      for (const { path } of columns) expect(has(item, path.split('.')), `${word}: ${path}`).to.equal(true);
      const whole = calls.includes('get') ? one : item;
      for (const { path } of describe) expect(has(whole, path.split('.')), `${word}: ${path}`).to.equal(true);
      expect(columns, word).to.not.deep.equal([]);
    }
  });

  it('is shown by a command line that has never heard of it', async () => {
    await make('lamp', { tags: ['b', 'a'], notes: 'one\ntwo' });
    await make('desk');
    const table = await printed(['get', 'gadgets']);
    expect(table.split('\n').map((line) => line.split(/ {2,}/))).to.deep.equal([
      ['NAME', 'SIZE', 'TAGS', 'LIGHT'],
      ['desk', '3', '-', 'on'],
      ['lamp', '3', 'b,a', 'on'],
      [''],
    ]);
    expect(await printed(['get', 'gd', 'lamp', '-o', 'wide', '--no-headers'])).to.match(
      /^lamp +3 +b,a +on +none\n$/,
    );
    expect(await printed(['get', 'gadget', '-o', 'name'])).to.equal('gadget/desk\ngadget/lamp\n');
    const [desk] = z.array(objectSchema).parse(JSON.parse(await printed(['get', 'gadget', '-o', 'json'])));
    expect(desk).to.deep.include({ resource: 'gadget', name: 'desk', size: 3 });
    const documents = parseAllDocuments(await printed(['get', 'gadget', '-o', 'yaml']));
    expect(documents.map((document) => objectSchema.parse(document.toJS())['name'])).to.deep.equal([
      'desk',
      'lamp',
    ]);
    const lines = await printed(['describe', 'gadget/lamp']);
    expect(lines).to.match(/^Name: +lamp\nUses: +0\nOwner: +ada\n/);
    expect(lines).to.match(/\nNotes:\n {2}one\n {2}two\n\nEvents:\n/);
    expect(
      objectSchema.parse(parse(await printed(['describe', 'gadget', 'lamp', '-o', 'yaml'])))['light'],
    ).to.equal('on');
    const wrong = await cli();
    expect(await wrong.run('get', 'gadgte')).to.equal(2);
    expect(wrong.err()).to.include('did you mean gadget?');
    expect(await wrong.run('get', 'gadget', 'lamb')).to.equal(1);
    expect(wrong.err()).to.include('Did you mean lamp?');
    expect(await wrong.run('get', 'gadget', '--status', 'active')).to.equal(2);
  });

  it('is watched, completed and deleted', async () => {
    await make('lamp');
    const watching = await cli();
    const over = watching.run('get', 'gadget', '--watch', '--interval', '50ms', '-o', 'name');
    await until(
      async () => watching.out(),
      (out) => out === 'gadget/lamp\n',
    );
    await make('desk');
    await until(
      async () => watching.out(),
      (out) => out.includes('gadget/desk\n'),
    );
    watching.interrupts.fire();
    expect(await over).to.equal(2);
    const complete = async (...words: string[]): Promise<string[]> =>
      (await printed(['__complete', 'zsh', '--', ...words]))
        .split('\n')
        .map((line) => line.split('\t')[0] ?? '');
    expect(await complete('get', 'gad')).to.deep.equal(['gadget', '']);
    expect(await complete('describe', 'gadget', '')).to.deep.equal(['desk', 'lamp', '']);
    expect(await complete('delete', 'gadget/l')).to.deep.equal(['gadget/lamp', '']);
    const deleting = await cli({}, t.tokens.bob);
    expect(await deleting.run('delete', 'gadget', 'lamp', '--yes')).to.equal(1);
    expect(deleting.err()).to.include("Your token may not delete the gadget 'lamp'.");
    expect(await printed(['delete', 'gadget', 'lamp', '--yes'])).to.equal('gadget/lamp deleted\n');
  });

  describe('edit', () => {
    let folder: string;
    before(async () => (folder = await mkdtemp(join(tmpdir(), 'mcpctl-editor-'))));
    after(() => rm(folder, { recursive: true, force: true }));

    /** An editor that does these one after the other, each a body of JavaScript over `text`, the file's. */
    const editor = async (...turns: string[]): Promise<SessionOptions> => {
      const count = join(folder, randomUUID());
      const path = `${count}.mjs`;
      await writeFile(
        path,
        `import fs from 'node:fs';
        const [count, path] = process.argv.slice(2);
        const turn = fs.existsSync(count) ? Number(fs.readFileSync(count, 'utf8')) : 0;
        fs.writeFileSync(count, String(turn + 1));
        fs.copyFileSync(path, count + '.' + turn);
        const edits = [${turns.map((turn) => `async (text) => { ${turn} }`).join(', ')}];
        fs.writeFileSync(path, await edits[turn](fs.readFileSync(path, 'utf8')));`,
      );
      return { env: { EDITOR: `${process.execPath} ${path} ${count}`, COUNT: count } };
    };
    const opened = (options: SessionOptions, turn: number): Promise<string> =>
      readFile(`${options.env?.['COUNT'] ?? ''}.${turn}`, 'utf8');

    it('opens what may be changed, and writes what was saved', async () => {
      await make('lamp', { tags: ['a'], pin: 'hush' });
      const options = await editor(`return text.replace('size: 3', 'size: 5');`);
      expect(await printed(['edit', 'gadget', 'lamp'], options)).to.equal('gadget/lamp edited\n');
      const text = await opened(options, 0);
      expect(objectSchema.parse(parse(text))).to.deep.equal({
        ...{ resource: 'gadget', name: 'lamp', size: 3, tags: ['a'], project: null, notes: null },
      });
      expect(text).to.include('# revision: 1').and.to.not.include('hush');
      expect((await api('GET /gadgets/lamp')).json).to.include({ size: 5, revision: 2 });
    });

    it('changes nothing for what is unchanged or empty', async () => {
      await make('lamp');
      for (const turn of ['return text;', `return '# nothing';`, `return '';`]) {
        const session = await cli(await editor(turn));
        expect(await session.run('edit', 'gadget/lamp')).to.equal(0);
        expect(session.err()).to.equal('Nothing was changed.\n');
      }
      expect((await api('GET /gadgets/lamp')).json).to.include({ revision: 1 });
    });

    it('opens again with what was refused, and with what is there now where somebody was quicker', async () => {
      await make('lamp');
      const call = `await fetch('${t.url}/api/v1/gadgets/lamp', { method: 'PATCH', body: '{"tags":["theirs"]}',
        headers: { authorization: 'Bearer ${t.tokens.ada}', 'content-type': 'application/json' } });`;
      const options = await editor(
        `return text.replace('size: 3', 'size: 77');`,
        `return text.replace('size: 77', 'size: [');`,
        `${call} return text.replace('size: [', 'size: 7');`,
        `return text.replace('size: 7', 'size: 8');`,
      );
      expect(await printed(['edit', 'gadget', 'lamp'], options)).to.equal('gadget/lamp edited\n');
      expect(await opened(options, 1))
        .to.include('# size: Too big')
        .and.to.include('\nsize: 77\n');
      expect(await opened(options, 2))
        .to.match(/^# Line \d+: This is not YAML/)
        .and.to.not.include('Too big');
      expect(await opened(options, 3))
        .to.include('#   - theirs')
        .and.to.include('\nsize: 7\n');
      expect((await api('GET /gadgets/lamp')).json).to.deep.include({ size: 8, tags: [] });
    });

    it('keeps what was typed, for its owner alone, whatever goes wrong', async () => {
      await make('lamp');
      const fails = [
        await editor(`return text.replace('size: 3', 'size: 77');`, 'return text;'),
        await editor(`fs.writeFileSync(path, text + '# typed'); process.exit(3);`),
        await editor(
          `await fetch('${t.url}/api/v1/gadgets/lamp', { method: 'DELETE', headers: { authorization: 'Bearer ${t.tokens.ada}' } });
           return text.replace('size: 3', 'size: 4');`,
        ),
      ];
      for (const options of fails) {
        const session = await cli(options);
        expect(await session.run('edit', 'gadget', 'lamp')).to.not.equal(0);
        expect(session.err()).to.include('kept in');
        const [, path = ''] = /What you typed is kept in (.*)\.\n/.exec(session.err()) ?? [];
        expect(await readFile(path, 'utf8'), session.err()).to.match(/size: (77|4)|# typed/);
        expect((await stat(path)).mode & 0o777).to.equal(0o600);
        expect((await stat(dirname(path))).mode & 0o777).to.equal(0o700);
        await rm(dirname(path), { recursive: true });
      }
      const before = (await readdir(tmpdir())).filter((name) => name.startsWith('mcpctl-edit-'));
      const none = await cli({ env: { VISUAL: '/nowhere/editor' } });
      await make('desk');
      expect(await none.run('edit', 'gadget', 'desk')).to.equal(2);
      expect(none.err()).to.include('VISUAL').and.to.not.include('kept');
      const after = (await readdir(tmpdir())).filter((name) => name.startsWith('mcpctl-edit-'));
      expect(after).to.deep.equal(before);
    });
  });
});
