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
