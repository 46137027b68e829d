import { hash } from 'node:crypto';
import type { Priority } from '../task/task.ts';

/**
 * Every Redis key and channel, made in this one place. All begin with the namespace; everything of a pool
 * carries the hash tag `{P}`, so that a pool lives in one Cluster slot and no script crosses slots. In a Cluster the namespace
 * is in braces, and the hash tag of all (where.ts).
 *
 * | key | what | writer → reader | lives |
 * |---|---|---|---|
 * | BullMQ queue `{P}`, `{P}.<llm id>` | jobs: task ids only | edge, scheduler → worker | while pending |
 * | `{P}:own`, `{P}.<llm id>:own` | where the tasks of each owner stand in that queue, by name | edge, scheduler → worker | 24 h |
 * | `{P}.<llm id>:took:<session>` | under which token a member took which job last | worker → itself | 5 min |
 * | `t:{P}:T:in` | body and head of the request | edge → worker | until the end |
 * | `t:{P}:T:m` | the fence | the scripts | renewed by beats |
 * | `t:{P}:T:s` | the event stream, entry id `epoch-seq` of its last event | worker → edges | end + 10 min |
 * | `t:{P}:T:a` | who waits for it, by when their lease lapses | edge → edge, scheduler | the longest lease |
 * | `run:{P}` | running tasks by last beat | claim, beat, end → scheduler | – |
 * | `ended:{P}` | ended, not yet settled | end → edge, scheduler | until settled |
 * | `back:{P}` | handed back, not yet requeued | handback → edge, scheduler | until requeued |
 * | `turns:{P}:<priority>`, `turns:{P}.<llm id>:<priority>` | the last tag of each owner who waits in a queue; or whose all are that wait | edge, scheduler → both | 24 h |
 * | `orphan:{P}` | tasks by when nobody will have waited long enough | edge, end, close → scheduler | until the end |
 * | `r:{P}:T` | sharded channel: a task's events | worker → edges | – |
 * | `r:{P}:<edge>` | sharded channel: the events of the tasks of an edge's callers | worker → that edge | – |
 * | `w:{W}:lease` | the session is published | edge, worker → edge, scheduler | the lease |
 * | `w:{W}:<boot>:ctl` | sharded channel: cancel, wake; done, state, stream for relays | edge, scheduler → worker | – |
 * | `ws:{P}` | members by llm and session, when last seen | worker → edge | the lease |
 * | `denied:{P}` | members that were put out or are held, by llm and session: none of them may claim | edge, scheduler → claim | 15 s |
 * | `host:{P}` | which hosted worker runs the MCP server of the pool | hosted worker | 10 s |
 * | `tells:{P}` | what that server has, and a mark of it | hosted worker → scheduler | 2 min |
 * | `lacks:{P}` | why nobody runs it, in a word | hosted worker → edge | 15 s |
 * | `wake:{L}` | who wakes an llm, and why the last try failed | worker, relay → edge, scheduler | 5 s, a failure 10 s |
 * | `relay:{id}` | breaks off a relay's own blocking pop | relay → itself | 1 min |
 * | `duties` | how often each duty ran, when it last ran well, and what the scheduler counted | scheduler → edge | – |
 * | `epoch` | set once; missing = Redis came back empty | scheduler → all | – |
 * | `generation` | which Redis process was gone through last, and a count that only rises | scheduler → scheduler, workers | – |
 * | `identity` | sharded channel: somebody wrote to identity, so look | edge → edges | – |
 * | `brief:<project>:<token>` | which revision of a project's prompts a token was told | edge → edges | an hour after its last call |
 * | `told:<project>:<token>` | in which session of an MCP client that was, and whether something ran in it since | edge → edges | the same |
 * | `listen:<user>` | which streams of MCP clients a user has open at all edges, by when each was heard of last | edge → edges | 90 s |
 * | `share:<what>:<owner>` | how many MCP calls of a token, or streams of a user, each edge has open, and wants | edges → edges | 10 s |
 * | `sub:<user>`, `subs` | of which resources which stream of a client hears, of a user and all, until when | edge → edges | 5 min after it was said last |
 * | `sub:<stream>:ch` | sharded channel: a stream hears of others now | edge → edge | – |
 * | `heard:{P}` | which resources of the MCP server of the pool somebody hears of, until when | edge → edge, hosted worker | 5 min after it was said last |
 * | `r:{P}:news` | sharded channel: which of them are others now | edge, hosted worker → edges | – |
 * | `link:<project>:<hash>` | what a prompt's link led to: the hash of its text, or why it is dead | edge → edges | 5 min, dead 20 s |
 * | `text:<hash>` | the text of such a link | edge → edges | 5 min |
 * | `watchers` | who watches a project, until when | edge → edges | the longest lease |
 * | `watch:<project>` | somebody watches it | edge → edges | 10 s |
 * | `cap:<project>` | what its clients asked, while somebody watches it | edges → edges | 10 s, or until nobody watches |
 * | `watched` | sharded channel: a project is watched | edge → edges | – |
 * | `edges` | which edges there are: release, since when, heard of when | edge → edges | 1 min |
 * | `links:<user>`, `links` | which of these a user has had kept, and all, by when they lapse and with their bytes | edge → edges | 5 min |
 * | `probe` | written by `/readyz`, so that a Redis that takes no writes is seen | edge → nobody | 1 min |
 */
