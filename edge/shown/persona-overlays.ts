import type { UnboundName } from '../../core/registry/names/meant.ts';
import { linkSchema } from '../../core/mcp/gate.ts';
import type { Overlay } from '../resources/overlay.ts';

/** A personality is its agent's default, or it is not. */
export const personalityOverlay: Overlay = async (rows, { registry }) => {
  const defaults = await registry.agents.defaultsOf([
    ...new Set(rows.map(({ refersTo }) => refersTo['agent'] ?? '')),
  ]);
  return rows.map(({ values, refersTo }) => ({
    isDefault: defaults.get(refersTo['agent'] ?? '') === values['name'],
  }));
};

/** A prompt is its agent's publisher's, or it is kept here; where it is elsewhere, it could be read when that was tried last, or not. */
export const promptOverlay: Overlay = async (rows, { registry, queue }) => {
  const published = await registry.agents.published.prompts(rows.map(({ id }) => id));
  const linked = rows.flatMap(({ id, values, refersTo }) => {
    const link = linkSchema.safeParse(values['link']);
    const projectId = refersTo['project'];
    return link.success && projectId != null ? [{ id, link: { projectId, ...link.data } }] : [];
  });
  // What only Redis knows is not known while it is away.
  const statuses = await queue.linkedTexts.statuses(linked.map(({ link }) => link)).catch(() => []);
  const statusOf = new Map(linked.map(({ id }, at) => [id, statuses[at] ?? null]));
  return rows.map(({ id, values: { agent, project, content } }) => ({
    isPublished: published.has(id),
    linkStatus: statusOf.get(id) ?? null,
    scope: scopeOf({ agent, project }),
    bytes: Buffer.byteLength(String(content)),
  }));
};

function scopeOf({ agent, project }: Readonly<Record<'agent' | 'project', unknown>>): string {
  if (typeof agent === 'string') return `agent/${agent}`;
  return typeof project === 'string' ? `project/${project}` : 'global';
}

export const projectOverlay: Overlay = async (rows, { registry }) => {
  const ids = rows.map(({ id }) => id);
  const counts = await registry.agents.inProjects(ids);
  const unbound = await registry.mcp.unbound(ids);
  const llmOwners = await registry.mcp.llmOwners(ids);
  return rows.map(({ id }) => ({
    ...(counts.get(id) ?? { agents: 0, prompts: 0 }),
    llmOwner: llmOwners.get(id) ?? null,
    unbound: unbound.filter(({ projectId }) => projectId === id).map(unboundSentence),
  }));
};

function unboundSentence({ field, name, isThere }: UnboundName): string {
  const [what, anew] =
    field === 'llm'
      ? [`the llm '${name}'`, 'set llm to null, and then to it again']
      : [`the server '${name}'`, 'take it out of servers, and then put it in again'];
  return isThere
    ? `changed: ${what} is another owner's than when it was written here, and is not called. If that one is meant, ${anew}.`
    : `gone: ${what} is not there now. It is called once whoever had it has it again; where nobody had, the project's owner.`;
}
