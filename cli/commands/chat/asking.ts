import { paramsOf } from '../../input/params.ts';
import { readText } from '../../input/stdin.ts';
import type { Context } from '../../who/context.ts';
import { toolsOf, type ToolOptions } from './tools.ts';
import type { Asking } from './turn.ts';

/** How an agent is asked, as the command line says it. */
export interface AskingOptions extends ToolOptions, Omit<Asking, 'params' | 'tools'> {
  /** In place of `system`, the file that has it. */
  systemFile?: string | undefined;
  temperature?: number | undefined;
  topP?: number | undefined;
  topK?: number | undefined;
  maxTokens?: number | undefined;
  seed?: number | undefined;
  stop?: readonly string[] | undefined;
  /** `name=value`, each a parameter of the chat, over the others. */
  param: readonly string[];
}

/** @throws McpctlError `usage`. */
export async function askingOf(ctx: Context, options: AskingOptions): Promise<Asking> {
  const { agent, personality, system, systemFile, systemAppend } = options;
  const { onBusy, truncation, stream, thinking, markdown, pin } = options;
  const { temperature, topP, topK, maxTokens, seed, stop, param } = options;
  return {
    ...{ agent, personality, systemAppend, onBusy, truncation, stream, thinking, markdown, pin },
    system: systemFile === undefined ? system : await readText(ctx, systemFile),
    params: {
      ...(temperature !== undefined && { temperature }),
      ...(topP !== undefined && { top_p: topP }),
      ...(topK !== undefined && { top_k: topK }),
      ...(maxTokens !== undefined && { max_tokens: maxTokens }),
      ...(seed !== undefined && { seed }),
      ...(stop !== undefined && { stop }),
      ...paramsOf(param),
    },
    tools: await toolsOf(ctx, options),
  };
}
