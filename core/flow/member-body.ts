import type { Registry } from '../registry/registry.ts';
import type { Submission } from '../registry/task-upkeep.ts';
import { chatBodyOf } from '../translate/request.ts';

/** What members get: the row keeps what the caller sent, and a translation of that always gives the same. */
export function sentBody({ body, head: { translated } }: Pick<Submission, 'body' | 'head'>): string {
  return translated === undefined ? body : JSON.stringify(chatBodyOf(translated, body));
}

/** The body of a task as its member gets it. @returns null when its row is gone. @throws McpctlError `unavailable`. */
export async function memberBody(
  { tasks }: { tasks: Pick<Registry['tasks'], 'submissionOf'> },
  taskId: string,
): Promise<string | null> {
  const submission = await tasks.submissionOf(taskId);
  return submission && sentBody(submission);
}
