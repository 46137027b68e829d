import { chosenIn, rankedFor, whyTold, type Chosen, type Ranked } from '../../../core/mcp/briefing/choose.ts';
import {
  textOfList,
  textOfPrompts,
  textOfServers,
  type ListedLine,
  type ToldServer,
} from '../../../core/mcp/briefing/texts.ts';
import { aliasOf } from '../../../core/mcp/bindings.ts';
import { poolOfServer } from '../../../core/mcp/names.ts';
import type { LinkRead } from '../../../core/queue/live/mcp/linked-texts.ts';
import { actorOf } from '../../http/context.ts';
import { whenLeft } from '../../http/gone.ts';
import type { EdgeDeps } from '../../deps.ts';
import { inItsTurn } from '../../limits/turns.ts';
import { statusIn } from '../../shown/agent-overlay.ts';
import type { McpEdge } from '../asked.ts';
import { countTools, serversFor, viewerOf, type Viewer } from '../tools.ts';
import { readLinks } from './links.ts';
import { pickedByLlm } from './pick.ts';
import { promptsInTurn, READ, textsOf, type Caller } from './prompts.ts';

/** What is told at once of all that is elsewhere; what comes behind is listed. */
const MOST_LINKS = 8;

/** What is told of a project, a text for each part of it, and how that came: no text of a prompt, and none of a caller. */
export interface Told {
  texts: string[];
  about: {
    /** What told them: `begin_session`, or the first result. */
    by: 'begin_session' | 'first result';
    /** Of the prompts. */
    revision: string;
    /** The llm that chose; null: the words of the task did. */
    llm: string | null;
    chosen: readonly { name: string; why: string }[];
    /** How many were only listed. */
    listed: number;
    dead: readonly string[];
  };
}

/**
 * What is told for a task: the prompts that are most to it, whole; a line for each of the others; the servers. The same texts for the same
 * task, prompts and servers, whoever asks and at whatever edge.
 */
export async function briefingFor(
  deps: McpEdge,
  caller: Caller,
  { task, tags, by }: { task: string; tags: readonly string[]; by: Told['about']['by'] },
): Promise<Told> {
  const { project, res } = caller;
  const left = whenLeft(res);
  const prompts = await promptsInTurn(deps, caller);
  const byWords = rankedFor(prompts, { task, tags, picked: null });
  const llm = by === 'begin_session' ? project.llm : null;
  const picked =
    llm === null
      ? null
      : await pickedByLlm(deps, actorOf(caller.req), {
          ...{ llm, task, tags, left },
          prompts: byWords.map(({ prompt }) => prompt),
        });
  const ranked = picked === null ? byWords : rankedFor(prompts, { task, tags, picked });
  const { chosen, links } = await withLinks(deps, caller, { ranked, left });
  const { texts, servers } = await inItsTurn(deps.gates.lists, caller.req, async () => ({
    texts: await textsOf(deps, caller, { prompts: chosen.whole.map(({ prompt }) => prompt), links }),
    servers: await serversOf(deps, viewerOf(caller)),
  }));
  return {
    texts: [
      texts.length === 0 ? 'No prompt of this project is for this task.' : textOfPrompts(texts),
      ...(chosen.listed.length === 0
        ? []
        : [
            textOfList(
              chosen.listed.map((one) => lineOf(one, links)),
              { readWith: READ },
            ),
          ]),
      ...(servers.length === 0 ? [] : [textOfServers(servers)]),
    ],
    about: {
      ...{ by, revision: project.promptsRevision },
      llm: picked === null ? null : (llm?.name ?? null),
      chosen: chosen.whole.map((one) => ({ name: one.prompt.name, why: whyTold(one, picked) })),
      listed: chosen.listed.length,
      dead: chosen.listed.flatMap(({ prompt: { id, name } }) =>
        links.get(id)?.status === 'dead' ? [name] : [],
      ),
    },
  };
}

/** Those that are elsewhere are read first, the first of them: how long they are decides what has room. */
async function withLinks(
  deps: EdgeDeps,
  caller: Caller,
  { ranked, left }: { ranked: readonly Ranked[]; left: AbortSignal },
): Promise<{ chosen: Chosen; links: ReadonlyMap<string, LinkRead> }> {
  const linked = ranked.filter(({ prompt, isWanted }) => isWanted && prompt.link !== null);
  const prompts = linked.slice(0, MOST_LINKS).map(({ prompt }) => prompt);
  const links = await readLinks(deps, viewerOf(caller), { prompts, left });
  const sized = ranked.map((one) => {
    const read = links.get(one.prompt.id);
    return read?.status === 'ok'
      ? { ...one, prompt: { ...one.prompt, bytes: Buffer.byteLength(read.text) } }
      : one;
  });
  return { chosen: chosenIn(sized), links };
}

function lineOf({ prompt, isWanted }: Ranked, links: ReadonlyMap<string, LinkRead>): ListedLine {
  const read = links.get(prompt.id);
  if (read?.status === 'dead') return { prompt, note: `its link is dead: ${read.why}` };
  const isLong = isWanted && (prompt.bytes !== null || prompt.link !== null);
  return { prompt, note: isLong ? `long: ${READ}` : null };
}

async function serversOf(deps: EdgeDeps, viewer: Viewer): Promise<ToldServer[]> {
  const counts = await countTools(deps, viewer);
  return await Promise.all(
    serversFor(viewer).map(async (server) => {
      const pool = await deps.lookAtPool(poolOfServer(server.server));
      const { [statusIn(pool, null)]: state } = {
        active: null,
        hibernating: 'asleep: the first call wakes it',
        inactive: 'not there now',
      } as const;
      return { alias: aliasOf(server), tools: counts.get(server.id) ?? 0, state };
    }),
  );
}
