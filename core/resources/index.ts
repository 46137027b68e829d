import { agent } from './talk/agent.ts';
import { audit } from './people/audit.ts';
import type { Definition, Guarded, Listed } from './define.ts';
import { board, metrics, task } from './guarded.ts';
import { llm } from './llm.ts';
import { server } from './mcp/server.ts';
import { template } from './mcp/template.ts';
import { group, rbac, user } from './people/identity.ts';
import { personality } from './talk/personality.ts';
import { secret } from './people/secret.ts';
import { session } from './session.ts';
import { pool } from './pool.ts';
import { project } from './talk/project.ts';
import { prompt } from './talk/prompt.ts';
import { thread } from './talk/thread.ts';
import { token } from './people/token.ts';

/** Every resource, by its word. A new one is added here. */
export const resources = {
  llm,
  pool,
  task,
  session,
  token,
  server,
  template,
  project,
  agent,
  prompt,
  personality,
  thread,
  board,
  metrics,
  user,
  group,
  rbac,
  secret,
  audit,
};
export type Resource = keyof typeof resources;

const isListed = (resource: Guarded): resource is Listed => 'columns' in resource;
const isStored = (resource: Guarded): resource is Definition => 'quota' in resource;

/** Those that the command line shows by what is said of them, and nothing else. */
export const listed: readonly Listed[] = Object.values<Guarded>(resources).filter(isListed);
/** Those that the generic store keeps. */
export const stored: readonly Definition[] = listed.filter(isStored);
