import { expect } from 'chai';
import fc from 'fast-check';
import { randomUUID } from 'node:crypto';
import type { Actor } from '../../core/access.ts';
import { grantedTo } from '../../core/access/presets.ts';
import { agent } from '../../core/resources/talk/agent.ts';
import { personality } from '../../core/resources/talk/personality.ts';
import { foldedName } from '../../core/names.ts';
import { codeOf, registryFixture, type RegistryFixture } from '../support/registry.ts';

const words = ['w', 'x', 'y', 'z'] as const;
/** Aliases may be written as people, or clients of Ollama, write a name: it is the same one. */
const written = [...words, 'W', 'x:latest', 'q:w', 'Q:W', 'q:x'] as const;
/** An agent of ada's, and names that its personalities may have; with the colon they are names like all. */
const AGENT = 'q';
const personas = ['w', 'x'] as const;
const KEEP_MS = 30 * 24 * 3_600_000;

const word = fc.constantFrom(...words);
const user = fc.constantFrom('ada', 'bob', 'cem');
const poolName = fc.option(word, { freq: 3 });
const aliases = fc.uniqueArray(fc.constantFrom(...written), { maxLength: 1 });
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('register'), by: user, name: word, poolName }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('create'), by: user, name: word, poolName, aliases }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('put'), by: user, name: word, poolName, aliases }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('patch'), by: user, name: word, poolName, aliases }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('delete'), by: user, name: word }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sweep'), by: user }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('month'), by: user }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('allow'), by: user, name: word, other: user }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('persona'), by: user, name: fc.constantFrom(...personas) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('unpersona'), by: user, name: fc.constantFrom(...personas) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('rename'), by: user, name: fc.constantFrom(...personas) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('deny'), by: user, name: word, other: user }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('give'), by: user, name: word, other: user }) },
);
interface Step {
  do: string;
  by: string;
  name?: string;
  poolName?: string | null;
  aliases?: string[];
  other?: string;
}

interface Row {
  owner: string;
  kind: 'public' | 'virtual';
  pool: string;
  aliases: string[];
  /** It was in this pool with its owner's word, when it came. */
  welcome: boolean;
}

/** What people meant by what they did, in the fewest words: nothing of the registry's. */
class Meant {
  /** By the folded name. */
  readonly #owner = new Map<string, string>();
  readonly pools = new Map<string, { owner: string; guests: Set<string> }>();
  readonly rows = new Map<string, Row>([
    ['host', { owner: 'root', kind: 'public', pool: 'host', aliases: [], welcome: true }],
  ]);
  /** Ids of the agent's personalities, by what they are called by. */
  readonly personas = new Map<string, string>();

  mayBePersona(name: string, by: string): boolean {
    const isAlias = [...this.rows.values()].some(({ aliases: of }) => of.map(foldedName).includes(name));
    return by === 'ada' && !this.personas.has(name) && !isAlias && (this.ownerOf(name) ?? by) === by;
  }

  ownerOf(name: string): string | undefined {
    return this.#owner.get(foldedName(name));
  }

  own(name: string, owner: string): void {
    this.#owner.set(foldedName(name), owner);
  }

  free(name: string): void {
    this.#owner.delete(name);
    this.pools.delete(name);
  }

  mayJoin(key: string, by: string): boolean {
    const pool = this.pools.get(key);
    if (pool) return pool.owner === by || pool.guests.has(by);
    return (this.ownerOf(key) ?? by) === by;
  }

  mayBeCalled(name: string, by: string, pool: string): boolean {
    return (
      (this.ownerOf(name) ?? by) === by || (pool === name && this.pools.has(name) && this.mayJoin(name, by))
    );
  }

  /** As an llm or an alias of another row. */
  isCalledSo(name: string, except?: string): boolean {
    if (this.personas.has(foldedName(name))) return true;
    return [...this.rows].some(
      ([of, row]) => (of !== except && of === name) || (of !== except && row.aliases.includes(name)),
    );
  }

  isUsed(name: string): boolean {
    if (this.personas.has(name)) return true;
    return [...this.rows].some(
      ([of, { pool, aliases }]) =>
        of === name || pool === name || aliases.some((a) => foldedName(a) === name),
    );
  }

  place(name: string, row: Omit<Row, 'welcome'>): void {
    const { owner, pool } = row;
    const welcome = this.mayJoin(pool, owner);
    for (const entered of [pool, name, ...row.aliases]) {
      if (this.ownerOf(entered) === undefined) this.own(entered, owner);
    }
    if (!this.pools.has(pool)) this.pools.set(pool, { owner, guests: new Set() });
    this.rows.set(name, { ...row, welcome });
  }

  drop(name: string): void {
    const row = this.rows.get(name);
    this.rows.delete(name);
    const pool = row && this.pools.get(row.pool);
    const isEmpty = ![...this.rows.values()].some((other) => other.pool === row?.pool);
    if (row && isEmpty && pool?.owner === row.owner) this.pools.delete(row.pool);
  }
}

