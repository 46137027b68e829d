import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import type { Actor } from '../../core/access.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { backupCalls, documentsIn } from './installation.ts';

const MIB = 1_048_576;

async function asRoot({ registry, tokens }: EdgeFixture): Promise<Actor> {
  const actor = await registry.tokens.actorOf(tokens.root);
  if (!actor) expect.fail('root has no token');
  return actor;
}

describe('backup and restore, of many, much and at once', function () {
  this.timeout(120_000);
  let t: EdgeFixture;
  const at = backupCalls(() => t);
  before(async () => (t = await edgeFixture()));
  after(() => t.close());

  it('makes two at once; a third is told to come again, and may once one is done or dropped', async () => {
    const asked = { secrets: 'none' as const, recipients: [], withTokens: false };
    const wanted = { ...asked, actor: await asRoot(t), app: '0' };
    const open = [0, 1].map(() => t.deps.registry.backups.lines(wanted));
    try {
      for (const lines of open) expect((await lines.next()).done).to.equal(false);
      const third = await at.api('POST /backup', { secrets: 'none' });
      expect([third.status, third.json])
        .to.deep.include(429)
        .and.to.have.nested.property('[1].code', 'too_many_requests');
      expect(Number(third.headers.get('retry-after'))).to.be.above(0);
      await open[0]?.return?.(undefined);
      expect((await at.api('POST /backup', { secrets: 'none' })).status).to.equal(200);
    } finally {
      for (const lines of open) await lines.return?.(undefined);
    }
  });

  it('is one state of everything, whatever is written meanwhile', async () => {
    const { db } = t.connection;
    // Long enough that writes come between its queries.
    await db.raw(
      `insert into projects (id, name, owner_id)
         select gen_random_uuid(), 'filler-' || n, cast(? as uuid) from generate_series(1, 3000) n`,
      [t.root.id],
    );
    const stop = new AbortController();
    let writes = 0;
    /** People come with the groups and grants that name them, and go with them, several at once: each time in one transaction. */
    const write = async (who: number): Promise<void> => {
      for (let n = 0; !stop.signal.aborted; n++) {
        const isTakenAway = n % 4 === 0;
        const documents = Array.from({ length: 10 }, (_, at) => at).flatMap((at) => {
          const [name, team] = [`u${who}-${n}-${at}`, `g${who}-${n}-${at}`];
          return [
            { resource: 'user', name },
            { resource: 'group', name: team, members: [name] },
            {
              resource: 'rbac',
              name: team,
              subjects: [{ kind: 'user', name }],
              bindings: [{ role: 'view', resource: 'project', name: team }],
            },
            { resource: 'project', name: team },
            { resource: 'prompt', name: `p${who}-${n}-${at}`, project: team, content: 'x' },
          ];
        });
        await at.made('POST /apply', { documents });
        if (isTakenAway) await at.made('POST /apply/delete', { documents });
        writes += documents.length * (isTakenAway ? 2 : 1);
      }
    };
    const writers = [1, 2, 3].map(write);
    const from = performance.now();
    let seen = 0;
    try {
      for (let round = 0; round < 4; round++) {
        const documents = documentsIn(await at.backup({ secrets: 'none' }));
        const names = (word: string): string[] =>
          documents.filter(({ resource }) => resource === word).map((d) => String(d['name']));
        const [users, groups, grants, projects] = ['user', 'group', 'rbac', 'project'].map(
          (word) => new Set(names(word)),
        );
        for (const d of documents) {
          const name = String(d['name']);
          const isTheirs = /^[ug]\d-\d+-\d$/.test(name);
          if (d.resource === 'group')
            for (const member of d['members'] as string[]) expect(users?.has(member), member).to.equal(true);
          if (d.resource === 'prompt')
            expect(projects?.has(String(d['project'])), String(d['project'])).to.equal(true);
          if (!isTheirs) continue;
          seen += 1;
          const [kind, rest] = [name.charAt(0), name.slice(1)];
          if (kind === 'u') expect(groups?.has(`g${rest}`), `g${rest} with its user`).to.equal(true);
          if (kind === 'g')
            for (const all of [users])
              expect(all?.has(`u${rest}`), `u${rest} of ${d.resource}`).to.equal(true);
          if (kind === 'g')
            for (const all of [groups, grants, projects]) expect(all?.has(name), name).to.equal(true);
        }
      }
    } finally {
      stop.abort();
      await Promise.all(writers);
    }
    const rate = Math.round((writes / (performance.now() - from)) * 1_000);
    expect(seen, `${rate} writes a second`).to.be.above(0);
    if (this.ctx.test) this.ctx.test.title += ` (${rate} writes a second)`;
  });

  it('takes no bomb, and what comes a byte at a time as any other; who may not restore is told so first', async () => {
    const gzip = { 'content-encoding': 'gzip' };
    const bomb = gzipSync(Buffer.alloc(200 * MIB, ' '));
    const big = await t.call('POST /api/v1/restore', {
      token: t.tokens.root,
      raw: bomb,
      headers: { ...gzip, 'content-type': 'application/json' },
    });
    expect([big.status, (big.json as { code: string }).code]).to.deep.equal([413, 'body_too_large']);
    const text = await at.backup({ secrets: 'none' });
    const small = JSON.stringify({ backup: text.split('\n').slice(0, 1).join('\n'), dryRun: true });
    const body = new ReadableStream({
      pull(controller) {
        const at = sent++;
        if (at < small.length) controller.enqueue(Buffer.from(small.slice(at, at + 1)));
        else controller.close();
      },
    });
    let sent = 0;
    const headers = { authorization: `Bearer ${t.tokens.root}`, 'content-type': 'application/json' };
    const slow = await fetch(`${t.url}/api/v1/restore`, {
      method: 'POST',
      headers,
      body,
      duplex: 'half',
    });
    expect([slow.status, ((await slow.json()) as { code: string }).code]).to.deep.equal([
      400,
      'backup_damaged',
    ]);
    const refused = await t.call('POST /api/v1/restore', {
      token: t.tokens.bob,
      body: { nothing: 'of a backup' },
    });
    expect([refused.status, (refused.json as { code: string }).code]).to.deep.equal([403, 'forbidden']);
  });
});
