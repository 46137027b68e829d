import { McpctlError } from '../../../core/errors.ts';
import { showAnswer } from '../../answer.ts';
import type { Client } from '../../net/client.ts';
import type { Context } from '../../who/context.ts';
import { toTheEnd } from '../../net/follow.ts';
import { eventsOf, type InferEvent } from '../../net/infer.ts';
import type { ServerEvent } from '../../net/sse.ts';
import { hasEnded } from '../../tasks.ts';
import type { SeenTask } from '../../net/views.ts';

export interface TaskLogsOptions {
  id: string;
  follow: boolean;
}

/** What has come of a running answer is here when nothing more comes for so long. */
const QUIET_MS = 300;

export async function runTaskLogs(ctx: Context, { id, follow }: TaskLogsOptions): Promise<void> {
  const client = await ctx.client();
  const task = await client.tasks.get(id);
  const ended = hasEnded(task.view.status);
  const reading: Reading = { ctx, client, task };
  if (ended) return void (await showAnswer(ctx, ofEnded(reading), { live: false }));
  if (follow) {
    ctx.out.note(`Task ${id} is ${task.view.status ?? 'there'}; following it …`);
    return void (await showAnswer(ctx, followed(reading), { live: false }));
  }
  if (task.view.streaming && task.view.streamStartedAt)
    await showAnswer(ctx, soFar(reading), { live: false });
  else if (task.view.streaming === false && task.view.status !== 'pending')
    ctx.out.note('Its answer comes in one piece, at the end.');
  ctx.out.note(`Task ${id} is ${task.view.status ?? 'not over'}; --follow waits for the rest.`);
}

interface Reading {
  ctx: Context;
  client: Client;
  task: SeenTask;
}

/** The whole answer, from the stream while that is kept, else from the row. */
async function* ofEnded(reading: Reading): AsyncGenerator<InferEvent> {
  const { ctx, client, task } = reading;
  try {
    for await (const { data } of await client.tasks.events(task.key, { signal: ctx.interrupts.signal })) {
      if (data === '[DONE]') return;
      yield* shownOf(task, data);
    }
  } catch (thrown) {
    if (!(thrown instanceof McpctlError && thrown.code === 'gone')) throw thrown;
    const { response } = task.view;
    if (response === null || response === undefined)
      throw new McpctlError(
        'gone',
        `The answer of task ${task.key} is no longer kept: the events of a streamed one stay for some minutes after its end.`,
      );
    yield* shownOf(task, typeof response === 'string' ? response : JSON.stringify(response));
  }
}

/** To the end, of what is there when it is opened first. */
async function* followed({ ctx, client, task }: Reading): AsyncGenerator<InferEvent> {
  const { signal } = ctx.interrupts;
  const open = (after: string | undefined): Promise<AsyncIterable<ServerEvent>> =>
    client.tasks.events(task.key, after === undefined ? { signal } : { after, signal });
  const show = (data: string): Iterable<InferEvent> => shownOf(task, data);
  const looks = { clock: ctx.clock, note: (line: string) => ctx.out.note(line), signal };
  yield* toTheEnd({ first: await open(undefined), open, show, what: 'task' }, looks);
}

/** What is there now: the end of it is that nothing more comes for a moment. */
async function* soFar({ client, task }: Reading): AsyncGenerator<InferEvent> {
  const quiet = new AbortController();
  const leave = (): void => quiet.abort();
  const all = setTimeout(leave, QUIET_MS * 10);
  let timer = setTimeout(leave, QUIET_MS * 10);
  try {
    for await (const { data } of await client.tasks.events(task.key, { signal: quiet.signal })) {
      if (data === '[DONE]') return;
      yield* shownOf(task, data);
      clearTimeout(timer);
      timer = setTimeout(leave, QUIET_MS);
    }
  } catch (thrown) {
    if (!quiet.signal.aborted) throw thrown;
  } finally {
    clearTimeout(timer);
    clearTimeout(all);
  }
}

/** Text of what is text; other operations' events as the JSON they are, a line each. */
function* shownOf({ key, view }: SeenTask, data: string): Generator<InferEvent> {
  const isText = view.operation === 'chat' || view.operation === 'completions';
  const events = [...eventsOf(data, key)]; // throws what an error frame says, of any operation
  if (isText) yield* events;
  else yield { kind: 'text', text: `${data}\n` };
}
