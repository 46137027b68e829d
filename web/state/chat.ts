import { computed, signal } from '@preact/signals';
import type { TaskView } from '../../core/task/task.ts';
import { noAnswer, followTask, readAnswer, type Answer } from '../net/answer.ts';
import { ask, call, isFault, type Fault } from '../net/api.ts';

export interface Turn {
  role: 'user' | 'assistant';
  answer: Answer;
  /** Whose words they are. */
  by: string;
  taskId: string | null;
  member: string | null;
  /** Milliseconds. */
  queueMs: number | null;
  firstMs: number | null;
  tookMs: number | null;
  fault: Fault | null;
  isStopped: boolean;
}

export interface Settings {
  system: string;
  temperature: string;
  maxTokens: string;
}

/** Kept while this page is open, from screen to screen, and nowhere else. */
export const settings = signal<Settings>({ system: '', temperature: '', maxTokens: '' });
export const draft = signal('');

const GRACE = 'grace=30';
/** A call whose task the server has not named yet: the key names it. */
interface Call {
  path: string;
  body: Body;
  key: string;
}
/** What is under way. */
interface Running {
  abort: AbortController;
  /** null: it was taken up, and has a name. */
  call: Call | null;
  taskId: string | null;
}

const turnOf = (role: Turn['role'], by: string, text: string): Turn => ({
  role,
  by,
  answer: { ...noAnswer, text },
  taskId: null,
  member: null,
  queueMs: null,
  firstMs: null,
  tookMs: null,
  fault: null,
  isStopped: false,
});

interface Body {
  messages: { role: string; content: string }[];
  stream: true;
  stream_options: { include_usage: true };
  temperature?: number;
  max_tokens?: number;
}

/** What is sent for the conversation as it stands; what broke off or was refused is not repeated to the model. */
export function bodyOf(all: readonly Turn[]): Body {
  const { system, temperature, maxTokens } = settings.value;
  const own = all.flatMap(({ role, answer: { text } }) => (text === '' ? [] : [{ role, content: text }]));
  return {
    messages: system === '' ? own : [{ role: 'system', content: system }, ...own],
    stream: true,
    stream_options: { include_usage: true },
    ...(temperature === '' ? {} : { temperature: Number(temperature) }),
    ...(maxTokens === '' ? {} : { max_tokens: Number(maxTokens) }),
  };
}

/** Shows an answer at most once a frame, however fast it comes. */
function painter(paint: (change: Pick<Turn, 'answer' | 'firstMs'>) => void): {
  show: (answer: Answer) => void;
  flush: () => void;
} {
  const from = performance.now();
  let next: Answer | undefined;
  let frame = 0;
  let firstMs: number | null = null;
  const flush = (): void => {
    cancelAnimationFrame(frame);
    frame = 0;
    if (next) paint({ answer: next, firstMs });
    next = undefined;
  };
  const show = (answer: Answer): void => {
    firstMs ??= performance.now() - from;
    next = answer;
    // A page that is hidden has no frames.
    if (document.hidden) flush();
    else if (frame === 0) frame = requestAnimationFrame(flush);
  };
  return { show, flush };
}

/** `randomUUID` is there behind TLS, and on this machine, alone. */
const keyOfCall = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16)).join('-');

/**
 * A stream says its task with its first bytes, which may be seconds away: the same call with the same key, but for an answer
 * that nobody waits for, is told the task that is there.
 */
async function nameOf({ path, body, key }: Call): Promise<string | null> {
  const headers = { 'idempotency-key': key, prefer: 'respond-async' };
  const answer = await ask('POST', path, { body, headers }).catch(() => undefined); // its grace ends it
  return answer?.headers.get('x-mcpctl-task-id') ?? null;
}

const textIn = (content: unknown): string => (typeof content === 'string' ? content : '');

/** The conversation that a task was asked to go on with, as far as the server has kept it; what the model was told of itself is a setting. */
function turnsIn(request: unknown, llm: string): Turn[] {
  const { messages = [] } = (request ?? {}) as { messages?: { role?: unknown; content?: unknown }[] };
  const system = messages.find(({ role }) => role === 'system');
  if (system) settings.value = { ...settings.value, system: textIn(system.content) };
  return messages.flatMap(({ role, content }) => {
    if (role === 'user') return [turnOf('user', 'you', textIn(content))];
    return role === 'assistant' ? [turnOf('assistant', llm, textIn(content))] : [];
  });
}

/** Of an answer whose events are kept no more. */
function answerIn(response: unknown): Answer {
  const { choices } = (response ?? {}) as { choices?: { message?: { content?: unknown } }[] };
  return { ...noAnswer, text: textIn(choices?.[0]?.message?.content) };
}

