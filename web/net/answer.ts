import { ask, Fault, isFault } from './api.ts';
import { eventsOf } from './events.ts';

/** What a stream of a chat has said by now. */
export interface Answer {
  text: string;
  thought: string;
  /** Place in the line, or what it waits for. */
  waiting: string;
  finish: string | null;
  tokens: number | null;
}

export const noAnswer: Answer = { text: '', thought: '', waiting: '', finish: null, tokens: null };

interface Chunk {
  choices?: {
    delta?: { content?: unknown; reasoning_content?: unknown; reasoning?: unknown };
    text?: unknown;
    finish_reason?: unknown;
  }[];
  usage?: { completion_tokens?: unknown } | null;
  error?: { message?: unknown; code?: unknown };
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

function taken(answer: Answer, { choices = [], usage }: Chunk): Answer {
  const [choice] = choices;
  const { delta = {}, text, finish_reason: finish } = choice ?? {};
  return {
    text: answer.text + textOf(delta.content) + textOf(text),
    thought: answer.thought + textOf(delta.reasoning_content) + textOf(delta.reasoning),
    waiting: '',
    finish: typeof finish === 'string' ? finish : answer.finish,
    tokens: typeof usage?.completion_tokens === 'number' ? usage.completion_tokens : answer.tokens,
  };
}

/** An edge says place and wait in comments and events that are not OpenAI's; whatever is no chunk is passed over. */
function chunkOf(data: string): Chunk | undefined {
  try {
    const chunk: unknown = JSON.parse(data);
    return typeof chunk === 'object' && chunk !== null ? chunk : undefined;
  } catch {
    return undefined; // not ours to judge: the next one may be whole
  }
}

/**
 * Follows a streamed answer, and tells what there is of it.
 * @param seen is told the id of each event, so that a lost line is taken up after it. @throws Fault, or as the connection does.
 */
export async function readAnswer(
  answer: Response,
  {
    from = noAnswer,
    show,
    seen,
  }: { from?: Answer; show: (answer: Answer) => void; seen?: (id: string) => void },
): Promise<Answer> {
  let now = from;
  for await (const { data, id } of eventsOf(answer)) {
    if (id !== '') seen?.(id);
    if (data === '[DONE]') return now;
    const chunk = chunkOf(data);
    if (chunk?.error) throw faultIn(chunk.error);
    if (!chunk?.choices && !chunk?.usage) continue;
    now = taken(now, chunk);
    show(now);
  }
  return now;
}

const faultIn = ({ message, code }: NonNullable<Chunk['error']>): Fault =>
  new Fault({
    status: 200,
    code: textOf(code) || 'error',
    sentence: textOf(message) || 'The answer broke off.',
    requestId: '',
  });

const RESUMES = 5;

export interface Following {
  taskId: string;
  signal: AbortSignal;
  show: (answer: Answer) => void;
  /** What came of it before, and the last event of that. */
  from?: Answer;
  after?: string;
}

/** A task's answer from where it was left, over broken lines too. @throws Fault when it ended with one, or cannot be followed any more. */
export async function followTask({
  taskId,
  signal,
  show,
  from = noAnswer,
  after = '',
}: Following): Promise<Answer> {
  let [now, last] = [from, after];
  for (let tries = 0; ; tries++) {
    try {
      const query = last === '' ? '' : `?after=${encodeURIComponent(last)}`;
      const answer = await ask('GET', `/tasks/${taskId}/stream${query}`, { signal });
      const showPart = (part: Answer): void => {
        tries = 0;
        show((now = part));
      };
      return await readAnswer(answer, { from: now, show: showPart, seen: (id) => (last = id) });
    } catch (thrown) {
      if (signal.aborted || (isFault(thrown) && thrown.status !== 0) || tries >= RESUMES) throw thrown;
      await new Promise((resolve) => setTimeout(resolve, 500 * (tries + 1)));
    }
  }
}
