/** The screens that come with the second file, when one is first gone to: all but the overview. */
export { Access } from './access.tsx';
export { Audit } from './audit.tsx';
export { JoinCodes } from './join-codes.tsx';
export { Llm, Llms } from './llms.tsx';
export { Mcp } from './mcp.tsx';
export { Playground } from './playground.tsx';
export { Pool, Pools } from './pools.tsx';
export { Resources } from './resources.tsx';
export { System } from './system.tsx';
export { Task } from './task.tsx';
export { Tasks } from './tasks.tsx';
export { Traffic } from './traffic.tsx';
export { Usage } from './usage.tsx';
export { Worker, Workers } from './workers.tsx';
