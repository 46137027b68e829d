import type { TaskHead } from '../task-head.ts';
import { chatBodyOf } from './request.ts';

interface Asked {
  body: string;
  head: TaskHead;
}

/** What members get: the row keeps what the caller sent, and a translation of that always gives the same. */
export function sentBody({ body, head: { translated } }: Asked): string {
  return translated === undefined ? body : JSON.stringify(chatBodyOf(translated, body));
}

/** The body of a task as its member gets it. @returns null when its row is gone. @throws McpctlError `unavailable`. */
export async function memberBody(
  { tasks }: { tasks: { submissionOf: (taskId: string) => Promise<Asked | null | undefined> } },
  taskId: string,
): Promise<string | null> {
  const submission = await tasks.submissionOf(taskId);
  return submission ? sentBody(submission) : null;
}
