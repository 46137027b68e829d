import { z } from 'zod';
import { McpctlError, messageOf } from '../../../core/errors.ts';
import { poolOfServer } from '../../../core/mcp/names.ts';
import { limited, READ_PAGE, readPageAbout } from '../../../core/mcp/pipeline/result.ts';
import { hasPages, wholeLength } from '../../../core/mcp/pipeline/settings.ts';
import type { McpProject } from '../../../core/registry/mcp/servers.ts';
import { keptBodies } from '../../limits/kept-bodies.ts';
import { readsBodies } from '../../shown/task/task-of.ts';
import type { Asked, McpEdge } from '../asked.ts';
import { pagesIn, taskOfResult } from '../pipe/pipe.ts';
import { failedResult } from '../rpc.ts';
import { serversFor, viewerOf, type Viewer } from '../tools.ts';
import type { OwnTool } from './own-tool.ts';

const givenSchema = z.looseObject({
  result: z.string().max(128),
  page: z.union([z.literal('all'), z.coerce.number().int().min(1)]),
});

/** Reads on where a result was shown in pages, or was cut. */
export const readPage: OwnTool = {
  name: READ_PAGE,
  isIn: ({ pipeline }) => hasPages(pipeline),
  about: readPageAbout,
  call: (deps, asked, given) => pageResult(deps, readerOf(deps, asked), given),
};

/** Who reads a page, and how the answer that it is of is fetched for them. */
interface PageReader extends Viewer {
  bodyOf: (taskId: string) => Promise<string | null>;
}

const readerOf = (deps: McpEdge, { req, project }: Pick<Asked, 'req' | 'project'>): PageReader => ({
  ...viewerOf({ req, project }),
  bodyOf: async (taskId) => (await keptBodies(deps, req, taskId)).responseBody,
});

/** @param pages those that were just read here; null: none are kept. */
type PageDeps = Pick<McpEdge, 'registry' | 'clock' | 'log'> & { pages: McpEdge['pages'] | null };

/** The result of a call of the tool, for whoever may read the answer that it is of. */
export async function pageResult(deps: PageDeps, reader: PageReader, given: unknown): Promise<object> {
  const parsed = givenSchema.safeParse(given);
  if (!parsed.success)
    return failedResult({
      code: 'invalid_request',
      message: `${READ_PAGE} takes the id of a result, and the number of a page or "all".`,
    });
  const { result, page } = parsed.data;
  const pages = await pagesFor(deps, reader, result);
  if (typeof pages === 'string') return failedResult(new McpctlError(pages));
  const text = page === 'all' ? pages.join('') : pages[page - 1];
  if (text === undefined)
    return failedResult({
      code: 'invalid_request',
      message: `That result has ${String(pages.length)} pages, and no page ${String(page)}.`,
    });
  const whole = { content: [{ type: 'text', text }] };
  return limited(whole, wholeLength(reader.project.pipeline), () => '; read them page by page');
}

const PAGES = 'mcpctl://results/';

/** The same as resources, for clients that read those. */
export const pageTemplatesOf = ({ pipeline }: Pick<McpProject, 'pipeline'>): readonly object[] =>
  hasPages(pipeline)
    ? [
        {
          uriTemplate: `${PAGES}{result}/{page}`,
          name: 'page of a long result',
          description: `The same as the tool ${READ_PAGE} reads.`,
          mimeType: 'text/plain',
        },
      ]
    : [];

/** Whether a URI is a page's, there or not: what is the gateway's own no server is asked for, whatever it lists. */
export const isPageUri = ({ pipeline }: Pick<McpProject, 'pipeline'>, uri: string): boolean =>
  uri.startsWith(PAGES) && hasPages(pipeline);

/** @returns null for none that is there for who asks. @param uri of which `isPageUri` says yes. */
export async function pageOfUri(deps: McpEdge, asked: Asked, uri: string): Promise<object | null> {
  const { project } = asked;
  const [result = '', number = ''] = uri.slice(PAGES.length).split('/');
  if (!/^[1-9]\d{0,8}$/.test(number)) return null;
  const pages = await pagesFor(deps, readerOf(deps, asked), result);
  const text = typeof pages === 'string' ? undefined : pages[Number(number) - 1];
  if (text === undefined) return null;
  const whole = { contents: [{ uri, mimeType: 'text/plain', text }] };
  return limited(whole, wholeLength(project.pipeline), () => '');
}

/** @returns why not, where there are none for who asks: what is another's looks as what is not there. */
async function pagesFor(
  deps: PageDeps,
  { actor, project, bodyOf }: PageReader,
  result: string,
): Promise<readonly string[] | 'mcp_result_gone' | 'mcp_result_withheld'> {
  const { userId } = actor;
  const taskId = taskOfResult(result, project);
  const row = taskId === null ? undefined : await deps.registry.tasks.byId(taskId);
  const pools = serversFor({ actor, project }).map(({ server }) => poolOfServer(server));
  const isTheirs = row?.ownerId === userId && row.operation === 'mcp' && pools.includes(row.poolName);
  if (!row || !isTheirs || !readsBodies(actor, row) || row.status !== 'completed') return 'mcp_result_gone';
  const kept = deps.pages?.get(result);
  if (kept) return (await deps.registry.tasks.bodyBytes(row.id)) === 0 ? 'mcp_result_gone' : kept;
  const responseBody = await bodyOf(row.id);
  if (responseBody === null) return 'mcp_result_gone';
  try {
    const pages = await pagesIn(deps, project, responseBody);
    if (!pages || pages.length === 0) return 'mcp_result_gone';
    const size = pages.reduce((sum, text) => sum + text.length, 0);
    deps.pages?.keep(result, { userId, value: pages, size });
    return pages;
  } catch (thrown) {
    deps.log.warn({ taskId: row.id, why: messageOf(thrown) }, 'an MCP result is not shown');
    return 'mcp_result_withheld';
  }
}