/** One conversation with one model at a time. */
class Chat {
  readonly turns = signal<readonly Turn[]>([]);
  readonly isRunning = signal(false);
  /** Of the last answer that has one: by it a page that was loaded anew goes on. */
  readonly taskId = computed(
    () => this.turns.value.findLast(({ taskId }) => taskId !== null)?.taskId ?? null,
  );
  #running: Running | undefined;

  #last(change: Partial<Turn>): void {
    const all = this.turns.value;
    const turn = all.at(-1);
    if (turn) this.turns.value = [...all.slice(0, -1), { ...turn, ...change }];
  }

  async #answer(llm: string): Promise<void> {
    const abort = new AbortController();
    const path = `/llms/${encodeURIComponent(llm)}/infer`;
    const body = bodyOf(this.turns.value.slice(0, -1));
    const key = keyOfCall();
    const mine: Running = { abort, call: { path, body, key }, taskId: null };
    this.#running = mine;
    const { show, flush } = painter((change) => this.#last(change));
    let now = noAnswer;
    let after = '';
    const showPart = (answer: Answer): void => show((now = answer));
    try {
      const headers = { 'x-mcpctl-on-disconnect': GRACE, 'idempotency-key': key };
      const answer = await ask('POST', path, { body, headers, signal: abort.signal });
      const taskId = answer.headers.get('x-mcpctl-task-id');
      mine.taskId = taskId;
      const queueMs = Number(answer.headers.get('x-mcpctl-queue-ms') ?? NaN);
      this.#last({
        taskId,
        member: answer.headers.get('x-mcpctl-provider'),
        queueMs: Number.isNaN(queueMs) ? null : queueMs,
      });
      try {
        await readAnswer(answer, { show: showPart, seen: (id) => (after = id) });
      } catch (thrown) {
        // The line broke, not the answer: it goes on where it was left.
        if (taskId === null || isFault(thrown) || abort.signal.aborted) throw thrown;
        await followTask({ taskId, signal: abort.signal, show: showPart, from: now, after });
      }
    } finally {
      flush();
      this.#running = undefined;
    }
  }

  async #ask(llm: string, before: readonly Turn[]): Promise<void> {
    const from = performance.now();
    await this.#run([...before, turnOf('assistant', llm, '')], () => this.#answer(llm));
    this.#last({ tookMs: performance.now() - from });
  }

  async #run(turns: readonly Turn[], work: () => Promise<unknown>): Promise<void> {
    this.isRunning.value = true;
    this.turns.value = turns;
    try {
      await work();
    } catch (thrown) {
      this.#last(isFault(thrown) ? { fault: thrown } : { isStopped: true });
    }
    this.isRunning.value = false;
  }

  /** Goes on with an answer that this page was at before it was loaded anew: it is read again from its first word. */
  async takeUp(taskId: string): Promise<void> {
    if (this.isRunning.value || this.turns.value.length > 0) return;
    const task = await call<TaskView>('GET', `/tasks/${encodeURIComponent(taskId)}`).catch(() => undefined);
    if (!task || this.turns.value.length > 0) return; // it is kept no more, or somebody went on meanwhile
    const { llmName, claimedLlm: member, request, response } = task;
    const abort = new AbortController();
    this.#running = { abort, call: null, taskId };
    const { show, flush } = painter(({ answer }) => this.#last({ answer }));
    const turns = [...turnsIn(request, llmName), { ...turnOf('assistant', llmName, ''), taskId, member }];
    await this.#run(turns, async () => {
      try {
        await followTask({ taskId, signal: abort.signal, show });
      } catch (thrown) {
        if (!isFault(thrown) || thrown.status !== 410) throw thrown;
        show(answerIn(response));
      } finally {
        flush();
        this.#running = undefined;
      }
    });
  }

  async send(llm: string, text: string): Promise<void> {
    if (!this.isRunning.value) await this.#ask(llm, [...this.turns.value, turnOf('user', 'you', text)]);
  }

  /** A new task for the last message, in the place of the answer that broke off. */
  async again(llm: string): Promise<void> {
    if (!this.isRunning.value) await this.#ask(llm, this.turns.value.slice(0, -1));
  }

  /** Ends the task itself, so that its backend stops; closing the connection alone would leave it its grace. */
  async stop(): Promise<void> {
    if (!this.#running) return;
    const { abort, taskId, call: unnamed } = this.#running;
    const id = taskId ?? (unnamed && (await nameOf(unnamed)));
    abort.abort();
    if (id !== null) await call('DELETE', `/tasks/${id}`).catch(() => undefined); // it has ended
  }

  clear(): void {
    void this.stop();
    this.turns.value = [];
  }

  /** The conversation as Markdown. */
  asText(): string {
    return this.turns.value.map(({ by, answer: { text } }) => `## ${by}\n\n${text}\n`).join('\n');
  }
}

export type { Chat };
/** The second is there where two models are compared. */
export const chat = new Chat();
export const otherChat = new Chat();
