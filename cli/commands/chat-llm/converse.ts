import { showAnswer } from '../../answer.ts';
import type { Client } from '../../net/client.ts';
import type { Context } from '../../who/context.ts';
import { Cancelled, failureOf } from '../../exit.ts';
import { takeOnce } from '../../interrupts.ts';
import { inferCallOf, type Asking } from './asking.ts';
import { bannerFor } from './banner.ts';
import { converseWith } from '../../talk/conversation.ts';
import { counted, noUsage } from '../../talk/usage.ts';
import { slashes, type Talk } from './slash.ts';

/** Talks with a person until Ctrl-D. @throws Cancelled when Ctrl-C leaves. */
export async function converse(ctx: Context, client: Client, asking: Asking): Promise<void> {
  for (const line of await bannerFor(client, asking.name, ctx.terminal.size().columns)) ctx.out.note(line);
  const talk: Talk = { asking, history: [], usage: noUsage() };
  const exchange = (message: string): Promise<boolean> => exchanged(ctx, client, { talk, message });
  if (await converseWith(ctx, client, { talk, slashes, exchange })) ctx.out.note('');
}

/** A question and its answer. Without an answer the question is forgotten, so that roles keep alternating. */
async function exchanged(
  ctx: Context,
  client: Client,
  { talk, message }: { talk: Talk; message: string },
): Promise<boolean> {
  const { history } = talk;
  history.push({ role: 'user', content: message });
  const { text, stopped } = await turn(ctx, client, talk);
  if (text === '') history.pop();
  else history.push({ role: 'assistant', content: text });
  return stopped;
}

/** One answer, or as much of it as came; an error is said and does not end the conversation. */
async function turn(
  ctx: Context,
  client: Client,
  { asking, history, usage }: Talk,
): Promise<{ text: string; stopped: boolean }> {
  const { signal, release } = takeOnce(ctx.interrupts);
  let text = '';
  try {
    const call = { ...inferCallOf(asking, history), signal };
    const events = asking.stream ? client.infer.stream(call) : client.infer.once(call);
    await showAnswer(ctx, counted(events, usage), { onText: (sofar) => (text = sofar) });
  } catch (thrown) {
    if (ctx.interrupts.signal.aborted) throw new Cancelled();
    if (signal.aborted) ctx.out.note('(Stopped; Ctrl-C again to leave.)');
    else ctx.terminal.stderr.write(failureOf(thrown).text);
  } finally {
    release();
  }
  return { text, stopped: signal.aborted };
}
