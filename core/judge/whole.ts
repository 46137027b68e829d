import type { Operation } from '../llm.ts';
import { Ending, type Ended } from './ending.ts';
import { faultOfError, isError, type Fault } from './fault.ts';
import { mendReasons, mendStop } from './mend.ts';
import { isJson, jsonObject, jsonValue } from './reason.ts';
import { choiceError, holdsError, unreadable, type Judging } from './stream.ts';

/** A whole answer that is complete, as its caller gets it. */
export interface WholeAnswer extends Omit<Ended, 'missing'> {
  body: string;
}

/** The list that a whole answer to each operation has. */
const parts: Readonly<Record<Operation, string>> = {
  chat: 'choices',
  completions: 'choices',
  embeddings: 'data',
  responses: 'output',
  messages: 'content',
};

/** Judges the body of an answer with 200 as `StreamJudge` judges a stream. */
export function judgeWhole(body: string | undefined, judging: Judging): WholeAnswer | Fault {
  const { operation, chosen = {} } = judging;
  const value = jsonValue(body ?? '');
  if (body === undefined || !isJson(value)) {
    if (body !== undefined && holdsError(value)) return faultOfError(value, { body, chosen });
    return unreadable('The backend answered with something that is not a JSON object.');
  }
  if (isError(value)) return faultOfError(value, { body, chosen });
  const part = value[parts[operation]];
  if (!Array.isArray(part) || (parts[operation] === 'choices' && part.length === 0))
    return unreadable(`The backend answered without ${parts[operation]}.`);
  const ending = new Ending(operation);
  ending.see(value);
  if (ending.failed) return faultOfError(choiceError(value), { body, chosen });
  const mended = mend(body, { operation, ending }); // before the reason is asked for
  const ended = ending.endOfWhole();
  if (!ended || isShort(part, judging))
    return incomplete(`The backend answered with a part of the ${parts[operation]} alone.`);
  const { finishReason, usage } = ended;
  return {
    body: mended,
    ...(finishReason === undefined ? {} : { finishReason }),
    ...(usage === undefined ? {} : { usage }),
  };
}

/** The same of a body with which a backend answers that it was asked for tokens, or refuses to. */
export function judgeCount(body: string | undefined): WholeAnswer | Fault {
  const value = jsonObject(body ?? '');
  if (!value || body === undefined)
    return unreadable('The backend answered with something that is not a JSON object.');
  return isError(value) ? faultOfError(value, { body }) : { body };
}

export function isFault(judged: object): judged is Fault {
  return 'blame' in judged;
}

export function incomplete(message: string): Fault {
  return { blame: 'broken', code: 'backend_incomplete', message, retryable: true };
}

/** Of vectors there are as many as there were texts. A backend may give fewer choices than were asked for. */
function isShort(part: readonly unknown[], { operation, asked }: Judging): boolean {
  return operation === 'embeddings' && part.length < (asked?.() ?? 1);
}

function mend(body: string, { operation, ending }: { operation: Operation; ending: Ending }): string {
  switch (operation) {
    case 'chat':
    case 'completions':
      return ending.needsMending ? mendReasons(body, ending) : body;
    case 'messages':
      return mendStop(body, ending);
    case 'embeddings':
    case 'responses':
      return body;
  }
}
