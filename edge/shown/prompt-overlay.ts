import type { Overlay } from '../resources/overlay.ts';

/** A prompt is its agent's publisher's, or it is kept here. */
export const promptOverlay: Overlay = async (rows, { registry }) => {
  const published = await registry.agents.published.prompts(rows.map(({ id }) => id));
  return rows.map(({ id }) => ({ isPublished: published.has(id) }));
};
