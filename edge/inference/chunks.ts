import { spliceMembers } from '../../core/json-text.ts';

/** What a caller is told while it waits, on chunks that every client takes for empty. */
export interface WaitState {
  state: 'queued' | 'running';
  /** The how manieth to be taken; missing where that is not known. */
  position?: number;
}

/** A chunk without content, after the form of reference clients: `choices` is there, the delta says nothing new. */
export function emptyChunk({
  taskId,
  model,
  createdS,
  first,
  wait,
}: {
  taskId: string;
  model: string;
  createdS: number;
  first: boolean;
  wait: WaitState;
}): string {
  return JSON.stringify({
    id: `chatcmpl-${taskId}`,
    object: 'chat.completion.chunk',
    created: createdS,
    model,
    choices: [{ index: 0, delta: first ? { role: 'assistant', content: '' } : {}, finish_reason: null }],
    mcpctl: wait,
  });
}

/**
 * A backend's event as the caller gets it: the model called what the caller called it, the usage chunk left
 * out when it was not asked for (we always ask the backend for it). Undefined: nothing to send.
 */
export function chunkFor(
  data: string,
  { model, wantsUsage }: { model: string; wantsUsage: boolean },
): string | undefined {
  if (!wantsUsage && isUsageChunk(data)) return undefined;
  return spliceMembers(data, { model: JSON.stringify(model) }) ?? data;
}

/** A whole answer as the caller gets it: the model called what the caller called it. */
export function bodyFor(body: string, model: string): string {
  return spliceMembers(body, { model: JSON.stringify(model) }) ?? body;
}

function isUsageChunk(data: string): boolean {
  if (!data.includes('"usage"')) return false;
  try {
    const chunk: unknown = JSON.parse(data);
    if (typeof chunk !== 'object' || chunk === null || !('choices' in chunk)) return false;
    return Array.isArray(chunk.choices) && chunk.choices.length === 0;
  } catch {
    return false; // not JSON: then it is not the usage chunk either
  }
}
