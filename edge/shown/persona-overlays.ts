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
  return rows.map(({ id }) => ({ isPublished: published.has(id) }));
};
