import type { Context } from '../who/context.ts';
import type { ToolResult } from './project-tools.ts';

/** Said by mcpctl, of a call that came to no result of the tool. */
const isOfNoTool = ({ _meta }: ToolResult): boolean => _meta?.['mcpctl.dev/code'] !== undefined;

/** Whether it went well, the tool says that it failed, or it came to no result of the tool. */
export function outcomeOf(result: ToolResult): 'ok' | 'failed' | 'no result' {
  if (result.isError !== true) return 'ok';
  return isOfNoTool(result) ? 'no result' : 'failed';
}

/** A result as a model sees it: texts on stdout, of what is none a line on stderr. */
export function showResult({ out }: Pick<Context, 'out'>, result: ToolResult): void {
  for (const block of result.content) {
    const text = block['text'];
    if (block.type !== 'text' || typeof text !== 'string') out.note(`[${lineOf(block)}]`);
    else if (isOfNoTool(result)) out.note(text);
    else out.data(text.endsWith('\n') ? text : `${text}\n`);
  }
  if (result.content.length === 0) out.note('(It said nothing.)');
}

function lineOf(block: ToolResult['content'][number]): string {
  const { type, mimeType, uri, data } = block as Record<string, unknown> & { type: string };
  const bytes = typeof data === 'string' ? `${String(Math.round((data.length * 3) / 4))} bytes` : undefined;
  return [type, mimeType, uri, bytes].filter((part) => typeof part === 'string').join(' ');
}
