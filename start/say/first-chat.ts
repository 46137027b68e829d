import { anySignal } from '../../core/runtime/any-signal.ts';
import { pause, type Clock } from '../../core/runtime/clock.ts';
import type { Backend } from '../backend.ts';
import type { Answered, EdgeClient } from '../edge-client.ts';
import type { Terminal } from './terminal.ts';

const PUBLISHED_MS = 30_000;
/** A backend may have to load its model first. */
const ANSWER_MS = 60_000;
const POLL_MS = 50;

/** Waits until one of the published llms answers. @returns its name; undefined when none does in time. */
export async function untilPublished(
  { names }: Backend,
  { edge, clock, signal }: { edge: EdgeClient; clock: Clock; signal: AbortSignal },
): Promise<string | undefined> {
  if (names.length === 0) return undefined;
  const until = clock.elapsed() + PUBLISHED_MS;
  while (clock.elapsed() < until && !signal.aborted) {
    const active = await edge.activeLlms();
    const firstActive = names.find((name) => active.includes(name));
    if (firstActive !== undefined && (await edge.isServed(firstActive))) return firstActive;
    await pause(POLL_MS, signal);
  }
  return undefined;
}

export interface FirstChatDeps {
  llm: string;
  demo: boolean;
  edge: EdgeClient;
  terminal: Terminal;
  signal: AbortSignal;
}

/** One answer, token by token, with how fast it came: the proof that the whole path works. */
export async function firstChat({ llm, demo, edge, terminal, signal }: FirstChatDeps): Promise<void> {
  // What the demo model has learnt by heart; any other can do it too.
  const prompt = 'Tell me a story';
  terminal.say(`\n${llm}${demo ? ' (a demo model of 0.5 MB: a toy that knows two dozen questions)' : ''}`);
  terminal.say(`> ${prompt}`);
  terminal.stream(''); // from here on nothing comes in between
  const answered = await edge.chat({
    llm,
    prompt,
    onText: (text) => terminal.stream(text),
    signal: anySignal([signal, AbortSignal.timeout(ANSWER_MS)]),
  });
  terminal.stream(`\n${'failed' in answered ? `That did not work: ${answered.failed}` : pace(answered)}\n`);
  terminal.release();
}

function pace({ firstTokenMs, tokens, tokensPerSecond }: Answered): string {
  return `first token after ${firstTokenMs.toFixed(0)} ms, ${tokens} tokens, ${tokensPerSecond.toFixed(0)} tokens/s`;
}
