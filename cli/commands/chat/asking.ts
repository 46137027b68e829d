import { McpctlError } from '../../../core/errors.ts';
import { toolsOf, type ToolOptions } from './tools.ts';
import type { Asking } from './turn.ts';

/** How an agent is asked, as the command line says it. */
export interface AskingOptions extends ToolOptions, Omit<Asking, 'params' | 'tools'> {
  temperature?: number | undefined;
  topP?: number | undefined;
  topK?: number | undefined;
  maxTokens?: number | undefined;
  seed?: number | undefined;
  stop?: readonly string[] | undefined;
  /** `name=value`, each a parameter of the chat, over the others. */
  param: readonly string[];
}

/** A value is JSON where it is any, else text. */
export function valueOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** @throws McpctlError `usage`. */
function paramOf(param: string): [string, unknown] {
  const at = param.indexOf('=');
  if (at < 1)
    throw new McpctlError('usage', `--param is written like top_p=0.9, and not ${JSON.stringify(param)}.`);
  return [param.slice(0, at), valueOf(param.slice(at + 1))];
}

/** @throws McpctlError `usage`. */
export async function askingOf(options: AskingOptions): Promise<Asking> {
  const { agent, personality, systemAppend, onBusy, stream, thinking, pin } = options;
  const { temperature, topP, topK, maxTokens, seed, stop, param } = options;
  return {
    ...{ agent, personality, systemAppend, onBusy, stream, thinking, pin },
    params: {
      ...(temperature !== undefined && { temperature }),
      ...(topP !== undefined && { top_p: topP }),
      ...(topK !== undefined && { top_k: topK }),
      ...(maxTokens !== undefined && { max_tokens: maxTokens }),
      ...(seed !== undefined && { seed }),
      ...(stop !== undefined && { stop }),
      ...Object.fromEntries(param.map(paramOf)),
    },
    tools: await toolsOf(options),
  };
}
