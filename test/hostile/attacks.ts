import type { Attack } from './attack.ts';
import { bodies } from './attacks/bodies.ts';
import { connections } from './attacks/connections.ts';
import { userCalls } from './attacks/calls.ts';
import { mcp } from './attacks/mcp.ts';
import { workers } from './attacks/workers.ts';

/** All there are. Each is bounded in count and time, and goes to a loopback address alone. */
export const attacks: Readonly<Record<string, Attack>> = {
  ...bodies,
  ...connections,
  ...userCalls,
  ...mcp,
  ...workers,
};
