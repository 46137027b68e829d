import { oneLine } from '../../core/runtime/plain.ts';
import type { Tool } from './project-tools.ts';

const MOST_DESCRIPTION = 100;

/** A line for each tool: its name, what it takes, what it does. */
export function toolLines(tools: readonly Tool[]): string[] {
  const heads = tools.map(({ name, inputSchema }) => {
    const keys = Object.keys(inputSchema.properties ?? {});
    return oneLine(`${name}${keys.length === 0 ? '' : ` ${keys.map((key) => `${key}=`).join(' ')}`}`);
  });
  const width = Math.min(60, Math.max(0, ...heads.map((head) => head.length)));
  return tools.map(({ description = '' }, n) => {
    const summary = oneLine(description.split('\n', 1)[0] ?? '').slice(0, MOST_DESCRIPTION);
    return `${(heads[n] ?? '').padEnd(width)}  ${summary}`.trimEnd();
  });
}
