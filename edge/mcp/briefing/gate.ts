import type { Briefing } from '../../../core/queue/live/mcp/briefings.ts';
import { actorOf } from '../../http/context.ts';
import { whenLeft } from '../../http/gone.ts';
import type { EdgeDeps } from '../../deps.ts';
import type { Asked, McpEdge, Session } from '../asked.ts';
import { briefingFor, type Told } from './briefing.ts';

/** Of who asks: one token, whatever it says of sessions, since some clients begin one for each call. */
const briefingOf = ({ req, project }: Pick<Asked, 'req' | 'project'>): Briefing => ({
  projectId: project.id,
  tokenId: actorOf(req).tokenId,
  revision: project.promptsRevision,
});

/** For how long, and where: a client that ends its session is told anew in the next. */
const whereIn = ({ config }: Pick<EdgeDeps, 'config'>, { session }: Pick<Asked, 'session'>) => ({
  keepMs: config.briefingMs,
  session: session?.id ?? null,
});

/** Its client has ended a session. @throws McpctlError `unavailable`. */
export const leaveBriefing = (
  { queue }: Pick<EdgeDeps, 'queue'>,
  { req, project, session }: Pick<Asked, 'req' | 'project'> & { session: Session },
): Promise<void> => queue.briefings.leave(briefingOf({ req, project }), session.id);

/** Whether nothing is listed but `begin_session`: whoever asks in the era before can be told when that changes. */
export const isHidden = async (deps: EdgeDeps, { req, project, leg }: Asked): Promise<boolean> =>
  project.gate === 'hide' &&
  leg.era === 'legacy' &&
  (await deps.queue.briefings.areGood([briefingOf({ req, project })]))[0] !== true;

/** What is told in front of a result; `isTold` is called when it is. */
export interface First {
  text: string;
  isTold: () => void;
}

/**
 * May a call of a tool run, as its project's gate says, and what is its caller told with the result? A briefing is no permission: it lets
 * nobody call what they may not.
 * @returns null: they are to be told first.
 */
export async function passGate(
  deps: McpEdge,
  asked: Asked,
  tool: string,
): Promise<{ first: First | null } | null> {
  const { project } = asked;
  if (project.gate === 'off') return { first: null };
  const { briefings } = deps.queue;
  const briefing = briefingOf(asked);
  if (await briefings.isGood(briefing, whereIn(deps, asked))) return { first: null };
  if (project.gate !== 'brief') return null;
  const { texts, about } = await briefingFor(deps, asked, { task: tool, tags: [], by: 'first result' });
  // Of calls that are made at once the first one's answer tells it.
  if (!(await briefings.open(briefing, whereIn(deps, asked)))) return { first: null };
  return { first: toldWith(deps, asked, { text: texts.join('\n\n'), briefing, about }) };
}

/** Where its answer does not arrive, or is none that has room for it, the next one tells it. */
function toldWith(
  deps: EdgeDeps,
  { res, notes }: Asked,
  { text, briefing, about }: { text: string; briefing: Briefing; about: Told['about'] },
): First {
  let isInAnswer = false;
  const isOver = (): void => {
    if (isInAnswer && res.writableFinished) return;
    deps.queue.briefings.close(briefing).catch(() => undefined); // while Redis is away, nobody was told anyhow
  };
  whenLeft(res).addEventListener('abort', isOver, { once: true });
  return {
    text,
    isTold: () => {
      isInAnswer = true;
      notes.briefed(about);
    },
  };
}

/** They are told now: until their calls fall silent for long, or the prompts change, their calls run. */
export async function openGate(deps: EdgeDeps, asked: Asked): Promise<void> {
  await deps.queue.briefings.open(briefingOf(asked), whereIn(deps, asked));
}

/** What a client is to know before it calls anything; null: nothing. */
export function instructionsOf({ project: { gate }, leg }: Pick<Asked, 'project' | 'leg'>): string | null {
  if (gate === 'off') return null;
  const begin =
    'At the beginning of each new task call begin_session, and say what the task is: its answer are the rules and notes of this project for that task.';
  const more = 'read_prompts reads those that it only lists.';
  if (gate === 'brief') return `${begin} ${more}`;
  const isHidden = gate === 'hide' && leg.era === 'legacy';
  const first = isHidden ? 'All other tools are listed only after that.' : 'Other tools run only after that.';
  return `${begin} ${first} ${more}`;
}
