import type { Actor } from '../../../../core/access.ts';
import type { OfferedTool } from '../../../../core/agent/offered.ts';
import { McpctlError } from '../../../../core/errors.ts';
import { READ_PAGE, readPageAbout } from '../../../../core/mcp/pipeline/result.ts';
import { hasPages } from '../../../../core/mcp/pipeline/settings.ts';
import { shownTool } from '../../../../core/mcp/tools.ts';
import type { McpProject } from '../../../../core/registry/mcp/servers.ts';
import { projectFor, toolsFor, type McpDeps } from '../../../mcp/tools.ts';

/** Definitions that a model is sent with each round, in bytes together: what is more is not offered. */
const MOST_BYTES = 262_144;

/** A project as its endpoint shows it to that actor; undefined where it shows them none. */
export async function projectSeen(
  deps: McpDeps,
  actor: Actor,
  name: string,
): Promise<McpProject | undefined> {
  try {
    return await projectFor(deps, actor, name);
  } catch (thrown) {
    if (thrown instanceof McpctlError && thrown.code === 'project_not_found') return undefined;
    throw thrown;
  }
}

/** The tools of a project that its endpoint lists for that actor, as chat completions list them, and the one that reads on in what they say. */
export async function offeredTools(deps: McpDeps, actor: Actor, projectName: string): Promise<OfferedTool[]> {
  const project = await projectSeen(deps, actor, projectName);
  if (!project) return [];
  const pages = hasPages(project.pipeline)
    ? [{ name: READ_PAGE, text: asFunction({ name: READ_PAGE, ...readPageAbout }) }]
    : [];
  const offered: OfferedTool[] = [...pages];
  let bytes = 0;
  for (const [name, { tool, state }] of await toolsFor(deps, { actor, project })) {
    const text = asFunction(shownTool(tool, { name, state }));
    bytes += Buffer.byteLength(text);
    if (bytes > MOST_BYTES) break;
    offered.push({ name, text });
  }
  return offered;
}

type Shown = Pick<ReturnType<typeof shownTool>, 'name' | 'description' | 'inputSchema'>;

function asFunction({ name, description, inputSchema }: Shown): string {
  const described = description === undefined ? {} : { description };
  return JSON.stringify({ type: 'function', function: { name, ...described, parameters: inputSchema } });
}