export function createKeys(namespace: string) {
  const of = (rest: string): string => `${namespace}:${rest}`;
  /** A call asks for those of its pool at each of its steps. */
  const pools = new Map<string, PoolKeys>();
  return {
    namespace,
    pool: (poolKey: string): PoolKeys => {
      let keys = pools.get(poolKey);
      if (keys === undefined) {
        if (pools.size >= MOST_POOLS) pools.clear();
        keys = poolKeys(of, poolKey);
        pools.set(poolKey, keys);
      }
      return keys;
    },
    lease: (sessionId: string): string => of(`w:{${sessionId}}:lease`),
    control: (sessionId: string, boot: string): string => of(`w:{${sessionId}}:${boot}:ctl`),
    wake: (llmId: string): string => of(`wake:{${llmId}}`),
    relay: (id: string): string => of(`relay:{${id}}`),
    duties: of('duties'),
    epoch: of('epoch'),
    generation: of('generation'),
    identity: of('identity'),
    edges: of('edges'),
    probe: of('probe'),
    briefing: ({ projectId, tokenId }: { projectId: string; tokenId: string }): string =>
      of(`brief:${projectId}:${tokenId}`),
    briefedIn: ({ projectId, tokenId }: { projectId: string; tokenId: string }): string =>
      of(`told:${projectId}:${tokenId}`),
    share: (what: 'calls' | 'streams', owner: string): string => of(`share:${what}:${owner}`),
    listeners: (userId: string): string => of(`listen:${userId}`),
    subscribed: (userId: string): string => of(`sub:${userId}`),
    allSubscribed: of('subs'),
    subscriber: (streamId: string): string => of(`sub:${streamId}:ch`),
    link: (projectId: string, linkHash: string): string => of(`link:${projectId}:${linkHash}`),
    linkedText: (textHash: string): string => of(`text:${textHash}`),
    watchers: of('watchers'),
    watched: of('watched'),
    traffic: (projectId: string) => ({ lease: of(`watch:${projectId}`), stream: of(`cap:${projectId}`) }),
    linksOf: (userId: string): string => of(`links:${userId}`),
    links: of('links'),
  };
}

export type Keys = ReturnType<typeof createKeys>;

const MOST_POOLS = 10_000;
type PoolKeys = ReturnType<typeof poolKeys>;

/** The names of a pool's keys: by 16 hex digits that stand for it, as no glob, colon or brace can come from a name. */
function poolKeys(of: (rest: string) => string, poolKey: string) {
  const p = hash('sha256', poolKey).slice(0, 16);
  return {
    hash: p,
    /** BullMQ's queue; with an llm id, that member's own queue for directed tasks. */
    queue: (llmId?: string): string => (llmId === undefined ? `{${p}}` : `{${p}}.${llmId}`),
    /** Of that queue, and of one priority. */
    turns: (priority: Priority, llmId?: string): string =>
      of(`turns:{${p}}${llmId === undefined ? '' : `.${llmId}`}:${priority}`),
    run: of(`run:{${p}}`),
    ended: of(`ended:{${p}}`),
    back: of(`back:{${p}}`),
    orphans: of(`orphan:{${p}}`),
    members: of(`ws:{${p}}`),
    denied: of(`denied:{${p}}`),
    /** Of an edge, whose name no task has; within what a session's user may publish on. */
    edgeChannel: (edge: string): string => of(`r:{${p}}:${edge}`),
    host: of(`host:{${p}}`),
    tells: of(`tells:{${p}}`),
    lacks: of(`lacks:{${p}}`),
    heard: of(`heard:{${p}}`),
    /** As no edge and no task is called. */
    news: of(`r:{${p}}:news`),
    task: (id: string) => ({
      input: of(`t:{${p}}:${id}:in`),
      fence: of(`t:{${p}}:${id}:m`),
      stream: of(`t:{${p}}:${id}:s`),
      attached: of(`t:{${p}}:${id}:a`),
      channel: of(`r:{${p}}:${id}`),
    }),
  };
}
