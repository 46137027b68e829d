import type { Client } from '../../client.ts';
import type { Context } from '../../context.ts';
import { Cancelled, failureOf } from '../../exit.ts';
import { showAnswer } from '../../answer.ts';
import { inferCallOf, type Asking, type Message } from './asking.ts';
import { bannerFor } from './banner.ts';
import { createPrompt } from './prompt.ts';

/** Talks with a person until Ctrl-D. @throws Cancelled when Ctrl-C leaves. */
export async function converse(ctx: Context, client: Client, asking: Asking): Promise<void> {
  for (const line of await bannerFor(client, asking.name, ctx.terminal.size().columns)) ctx.out.note(line);
  const prompt = createPrompt(ctx);
  const history: Message[] = [];
  try {
    for (;;) {
      const said = await prompt.next();
      if (said === null) return ctx.out.note('');
      if (said.trim() === '') continue;
      history.push({ role: 'user', content: said });
      const { text, stopped } = await prompt.aside(() => turn(ctx, client, { asking, history }));
      if (stopped) prompt.arm();
      // Without an answer the question is forgotten, so that roles keep alternating.
      if (text === '') history.pop();
      else history.push({ role: 'assistant', content: text });
    }
  } finally {
    prompt.close();
  }
}

/** One answer, or as much of it as came; an error is said and does not end the conversation. */
async function turn(
  ctx: Context,
  client: Client,
  { asking, history }: { asking: Asking; history: readonly Message[] },
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
    await showAnswer(ctx, events, { onText: (sofar) => (text = sofar) });
  } catch (thrown) {
    if (ctx.interrupts.signal.aborted) throw new Cancelled();
    if (stop.signal.aborted) ctx.out.note('(Stopped; Ctrl-C again to leave.)');
    else ctx.terminal.stderr.write(failureOf(thrown).text);
  } finally {
    release();
  }
  return { text, stopped: stop.signal.aborted };
}
