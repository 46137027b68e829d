import { z } from 'zod';
import { McpctlError } from '../../../core/errors.ts';
import {
  MOST_OFFERS,
  noOffers,
  promptSchema,
  resourceSchema,
  templateSchema,
  type Offers,
} from '../../../core/mcp/offers.ts';
import { anyToolSchema, MOST_TOOLS, serverToolSchema, type ServerTool } from '../../../core/mcp/tools.ts';
import { jsonValue } from '../../../core/text/json-text.ts';
import { ChildFailure, type Answered, type Peer } from '../child.ts';

const pageSchema = z.looseObject({ nextCursor: z.string().optional() });

const MOST_PAGES = 50;

type Asking = Pick<Peer, 'request' | 'blank'>;

interface How {
  withinMs: number;
  signal: AbortSignal;
}

/**
 * What a server says of itself is kept, and shown to others: the values of its secrets are taken out of it.
 * @throws ChildFailure, McpctlError `mcp_server_down` where one of them was no text.
 */
export async function heardOf(
  child: Asking,
  { method, params, how }: { method: string; params: object; how: How },
): Promise<Answered> {
  const { from: _asWritten, ...answered } = await child.request(method, params, how);
  const answer = jsonValue(child.blank(JSON.stringify(answered)));
  if (typeof answer === 'object' && answer !== null) return answer as Answered;
  throw new McpctlError('mcp_server_down', `it answered ${method} in no form that is known`);
}

/** One list of a server: what it is called, how many are kept, and what of an entry is; undefined where it cannot be kept. */
interface List<T> {
  method: string;
  field: string;
  most: number;
  read: (entry: unknown) => T | undefined;
  /** Of two that have the same one the first is kept. */
  key: (entry: T) => string;
}

/** @throws McpctlError `mcp_server_down` when it does not say. @throws ChildFailure. */
async function listAll<T>(
  child: Asking,
  { method, field, most, read, key }: List<T>,
  how: How,
): Promise<T[]> {
  const all = new Map<string, T>();
  let cursor: string | undefined;
  for (let page = 0; page < MOST_PAGES && all.size < most; page += 1) {
    const answer = await heardOf(child, { method, params: cursor === undefined ? {} : { cursor }, how });
    if ('error' in answer) {
      if (answer.error.code === -32601) break; // it has none
      throw new McpctlError('mcp_server_down', `it would not answer ${method}: ${answer.error.message}`);
    }
    const listed = pageSchema.safeParse(answer.result);
    const entries = listed.data?.[field];
    if (!listed.success || !Array.isArray(entries))
      throw new McpctlError('mcp_server_down', `it answered ${method} in no form that is known`);
    for (const listedEntry of entries as unknown[]) {
      const entry = read(listedEntry);
      if (entry && all.size < most && !all.has(key(entry))) all.set(key(entry), entry);
    }
    cursor = listed.data.nextCursor;
    if (cursor === undefined) break;
  }
  return [...all.values()];
}

export interface ListedTools {
  tools: readonly ServerTool[];
  /** Names of those that are larger than is kept of a tool. */
  tooLarge: readonly string[];
}

/** What tools a server has, as it says: what is no tool is left out. @throws McpctlError `mcp_server_down` when it does not say. */
export async function listTools(child: Asking, how: How): Promise<ListedTools> {
  const all = await listAll<ServerTool | LargeTool>(
    child,
    { method: 'tools/list', field: 'tools', most: MOST_TOOLS, read: toolOf, key: ({ name }) => name },
    how,
  );
  return {
    tools: all.filter((tool): tool is ServerTool => !('isTooLarge' in tool)),
    tooLarge: all.filter((tool) => 'isTooLarge' in tool).map(({ name }) => name),
  };
}

interface LargeTool {
  name: string;
  isTooLarge: true;
}

/** What a call can do without, and is in no form that is known, is left out; undefined where that is the tool itself. */
function toolOf(listedTool: unknown): ServerTool | LargeTool | undefined {
  const whole = serverToolSchema.safeParse(listedTool);
  if (whole.success) return whole.data;
  const needed = serverToolSchema.omit({ outputSchema: true, annotations: true }).safeParse(listedTool);
  if (needed.success) return needed.data;
  const large = anyToolSchema.safeParse(listedTool);
  return large.success ? { name: large.data.name, isTooLarge: true } : undefined;
}

/** What a server has beside tools. One that lists none of it well has none: its tools are used all the same. @throws ChildFailure when it is gone. */
export async function listOffers(child: Peer, capabilities: object, how: How): Promise<Offers> {
  const [prompts, resources, templates] = await Promise.all([
    'prompts' in capabilities
      ? orNone(
          listAll(
            child,
            {
              method: 'prompts/list',
              field: 'prompts',
              most: MOST_OFFERS.prompt,
              read: (entry) => promptSchema.safeParse(entry).data,
              key: ({ name }) => name,
            },
            how,
          ),
        )
      : noOffers.prompts,
    'resources' in capabilities
      ? orNone(
          listAll(
            child,
            {
              method: 'resources/list',
              field: 'resources',
              most: MOST_OFFERS.resource,
              read: (entry) =>
                resourceSchema.safeParse(entry).data ??
                resourceSchema.omit({ annotations: true, size: true }).safeParse(entry).data,
              key: ({ uri }) => uri,
            },
            how,
          ),
        )
      : noOffers.resources,
    'resources' in capabilities
      ? orNone(
          listAll(
            child,
            {
              method: 'resources/templates/list',
              field: 'resourceTemplates',
              most: MOST_OFFERS.template,
              read: (entry) =>
                templateSchema.safeParse(entry).data ??
                templateSchema.omit({ annotations: true }).safeParse(entry).data,
              key: ({ uriTemplate }) => uriTemplate,
            },
            how,
          ),
        )
      : noOffers.templates,
  ]);
  return { prompts, resources, templates };
}

async function orNone<T>(listing: Promise<T[]>): Promise<T[]> {
  try {
    return await listing;
  } catch (thrown) {
    if (thrown instanceof ChildFailure && thrown.code === 'gone') throw thrown;
    return [];
  }
}
