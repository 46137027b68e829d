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

/** A prompt is its agent's publisher's, or it is kept here. */
export const promptOverlay: Overlay = async (rows, { registry }) => {
  const published = await registry.agents.published.prompts(rows.map(({ id }) => id));
  return rows.map(({ id, values: { agent, project, content } }) => ({
    isPublished: published.has(id),
    scope: scopeOf({ agent, project }),
    bytes: Buffer.byteLength(String(content)),
  }));
};

function scopeOf({ agent, project }: Readonly<Record<'agent' | 'project', unknown>>): string {
  if (typeof agent === 'string') return `agent/${agent}`;
  return typeof project === 'string' ? `project/${project}` : 'global';
}

export const projectOverlay: Overlay = async (rows, { registry }) => {
  const counts = await registry.agents.inProjects(rows.map(({ id }) => id));
  return rows.map(({ id }) => counts.get(id) ?? { agents: 0, prompts: 0 });
};
