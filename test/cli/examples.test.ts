import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { root } from '../docs/markdown.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { startSession, type Session } from './session.ts';

describe('examples: each folder is an installation that can be applied', function () {
  this.timeout(60_000);
  let edge: EdgeFixture;
  before(async () => {
    edge = await edgeFixture();
    // The model of the demo: some of the examples go with it.
    await edge.registry.sessions.register(edge.publication(edge.root, [edge.offer('tiny-chat')]));
  });
  after(() => edge.close());

  const at = async (work: (s: Session) => Promise<void>): Promise<void> => {
    const s = await startSession(null, { env: { MCPCTL_SERVER: edge.url, MCPCTL_TOKEN: edge.tokens.root } });
    try {
      await work(s);
    } finally {
      await s.close();
    }
  };

  it('is applied, differs in nothing then, can be cloned, and is deleted again', async () => {
    const folders = await readdir(join(root, 'examples'));
    expect(folders).not.to.deep.equal([]);
    for (const folder of folders) {
      const path = join(root, 'examples', folder);
      await at(async (s) => {
        expect(await s.run('apply', '-f', path, '--dry-run'), s.err()).to.equal(0);
        expect(await s.run('apply', '-f', path, '--set', folder), s.err()).to.equal(0);
        expect(s.out())
          .to.match(/project\/\S+ created/)
          .and.not.to.include('unchanged');
        expect(await s.run('diff', '-f', path), s.err()).to.equal(0);
      });
      await at(async (s) => {
        const [, project = ''] =
          (await edge.call('GET /api/v1/projects', { token: edge.tokens.root })).text.match(
            /"name":"([^"]+)"/,
          ) ?? [];
        expect(await s.run('create', 'project', 'copy', '--from', project, '--with-rbac'), s.err()).to.equal(
          0,
        );
        expect(s.out()).to.equal('project/copy created\n');
        const shown = async (name: string) => {
          const answer = await edge.call(`GET /api/v1/projects/${name}`, { token: edge.tokens.root });
          const {
            id,
            name: _own,
            createdAt,
            updatedAt,
            revision,
            agents,
            ...rest
          } = answer.json as Record<string, unknown>;
          return { answer: { id, createdAt, updatedAt, revision, agents }, rest };
        };
        // All that is written of it, whatever that is by now; no token is of a project, and so none comes along.
        expect((await shown('copy')).rest).to.deep.equal((await shown(project)).rest);
        expect(
          await s.run('create', 'project', 'copy', '--from', project),
          'nothing is written over',
        ).to.equal(1);
        expect(await s.run('get', 'project', project, '--with-contents', '-o', 'yaml'), s.err()).to.equal(0);
        const documents = s.out().slice('project/copy created\n'.length);
        await at(async (other) => {
          other.stdin.end(documents);
          expect(await other.run('apply', '-f', '-', '--rename', `${project}=second`), other.err()).to.equal(
            0,
          );
          expect(
            other
              .out()
              .split('\n')
              .filter((line) => line !== '')
              .every((line) => line.endsWith(' created')),
            other.out(),
          ).to.equal(true);
          expect(other.out()).to.include('agent/second-');
        });
      });
      await at(async (s) => {
        expect(await s.run('delete', 'project', 'second', 'copy', '--yes'), s.err()).to.equal(0);
        expect(await s.run('delete', '-f', path), 'nobody can be asked').to.equal(2);
        for (const { name } of (
          (await edge.call('GET /api/v1/agents', { token: edge.tokens.root })).json as {
            items: { name: string }[];
          }
        ).items)
          if (name.startsWith('second-')) await s.run('delete', 'agent', name, '--yes');
        expect(await s.run('delete', '-f', path, '--yes'), s.err()).to.equal(0);
        expect(await s.run('delete', '-f', path, '--yes')).to.equal(1);
        expect(await s.run('delete', '-f', path, '--yes', '--ignore-not-found'), s.err()).to.equal(0);
      });
    }
  });
});
