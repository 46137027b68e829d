import { createHash } from 'node:crypto';
import type { Actor } from '../../../core/access.ts';
import { McpctlError, messageOf } from '../../../core/errors.ts';
import { mcpAnswerSchema } from '../../../core/mcp/call.ts';
import { redactDeep, redactWith, type Redact } from '../../../core/mcp/pipeline/redact/redact.ts';
import { firstPage, limited, readOnFrom, textOf, toolResultIn } from '../../../core/mcp/pipeline/result.ts';
import { partsOf } from '../../../core/mcp/pipeline/sections.ts';
import { limitOf, pagingOf, titlesBy } from '../../../core/mcp/pipeline/settings.ts';
import { titlesOr } from '../../../core/mcp/pipeline/titles.ts';
import type { McpProject } from '../../../core/registry/mcp/servers.ts';
import { asWritten, writtenIn } from '../../../core/mcp/pipeline/as-written.ts';
import { jsonValue } from '../../../core/text/json-text.ts';
import { loopTurn } from '../../../core/text/loop-turns.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import type { EdgeDeps } from '../../deps.ts';
import type { McpEdge } from '../asked.ts';
import type { Answers } from '../legs/leg.ts';
import { failedResult, rpcErrors } from '../rpc.ts';
import type { ExchangeNotes } from '../traffic/exchange.ts';

type Settled = (body: string, row: Pick<TaskRow, 'id' | 'retention'>) => Promise<string>;
type PipeDeps = Pick<EdgeDeps, 'clock' | 'log'>;
/** What each page is called, or not. */
type Title = (pages: readonly string[]) => Promise<readonly (string | null | undefined)[]>;
type Piping = Pick<McpProject, 'id' | 'ownerId' | 'llm' | 'pipeline'>;

/** Longer no result is looked through. */
const LONGEST_MS = 5_000;

/**
 * What a project lets become of what its servers answer, once the row of a call has it as it came: some of it is not shown, a long text is shown
 * in pages, and cut where its project says. Null: nothing becomes of it. What cannot be looked through is not shown; what cannot be
 * parted is shown as it is.
 */
export function pipeOf(
  deps: PipeDeps,
  { project, of, title, notes }: Pick<CutDown, 'of' | 'title'> & { project: Piping; notes?: Piped },
): Settled | null {
  const { pipeline } = project;
  if (Object.keys(pipeline).length === 0) return null;
  return async (body, row) => {
    const from = deps.clock.elapsed();
    const stages = new Set<Stage>();
    const read = writtenIn(body);
    const answer = mcpAnswerSchema.safeParse(read.value);
    if (!answer.success) return body;
    try {
      const shown = await redacting(deps, project, (redact) => redactDeep(answer.data, redact));
      if (pipeline.redact?.length) stages.add('redact');
      const { result, ...rest } = shown as { result?: object };
      if (!result) return JSON.stringify(rest);
      return asWritten({ result: await cutDown(project, { result, row, of, title, stages }) }, read);
    } catch (thrown) {
      deps.log.warn({ taskId: row.id, why: messageOf(thrown) }, 'an MCP result is not shown');
      stages.add('withheld');
      return JSON.stringify(withheld(of));
    } finally {
      notes?.piped(stages, deps.clock.elapsed() - from);
    }
  };
}

/** What became of an answer: some of it is not shown, it is in pages, it is cut, or nothing of it is shown. */
type Stage = 'redact' | 'pages' | 'limit' | 'withheld';
export type Piped = Pick<ExchangeNotes, 'piped'>;

function withheld(of: Answers): object {
  const { code, message } = new McpctlError('mcp_result_withheld');
  if (of === 'call') return { result: failedResult({ code, message }) };
  return { error: { code: rpcErrors.internal, message, data: { code } } };
}

/** Does what is to be done to texts that are not shown whole, in turns with others. @throws TooComplex, and McpctlError where it takes too long. */
async function redacting<T>(
  { clock }: Pick<EdgeDeps, 'clock'>,
  { id, pipeline }: Piping,
  work: (redact: Redact) => Promise<T>,
): Promise<T> {
  const { redact = [] } = pipeline;
  if (redact.length === 0) return await work((text) => Promise.resolve(text));
  const until = clock.elapsed() + LONGEST_MS;
  const breathe = async (): Promise<void> => {
    await loopTurn(id);
    if (clock.elapsed() > until) throw new McpctlError('mcp_result_withheld');
  };
  return await work(redactWith(redact, breathe));
}

