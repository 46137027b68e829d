import { McpctlError } from '../errors.ts';
import { storableWord } from '../text/storable.ts';
import { translatedOperations, type KeptHead } from '../task/head.ts';
import { chatBodyOf } from './request.ts';

interface Asked {
  body: string;
  head: KeptHead;
}

/**
 * What members get: the row keeps what the caller sent, and a translation of that always gives the same.
 * @throws McpctlError `protocol_unsupported` for one that only a newer release can translate.
 */
export function sentBody({ body, head: { translated: from } }: Asked): string {
  if (from === undefined) return body;
  const translation = translatedOperations.find((operation) => operation === from);
  if (translation === undefined)
    throw new McpctlError(
      'protocol_unsupported',
      `Only a newer release can translate what was asked as ${storableWord(from)}.`,
    );
  return JSON.stringify(chatBodyOf(translation, body));
}

/** The body of a task as its member gets it. @returns null when its row is gone. @throws McpctlError `unavailable`. */
export async function memberBody(
  { tasks }: { tasks: { submissionOf: (taskId: string) => Promise<Asked | null | undefined> } },
  taskId: string,
): Promise<string | null> {
  const submission = await tasks.submissionOf(taskId);
  return submission ? sentBody(submission) : null;
}