describe('names, whatever three owners do', () => {
  let t: RegistryFixture;
  const ids = new Map<string, string>();
  const sessions = new Map<string, string>();
  before(async () => {
    t = await registryFixture();
    for (const name of ['ada', 'bob', 'cem']) {
      ids.set(name, (await t.registry.users.ensure(name, 'user')).id);
      sessions.set(name, randomUUID());
    }
  });
  after(() => t.close());

  const idOf = (name: string | undefined): string => ids.get(name ?? '') ?? '';
  const actorOf = (name: string): Actor => ({
    ...{ userId: idOf(name), userName: name, tokenId: idOf(name), tokenName: 'test', binding: 'user' },
    ...{ pools: null, filter: null, granted: grantedTo.user },
  });
  const joiner = (name: string) => ({ userId: idOf(name), tokenId: null, overrules: false });
  const bodyOf = ({ name = '', poolName = null, aliases = [] }: Step) => ({
    name,
    type: 'openai',
    model: 'm',
    url: 'http://x.test/v1',
    poolName,
    aliases,
  });

  /** Does it, and says what it was answered; `skip` for what the edge lets nobody ask. */
  async function act(m: Meant, s: Step): Promise<{ code: string; expected: boolean } | 'skip'> {
    const { registry } = t;
    const { by, name = '', other = '' } = s;
    const pool = s.poolName ?? name;
    const row = m.rows.get(name);
    const write = { by: joiner(by), ifMatch: null };
    const given = s.aliases ?? [];
    /** New names, a new place, or both. */
    const mayEnter = (owner: string, kept: readonly string[] = []): boolean =>
      (row?.pool === pool || (m.mayJoin(pool, owner) && m.mayBeCalled(name, owner, pool))) &&
      given.every((a) => {
        // Behind an agent's name and a colon are its owner's names alone.
        if (foldedName(a).startsWith(`${AGENT}:`) && owner !== 'ada') return false;
        const isFree = !m.isCalledSo(a, row ? name : undefined) && a !== name;
        const mine = m.ownerOf(a) ?? (foldedName(a) === pool && m.pools.has(pool) ? '' : owner);
        return isFree && (kept.includes(a) && row?.pool === pool ? true : mine === owner);
      });
    switch (s.do) {
      case 'register': {
        const expected =
          (row ? row.kind === 'virtual' && row.owner === by : !m.isCalledSo(name)) &&
          m.mayJoin(pool, by) &&
          (row?.pool === pool || m.mayBeCalled(name, by, pool));
        const offer = t.offer(name, s.poolName == null ? {} : { poolName: s.poolName });
        const sessionId = sessions.get(by) ?? '';
        const p = t.publication({ id: idOf(by), name: by, binding: 'user' }, [offer], { sessionId });
        const code = await codeOf(registry.sessions.register({ ...p, isLive: () => false }));
        if (code === 'ok') m.place(name, { owner: by, kind: 'virtual', pool, aliases: [] });
        return { code, expected };
      }
      case 'create': {
        const expected = !m.isCalledSo(name) && mayEnter(by);
        const code = await codeOf(registry.llms.create(bodyOf(s), joiner(by)));
        if (code === 'ok') m.place(name, { owner: by, kind: 'public', pool, aliases: given });
        return { code, expected };
      }
      case 'put':
      case 'patch': {
        if (row && row.owner !== by) return 'skip';
        if (!row && s.do === 'patch') return 'skip';
        const expected = row
          ? row.kind === 'public' && mayEnter(by, row.aliases)
          : !m.isCalledSo(name) && mayEnter(by);
        const { name: _, ...rest } = bodyOf(s);
        const work =
          s.do === 'put'
            ? registry.llms.put(bodyOf(s), write)
            : registry.llms.patch(name, { aliases: rest.aliases, poolName: rest.poolName }, write);
        const code = await codeOf(work);
        if (code === 'ok') m.place(name, { owner: by, kind: 'public', pool, aliases: given });
        return { code, expected };
      }
      case 'delete': {
        if (row?.owner !== by) return 'skip';
        const code = await codeOf(registry.llms.delete(name, { ...write, isLive: () => false }));
        m.drop(name);
        return { code, expected: true };
      }
      case 'sweep': {
        await registry.sessions.leave(sessions.get(by) ?? '');
        await registry.sessions.deleteGone(0);
        for (const [of, { owner, kind }] of m.rows) if (owner === by && kind === 'virtual') m.rows.delete(of);
        return { code: 'ok', expected: true };
      }
      case 'month': {
        await registry.names.sweep(KEEP_MS);
        await t.connection.db.raw(`update name_owners set released_at = released_at - interval '31 days'`);
        await registry.names.sweep(KEEP_MS);
        for (const each of [...words, ...personas.map((persona) => `${AGENT}:${persona}`)]) {
          if (!m.isUsed(each)) m.free(each);
        }
        return { code: 'ok', expected: true };
      }
      case 'persona':
      case 'unpersona':
      case 'rename':
        return await actOnPersona(m, s);
      default: {
        const pool = m.pools.get(name);
        if (s.do === 'give') {
          const led = [...m.rows].some(
            ([of, r]) =>
              [of, ...r.aliases.map(foldedName)].includes(name) && r.owner !== other && r.pool !== name,
          );
          const code = await codeOf(registry.pools.give(name, idOf(other), joiner(by)));
          if (code !== 'ok') return { code, expected: pool?.owner === by && !led };
          if (!pool) return { code, expected: false };
          const stays = [...m.rows.values()].some((r) => r.pool === name && r.owner === pool.owner);
          if (stays && pool.owner !== other) pool.guests.add(pool.owner);
          pool.guests.delete(other);
          const expected = pool.owner === by && !led;
          pool.owner = other;
          m.own(name, other);
          return { code, expected };
        }
        if (pool?.owner !== by) return 'skip';
        await registry.pools[s.do === 'allow' ? 'allow' : 'deny'](name, idOf(other));
        pool.guests[s.do === 'allow' ? 'add' : 'delete'](other);
        return { code: 'ok', expected: true };
      }
    }
  }

  async function actOnPersona(
    m: Meant,
    { do: what, by, name = '' }: Step,
  ): Promise<{ code: string; expected: boolean } | 'skip'> {
    const kept = t.registry.resources(personality);
    const actor = actorOf(by);
    const called = `${AGENT}:${name}`;
    const id = m.personas.get(called);
    if (what === 'persona') {
      const expected = m.mayBePersona(called, by);
      const made = kept.create({ name, agent: AGENT }, actor);
      const code = await codeOf(made);
      if (code === 'ok') m.personas.set(called, (await made).row.id);
      if (code === 'ok') m.own(called, by);
      return { code, expected };
    }
    if (id === undefined || by !== 'ada') return 'skip';
    m.personas.delete(called);
    if (what === 'unpersona')
      return { code: await codeOf(kept.delete(id, { actor, ifMatch: null })), expected: true };
    const other = personas.find((each) => each !== name) ?? '';
    const renamed = `${AGENT}:${other}`;
    const expected = m.mayBePersona(renamed, by);
    const code = await codeOf(kept.change(id, { name: other }, { actor, ifMatch: null }));
    m.personas.set(code === 'ok' ? renamed : called, id);
    if (code === 'ok') m.own(renamed, by);
    return { code, expected };
  }

  /** Where calls go, and who is there: nobody whom the owner of the name has not meant. */
  async function checkCalls(m: Meant): Promise<void> {
    const asked = await Promise.all(
      written.map(async (name) => ({ name, resolved: await t.registry.names.resolve(name) })),
    );
    const keys = asked.flatMap(({ resolved }) => (resolved ? [resolved.poolKey] : []));
    for (const member of await t.registry.llms.byPools(keys))
      expect(m.rows.get(member.name), member.name).to.include({ pool: member.poolKey, welcome: true });
    for (const { name, resolved } of asked) {
      if (!resolved) continue;
      const owner = m.ownerOf(name);
      const meant = [...m.rows]
        .filter(([of, r]) => (of === name || r.aliases.includes(name)) && r.owner === owner)
        .map(([, { pool }]) => pool);
      if (m.pools.get(name)?.owner === owner) meant.push(name);
      // An agent is asked which of its personalities there are; what others have called so is theirs.
      if (name.startsWith(`${AGENT}:`) && (owner ?? 'ada') === 'ada') meant.push('host');
      expect(meant, `${name} of ${String(owner)}`).to.include(resolved.poolKey);
    }
  }

  it('lead to what their owner meant by them, and nobody else is in there', async () => {
    await fc.assert(
      fc
        .asyncProperty(fc.array(step, { minLength: 6, maxLength: 18 }), async (steps: Step[]) => {
          const m = new Meant();
          for (const s of steps) {
            const did = await act(m, s);
            if (did === 'skip') continue;
            expect(did.code === 'ok', `${JSON.stringify(s)}: ${did.code}`).to.equal(did.expected);
            await checkCalls(m);
          }
        })
        .beforeEach(async () => {
          for (const table of ['personalities', 'agents', 'llms', 'names', 'pools', 'nameOwners', 'sessions'])
            await t.connection.db(table).delete();
          const host = { name: 'host', type: 'openai', model: 'm', url: 'http://x.test/v1' };
          await t.registry.llms.create(host, { userId: t.root.id, tokenId: null, overrules: true });
          await t.registry.resources(agent).create({ name: AGENT, llm: 'host' }, actorOf('ada'));
        }),
      { numRuns: 10, endOnFailure: true },
    );
  });
});
