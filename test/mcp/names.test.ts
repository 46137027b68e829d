import { expect } from 'chai';
import fc from 'fast-check';
import { hasTool } from '../../core/mcp/bindings.ts';
import { exposedName, namedIn } from '../../edge/mcp/names.ts';
import { readSessionId, signSession } from '../../edge/mcp/session-id.ts';

const alias = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/);

describe('names of MCP tools', () => {
  it('are what every provider of models takes, with what clients put before them, and always the same', () => {
    const project = fc.stringMatching(/^[a-z0-9]{1,24}$/);
    fc.assert(
      fc.property(
        project,
        alias,
        fc.string({ minLength: 1, maxLength: 256, unit: 'binary' }),
        (p, a, tool) => {
          const name = exposedName({ project: p, alias: a, name: tool });
          expect(`mcp__${p}__${name}`).to.match(/^[A-Za-z0-9_-]{1,64}$/);
          expect(exposedName({ project: p, alias: a, name: tool })).to.equal(name);
        },
      ),
    );
    const long = { project: 'demo', alias: 'grafana', name: 'x'.repeat(70) };
    expect(exposedName(long)).to.not.equal(exposedName({ ...long, name: 'x'.repeat(71) }));
    expect(exposedName({ project: 'demo', alias: 'grafana', name: 'search' })).to.equal('grafana__search');
  });

  it('lead back to the tool that they are of, and those of two servers never meet', () => {
    const letters = fc.stringMatching(/^[xy_.-]{1,6}$/);
    const bound = (name: string) => ({ server: name, id: name, ownerId: 'o', journal: null });
    const named = (aliases: readonly string[], tools: readonly string[]) =>
      namedIn(
        { name: 'p', prefix: 'always' },
        {
          servers: aliases.map(bound),
          things: aliases.flatMap((serverId) => tools.map((name) => ({ serverId, name }))),
        },
      );
    expect([...named(['b1', 'b1-x'], ['x__y', 'y']).keys()]).to.have.members([
      ...['b1__x__y', 'b1__y', 'b1-x__x__y', 'b1-x__y'],
    ]);
    const aliases = fc.uniqueArray(fc.stringMatching(/^[xy]([xy-]{0,3}[xy])?$/), {
      minLength: 2,
      maxLength: 4,
    });
    fc.assert(
      fc.property(aliases, fc.uniqueArray(letters, { minLength: 1, maxLength: 6 }), (servers, tools) => {
        const byName = named(servers, tools);
        for (const [name, { server, thing }] of byName) {
          expect(thing.serverId).to.equal(server.id);
          expect(name).to.equal(exposedName({ project: 'p', alias: server.server, name: thing.name }));
        }
        // Each server has as many names as it has alone: none was another server's before.
        for (const server of servers)
          expect([...byName.values()].filter((one) => one.server.id === server)).to.have.length(
            named([server], tools).size,
          );
      }),
    );
  });

  it('are filtered as a naive reading of the same globs says', () => {
    const piece = fc.constantFrom('a', 'b', '*', '.', '_');
    const glob = fc.array(piece, { minLength: 1, maxLength: 8 }).map((pieces) => pieces.join(''));
    const text = fc.array(fc.constantFrom('a', 'b', '.', '_'), { maxLength: 10 }).map((all) => all.join(''));
    const naive = (pattern: string, name: string): boolean =>
      new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '.*')}$`).test(name);
    fc.assert(
      fc.property(glob, text, (pattern, name) => {
        const binding = { server: 's', tools: { allow: [pattern] } };
        expect(hasTool(binding, name)).to.equal(naive(pattern, name));
        expect(hasTool({ server: 's', tools: { deny: [pattern] } }, name)).to.equal(!naive(pattern, name));
      }),
    );
    expect(hasTool({ server: 's' }, 'anything')).to.equal(true);
    const tools = { allow: ['*_file'], deny: ['read_secret*'], safe: ['read_*', 'list'] };
    const names = ['read_file', 'write_file', 'read_secret_file', 'list', 'READ_file'];
    const there = (readOnly?: boolean): string[] =>
      names.filter((name) =>
        hasTool({ server: 's', tools, ...(readOnly !== undefined && { readOnly }) }, name),
      );
    expect(there()).to.deep.equal(['read_file', 'write_file', 'READ_file']);
    expect(there(true), 'denied and not allowed it stays').to.deep.equal(['read_file']);
    expect(hasTool({ server: 's', readOnly: true }, 'anything'), 'nobody has said what is safe').to.equal(
      false,
    );
  });
});

describe('ids of MCP sessions', () => {
  const session = { p: 'project', t: 'token', e: '2025-11-25' };
  const now = Date.parse('2026-11-29');

  it('are read back by who has the key, for a day', () => {
    const id = signSession(session, 'key', now);
    expect(readSessionId(id, 'key', now)).to.include(session);
    expect(readSessionId(id, 'other', now)).to.equal(null);
    expect(readSessionId(id, 'key', now + 25 * 3_600_000)).to.equal(null);
    expect(signSession(session, 'key', now)).to.not.equal(id);
  });

  it('are none once a character is another one', () => {
    const id = signSession(session, 'key', now);
    fc.assert(
      fc.property(fc.nat(id.length - 1), fc.stringMatching(/^[A-Za-z0-9_.-]$/), (at, letter) => {
        fc.pre(id[at] !== letter);
        expect(readSessionId(id.slice(0, at) + letter + id.slice(at + 1), 'key', now)).to.equal(null);
      }),
    );
  });
});
