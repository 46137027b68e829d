import type { Context } from './who/context.ts';
import type { ServerCallView } from '../core/agent/thread.ts';
import type { InferEvent } from './net/infer.ts';
import { rawWriter, type TextWriter } from './say/markdown.ts';
import { createStatusRow } from './say/status-row.ts';
import { cell } from './say/text.ts';

type Showing = Pick<Context, 'terminal' | 'out' | 'clock'>;

/** How often the running rate is drawn anew. */
const REDRAW_MS = 100;

/** What is said of a backend that has read much less than was sent. */
export const CUT_WORDS =
  '(The backend cut the prompt silently; its answer knows only the end of this thread.)';

interface AnswerLook {
  /** Gets the text so far, also where the stream throws later. */
  onText?: (text: string) => void;
  /** Whether it comes as fast as it is made, so that tokens per second mean something; yes. */
  live?: boolean;
  /** What is said behind tokens per second, once the answer has ended. */
  about?: () => string;
  /** Whether reasoning is shown; yes. */
  thinking?: boolean;
  /** How its text is shown; as it comes. */
  writer?: TextWriter;
}

/**
 * Shows an answer as it comes: its text on stdout, all else on stderr. @returns the text.
 * @throws what the stream throws.
 */
export async function showAnswer(
  { terminal, out, clock }: Showing,
  events: AsyncIterable<InferEvent>,
  { onText, live = true, about = () => '', thinking: shows = true, writer = rawWriter(out) }: AnswerLook = {},
): Promise<string> {
  const row = createStatusRow(terminal);
  const pace = createPace(clock);
  const newOf = callLines();
  let text = '';
  let thinking = false;
  let hasThought = false;
  let isPromptCut = false;
  let waiting = '';
  let drawnAt = -Infinity;
  const stopThinking = (): void => {
    if (thinking) out.dim('\n');
    thinking = false;
  };
  try {
    for await (const event of events) {
      pace.see(event);
      if (event.kind === 'waiting' && event.text !== waiting) {
        waiting = event.text;
        // Once it runs there is nothing more to wait for than the answer itself.
        if (!row.set(waiting) && waiting !== 'running' && text === '' && !thinking) out.note(waiting);
      } else if (event.kind === 'reasoning') {
        hasThought = true;
        if (shows) {
          thinking = true;
          out.dim(event.text);
        }
      } else if (event.kind === 'text') {
        stopThinking();
        text += event.text;
        writer.write(event.text);
        onText?.(text);
      } else if (event.kind === 'server calls') {
        stopThinking();
        for (const line of newOf(event.calls)) out.note(line);
      } else if (event.kind === 'prompt cut') {
        isPromptCut = true;
      } else if (event.kind === 'finish' && event.reason === 'length') {
        waiting = 'cut';
      }
      if (live && event.kind !== 'waiting' && clock.elapsed() - drawnAt >= REDRAW_MS) {
        row.set(pace.words());
        drawnAt = clock.elapsed();
      }
    }
  } finally {
    stopThinking();
    if (text !== '' && !text.endsWith('\n')) writer.write('\n');
    writer.end();
    row.stop();
  }
  if (isPromptCut) out.note(CUT_WORDS);
  if (waiting === 'cut') out.note(shortWords(hasThought && text === ''));
  if (live && terminal.tty.stderr && pace.words() !== '') out.dim(`${pace.words()}${about()}\n`);
  return text;
}

const shortWords = (isOnlyThinking: boolean): string =>
  isOnlyThinking
    ? '(Only thinking came before the limit of tokens; raise --max-tokens.)'
    : '(The answer was cut at its limit of tokens.)';

/** @returns of each call a line when it begins, and one when it has ended, each said once. */
function callLines(): (calls: readonly ServerCallView[]) => string[] {
  const seen = new Set<string>();
  return (calls) =>
    calls.flatMap(({ id, taskId, name, status, code, ms }) => {
      const outcome = `${code === null ? '' : `${cell(code)}, `}${String(ms ?? 0)} ms`;
      const ended = status === 'running' ? [] : [`← ${cell(name)}: ${outcome}`];
      return [`→ ${cell(name)}`, ...ended].filter((line) => {
        const key = `${taskId ?? id} ${line.slice(0, 1)}`;
        const isNew = !seen.has(key);
        seen.add(key);
        return isNew;
      });
    });
}

interface Pace {
  see(event: InferEvent): void;
  /** `42 tokens, 31.5 per second, first after 0.21 s`; empty before the first. */
  words(): string;
}

/** Counts pieces until the backend says how many tokens there were. */
function createPace(clock: Showing['clock']): Pace {
  const from = clock.elapsed();
  let first: number | null = null;
  let last = from;
  let pieces = 0;
  let tokens: number | null = null;
  return {
    see(event) {
      if (event.kind === 'usage') tokens = event.completionTokens;
      if (event.kind !== 'text' && event.kind !== 'reasoning') return;
      first ??= clock.elapsed();
      last = clock.elapsed();
      pieces++;
    },
    words() {
      if (first === null) return '';
      const count = tokens ?? pieces;
      // An answer in one piece has no span of its own: its tokens took the whole time.
      const seconds = (pieces > 1 ? last - first : last - from) / 1000;
      const rate =
        seconds > 0 ? `, ${((pieces > 1 ? count - 1 : count) / seconds).toFixed(1)} per second` : '';
      return `${count} ${count === 1 ? 'token' : 'tokens'}${rate}, first after ${((first - from) / 1000).toFixed(2)} s`;
    },
  };
}
