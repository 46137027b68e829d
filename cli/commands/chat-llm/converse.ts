import { showAnswer } from '../../answer.ts';
import type { Client } from '../../net/client.ts';
import type { Context } from '../../who/context.ts';
import { Cancelled, failureOf } from '../../exit.ts';
import type { InferEvent } from '../../net/infer.ts';
import { inferCallOf, type Asking } from './asking.ts';
import { bannerFor } from './banner.ts';
import { createPrompt, type Prompt } from '../../talk/prompt.ts';
import { wholeMessage } from '../../talk/message.ts';
import { slash, type Talk } from './slash.ts';

/** Talks with a person until Ctrl-D. @throws Cancelled when Ctrl-C leaves. */
export async function converse(ctx: Context, client: Client, asking: Asking): Promise<void> {
  for (const line of await bannerFor(client, asking.name, ctx.terminal.size().columns)) ctx.out.note(line);
  const prompt = createPrompt(ctx);
  const talk: Talk = { asking, history: [], usage: { prompt: 0, completion: 0, answers: 0 } };
  try {
    for (;;) {
      const message = await wholeMessage(prompt);
      if (message === null) return ctx.out.note('');
      if (message.trim() === '') continue;
      const done = await prompt.aside(() => obeyed(ctx, client, { talk, said: message }));
      if (done === 'leave') return;
      if (done === 'sent') await exchange(ctx, client, { talk, said: message, prompt });
    }
  } finally {
    prompt.close();
  }
}

/** A command that fails is said and does not end the conversation. */
async function obeyed(
  ctx: Context,
  client: Client,
  said: { talk: Talk; said: string },
): Promise<'sent' | 'done' | 'leave'> {
  try {
    return await slash(ctx, client, said);
  } catch (thrown) {
    if (ctx.interrupts.signal.aborted) throw new Cancelled();
    ctx.terminal.stderr.write(failureOf(thrown).text);
    return 'done';
  }
}

/** A question and its answer. Without an answer the question is forgotten, so that roles keep alternating. */
async function exchange(
  ctx: Context,
  client: Client,
  { talk, said, prompt }: { talk: Talk; said: string; prompt: Prompt },
): Promise<void> {
  const { history } = talk;
  history.push({ role: 'user', content: said });
  const { text, stopped } = await prompt.aside(() => turn(ctx, client, talk));
  if (stopped) prompt.arm();
  if (text === '') history.pop();
  else history.push({ role: 'assistant', content: text });
}

/** One answer, or as much of it as came; an error is said and does not end the conversation. */
async function turn(
  ctx: Context,
  client: Client,
  { asking, history, usage }: Talk,
): Promise<{ text: string; stopped: boolean }> {
  const stop = new AbortController();
  // Lets go at once: a Ctrl-C while the answer still stops leaves the program.
  const release = ctx.interrupts.take(() => {
    release();
    stop.abort();
  });
  let text = '';
  try {
    const call = { ...inferCallOf(asking, history), signal: stop.signal };
    const events = asking.stream ? client.infer.stream(call) : client.infer.once(call);
    await showAnswer(ctx, counted(events, usage), { onText: (sofar) => (text = sofar) });
  } catch (thrown) {
    if (ctx.interrupts.signal.aborted) throw new Cancelled();
    if (stop.signal.aborted) ctx.out.note('(Stopped; Ctrl-C again to leave.)');
    else ctx.terminal.stderr.write(failureOf(thrown).text);
  } finally {
    release();
  }
  return { text, stopped: stop.signal.aborted };
}

/** The same events, their tokens added up. */
async function* counted(events: AsyncIterable<InferEvent>, usage: Talk['usage']): AsyncGenerator<InferEvent> {
  usage.answers++;
  for await (const event of events) {
    if (event.kind === 'usage') {
      usage.prompt += event.promptTokens;
      usage.completion += event.completionTokens;
    }
    yield event;
  }
}