/** What a server says of its progress, without what its project does not show. Null: all of it is. */
export function progressOf(deps: Pick<EdgeDeps, 'clock'>, project: Piping): Redact | null {
  if ((project.pipeline.redact ?? []).length === 0) return null;
  return (text) => redacting(deps, project, (redact) => redact(text)).catch(() => '');
}

/** Null: nobody is asked. */
export function titleBy({ titles }: Pick<McpEdge, 'titles'>, project: Piping, actor: Actor): Title | null {
  const llm = titlesBy(project);
  return llm === null ? null : (pages) => titles.of(actor, { llm, ownerId: project.ownerId, pages });
}

const pagesOfText = (text: string, pipeline: Piping['pipeline']): string[] =>
  partsOf(text, pipeline).map((part) => part.text);

interface CutDown {
  result: object;
  row: Pick<TaskRow, 'id' | 'retention'>;
  of: Answers;
  title: Title | null;
  stages: Set<Stage>;
}

async function cutDown(project: Piping, { result, row, of, title, stages }: CutDown): Promise<object> {
  const max = limitOf(project.pipeline) ?? Infinity;
  const cut = (whole: object, readOn: (shown: number) => string): object => {
    const shown = limited(whole, max, readOn);
    if (shown !== whole) stages.add('limit');
    return shown;
  };
  const { pipeline } = project;
  const tool = of === 'call' ? toolResultIn(result) : null;
  const id = resultIdOf(row.id, project);
  // Of an answer that is kept no longer than it takes to give it out there is no second page.
  const isKept = row.retention !== 'none';
  const paging = pagingOf(pipeline);
  const text = tool && isKept ? textOf(tool) : '';
  if (tool && paging && tool.isError !== true && text.length > paging.over) {
    const parts = partsOf(text, pipeline);
    const pages = parts.map((part) => part.text);
    const own = parts.map(({ title }) => title);
    const isTitled = title === null || own.some((one) => one !== null);
    const titles = titlesOr(isTitled ? own : await title(pages), pages.length);
    stages.add('pages');
    return cut(firstPage(tool, pages, { result: id, titles }), () => '');
  }
  return cut(result, (shown) => (text === '' ? '' : readOnFrom(id, pagesOfText(text, pipeline))(shown)));
}

/** What pages depend on: with other numbers they would be others. */
function stampOf({ id, pipeline }: Piping): string {
  const { redact, paginate, split, limit } = pipeline;
  return createHash('sha256')
    .update(JSON.stringify([id, redact, paginate, split, limit]))
    .digest('hex')
    .slice(0, 8);
}

/** What names a result to who reads more of it: the task that it is of, and how its project parts it. */
const resultIdOf = (taskId: string, project: Piping): string => `${taskId}.${stampOf(project)}`;

/** @returns the task; null for what is none of a project, or is of what it was before. */
export function taskOfResult(result: string, project: Piping): string | null {
  const [, taskId, stamp] = /^([\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})\.([\da-f]{8})$/.exec(result) ?? [];
  return taskId !== undefined && stamp === stampOf(project) ? taskId : null;
}

/** What a body says, as its project shows it to who may read it. @throws as `redacting`. */
export const redacted = (deps: Pick<EdgeDeps, 'clock'>, project: Piping, value: unknown): Promise<unknown> =>
  redacting(deps, project, (redact) => redactDeep(value, redact));

/** The text of an answer in pages; null: it is no result of a tool. @throws as `redacting`. */
export async function pagesIn(
  deps: Pick<EdgeDeps, 'clock'>,
  project: Piping,
  body: string,
): Promise<string[] | null> {
  const answer = mcpAnswerSchema.safeParse(jsonValue(body));
  if (!answer.success || !('result' in answer.data)) return null;
  const shown = await redacting(deps, project, (redact) => redactDeep(answer.data, redact));
  const tool = toolResultIn((shown as { result: unknown }).result);
  return tool && pagesOfText(textOf(tool), project.pipeline);
}
