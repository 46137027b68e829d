import { agentOverlay } from '../shown/agent-overlay.ts';
import { groupOverlay, rbacOverlay, userOverlay } from '../shown/identity-overlays.ts';
import { personalityOverlay, projectOverlay, promptOverlay } from '../shown/persona-overlays.ts';
import { secretOverlay } from '../shown/secret-overlay.ts';
import { serverOverlay } from '../shown/server-overlay.ts';
import type { Overlay } from './overlay.ts';

/** By the words of resources. */
export const overlays: Readonly<Record<string, Overlay>> = {
  agent: agentOverlay,
  personality: personalityOverlay,
  project: projectOverlay,
  prompt: promptOverlay,
  server: serverOverlay,
  user: userOverlay,
  group: groupOverlay,
  rbac: rbacOverlay,
  secret: secretOverlay,
};
