/** Served, or about to be again without a registration. */
export const IS_THERE = `(l.inactive_reason is null or l.inactive_reason in ('backend_down', 'publisher_gone'))`;

/** Whether an llm of a pool, which has left it or not, may not be there: the rules of a registration (register.ts, name-owners.ts), asked again. */
export const unentitledIn = (poolKey: string): string => `(
    t.revoked_at is not null or t.expires_at <= now() or not u.enabled
    or (t.pools is not null and ${poolKey} <> all(t.pools))
    or s.owner_id in (select o.owner_id from (select distinct owner_id from sessions where left_at is null) o
      where not user_may(o.owner_id, 'create', 'session', null))
    or (p.owner_id <> l.owner_id and not user_may(u.id, 'edit', 'pool', p.key)
      and not user_may(u.id, 'create', 'pool', p.key)
      and not exists (select 1 from pool_allowed a where a.pool_key = p.key and a.user_id = l.owner_id)
      and not exists (select 1 from users maker where maker.id = t.created_by and p.key = any(t.pools)
        and (maker.id = p.owner_id or user_may(maker.id, 'edit', 'pool', p.key)))))`;

/** SQL: who serves an llm, with which token, and whose that pool is; goes on with more that is asked of them. */
export const standsFor = (poolKey: string): string => `
    join sessions s on s.id = l.provider_session_id
    left join tokens t on t.id = s.token_id
    left join users u on u.id = s.owner_id
    left join pools p on p.key = ${poolKey}
  where s.left_at is null and l.kind = 'virtual' and ${IS_THERE}`;
