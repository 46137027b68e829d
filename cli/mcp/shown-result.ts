import type { Context } from '../who/context.ts';
import type { ToolResult } from './project-tools.ts';

/**
 * A result as a model sees it: texts on stdout, of what is none a line on stderr.
 * @returns whether it went well, the tool says that it failed, or it came to no result of the tool.
 */
export function showResult({ out }: Pick<Context, 'out'>, result: ToolResult): 'ok' | 'failed' | 'no result' {
  const isOurs = result._meta?.['mcpctl.dev/code'] !== undefined;
  for (const block of result.content) {
    const text = block['text'];
    if (block.type !== 'text' || typeof text !== 'string') out.note(`[${lineOf(block)}]`);
    else if (isOurs) out.note(text);
    else out.data(text.endsWith('\n') ? text : `${text}\n`);
  }
  if (result.content.length === 0) out.note('(It said nothing.)');
  if (result.isError !== true) return 'ok';
  return isOurs ? 'no result' : 'failed';
}

function lineOf(block: ToolResult['content'][number]): string {
  const { type, mimeType, uri, data } = block as Record<string, unknown> & { type: string };
  const bytes = typeof data === 'string' ? `${String(Math.round((data.length * 3) / 4))} bytes` : undefined;
  return [type, mimeType, uri, bytes].filter((part) => typeof part === 'string').join(' ');
}
