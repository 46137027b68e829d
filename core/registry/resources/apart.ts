/**
 * Fields that are no columns (`apart` in their definition), by table, as SQL over its row. Their resource's hooks write them.
 */
export const apart: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  groups: {
    // As many as a document of one may have; of `everyone`, who are all, none are written down.
    members: `coalesce((select json_agg(one.name order by one.name) from (
        select u.name collate "C" as name from memberships m join users u on u.id = m.user_id
          where m.group_id = groups.id order by 1 limit 1000
      ) one), '[]')`,
  },
  personalities: {
    // By its name where that says which, as people write it; else by its id.
    prompts: `coalesce((select json_agg(json_strip_nulls(json_build_object('prompt', case when (
          select count(*) from prompts o join agents a on a.id = personalities.agent_id
            where o.name = p.name and (o.agent_id = a.id or o.project_id = a.project_id
              or (o.agent_id is null and o.project_id is null and o.owner_id = a.owner_id))
        ) = 1 then p.name else p.id::text end, 'priority', b.priority)) order by b.place)
      from personality_prompts b join prompts p on p.id = b.prompt_id where b.personality_id = personalities.id), '[]')`,
  },
};
